import numpy as np
import pytest
import torch
from scipy import ndimage

from wrg_onnx.twin.losses import bce_loss, iou_loss, saliency_loss, ssim_loss

LOSSES = (bce_loss, iou_loss, ssim_loss, saliency_loss)


def random_pair(side=16, batch=2):
    rng = torch.Generator().manual_seed(3)
    prediction = torch.rand(batch, 1, side, side, generator=rng, dtype=torch.float64)
    mask = torch.zeros_like(prediction)
    mask[:, :, 4:9, 5:11] = 1
    return prediction, mask


@pytest.mark.parametrize("loss", LOSSES)
def test_a_perfect_prediction_costs_nothing(loss):
    _, mask = random_pair()
    assert float(loss(mask, mask)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_worse_prediction_costs_more(loss):
    _, mask = random_pair()
    near, far = 0.8 * mask + 0.1 * (1 - mask), 0.3 * mask + 0.6 * (1 - mask)
    assert 0 < loss(near, mask) < loss(far, mask)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_the_numerical_one(loss):
    prediction, mask = random_pair(side=12, batch=1)
    prediction = (0.05 + 0.9 * prediction).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: loss(p, mask), prediction)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mask_value", [0.0, 1.0])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_saturated_predictions_have_finite_losses_and_gradients(loss, value, mask_value):
    prediction = torch.full((2, 1, 16, 16), value, requires_grad=True)
    result = loss(prediction, torch.full((2, 1, 16, 16), mask_value))
    result.backward()
    assert torch.isfinite(result)
    assert torch.isfinite(prediction.grad).all()


def test_bce_agrees_with_torch_away_from_the_ends():
    prediction, mask = random_pair()
    prediction = 0.05 + 0.9 * prediction
    expected = torch.nn.functional.binary_cross_entropy(prediction, mask)
    assert float(bce_loss(prediction, mask)) == pytest.approx(float(expected), rel=1e-4)


def test_bce_still_pulls_at_a_prediction_that_is_wrong_and_saturated():
    prediction = torch.zeros(1, 1, 4, 4, requires_grad=True)
    bce_loss(prediction, torch.ones(1, 1, 4, 4)).backward()
    assert (prediction.grad < 0).all()


def test_iou_is_one_minus_intersection_over_union():
    prediction, mask = torch.zeros(1, 1, 20, 20), torch.zeros(1, 1, 20, 20)
    prediction[..., :10, :] = 1
    mask[..., 5:15, :] = 1
    # 100 pixels of 300, and the one that is added to both.
    assert float(iou_loss(prediction, mask)) == pytest.approx(1 - 101 / 301)


def test_iou_weighs_every_image_the_same():
    prediction, mask = random_pair()
    mask[1] = 0
    apart = [float(iou_loss(p[None], m[None])) for p, m in zip(prediction, mask, strict=True)]
    assert float(iou_loss(prediction, mask)) == pytest.approx(np.mean(apart))


def test_ssim_agrees_with_the_formula_on_filtered_maps():
    prediction, mask = random_pair(batch=1)
    x, y = prediction[0, 0].numpy(), mask[0, 0].numpy()

    def blur(values):
        return ndimage.gaussian_filter(values, 1.5, mode="constant", radius=5)

    mean_x, mean_y = blur(x), blur(y)
    variance_x, variance_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + 1e-4) * (2 * covariance + 9e-4)
    similarity /= (mean_x**2 + mean_y**2 + 1e-4) * (variance_x + variance_y + 9e-4)
    assert float(ssim_loss(prediction, mask)) == pytest.approx(1 - similarity.mean(), rel=1e-6)


def test_the_saliency_loss_is_the_sum_of_its_parts():
    prediction, mask = random_pair()
    parts = bce_loss(prediction, mask) + iou_loss(prediction, mask) + ssim_loss(prediction, mask)
    assert float(saliency_loss(prediction, mask)) == pytest.approx(float(parts))

"""G: the backward pass through the twin, against autograd on a module written by hand."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as tf  # noqa: E402

from wrg_onnx.calibrate.data import DataSet, Sample  # noqa: E402
from wrg_onnx.calibrate.gradients import GradientProbe  # noqa: E402
from wrg_onnx.calibrate.head import SaliencyHead  # noqa: E402
from wrg_onnx.calibrate.measurements import Kind  # noqa: E402
from wrg_onnx.calibrate.taps import plan_taps  # noqa: E402
from wrg_onnx.graph.errors import StatisticsError, UnsupportedOperatorError  # noqa: E402
from wrg_onnx.twin.losses import bce_loss, iou_loss  # noqa: E402

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


WEIGHTS = {"w1": floats(6, 3, 3, 3), "w2": floats(5, 6, 3, 3) / 4, "w3": floats(1, 5, 1, 1)}
LAYERS = """
    c = Conv<pads=[1,1,1,1]>(x, w1)  a = Relu(c)
    d = Conv<pads=[1,1,1,1], strides=[2,2]>(a, w2)  s = Sigmoid(d)  b = Mul(d, s)
"""
PROBABILITY = (
    f"(float[1,3,16,16] x) => (float[1,1,8,8] y) {{ {LAYERS} z = Conv(b, w3) y = Sigmoid(z) }}"
)
LOGIT = f"(float[1,3,16,16] x) => (float[1,1,8,8] y) {{ {LAYERS} y = Conv(b, w3) }}"
HEAD = SaliencyHead("y", axis=1, channels=1, is_logit=False)
IMAGES = [floats(1, 3, 16, 16) for _ in range(2)]
MASKS = [np.zeros((16, 16), bool) for _ in IMAGES]
MASKS[0][3:9, 5:12] = True
MASKS[1][11, 11] = True  # tiny


def dataset(images, masks):
    pairs = zip(images, masks, strict=True)
    readers = tuple(lambda i=image, m=mask: Sample("s", {"x": i}, m) for image, mask in pairs)
    return DataSet(readers, "images", len(readers), has_masks=masks[0] is not None)


def by_hand(loss, image):
    """The mean of abs(gradient x activation) of both layers."""
    w1, w2, w3 = (torch.from_numpy(WEIGHTS[name]) for name in ("w1", "w2", "w3"))
    a = tf.relu(tf.conv2d(torch.from_numpy(image.copy()), w1, padding=1)).requires_grad_()
    b = tf.silu(tf.conv2d(a, w2, padding=1, stride=2))
    gradients = torch.autograd.grad(loss(tf.conv2d(b, w3)), [a, b])
    pairs = zip((a, b), gradients, strict=True)
    return [(t * g).abs().mean(dim=(0, 2, 3)).detach().numpy() for t, g in pairs]


def expected(loss_of):
    runs = [by_hand(loss_of(n), image) for n, image in enumerate(IMAGES)]
    return [np.mean([run[layer] for run in runs], axis=0) for layer in (0, 1)]


@pytest.fixture
def collect(measured):
    def run(units, data, head):
        taps = plan_taps(units)
        return measured(GradientProbe(units.graph, taps, head), taps, data).layers(Kind.GRADIENT)

    return run


def check(found, wanted):
    assert [layer.layer for layer in found] == ["a", "b"]
    for layer, values in zip(found, wanted, strict=True):
        np.testing.assert_allclose(layer.values, values, rtol=1e-4, atol=1e-9)
        assert values.max() > 0


def saliency_loss(mask):
    def loss(z):
        p = z.sigmoid()
        truth = mask(p) if callable(mask) else mask
        return bce_loss(p, truth) + iou_loss(p, truth)

    return loss


def test_masks_are_compared_at_the_outputs_size_and_keep_tiny_objects(analysed, collect):
    units = analysed(PROBABILITY, WEIGHTS)
    found = collect(units, dataset(IMAGES, MASKS), HEAD)
    # Each pixel of the output stands for 2x2 of the mask: the share that is object.
    shares = [mask.reshape(8, 2, 8, 2).mean(axis=(1, 3)) for mask in MASKS]
    truth = [torch.from_numpy(share.astype(np.float32))[None, None] for share in shares]
    assert truth[1].max() > 0
    check(found, expected(lambda n: saliency_loss(truth[n])))


def test_without_masks_the_models_own_map_is_the_truth(analysed, collect):
    units = analysed(PROBABILITY, WEIGHTS)
    data = dataset(IMAGES, [None, None])
    found = collect(units, data, HEAD)
    check(found, expected(lambda _: saliency_loss(lambda p: (p.detach() > 0.5).float())))


def test_logits_go_through_a_sigmoid(analysed, collect):
    units = analysed(LOGIT, WEIGHTS)
    head = SaliencyHead("y", axis=1, channels=1, is_logit=True)
    data = dataset(IMAGES, [None, None])
    found = collect(units, data, head)
    check(found, expected(lambda _: saliency_loss(lambda p: (p.detach() > 0.5).float())))


def test_without_a_saliency_map_the_loss_is_half_the_mean_square_of_every_output(analysed, collect):
    body = LOGIT.replace(
        "(float[1,1,8,8] y)", "(float[1,1,8,8] y, float[1,1,8,8] q, int64[1,1,8,8] k)"
    )
    body = body.replace("y = Conv(b, w3) }", "y = Conv(b, w3) q = Relu(y) k = Cast<to=7>(y) }")
    units = analysed(body, WEIGHTS)
    found = collect(units, dataset(IMAGES, [None, None]), None)
    check(
        found,
        expected(lambda _: lambda z: 0.5 * z.square().mean() + 0.5 * tf.relu(z).square().mean()),
    )


@pytest.mark.parametrize(("axis", "channels"), [(1, 2), (3, 2), (3, 1), (None, 1)])
def test_every_kind_of_head_is_read(analysed, collect, axis, channels):
    shape = {1: (1, channels, 8, 8), 3: (1, 8, 8, channels), None: (1, 8, 8)}[axis]
    last = {
        1: "y = Identity(z)", 3: "y = Transpose<perm=[0,2,3,1]>(z)", None: "y = Squeeze(z, one)",
    }[axis]  # fmt: skip
    sizes = ",".join(map(str, shape))
    body = f"(float[1,3,16,16] x) => (float[{sizes}] y) {{ {LAYERS} z = Conv(b, w) {last} }}"
    constants = {**WEIGHTS, "w": floats(channels, 5, 1, 1), "one": np.array([1])}
    units = analysed(body, constants)
    head = SaliencyHead("y", axis=axis, channels=channels, is_logit=True)
    found = collect(units, dataset(IMAGES, MASKS), head)
    assert all(layer.values.max() > 0 for layer in found)


def test_channels_that_the_loss_does_not_depend_on_count_as_zero(analysed, collect):
    body = LOGIT.replace("y = Conv(b, w3) }", "y = Conv(b, w3) l = Cast<to=7>(e) }")
    body = body.replace("(float[1,1,8,8] y)", "(float[1,1,8,8] y, int64[1,1,16,16] l)")
    body = body.replace("c = Conv", "f = Conv(x, w4) e = Conv(f, w5) c = Conv", 1)
    weights = {**WEIGHTS, "w4": floats(4, 3, 1, 1), "w5": floats(1, 4, 1, 1)}
    units = analysed(body, weights)
    found = collect(units, dataset(IMAGES, [None, None]), None)
    values = {layer.layer: layer.values for layer in found}
    assert values["f"].tolist() == [0, 0, 0, 0]
    assert values["a"].max() > 0


def test_random_numbers_of_the_model_are_the_same_in_every_run(analysed, collect):
    noisy = "n = RandomNormalLike(c) e = Add(c, n) a = Relu(e)"
    units = analysed(LOGIT.replace("a = Relu(c)", noisy), WEIGHTS)
    state = torch.get_rng_state()
    first, second = (collect(units, dataset(IMAGES, [None, None]), None) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    assert torch.equal(torch.get_rng_state(), state)


def test_outputs_without_a_gradient_say_what_to_do_instead(analysed, collect):
    body = LOGIT.replace("(float[1,1,8,8] y)", "(int64[1,1,8,8] y)")
    body = body.replace("y = Conv(b, w3) }", "z = Conv(b, w3) y = Cast<to=7>(z) }")
    units = analysed(body, WEIGHTS)
    with pytest.raises(StatisticsError, match="--criterion wr"):
        collect(units, dataset(IMAGES, [None, None]), None)


def test_outputs_that_no_layer_reaches_say_what_to_do_instead(analysed, collect):
    body = LOGIT.replace(
        "y = Conv(b, w3) }", "z = Conv(b, w3) k = Cast<to=7>(z) y = Cast<to=1>(k) }"
    )
    units = analysed(body, WEIGHTS)
    with pytest.raises(StatisticsError, match="--criterion wr"):
        collect(units, dataset(IMAGES, [None, None]), None)


def test_a_gradient_that_is_not_finite_names_the_tensor(analysed, collect):
    image = floats(1, 3, 16, 16)
    image[0, 0, 0, 0] = np.inf
    units = analysed(LOGIT, WEIGHTS)
    with pytest.raises(StatisticsError, match=r"gradient at 'a' .*--criterion wr"):
        collect(units, dataset([image], [None]), None)


def test_an_operator_without_a_twin_is_named(analysed, collect):
    body = LOGIT.replace("y = Conv(b, w3) }", "z = Conv(b, w3) y = Unique(z) }")
    units = analysed(body, WEIGHTS)
    with pytest.raises(UnsupportedOperatorError, match="'Unique'"):
        collect(units, dataset(IMAGES, MASKS), HEAD)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_a_gpu_finds_what_the_cpu_does(analysed):
    units = analysed(PROBABILITY, WEIGHTS)
    taps, sample = plan_taps(units), dataset(IMAGES, MASKS)[0]
    rows = [
        GradientProbe(units.graph, taps, HEAD, device).measure([sample])[0][Kind.GRADIENT]
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-3)

"""G: the backward pass through the twin, against autograd on a module written by hand."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as tf  # noqa: E402

from wrg_onnx.calibrate import plan_taps  # noqa: E402
from wrg_onnx.calibrate.gradient.first_order import FirstOrderEffects  # noqa: E402
from wrg_onnx.calibrate.gradient.probe import GradientProbe, parts_within  # noqa: E402
from wrg_onnx.data.dataset import DataSet, Sample  # noqa: E402
from wrg_onnx.data.saliency_map import SaliencyMap  # noqa: E402
from wrg_onnx.errors import StatisticsError, UnsupportedOperatorError  # noqa: E402
from wrg_onnx.factors import GRADIENT  # noqa: E402
from wrg_onnx.twin import build_twin  # noqa: E402
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
HEAD = SaliencyMap("y", axis=1, channels=1, is_logit=False)
IMAGES = [floats(1, 3, 16, 16) for _ in range(2)]
MASKS = [np.zeros((16, 16), bool) for _ in IMAGES]
MASKS[0][3:9, 5:12] = True
MASKS[1][11, 11] = True  # tiny


def dataset(images, masks):
    pairs = zip(images, masks, strict=True)
    readers = tuple(lambda i=image, m=mask: Sample("s", {"x": i}, m) for image, mask in pairs)
    return DataSet(readers, "images", len(readers), has_masks=masks[0] is not None)


def by_hand(loss, image):
    """Abs of the mean of gradient x activation of both layers."""
    w1, w2, w3 = (torch.from_numpy(WEIGHTS[name]) for name in ("w1", "w2", "w3"))
    a = tf.relu(tf.conv2d(torch.from_numpy(image.copy()), w1, padding=1)).requires_grad_()
    b = tf.silu(tf.conv2d(a, w2, padding=1, stride=2))
    gradients = torch.autograd.grad(loss(tf.conv2d(b, w3)), [a, b])
    pairs = zip((a, b), gradients, strict=True)
    return [(t * g).mean(dim=(0, 2, 3)).abs().detach().numpy() for t, g in pairs]


def expected(loss_of):
    runs = [by_hand(loss_of(n), image) for n, image in enumerate(IMAGES)]
    return [np.mean([run[layer] for run in runs], axis=0) for layer in (0, 1)]


@pytest.fixture
def collect(measured):
    def run(units, data, saliency):
        taps = plan_taps(units)
        return measured(GradientProbe(units.graph, taps, saliency), taps, data).layers(GRADIENT)

    return run


def alike(found, wanted):
    """Whether layers have the values that were computed by hand, and any at all."""
    near = [np.allclose(x.values, y, rtol=1e-4, atol=1e-9) and y.max() > 0
            for x, y in zip(found, wanted, strict=True)]  # fmt: skip
    return [layer.layer for layer in found] == ["a", "b"] and all(near)


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
    assert alike(found, expected(lambda n: saliency_loss(truth[n])))


def test_without_masks_the_models_own_map_is_the_truth(analysed, collect):
    units = analysed(PROBABILITY, WEIGHTS)
    data = dataset(IMAGES, [None, None])
    found = collect(units, data, HEAD)
    assert alike(found, expected(lambda _: saliency_loss(lambda p: (p.detach() > 0.5).float())))


def test_logits_go_through_a_sigmoid(analysed, collect):
    units = analysed(LOGIT, WEIGHTS)
    saliency = SaliencyMap("y", axis=1, channels=1, is_logit=True)
    data = dataset(IMAGES, [None, None])
    found = collect(units, data, saliency)
    assert alike(found, expected(lambda _: saliency_loss(lambda p: (p.detach() > 0.5).float())))


def test_without_a_saliency_map_the_loss_is_half_the_mean_square_of_every_output(analysed, collect):
    body = LOGIT.replace(
        "(float[1,1,8,8] y)", "(float[1,1,8,8] y, float[1,1,8,8] q, int64[1,1,8,8] k)"
    )
    body = body.replace("y = Conv(b, w3) }", "y = Conv(b, w3) q = Relu(y) k = Cast<to=7>(y) }")
    units = analysed(body, WEIGHTS)
    found = collect(units, dataset(IMAGES, [None, None]), None)
    assert alike(
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
    saliency = SaliencyMap("y", axis=axis, channels=channels, is_logit=True)
    found = collect(units, dataset(IMAGES, MASKS), saliency)
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
        GradientProbe(units.graph, taps, HEAD, device).measure([sample])[0][GRADIENT]
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-3)


# --- several images at once, in parts, in bfloat16 ------------------------------------------------

OPEN = LOGIT.replace("(float[1,3,16,16] x)", "(float[N,3,16,16] x)").replace(
    "(float[1,1,8,8] y)", "(float[N,1,8,8] y)"
)


@pytest.fixture
def rows(analysed):
    def measure(body, images, masks, saliency=None, **options):
        units = analysed(body, WEIGHTS)
        probe = GradientProbe(units.graph, plan_taps(units), saliency, **options)
        return probe.measure([*dataset(images, masks)])

    return measure


def assert_alike(found, wanted, rtol=1e-4):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert set(one) == set(other) == {GRADIENT}
        np.testing.assert_allclose(one[GRADIENT], other[GRADIENT], rtol=rtol, atol=1e-9)


def batches_run(monkeypatch):
    sizes = []
    run = GradientProbe._run

    def counted(self, feeds, *args, **options):
        sizes.append(len(feeds["x"]))
        return run(self, feeds, *args, **options)

    monkeypatch.setattr(GradientProbe, "_run", counted)
    return sizes


@pytest.mark.parametrize("saliency", [None, SaliencyMap("y", axis=1, channels=1, is_logit=True)])
def test_images_together_say_what_each_says_alone(rows, monkeypatch, saliency):
    masks = MASKS if saliency else [None, None]
    alone = rows(LOGIT, IMAGES, masks, saliency)
    sizes = batches_run(monkeypatch)
    together = rows(OPEN, IMAGES, masks, saliency)
    assert sizes[-1] == 2, "both images in one pass"
    assert_alike(together, alone)
    assert not np.allclose(alone[0][GRADIENT], alone[1][GRADIENT], rtol=0.01)


def test_a_model_that_mixes_its_images_gets_them_one_by_one(rows, monkeypatch):
    mixing = OPEN.replace("y = Conv(b, w3)", "z = Conv(b, w3)  y = Softmax<axis=0>(z)")
    sizes = batches_run(monkeypatch)
    found = rows(mixing, IMAGES, [None, None])
    assert sizes[-2:] == [1, 1]
    assert len(found) == 2


@pytest.mark.parametrize("bound", [0, 20_000])
def test_parts_that_are_computed_twice_give_the_same_numbers(rows, bound):
    whole = rows(LOGIT, IMAGES, [None, None])
    parts = rows(LOGIT, IMAGES, [None, None], bound_bytes=bound)
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(one[GRADIENT], other[GRADIENT])


def test_parts_keep_less(analysed):
    """A chain of 24 layers keeps the tensors between its parts instead of all of them."""
    names = [f"t{n}" for n in range(24)]
    steps = zip(["x", *names], names, strict=False)
    body = "  ".join(f"c{b} = Conv<pads=[1,1,1,1]>({a}, w)  {b} = Tanh(c{b})" for a, b in steps)
    units = analysed(
        f"(float[1,3,64,64] x) => (float[1,3,64,64] y) {{ {body}  y = Identity(t23) }}",
        {"w": floats(3, 3, 3, 3) / 4},
    )
    twin = build_twin(units.graph, trainable=False)
    image = torch.from_numpy(floats(1, 3, 64, 64)).requires_grad_()
    made = twin.bytes_made({"x": image})
    assert sum(made) == pytest.approx(49 * 3 * 64 * 64 * 4, rel=0.03)
    cuts = tuple(parts_within(made, sum(made) // 3))
    assert 4 <= len(cuts) <= 7
    kept = {}
    for cut in ((), cuts):
        seen = {}

        def pack(tensor, seen=seen):
            seen[tensor.untyped_storage().data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            y = twin({"x": image}, cuts=cut)["y"]
        kept[cut] = sum(seen.values())
        (gradient,) = torch.autograd.grad(y.sum(), image)
        assert gradient.abs().max() > 0
    assert kept[cuts] < kept[()] / 3


@pytest.mark.parametrize(
    ("made", "bound", "cuts"),
    [
        ([4, 4, 4], 12, []),
        ([4, 4, 4], 11, [1, 2]),
        ([2, 2, 2, 2, 2, 2], 8, [2, 4]),
        ([1, 100, 1], 10, [1, 2]),
        ([0, 0, 0], 0, []),
        ([], 0, []),
    ],
)
def test_no_part_makes_more_than_half_the_bound_if_a_node_does_not(made, bound, cuts):
    assert list(parts_within(made, bound)) == cuts


def test_bfloat16_is_near(rows):
    whole = rows(LOGIT, IMAGES, [None, None])
    mixed = rows(LOGIT, IMAGES, [None, None], mixed=True)
    assert_alike(mixed, whole, rtol=0.1)
    assert not np.array_equal(mixed[0][GRADIENT], whole[0][GRADIENT])


def test_a_float16_model_is_computed_in_float32(analysed):
    half = LOGIT.replace("float[", "float16[")
    weights = {name: (array * 1e-3).astype(np.float16) for name, array in WEIGHTS.items()}
    units = analysed(half, weights)
    image = (1e-2 * IMAGES[0]).astype(np.float16)
    (row,) = GradientProbe(units.graph, plan_taps(units), None).measure(
        [Sample("s", {"x": image}, None)]
    )
    # The gradients are about 1e-12: in float16 all of them would be zero.
    assert 0 < row[GRADIENT].max() < 1e-7
    assert (row[GRADIENT] > 0).all()


def test_effects_of_opposite_sign_cancel_within_an_image(analysed):
    """A channel that helps in one half as much as it harms in the other could go."""
    units = analysed(
        "(float[1,3,4,4] x) => (float[1,2,4,4] y) { a = Conv(x, w)  y = Conv(a, v) }",
        {"w": floats(2, 3, 1, 1), "v": floats(2, 2, 1, 1)},
    )
    (tap,) = plan_taps(units)
    effects = FirstOrderEffects([tap], 1, torch.device("cpu"))
    sign = torch.ones(1, 2, 4, 4)
    sign[:, 1, :2] = -1
    effects.take((effects.watch(tap, torch.ones(1, 2, 4, 4)) * sign).sum())
    np.testing.assert_array_equal(effects.rows()[0][GRADIENT], [1, 0])


def test_channels_last_say_the_same(analysed):
    body = """(float[1,3,16,16] x) => (float[1,1,16,16] y) {{
        {0}  z = Conv(m, v)  y = Sigmoid(z) }}"""
    steps = {
        1: "c = Conv(x, w)  m = Relu(c)",
        3: """t = Transpose<perm=[0,2,3,1]>(x)  c = MatMul(t, w)  r = Relu(c)
              m = Transpose<perm=[0,3,1,2]>(r)""",
    }
    w = floats(6, 3)
    weights = {1: w[:, :, None, None], 3: w.T.copy()}
    found = {}
    for axis, step in steps.items():
        units = analysed(body.format(step), {"w": weights[axis], "v": floats(1, 6, 1, 1) * 0 + 1})
        taps = plan_taps(units)
        assert [tap.axis for tap in taps] == [axis]
        (found[axis],) = GradientProbe(units.graph, taps, HEAD).measure(
            [*dataset(IMAGES[:1], MASKS[:1])]
        )
    np.testing.assert_allclose(found[3][GRADIENT], found[1][GRADIENT], rtol=1e-4)


def test_a_fixed_batch_of_one_image_says_what_the_image_says(rows, analysed):
    (wanted,) = rows(PROBABILITY, IMAGES[:1], MASKS[:1], HEAD)
    fixed = PROBABILITY.replace("float[1,3,", "float[2,3,").replace("float[1,1,", "float[2,1,")
    units = analysed(fixed, WEIGHTS)
    sample = Sample("s", {"x": np.repeat(IMAGES[0], 2, axis=0)}, MASKS[0])
    (twice,) = GradientProbe(units.graph, plan_taps(units), HEAD).measure([sample])
    # The loss is a mean over the batch, so each of two images has half the gradient.
    np.testing.assert_allclose(2 * twice[GRADIENT], wanted[GRADIENT], rtol=1e-4)


# --- several axes ---------------------------------------------------------------------------------


def test_volumes_have_gradients(analysed):
    units = analysed(
        """(float[N,2,6,6,6] x) => (float[N,1,6,6,6] y) {
            c = Conv<pads=[1,1,1,1,1,1]>(x, w)  d = Add(c, b)  a = Relu(d)  y = Conv(a, v) }""",
        {"w": floats(4, 2, 3, 3, 3), "b": floats(1, 4, 1, 1, 1), "v": floats(1, 4, 1, 1, 1)},
    )
    samples = [Sample("s", {"x": floats(1, 2, 6, 6, 6)}, None) for _ in range(2)]
    probe = GradientProbe(units.graph, plan_taps(units), None)
    together = probe.measure(samples)
    alone = [probe.measure([sample])[0] for sample in samples]
    for one, other in zip(together, alone, strict=True):
        assert one[GRADIENT].min() > 0
        np.testing.assert_allclose(one[GRADIENT], other[GRADIENT], rtol=1e-4)


def test_windows_in_place_of_the_batch_belong_to_their_image(analysed):
    """As in Swin: four windows of an image lie one after the other along axis 0."""
    units = analysed(
        """(float[N,3,16,16] x) => (float[m,4,4] y) {
            r = Reshape(x, s)  t = Transpose<perm=[0,2,1]>(r)
            c = MatMul(t, w)  a = Relu(c)  y = MatMul(a, v) }""",
        {"s": np.array([-1, 3, 64]), "w": floats(3, 8), "v": floats(8, 4)},
    )
    taps = plan_taps(units)
    probe = GradientProbe(units.graph, taps, None)
    samples = [
        Sample("s", {"x": image * scale}, None) for image, scale in zip(IMAGES, (1, 3), strict=True)
    ]
    together = probe.measure(samples)
    assert probe._joins
    for one, sample in zip(together, samples, strict=True):
        (alone,) = probe.measure([sample])
        np.testing.assert_allclose(one[GRADIENT], alone[GRADIENT], rtol=1e-4)


def test_images_of_several_sizes_go_one_by_one_and_later_ones_together(analysed):
    units = analysed(OPEN.replace("16,16", "h,w").replace("8,8", "i,j"), WEIGHTS)
    probe = GradientProbe(units.graph, plan_taps(units), None)
    small, large = (Sample("s", {"x": floats(1, 3, n, n)}, None) for n in (16, 20))
    apart = probe.measure([small, large])
    assert probe._joins is None
    assert_alike(probe.measure([small, small]), [apart[0], apart[0]])
    assert probe._joins
    assert_alike(probe.measure([large]), apart[1:])


def test_cudnn_stays_on_and_rounds_no_operand_in_either_pass(analysed, monkeypatch):
    seen = []

    def note(*_):
        cudnn = torch.backends.cudnn
        seen.append((cudnn.enabled, cudnn.allow_tf32))

    monkeypatch.setattr(FirstOrderEffects, "_note", note)
    before = torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32
    units = analysed(LOGIT, WEIGHTS)
    GradientProbe(units.graph, plan_taps(units), None).measure([*dataset(IMAGES[:1], [None])])
    assert seen == [(before[0], False)] * 2
    assert (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32) == before

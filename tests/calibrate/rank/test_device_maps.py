"""Maps that are lent to torch, against maps that come as arrays; the code of a GPU, on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from wrg_onnx.calibrate import plan_taps  # noqa: E402
from wrg_onnx.calibrate.rank.device_maps import DeviceMapProbe  # noqa: E402
from wrg_onnx.calibrate.rank.maps import MapProbe, MapSource  # noqa: E402
from wrg_onnx.data.dataset import Sample  # noqa: E402
from wrg_onnx.errors import StatisticsError  # noqa: E402
from wrg_onnx.factors import ACTIVATION, RANK  # noqa: E402
from wrg_onnx.graph import Provider  # noqa: E402

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def image(name="s", *, hole=0.0):
    array = floats(1, 3, 12, 10)
    array[0, 0, 0, 0] += np.float32(hole)
    return Sample(name, {"x": array}, None)


BODIES = {
    "maps": """(float[1,3,12,10] x) => (float[1,1,12,10] y) {
        c = Conv(x, w)  a = Relu(c)  y = Conv(a, v) }""",
    "channels last": """(float[1,3,12,10] x) => (float[1,12,10,1] y) {
        c = Conv(x, w)  t = Transpose<perm=[0,2,3,1]>(c)  a = Relu(t)  y = MatMul(a, m) }""",
    "tokens": """(float[1,3,12,10] x) => (float[1,1,120] y) {
        c = Conv(x, w)  r = Reshape(c, s)  a = Relu(r)  y = Conv(a, u) }""",
    "numbers": """(float[1,3,12,10] x) => (float[1,1,1,1] y) {
        g = GlobalAveragePool(x)  c = Conv(g, w)  a = Relu(c)  y = Conv(a, v) }""",
}
WEIGHTS = {
    "w": floats(6, 3, 1, 1), "v": floats(1, 6, 1, 1), "m": floats(6, 1), "u": floats(1, 6, 1),
    "s": np.array([1, 6, 120]),
}  # fmt: skip


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("bound", [2**30, 1])
def test_lent_maps_say_what_arrays_do(analysed, kind, bound):
    used = {name: array for name, array in WEIGHTS.items() if f" {name})" in BODIES[kind]}
    units = analysed(BODIES[kind], used)
    source = MapSource(units.graph, plan_taps(units), bound_bytes=bound)
    samples = [image(), image(), image()]
    probes = (MapProbe(source, [RANK]), DeviceMapProbe(source, [RANK]))
    expected, found = (probe.measure(samples) for probe in probes)
    assert len(found) == 3
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(other[RANK], one[RANK])
        np.testing.assert_allclose(other[ACTIVATION], one[ACTIVATION], rtol=1e-6)


def test_the_image_with_a_hole_is_named(analysed):
    units = analysed(BODIES["maps"], {"w": WEIGHTS["w"], "v": WEIGHTS["v"]})
    probe = DeviceMapProbe(MapSource(units.graph, plan_taps(units)), [ACTIVATION])
    assert probe.factors == (ACTIVATION,)
    with pytest.raises(StatisticsError, match="'a' of 'bad' holds NaN or infinity"):
        probe.measure([image(), image("bad", hole=np.nan)])


def test_sequences_of_several_lengths_are_taken(analysed):
    units = analysed(
        "(float[1,3,t] x) => (float[1,1,t] y) { c = Conv(x, w)  a = Relu(c)  y = Conv(a, u) }",
        {"w": floats(6, 3, 1), "u": WEIGHTS["u"]},
    )
    source = MapSource(units.graph, plan_taps(units))
    samples = [Sample("s", {"x": floats(1, 3, n)}, None) for n in (20, 30)]
    expected, found = (p(source, [RANK]).measure(samples) for p in (MapProbe, DeviceMapProbe))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(other[RANK], one[RANK])
    assert DeviceMapProbe(source, [RANK]).measure([]) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_a_gpu_says_what_the_cpu_does(analysed):
    units = analysed(BODIES["maps"], {"w": WEIGHTS["w"], "v": WEIGHTS["v"]})
    taps, samples = plan_taps(units), [image(), image()]
    expected = MapProbe(MapSource(units.graph, taps), [RANK]).measure(samples)
    source = MapSource(units.graph, taps, Provider.CUDA)
    found = DeviceMapProbe(source, [RANK]).measure(samples)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other[ACTIVATION], one[ACTIVATION], rtol=1e-5)
        np.testing.assert_allclose(other[RANK], one[RANK], atol=0.1)

"""Files as exporters wrote them years ago: initializers that are inputs, outputs without a type."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, normal

import wrg_onnx

WEIGHTS = {
    "w1": normal(16, 3, 3, 3), "b1": normal(16), "w2": normal(16, 16, 3, 3) / 8,
    "scale": np.abs(normal(16)), "shift": normal(16), "mean": normal(16, seed=1),
    "variance": np.abs(normal(16, seed=2)) + 0.5, "w3": normal(20, 28, 1, 1),
    "fw": normal(10, 20), "fb": normal(10),
}  # fmt: skip
ENLARGE = {
    7: ('Upsample<mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]>(p)', {}),
    9: ('Upsample<mode = "nearest">(p, sizes)', {"sizes": np.float32([1, 1, 2, 2])}),
    10: ('Resize<mode = "nearest">(p, sizes)', {"sizes": np.float32([1, 1, 2, 2])}),
}
TAKE = {
    7: ("Slice<axes = [1], starts = [2], ends = [14]>(g)", {}),
    10: ("Slice(g, start, end, axis)",
         {"start": np.int64([2]), "end": np.int64([14]), "axis": np.int64([1])}),
}  # fmt: skip


def newest(forms, opset):
    """Return the form of an operator that an opset has."""
    return forms[max(version for version in forms if version <= opset)]


def old_model(opset, ir):
    enlarge, more = newest(ENLARGE, opset)
    take, others = newest(TAKE, opset)
    weights = {**WEIGHTS, **more, **others}
    kinds = {name: "int64" if a.dtype == np.int64 else "float" for name, a in weights.items()}
    declared = [
        f"{kinds[name]}[{','.join(map(str, array.shape))}] {name}"
        for name, array in (weights.items() if ir == 3 else ())
    ]
    text = f"""net ({", ".join(["float[1,3,16,16] x", *declared])}) => (float[1,10] y) {{
      c = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)
      n = BatchNormalization<epsilon = 0.00001>(c, scale, shift, mean, variance)  r = Relu(n)
      p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r)  u = {enlarge}
      d = Conv<pads = [1, 1, 1, 1]>(u, w2)  g = Sigmoid(d)  s = {take}
      k = Concat<axis = 1>(r, s)  q = Pad<pads = [0, 0, 1, 1, 0, 0, 1, 1]>(k)
      e = Conv(q, w3)  o = Dropout<ratio = 0.5>(e)  a = GlobalAveragePool(o)
      f = Flatten(a)  y = Gemm<transB = 1>(f, fw, fb) }}"""
    model = build(text, weights, opset=opset, ir=ir)
    model.graph.output[0].ClearField("type")
    return model


@pytest.mark.parametrize("ir", [3, 4])
@pytest.mark.parametrize("opset", [7, 8, 9, 10])
def test_an_old_file_is_pruned_and_recovered(opset, ir, tmp_path):
    model = old_model(opset, ir)
    result = wrg_onnx.prune(
        model, tmp_path / "m.onnx", ratio=0.5, samples=4, evaluate=False, cache=False
    )
    assert result.report.reached == pytest.approx(0.5, abs=0.02)
    assert result.report.recovery.added > 0
    written = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(written, full_check=True)
    assert (written.ir_version, written.opset_import[0].version) == (ir, opset)
    names = [value.name for value in written.graph.input]
    constants = [tensor.name for tensor in written.graph.initializer]
    # What recovery added is an input, too, where the version wants all of them to be.
    assert names == (["x", *constants] if ir == 3 else ["x"])
    dims = written.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 10]

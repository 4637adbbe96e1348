"""Samples become batches; files are read ahead, and kept while there is room."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

torch = pytest.importorskip("torch")

from wrg_onnx.data.dataset import DataSet, Sample  # noqa: E402
from wrg_onnx.errors import DataError  # noqa: E402
from wrg_onnx.finetune import prepare  # noqa: E402
from wrg_onnx.finetune.distil import choose_features, distance, measure_targets  # noqa: E402
from wrg_onnx.finetune.feeding import SampleReader  # noqa: E402
from wrg_onnx.graph import from_proto  # noqa: E402
from wrg_onnx.rewrite.kept_channels import KeptChannels  # noqa: E402
from wrg_onnx.twin import build_twin  # noqa: E402
from wrg_onnx.twin.batches import has_open_batch, join, joins_alike  # noqa: E402


def samples(count, side=8):
    return [
        Sample(f"{k}", {"x": normal(1, 2, side, side, seed=k)}, np.ones((side, side), bool))
        for k in range(count)
    ]


def reader(found, *, room=1 << 20, read=None):
    def make(index):
        def get():
            if read is not None:
                read.append(index)
            return found[index]

        return get

    data = DataSet(tuple(map(make, range(len(found)))), "arrays", len(found), has_masks=True)
    return SampleReader(data, room)


def test_samples_join_along_axis_0():
    (batch,) = join(samples(3), joins=True)
    assert batch.size == 3
    assert batch.feeds["x"].shape == (3, 2, 8, 8)
    assert batch.mask.shape == (3, 1, 8, 8)
    np.testing.assert_array_equal(batch.feeds["x"][1:2], samples(2)[1].feeds["x"])


def test_samples_of_several_shapes_go_one_by_one():
    batches = join([*samples(2), *samples(1, side=6)], joins=True)
    assert [batch.size for batch in batches] == [1, 1, 1]


def test_a_batch_splits_into_parts_of_at_most_a_size():
    (batch,) = join(samples(5), joins=True)
    parts = batch.split(2)
    assert [part.size for part in parts] == [2, 2, 1]
    assert [part.mask.shape[0] for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([part.feeds["x"] for part in parts]), batch.feeds["x"])


def test_what_is_kept_is_read_once():
    read = []
    found = reader(samples(4), read=read)
    for _ in range(2):
        names = [[s.name for s in group] for group in found.read_groups([[0, 1], [2], [3]])]
        assert names == [["0", "1"], ["2"], ["3"]]
    found.close()
    assert sorted(read) == [0, 1, 2, 3]


def test_what_has_no_room_is_read_again():
    read = []
    found = reader(samples(2), room=samples(1)[0].feeds["x"].nbytes + 64, read=read)
    for _ in range(2):
        list(found.read_groups([[0], [1]]))
    found.close()
    assert read == [0, 1, 1]


def test_a_file_that_cannot_be_read_ends_the_run_with_its_name():
    def broken():
        raise DataError("cannot read 'a.png'")

    found = SampleReader(DataSet((broken,), "images", 1, has_masks=False), 0)
    with pytest.raises(DataError, match=r"cannot read 'a\.png'"):
        list(found.read_groups([[0]]))
    found.close()


@pytest.mark.parametrize(
    ("inputs", "is_open"),
    [
        ("float[N,3] x", True),
        ("float[1,3] x", False),
        ("float[N,3] x, float[N] y", True),
        ("float[N,3] x, float[M] y", False),
        ("float[N,3] x, float[2] y", False),
        ("float[N,3] x, float[] y", False),
    ],
)
def test_a_batch_is_open_where_every_input_says_so(inputs, is_open):
    graph = from_proto(build(f"net ({inputs}) => (float[a,b] z) {{ z = Identity(x) }}"), name="m")
    assert has_open_batch(graph) == is_open


def test_a_reshape_that_mixes_samples_is_found_out():
    text = """net (float[N,2,8,8] x) => (float[a,b] y) {{
      s = Constant<value = int64[2] {{{0}}}>()  r = Reshape(x, s)
      y = Softmax<axis = {1}>(r) }}"""
    for sizes, axis, joins in (("0, -1", 1, True), ("1, -1", 1, False), ("0, -1", 0, False)):
        twin = build_twin(from_proto(build(text.format(sizes, axis)), name="m"))
        assert joins_alike(twin, samples(2)) == joins


def test_an_output_without_elements_joins():
    text = """net (float[N,2,8,8] x) => (float[N,2,8,8] y, int64[K,4] i) {
      y = Neg(x)  g = Greater(x, limit)  n = NonZero(g)  i = Transpose<perm = [1, 0]>(n) }"""
    twin = build_twin(from_proto(build(text, {"limit": np.float32(100)}), name="m"))
    assert joins_alike(twin, samples(2))


def test_samples_to_measure_are_spread_over_the_set_and_few_where_they_are_large(monkeypatch):
    found = samples(7)
    data = DataSet(tuple(lambda s=s: s for s in found), "arrays", 7, has_masks=True)
    monkeypatch.setattr(prepare, "SAMPLES_TO_MEASURE", 3)
    assert [sample.name for sample in prepare.samples_to_measure(data)] == ["0", "2", "4"]
    monkeypatch.setattr(prepare, "_MOST_BYTES", 10)
    assert [sample.name for sample in prepare.samples_to_measure(data)] == ["0", "3"]


# --- the teacher ---------------------------------------------------------------------------------

TEXT = """net (float[N,2,8,8] x) => (float[N,1,8,8] y) {
  a = Conv(x, w1)  r = Relu(a)  b = Conv(r, w2)  q = Relu(b)  y = Conv(q, w3) }"""


def chain():
    weights = {"w1": normal(4, 2, 1, 1), "w2": normal(5, 4, 1, 1), "w3": normal(1, 5, 1, 1)}
    return from_proto(build(TEXT, weights), name="m")


def test_targets_are_scaled_by_the_teachers_variance_over_all_batches():
    twin = build_twin(chain(), trainable=False)
    batches = join(samples(4), joins=True)[0].split(3)
    kept = {"a": KeptChannels(1, np.array([1, 3]), 4)}
    teacher = measure_targets(twin, ["y"], kept, batches)
    with torch.no_grad():
        whole = twin({"x": torch.cat([b.feeds["x"] for b in batches])}, ("a",))
    assert teacher.outputs[0].variance == pytest.approx(float(whole["y"].var(correction=0)), 1e-5)
    (target,) = teacher.features
    wanted = whole["a"][:, [1, 3]]
    assert target.variance == pytest.approx(float(wanted.var(correction=0)), 1e-5)
    assert float(distance(wanted, whole["a"], target)) == 0
    assert float(distance(wanted + 1, whole["a"], target)) == pytest.approx(1 / target.variance)


def test_a_feature_map_of_another_width_is_refused():
    target = measure_targets(build_twin(chain()), ["y"], {}, join(samples(2), joins=True)).outputs[
        0
    ]
    with pytest.raises(DataError, match=r"'y' is \[1, 2\] in the student and \[1, 3\]"):
        distance(torch.ones(1, 2), torch.ones(1, 3), target)


def test_features_are_spread_over_the_depth(monkeypatch):
    from wrg_onnx.finetune import distil

    graph = chain()
    kept = {name: KeptChannels(1, np.arange(1), 1) for name in ("a", "b", "y")}
    assert choose_features(graph, kept) == ("a", "b", "y")
    monkeypatch.setattr(distil, "MOST_FEATURES", 2)
    assert choose_features(graph, kept) == ("a", "y")
    assert choose_features(graph, {"a": KeptChannels(0, np.arange(1), 1)}) == ()
    assert choose_features(graph, {}) == ()

"""Calibration and validation never overlap, whatever the data are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from wrg_onnx.errors import DataError, UnreadableError
from wrg_onnx.graph import bind_sizes
from wrg_onnx.graph.load import from_proto
from wrg_onnx.pipeline.config import DataOptions
from wrg_onnx.pipeline.samples import gather_samples


@pytest.fixture
def graph():
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[n,4] x) => (float[n,4] y) { y = Relu(x) }'
    )
    return from_proto(model, name="m.onnx")


def archives(path, count):
    for number in range(count):
        np.savez(path / f"{number:02}.npz", x=np.full((1, 4), number, np.float32))
    return path


def values(data):
    return [float(sample.feeds["x"].ravel()[0]) for sample in data]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 20])
@pytest.mark.parametrize("wanted", [1, 2, 5, 100])
def test_a_folder_is_divided_without_overlap(graph, tmp_path, count, wanted):
    found = gather_samples(graph, {}, DataOptions(archives(tmp_path, count), wanted), seed=1)
    calibration, validation = values(found.calibration), values(found.validation)
    assert not {*calibration} & {*validation}
    assert len(calibration) == len({*calibration}) == min(wanted, count - len(validation))
    assert len(validation) == (0 if count == 1 else max(1, round(count / 4)))


def test_the_seed_divides_a_folder(graph, tmp_path):
    options = DataOptions(archives(tmp_path, 12))
    one, same, other = (
        values(gather_samples(graph, {}, options, seed=seed).validation) for seed in (0, 0, 1)
    )
    assert one == same != other


def test_a_model_that_takes_no_image_gets_random_inputs(graph):
    found = gather_samples(graph, bind_sizes(graph.inputs), DataOptions(samples=3), seed=0)
    assert found.preprocessing is None
    assert found.calibration.description == "3 seeded random inputs"
    assert found.validation.description == "8 seeded random inputs"
    drawn = values(found.calibration) + values(found.validation)
    assert len(set(drawn)) == 11


def test_generated_samples_do_not_depend_on_how_many_calibrate():
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[1,3,32,32] x) => (float[1,3,32,32] y)'
        "{ y = Relu(x) }"
    )
    image_graph = from_proto(model, name="m.onnx")
    shapes = bind_sizes(image_graph.inputs)
    few, more = (
        gather_samples(image_graph, shapes, DataOptions(samples=n), seed=0) for n in (1, 3)
    )
    np.testing.assert_array_equal(few.calibration[0].feeds["x"], more.calibration[0].feeds["x"])
    assert len(few.validation) == len(more.validation) >= 16


@pytest.mark.parametrize("wanted", [5, 20, 29, 30, 64])
def test_fewer_samples_are_taken_from_all_over_the_folder(tmp_path, graph, wanted):
    folder = archives(tmp_path, 40)
    found = gather_samples(graph, {}, DataOptions(folder, wanted), seed=1).calibration
    whole = [s.name for s in gather_samples(graph, {}, DataOptions(folder, 64), seed=1).calibration]
    names = [sample.name for sample in found]
    assert len(names) == len(set(names)) == min(wanted, 30)
    gaps = np.diff([whole.index(name) for name in names])
    assert gaps.max() - gaps.min() <= 1


def test_broken_files_are_counted_over_statistics_and_judging_together(graph, tmp_path):
    archives(tmp_path, 24)
    whole = gather_samples(graph, {}, DataOptions(tmp_path, 100), seed=0)
    names = [[s.name for s in part] for part in (whole.calibration, whole.validation)]
    (tmp_path / names[0][0]).write_bytes(b"broken")
    found = gather_samples(graph, {}, DataOptions(tmp_path, 100), seed=0)
    assert (len(found.calibration), len(found.validation)) == (17, 6)
    assert len(found.broken) == 1
    # One in each part is not more than one in either, and 8 % of all.
    (tmp_path / names[1][0]).write_bytes(b"broken")
    with pytest.raises(UnreadableError, match="2 of 24"):
        gather_samples(graph, {}, DataOptions(tmp_path, 100), seed=0)


def test_without_a_sound_file_for_statistics_there_is_an_error(graph, tmp_path):
    archives(tmp_path, 2)
    whole = gather_samples(graph, {}, DataOptions(tmp_path), seed=0)
    (tmp_path / whole.calibration[0].name).write_bytes(b"broken")
    with pytest.raises(DataError, match=r"all 1 .* for statistics are broken"):
        gather_samples(graph, {}, DataOptions(tmp_path), seed=0)

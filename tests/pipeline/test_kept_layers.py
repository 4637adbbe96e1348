"""What was measured of layers serves every choice and every recovery, and is measured once."""

from __future__ import annotations

import shutil

import onnx
import pytest
from strategies import SALIENCY_NET, SALIENCY_WEIGHTS, build

from wrg_onnx.pipeline import measuring
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.recover import kept_layers, measure_layers
from wrg_onnx.select import Criterion
from wrg_onnx.tsod import MakeOptions, make_set


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Write a small net that makes a map of saliency."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(build(SALIENCY_NET, SALIENCY_WEIGHTS), path)
    return path


@pytest.fixture
def looked_at(monkeypatch):
    """List the models whose layers are measured, as often as they are."""
    graphs = []

    def counted(graph, *given, **named):
        graphs.append(graph)
        return measure_layers(graph, *given, **named)

    monkeypatch.setattr(measuring, "measure_layers", counted)
    monkeypatch.setattr(kept_layers, "measure_layers", counted)
    return graphs


def config(ratio=0.4, **chosen):
    defaults = {"data": DataOptions(samples=4), "evaluate": False}
    return PruneConfig(ratio, **{**defaults, **chosen})


def written(model, path, chosen):
    report = prune(model, path, chosen).report
    return path.read_bytes(), report


@pytest.mark.parametrize("certainty", [None, 0.9])
def test_what_is_found_gives_the_same_file_to_the_byte(model, tmp_path, certainty, looked_at):
    cache = tmp_path / "cache"
    plain, first, second = (
        written(model, tmp_path / f"{number}.onnx", config(cache=folder, certainty=certainty))
        for number, folder in enumerate((None, cache, cache))
    )
    assert plain[0] == first[0] == second[0]
    assert plain[1].recovery == first[1].recovery == second[1].recovery
    assert plain[1].certainty == second[1].certainty
    assert len(looked_at) == 2
    assert len(list(cache.iterdir())) == 1


@pytest.fixture(scope="module")
def cache(model, tmp_path_factory):
    """Return the folder of an earlier run."""
    folder = tmp_path_factory.mktemp("cache")
    prune(model, None, config(cache=folder))
    assert len(list(folder.iterdir())) == 1
    return folder


@pytest.mark.parametrize(
    "other",
    [
        {"ratio": 0.2, "budget": BudgetKind.MACS, "floor": 0.2},
        {"criterion": Criterion.L1, "recover": Recovery.RIDGE},
        {"rounds": 2},
    ],
    ids=str,
)
def test_another_choice_finds_it(model, cache, tmp_path, other, looked_at):
    found, _ = written(model, tmp_path / "a.onnx", config(cache=cache, **other))
    # A second round measures what the first one left, which no other run has.
    assert len(looked_at) == config(**other).rounds - 1
    assert len(list(cache.iterdir())) == 1
    plain, _ = written(model, tmp_path / "b.onnx", config(**other))
    assert found == plain


def test_gradients_and_layers_are_kept_beside_each_other(model, cache, tmp_path, looked_at):
    pytest.importorskip("torch")
    folder = shutil.copytree(cache, tmp_path / "copy")
    prune(model, None, config(cache=folder, criterion=Criterion.SEL_REPAIR))
    assert len(list(folder.iterdir())) == 3
    prune(model, None, config(cache=folder, criterion=Criterion.SEL))
    assert len(list(folder.iterdir())) == 3
    assert looked_at == []


def test_rounds_measure_the_original_once(model, looked_at):
    prune(model, None, config(rounds=3))
    assert len({id(graph) for graph in looked_at}) == len(looked_at) == 3


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "set"
    make_set(folder, MakeOptions(count=10, height=160, width=160))
    return folder


@pytest.mark.parametrize("certainty", [None, 0.9])
def test_sparsify_measures_the_original_and_what_was_trained_once_each(
    model, images, looked_at, certainty
):
    pytest.importorskip("torch")
    data = DataOptions(images, samples=5)
    report = prune(model, None, config(data=data, sparsify=1, certainty=certainty)).report
    assert len({id(graph) for graph in looked_at}) == len(looked_at) == 2
    assert report.recovery.method == "ridge"
    assert (report.certainty is None) == (certainty is None)


def test_what_does_not_fit_is_told(model, tmp_path, monkeypatch):
    monkeypatch.setenv("WRG_ONNX_CACHE_LIMIT", "1KiB")
    report = prune(model, None, config(cache=tmp_path)).report
    (note,) = [note for note in report.notes if "was not kept for other runs" in note]
    assert "of the 1 MiB of the cache are left (WRG_ONNX_CACHE_LIMIT sets another limit)" in note
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_told(model, cache, tmp_path):
    folder = shutil.copytree(cache, tmp_path / "copy")
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    (note,) = [n for n in prune(model, None, config(cache=folder)).report.notes if str(path) in n]
    assert note.endswith("the layers are measured anew")
    assert path.stat().st_size > 10_000


def test_without_recovery_or_repair_nothing_is_measured(model, tmp_path, looked_at):
    prune(model, None, config(criterion=Criterion.L1, recover=Recovery.BIAS, cache=tmp_path))
    assert looked_at == []

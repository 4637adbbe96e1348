"""Settings, what is kept of results, and how a run goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reproduction import run, settings, stages
from reproduction.origin import keep_origin, origin_of
from reproduction.results import Cell, Result, Store, cells_of
from reproduction.settings import MAIN, NAMES, PROFILES, Cut, Row, Tuning, rows_of
from reproduction.stages import pools, write_pairs
from sod.nets import NetOptions
from sod.pool import TRAINING, make_pool
from wrg_onnx.errors import DataError, OutputError, UsageError, WorkerError
from wrg_onnx.pipeline.config import BudgetKind
from wrg_onnx.select import Criterion

TOOLS = Path(__file__).parents[3] / "tools" / "experiments"
(QUICK,) = PROFILES["quick"]
SEL = Cut(BudgetKind.PARAMS, 0.6, Row(Criterion.SEL))
CELL = Cell(0, SEL, (0, 200))


def result(cell, steps):
    """Make a result of a cell."""
    return Result(
        cell.seed,
        *cell.key,
        steps=steps,
        removed={"params": 0.6, "macs": 0.5},
        scores={"mae": 0.1},
        seconds={"tune": 1.0},
        cpu_seconds=2.0,
        hardware="a machine",
        commit="abc1234",
        versions={"torch": "2.13.0"},
    )


def test_criteria_of_one_formula_share_a_row():
    labels = [row.label for row in rows_of(NAMES)]
    assert {"repair", "sel-repair", "sel"} <= {*labels}
    assert "g = taylor" in labels
    assert "r = hrank" in labels
    assert len(labels) == len(NAMES) - 2
    assert sum(len(label.split(" = ")) for label in labels) == len(NAMES)


def test_a_net_without_scales_has_no_row_for_them():
    plain = replace(QUICK, net=NetOptions("vgg16_sod", 0.125))
    for own in (plain, replace(QUICK, fold=True)):
        assert "bn" not in [row.criterion.name for row in own.rows]
    assert "bn" in [row.criterion.name for row in QUICK.rows]


def test_each_seed_has_one_control_and_every_criterion_at_every_ratio_of_both_budgets():
    cells = cells_of(QUICK)
    assert len({(cell.seed, cell.cut) for cell in cells}) == len(cells)
    assert len(cells) == 3 * (1 + 2 * 4 * len(QUICK.rows))
    assert sum(cell.cut is None for cell in cells) == 3


def test_a_long_tuning_is_for_the_cuts_that_it_names_and_the_unpruned_net():
    steps = {(cell.seed, cell.cut): cell.steps for cell in cells_of(QUICK)}
    assert steps[0, None] == (0, 200, 800)
    assert steps[0, SEL] == (0, 200, 800)
    assert steps[0, replace(SEL, budget=BudgetKind.MACS)] == (0, 200, 800)
    assert steps[0, replace(SEL, ratio=0.4)] == (0, 200)
    assert steps[0, replace(SEL, row=Row(Criterion.BN))] == (0, 200)


def test_a_tuning_knows_a_criterion_by_each_of_its_names():
    row = Row(Criterion.G, ("taylor",))
    assert Tuning(9, ("taylor",)).covers(replace(SEL, row=row))
    assert not Tuning(9, ("taylor",)).covers(SEL)


def test_the_wide_profile_has_a_net_of_each_width_with_the_main_criteria_at_60_percent():
    wide = PROFILES["wide"]
    assert [one.net.width for one in wide] == [0.125, 0.25, 0.5]
    assert {one.ratios for one in wide} == {(0.6,)}
    for one in wide:
        assert sorted(row.criterion.name for row in one.chosen) == sorted(MAIN)


def test_the_nets_that_profiles_share_are_the_same_experiment():
    assert PROFILES["wide"][0].identity == QUICK.identity


def test_results_are_read_back_as_they_were_put(tmp_path):
    store, made = Store(tmp_path, QUICK), result(CELL, 200)
    assert store.left([CELL]) == [CELL]
    store.put(CELL, made)
    assert store.left([CELL]) == [replace(CELL, steps=(0,))]
    assert Store(tmp_path, QUICK).all(QUICK) == [made]
    for other in (
        {"seeds": (1,)}, {"ratios": (0.4,)}, {"budgets": (BudgetKind.MACS,)},
        {"tunings": (Tuning(100),)},
    ):  # fmt: skip
        changed = replace(QUICK, **other)
        assert Store(tmp_path, changed).all(changed) == []


def test_the_unpruned_net_belongs_to_every_budget_and_ratio(tmp_path):
    control = Cell(0, None, (0,))
    Store(tmp_path, QUICK).put(control, result(control, 0))
    changed = replace(QUICK, ratios=(0.4,), budgets=(BudgetKind.MACS,), tunings=(Tuning(100),))
    assert Store(tmp_path, changed).all(changed) == [result(control, 0)]


def test_a_result_without_a_place_is_told(tmp_path):
    store = Store(tmp_path, QUICK)
    (tmp_path / "seed0").touch()
    with pytest.raises(OutputError, match=r"sel-params-0\.6-200\.json': cannot be written: "):
        store.put(CELL, result(CELL, 200))


def test_a_piece_of_an_experiment_shares_its_folder_and_another_does_not(tmp_path):
    Store(tmp_path, QUICK)
    piece = {
        "seeds": (0,), "ratios": (0.6,), "budgets": (BudgetKind.MACS,), "criteria": ("sel",),
        "tunings": (Tuning(9),), "tuning": replace(QUICK.tuning, steps=9),
    }  # fmt: skip
    Store(tmp_path, replace(QUICK, **piece))
    with pytest.raises(UsageError, match="another experiment: its size is 64, here it is 96"):
        Store(tmp_path, replace(QUICK, size=96))


def test_results_of_an_older_formula_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "FORMULAS", settings.FORMULAS - 1)
    Store(tmp_path, QUICK)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="another experiment: its formulas is 3, here it is 4"):
        Store(tmp_path, QUICK)


TINY = replace(
    QUICK, size=32, net=NetOptions("vgg16_sod", 0.05, batch_norm=True), images=6, held_out=4
)


def begin(own, folder, seed=0):
    """Write down what a seed is made of, as the first process that makes it does."""
    keep_origin(folder, own, seed, origin_of(own, *pools(own, seed)))


def test_a_folder_goes_on_with_the_same_images_and_not_with_changed_ones(tmp_path):
    pairs = tmp_path / "pairs"
    write_pairs(make_pool(8, 32, seed=0, stream=TRAINING), 6, pairs)
    own = replace(TINY, data=(str(pairs),))
    begin(own, tmp_path / "run")
    begin(own, tmp_path / "run")
    begin(own, tmp_path / "run", seed=1)
    write_pairs(make_pool(8, 32, seed=1, stream=TRAINING), 6, pairs)
    for seed in (0, 2):
        with pytest.raises(UsageError, match="another experiment: the images that train are not"):
            begin(own, tmp_path / "run", seed)


def test_made_images_of_another_generator_are_not_mixed_in(tmp_path, monkeypatch):
    for seed in (0, 1):
        begin(TINY, tmp_path, seed)
    made = stages.make_pool
    monkeypatch.setattr(
        stages, "make_pool", lambda *a, seed, stream: made(*a, seed=seed + 9, stream=stream)
    )
    with pytest.raises(UsageError, match="another experiment: the images that train are not"):
        begin(TINY, tmp_path)
    with pytest.raises(UsageError, match="another experiment: the images that judge are not"):
        begin(TINY, tmp_path, seed=2)


def test_other_weights_under_the_same_name_are_refused(tmp_path):
    weights = tmp_path / "vgg.pth"
    own = replace(TINY, weights=str(weights))
    with pytest.raises(DataError, match=r"vgg\.pth': cannot be read: No such file"):
        begin(own, tmp_path)
    weights.write_bytes(b"one")
    begin(own, tmp_path)
    weights.write_bytes(b"two")
    with pytest.raises(UsageError, match="another experiment: the loaded weights are not"):
        begin(own, tmp_path)


def test_a_net_of_unknown_images_is_not_gone_on_with(tmp_path):
    base = stages.base_path(tmp_path, 0)
    base.parent.mkdir()
    base.touch()
    with pytest.raises(UsageError, match="does not say what its seed 0 was trained on"):
        begin(TINY, tmp_path)


def test_net_and_cells_are_made_of_images_that_were_compared(tmp_path):
    begin(replace(TINY, held_out=5), tmp_path)
    with pytest.raises(UsageError, match="the images that judge are not"):
        stages.make_base(TINY, tmp_path, 0, torch.device("cpu"), print)
    with pytest.raises(UsageError, match="the images that judge are not"):
        stages.run_cell(TINY, Store(tmp_path, TINY), CELL, torch.device("cpu"))
    assert not stages.base_path(tmp_path, 0).exists()


def test_a_process_that_is_gone_is_told_in_one_line():
    gone = Future()
    gone.set_exception(BrokenProcessPool("terminated abruptly"))
    with pytest.raises(WorkerError, match=r"ended before seed0/sel-params-0.6 was.* --processes"):
        list(run.finished({gone: CELL}))


COMMAND = (
    sys.executable, str(TOOLS / "reproduce_wrgpruner.py"), "--size", "32", "--width",
    "0.05", "--steps", "20", "--tune-steps", "2", "--seed", "0", "--ratio", "0.5", "--device",
    "cpu", "--processes", "1", "--folder", "run", "--budget", "params",
)  # fmt: skip
SEED = Path("run", "width-0.05", "seed0")
BOTH = (*COMMAND, "--criterion", "sel", "--criterion", "taylor")


def children(process):
    """Return the ids of the processes that a process started."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    return [int(one) for one in listed.split()]


@pytest.mark.slow
def test_a_run_that_was_killed_leaves_no_process_and_goes_on(tmp_path):
    process = subprocess.Popen(BOTH, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert "base trained" in process.stdout.readline()
    workers = children(process)
    assert workers
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ended = subprocess.run(BOTH, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "base trained in 0 s" in ended.stdout
    # The unpruned net and two cuts, each as it was and tuned.
    assert len(list((tmp_path / SEED).glob("*.json"))) == 6


@pytest.mark.slow
def test_a_run_that_lost_results_makes_them_again_and_nothing_else(tmp_path):
    def run(*more):
        return subprocess.run(
            [*BOTH, *more], capture_output=True, text=True, check=False, cwd=tmp_path
        )

    first = run()
    files = {path.stem: path for path in (tmp_path / SEED).glob("*.json")}
    assert first.returncode == 0, first.stderr
    names = ("unpruned", "sel-params-0.5", "g-params-0.5")
    assert set(files) == {f"{name}-{steps}" for name in names for steps in (0, 2)}
    before = {name: json.loads(path.read_text()) for name, path in files.items()}
    lost = before["g-params-0.5-2"]
    assert lost["removed"]["params"] == pytest.approx(0.5, abs=0.05)
    assert 0 < lost["removed"]["macs"] < 1
    files["g-params-0.5-2"].unlink()
    assert [line for line in run().stdout.splitlines() if "1/1 seed0/g-params-0.5 " in line]
    after = {name: json.loads(path.read_text()) for name, path in files.items()}
    assert after["g-params-0.5-2"]["scores"] == lost["scores"]
    assert all(after[name] == before[name] for name in before if name != "g-params-0.5-2")
    page = (tmp_path / "run" / "table.md").read_text(encoding="utf-8")
    assert "| g = taylor | 1 |" in page
    # A single ratio is no line.
    assert ".svg" not in page
    assert not (tmp_path / "run" / "table.svg").exists()
    assert "another experiment: its size is 32, here it is 48" in run("--size", "48").stderr


@pytest.mark.slow
def test_pairs_of_a_folder_train_and_judge(tmp_path):
    pairs = tmp_path / "pairs"
    write_pairs(make_pool(12, 32, seed=0, stream=TRAINING), 9, pairs)
    (pairs / "images" / "0003.png").write_bytes(b"no picture")
    command = [*COMMAND, "--criterion", "l1", "--data", str(pairs)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("left out: cannot read") == 1
    page = (tmp_path / "run" / "table.md").read_text(encoding="utf-8")
    assert f"trained on {pairs} for 20 steps" in page
    assert "judged on a quarter of them" in page
    assert "| l1 | 1 |" in page


@pytest.mark.slow
def test_what_a_worker_process_finds_is_told_in_one_line(tmp_path):
    command = [*COMMAND, "--criterion", "l1", "--ratio", "0.99"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 1
    assert "cannot remove 99" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "stopping when what is running has ended: cannot remove 99" in ended.stdout
    # What was finished before is kept.
    assert (tmp_path / SEED / "unpruned-2.json").exists()
    pairs = tmp_path / "pairs"
    write_pairs(make_pool(1, 32, seed=0, stream=TRAINING), 1, pairs)
    command += ["--data", str(pairs), "--folder", "other"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "one of the pairs is held out" in ended.stderr
    assert ended.stderr.count("\n") == 1

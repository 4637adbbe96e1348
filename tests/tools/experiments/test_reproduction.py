from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from reproduction import run, stages
from reproduction.origin import keep_origin, origin_of
from reproduction.results import CONTROL, Cell, Result, Store, lower_is_better
from reproduction.run import cells_of
from reproduction.settings import NAMES, PROFILES, rows_of
from reproduction.stages import pools, write_pairs
from reproduction.table import Figure, document, figure, figures
from sod.nets import NetOptions
from sod.pool import TRAINING, make_pool
from wrg_onnx.errors import DataError, OutputError, UsageError, WorkerError

TOOLS = Path(__file__).parents[3] / "tools" / "experiments"
QUICK = PROFILES["quick"]
METRICS = ("mae", "max_f", "mean_f", "weighted_f", "s_measure", "max_e")


def result(criterion, seed, good, *, ratio=0.6, before=0.2):
    """Make a result whose metrics are all as good as said."""
    found = {m: 1 - good if lower_is_better(m) else good for m in METRICS}
    return Result(
        seed=seed,
        ratio=0.0 if criterion == CONTROL else ratio,
        criterion=criterion,
        removed=0.0 if criterion == CONTROL else ratio,
        before=dict.fromkeys(METRICS, before),
        after=found,
        seconds={"tune": 1.0},
        cpu_seconds=2.0,
        hardware="a machine",
        commit="abc1234",
        versions={"torch": "2.13.0"},
    )


def test_criteria_of_one_formula_share_a_row():
    labels = [row.label for row in rows_of(NAMES)]
    assert "g = taylor" in labels
    assert "r = hrank" in labels
    assert len(labels) == len(NAMES) - 2
    assert sum(len(label.split(" = ")) for label in labels) == len(NAMES)


def test_a_net_without_scales_has_no_row_for_them():
    plain = replace(QUICK, net=NetOptions("vgg16_sod", 0.125))
    for settings in (plain, replace(QUICK, fold=True)):
        assert "bn" not in [row.criterion.name for row in settings.rows]
    assert "bn" in [row.criterion.name for row in QUICK.rows]


def test_each_seed_has_one_control_and_every_criterion_at_every_ratio():
    cells = cells_of(QUICK, QUICK.rows)
    assert len(cells) == len(set(cells)) == 3 * (1 + 4 * len(QUICK.rows))
    assert sum(cell.row is None for cell in cells) == 3


def test_results_are_read_back_as_they_were_put(tmp_path):
    store = Store(tmp_path, QUICK)
    cell = Cell(0, 0.6, QUICK.rows[0])
    assert not store.path(cell).exists()
    store.put(cell, result("sel", 0, 0.9))
    assert Store(tmp_path, QUICK).all(QUICK) == [result("sel", 0, 0.9)]
    for other in (replace(QUICK, seeds=(1,)), replace(QUICK, ratios=(0.4,))):
        assert Store(tmp_path, other).all(other) == []


def test_a_result_without_a_place_is_told(tmp_path):
    store = Store(tmp_path, QUICK)
    (tmp_path / "seed0").touch()
    with pytest.raises(OutputError, match=r"sel-0\.6\.json': cannot be written: "):
        store.put(Cell(0, 0.6, QUICK.rows[0]), result("sel", 0, 0.9))


def test_a_piece_of_an_experiment_shares_its_folder_and_another_does_not(tmp_path):
    Store(tmp_path, QUICK)
    Store(tmp_path, replace(QUICK, seeds=(0,), ratios=(0.6,)))
    with pytest.raises(UsageError, match="another experiment: its size is 64, here it is 96"):
        Store(tmp_path, replace(QUICK, size=96))


TINY = replace(
    QUICK, size=32, net=NetOptions("vgg16_sod", 0.05, batch_norm=True), images=6, held_out=4
)


def begin(settings, folder, seed=0):
    """Write down what a seed is made of, as the first process that makes it does."""
    keep_origin(folder, settings, seed, origin_of(settings, *pools(settings, seed)))


def test_a_folder_goes_on_with_the_same_images_and_not_with_changed_ones(tmp_path):
    pairs = tmp_path / "pairs"
    write_pairs(make_pool(8, 32, seed=0, stream=TRAINING), 6, pairs)
    settings = replace(TINY, data=(str(pairs),))
    begin(settings, tmp_path / "run")
    begin(settings, tmp_path / "run")
    begin(settings, tmp_path / "run", seed=1)
    write_pairs(make_pool(8, 32, seed=1, stream=TRAINING), 6, pairs)
    for seed in (0, 2):
        with pytest.raises(UsageError, match="another experiment: the images that train are not"):
            begin(settings, tmp_path / "run", seed)


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
    settings = replace(TINY, weights=str(weights))
    with pytest.raises(DataError, match=r"vgg\.pth': cannot be read: No such file"):
        begin(settings, tmp_path)
    weights.write_bytes(b"one")
    begin(settings, tmp_path)
    weights.write_bytes(b"two")
    with pytest.raises(UsageError, match="another experiment: the loaded weights are not"):
        begin(settings, tmp_path)


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
        stages.run_cell(TINY, tmp_path, Cell(0, 0.0, None), torch.device("cpu"))
    assert not stages.base_path(tmp_path, 0).exists()


def test_a_process_that_is_gone_is_told_in_one_line():
    gone = Future()
    gone.set_exception(BrokenProcessPool("terminated abruptly"))
    with pytest.raises(WorkerError, match=r"ended before seed1/sel-0.6 was made.* --processes"):
        list(run.finished({gone: Cell(1, 0.6, QUICK.rows[0])}))


def test_mean_and_spread_are_those_of_the_seeds():
    found = figures([result("sel", 0, 0.5), result("sel", 1, 0.7)], "after")
    assert found["max_f"].mean == pytest.approx(0.6)
    assert found["max_f"].spread == pytest.approx(0.02**0.5)
    assert figure([0.3]) == Figure(0.3, 0.0)


def test_the_table_names_the_best_cut_and_what_it_was_made_with():
    results = [result("sel", 0, 0.8), result("l1", 0, 0.9), result(CONTROL, 0, 0.95)]
    page = document(QUICK, results, "plot.svg")
    row = re.findall(r"^\| l1 .*$", page.split("fine-tuned\n")[1], re.MULTILINE)[0]
    assert row.startswith("| l1 | 1 | 60.0% | **0.1000** | **0.9000** |")
    assert "| *unpruned* | 1 | 0.0% | 0.0500 | 0.9500 |" in page
    for part in ("a machine", "abc1234", "torch 2.13.0", "plot.svg", "seeds 0"):
        assert part in page
    assert "3 results." in page
    assert "removed, before fine-tuning" in page


@pytest.mark.parametrize(
    ("sel", "l1", "kept", "close"),
    [
        ((0.97, 0.97), (0.9, 0.9), "6 of 6 metrics (met", "6 of 6 (met"),
        ((0.90, 0.90), (0.9, 0.94), "0 of 6 metrics (missed", "6 of 6 (met"),
        ((0.80, 0.80), (0.9, 0.91), "0 of 6 metrics (missed", "0 of 6 (missed"),
    ],
)
def test_the_targets_are_judged_by_the_means(sel, l1, kept, close):
    results = [result(CONTROL, seed, 0.95) for seed in (0, 1)]
    for name, values in (("sel", sel), ("l1", l1)):
        results += [result(name, seed, good) for seed, good in enumerate(values)]
    page = document(QUICK, results, "plot.svg")
    assert kept in page
    assert close in page


@pytest.mark.parametrize("fewer", ["sel", "l1", CONTROL])
def test_rows_of_unequal_seeds_are_shown_and_not_judged(fewer):
    results = [
        result(name, seed, good)
        for name, good in (("sel", 0.97), ("l1", 0.9), (CONTROL, 0.95))
        for seed in ((0,) if name == fewer else (0, 1, 2))
    ]
    page = document(QUICK, results)
    assert "**" not in page
    assert "(met" not in page
    assert "(missed" not in page
    assert f"Incomplete: {fewer} lacks the seeds 1, 2. No cut is named the best." in page
    assert "Incomplete: nothing is judged before all rows have the same seeds." in page
    assert f"| {fewer} | 1 |".replace(CONTROL, f"*{CONTROL}*") in page


def test_another_ratio_that_is_incomplete_leaves_a_complete_one_its_verdict():
    results = [
        result(name, seed, good)
        for name, good in (("sel", 0.97), ("l1", 0.9), (CONTROL, 0.95))
        for seed in (0, 1)
    ]
    page = document(QUICK, [*results, result("sel", 0, 0.9, ratio=0.4)])
    assert "6 of 6 (met" in page
    assert page.index("Incomplete") < page.index("## 60%")
    assert "**" not in page[: page.index("## 60%")]


def test_one_seed_is_within_no_deviation_of_the_first():
    page = document(QUICK, [result("sel", 0, 0.97), result("l1", 0, 0.9), result(CONTROL, 0, 0.95)])
    assert "6 of 6 metrics (met" in page
    assert "on 6 of 6 (incomplete: 5)" in page


def test_there_are_no_targets_without_the_unpruned_net():
    assert "The targets" not in document(QUICK, [result("sel", 0, 0.8)], "plot.svg")


def test_the_same_results_draw_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (the extra 'plots') is not installed")
    from reproduction.plots import draw

    names = [row.criterion.name for row in QUICK.rows]
    results = [result(CONTROL, seed, 0.95) for seed in (0, 1)] + [
        result(name, seed, 0.9 - ratio * 0.1 * k / len(names), ratio=ratio)
        for k, name in enumerate(names)
        for seed in (0, 1)
        for ratio in (0.4, 0.6)
    ]
    for name in ("one.svg", "two.svg"):
        draw(QUICK.rows, results, tmp_path / name)
    content = (tmp_path / "one.svg").read_bytes()
    assert content == (tmp_path / "two.svg").read_bytes()
    text = content.decode()
    for label in (*(row.label for row in QUICK.rows), "S-measure", "unpruned, tuned"):
        assert label in text
    assert str(tmp_path) not in text


def test_a_mean_over_fewer_seeds_than_others_have_is_not_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (the extra 'plots') is not installed")
    from matplotlib.axes import Axes

    from reproduction.plots import draw

    ratios = (0.2, 0.4, 0.6)
    results = [result(CONTROL, seed, 0.95) for seed in (0, 1)] + [
        result(name, seed, 0.9, ratio=ratio)
        for name in ("sel", "l1")
        for seed in (0, 1)
        for ratio in ratios
    ]
    rows = rows_of(["sel", "l1"])
    other = result("act", 2, 0.5)  # of a criterion that is no row, and a seed that no row has

    def points(results):
        """What is handed to matplotlib, by label."""
        with mock.patch.object(Axes, "plot") as plot, mock.patch.object(Axes, "axhline") as level:
            draw(rows, results, tmp_path / "one.svg")
        drawn = {call.kwargs["label"]: call.args for call in plot.call_args_list}
        return drawn | {"level": [call.args[0] for call in level.call_args_list[-1:]]}

    whole = points([*results, other])
    assert whole["sel"] == whole["l1"] == ([*ratios], pytest.approx([0.9] * 3))
    assert whole["level"] == [pytest.approx(0.95)]
    gap = points([r for r in results if (r.criterion, r.seed, r.ratio) != ("l1", 1, 0.4)])
    assert gap["sel"] == whole["sel"]
    np.testing.assert_allclose(gap["l1"][1], [0.9, np.nan, 0.9])
    assert points(results[1:])["level"] == []


COMMAND = (
    sys.executable, str(TOOLS / "reproduce_wrgpruner.py"), "--size", "32", "--width",
    "0.05", "--steps", "20", "--tune-steps", "2", "--seed", "0", "--ratio", "0.5", "--device",
    "cpu", "--processes", "1", "--folder", "run",
)  # fmt: skip
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
    assert len(list((tmp_path / "run" / "seed0").glob("*.json"))) == 3


@pytest.mark.slow
def test_a_run_that_lost_results_makes_them_again_and_nothing_else(tmp_path):
    def run(*more):
        return subprocess.run(
            [*BOTH, *more], capture_output=True, text=True, check=False, cwd=tmp_path
        )

    first = run()
    files = {path.stem: path for path in (tmp_path / "run" / "seed0").glob("*.json")}
    assert first.returncode == 0, first.stderr
    assert set(files) == {"unpruned", "sel-0.5", "g-0.5"}
    before = {name: json.loads(path.read_text()) for name, path in files.items()}
    assert before["g-0.5"]["removed"] == pytest.approx(0.5, abs=0.05)
    files["g-0.5"].unlink()
    assert [line for line in run().stdout.splitlines() if "/1 " in line]
    after = {name: json.loads(path.read_text()) for name, path in files.items()}
    assert after["sel-0.5"] == before["sel-0.5"]
    for when in ("before", "after"):
        assert after["g-0.5"][when] == before["g-0.5"][when]
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
    assert (tmp_path / "run" / "seed0" / "unpruned.json").exists()
    pairs = tmp_path / "pairs"
    write_pairs(make_pool(1, 32, seed=0, stream=TRAINING), 1, pairs)
    command += ["--data", str(pairs), "--folder", "other"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "one of the pairs is held out" in ended.stderr
    assert ended.stderr.count("\n") == 1

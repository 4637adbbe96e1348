"""``wrg-onnx sweep`` and ``wrg-onnx prune --max-drop``: what users type, and what they read."""

from __future__ import annotations

import json

import pytest

import wrg_onnx
from wrg_onnx.errors import UsageError
from wrg_onnx.pipeline.api.sweep import MOST_POINTS, read_criteria, read_ratios

SHORT = ("--size", 32, "--samples", 2, "--criteria", "l1", "--no-cache")


def test_a_sweep_prints_a_table_of_80_columns(run, model):
    done = run("sweep", model, "--ratios", "0.2,0.5", *SHORT)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines if not line.startswith("  wrg-onnx ")) <= 80
    assert sum(line.startswith("l1 ") for line in lines) == 2
    assert "wrg-onnx prune m.onnx --ratio 0.5 --criterion l1" in " ".join(done.stdout.split())


def test_json_has_the_command_of_every_point(run, model):
    done = run("sweep", model, "--ratios", "0.2:0.4:0.1", *SHORT, "--json")
    points = json.loads(done.stdout)["points"]
    assert [point["ratio"] for point in points] == [0.2, 0.3, 0.4]
    assert [point["command"] for point in points] == [
        f"wrg-onnx prune m.onnx --ratio {ratio:g} --criterion l1 --recover ridge --evaluate "
        "--samples 2 --size 32x32"
        for ratio in (0.2, 0.3, 0.4)
    ]


def test_a_plot_is_drawn_beside_the_table(run, model, folder):
    done = run("sweep", model, "--ratios", "0.2,0.5", *SHORT, "--plot", "a.svg")
    assert "Plot: a.svg" in done.stdout
    assert (folder / "a.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_ratio_that_is_not_possible_gives_the_others_and_its_exit_code(run, model):
    done = run("sweep", model, "--ratios", "0.2,0.99", *SHORT)
    assert done.exit_code == 1
    assert "cannot remove 99.0% of the parameters" in done.stdout
    assert "the most is" in " ".join(done.stdout.split())


def test_an_interrupted_sweep_says_that_points_are_kept(run, model, folder, monkeypatch):
    from wrg_onnx.pipeline import trials

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trials.Trials, "cut", stop)
    options = ("--size", 32, "--samples", 2, "--criteria", "l1", "--cache", folder / "kept")
    done = run("sweep", model, "--ratios", "0.2", *options)
    assert done.exit_code == 1
    assert "Finished points are kept: the same command goes on from there." in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ratios", "0.8:0.2:0.1"), "'0.8:0.2:0.1' begins at 0.8 and ends before it, at 0.2"),
        (("--ratios", "0.2:0.8:0"), "the step of '0.2:0.8:0' must be above 0, got 0"),
        (("--ratios", "0.2:0.8"), "expected ratios such as 0.3,0.5 or 0.2:0.8:0.1"),
        (("--ratios", "half"), "expected ratios such as 0.3,0.5 or 0.2:0.8:0.1"),
        (("--ratios", "nan"), "expected ratios such as"),
        (("--ratios", ""), "expected ratios such as"),
        (("--ratios", "0.2,1"), "ratios must be in [0, 1), got 1"),
        (("--ratios", "-0.2"), "ratios must be in [0, 1), got -0.2"),
        (("--ratios", "0:0.9:0.001"), "makes 901 ratios; at most 100 are swept"),
        (("--criteria", "l1,best"), "criterion must be one of 'sel', "),
        (("--metric", "psnr"), "metric must be one of 'MAE', 'max F', "),
        (("--plot", "a.png"), "the plot must end in .svg, got 'a.png'"),
    ],
)
def test_bad_values_are_refused_in_one_line(refused, model, options, message):
    assert message in refused("sweep", model, "--size", 32, "--samples", 2, *options, code=2)


def test_a_metric_of_masks_needs_masks(refused, model, data):
    (data / "masks").rename(data / "other")
    command = ("sweep", model, "--size", 32, "--data", data, "--metric", "max F", "--no-cache")
    assert "'max F' holds saliency maps against masks" in refused(*command)


def test_ratios_are_taken_as_numbers_and_text():
    assert read_ratios("0.2:0.8:0.1") == (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    assert read_ratios("0.5, 0.1:0.3:0.1") == (0.1, 0.2, 0.3, 0.5)
    assert read_ratios([0.5, 0.25, 0.5]) == (0.25, 0.5)
    assert read_ratios(0.5) == (0.5,)
    with pytest.raises(UsageError, match=f"1 to {MOST_POINTS} numbers, got 0"):
        read_ratios([])
    with pytest.raises(UsageError, match="ratios must be a number"):
        read_ratios(["0.5"])


def test_criteria_are_taken_as_text_list_or_one():
    assert [one.name for one in read_criteria("sel, l1,sel")] == ["sel", "l1"]
    assert read_criteria(wrg_onnx.Criterion.L1) == (wrg_onnx.Criterion.L1,)
    assert read_criteria(["l1", wrg_onnx.Criterion.L2]) == (
        wrg_onnx.Criterion.L1, wrg_onnx.Criterion.L2,
    )  # fmt: skip


# --- prune --max-drop --------------------------------------------------------------------------


def test_the_largest_cut_is_searched_for(run, model):
    done = run("prune", model, "--max-drop", 0.9, "--criterion", "l1", "--size", 32,
               "--samples", 2, "--dry-run", "--no-cache")  # fmt: skip
    assert (done.exit_code, done.stderr) == (0, "")
    assert "The largest cut found whose max F gets worse by at most .900" in " ".join(
        done.stdout.split()
    )
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines if not line.startswith("  wrg-onnx ")) <= 80


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give one of ratio, max_drop, max_params, max_macs, max_bytes and max_latency_ms"),
        (("--ratio", 0.5, "--max-drop", 0.1), "(--ratio, --max-drop, --max-params, ...), got 2"),
        (("--ratio", 0.5, "--metric", "max F"), "metric is for max_drop (--metric, --max-drop)"),
        (("--max-drop", 0.1, "--max-macs", "1M"), "--max-drop, --max-params, ...), got 2"),
        (("--max-drop", 1.5), "max-drop must be in [0, 1), got 1.5"),
        (("--max-drop", 0.1, "--metric", "psnr"), "metric must be one of 'MAE', 'max F', "),
        (("--max-drop", 0.1, "--no-evaluate"), "leave --no-evaluate out"),
    ],
)  # fmt: skip
def test_how_much_to_cut_is_said_once(refused, model, options, message):
    assert message in refused("prune", model, *options, code=2)

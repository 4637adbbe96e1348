from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from peers.child import Limits, run
from peers.masked import check, kept_positions
from peers.outcomes import Outcome, Result, failed, judged
from peers.summary import ahead, race, summarise
from peers.tables import markdown, race_text
from peers.zoo import find_models

TOOLS = Path(__file__).parents[3] / "tools" / "bench"
RIGHT = {"removed": 0.6, "same_io": True, "checker": True, "err": 1e-6}


def result(tool, model, outcome=Outcome.CUT, removed=0.5, **figures):
    return Result(tool, model, outcome, removed, **figures)


def test_wrg_onnx_alone_prunes_the_repositorys_net_and_reports_it(tmp_path):
    found, report = tmp_path / "peers.json", tmp_path / "peers.md"
    command = [sys.executable, str(TOOLS / "bench_peers.py"), "--tools", "wrg-onnx",
               "--only", "tiny_unet", "--zoo", str(tmp_path / "none"), "--ratio", "0.5",
               "--json", str(found), "--output", str(report)]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(found.read_text())
    assert (row["tool"], row["model"], row["outcome"]) == ("wrg-onnx", "tiny_unet", "cut")
    assert row["removed"] == pytest.approx(0.5, abs=0.01)
    assert row["error"] < 1e-4
    assert row["possible"] > 0.9
    assert 0 < row["work_s"] < row["whole_s"]
    assert row["proved_s"] > 0
    assert row["peak_bytes"] > row["file_bytes"]
    text = report.read_text()
    assert "| tiny_unet | cut | 50." in text
    assert "no zoo was given" in text
    assert max(map(len, ended.stdout.splitlines())) <= 80


def test_a_name_that_matches_no_model_is_an_error():
    command = [
        sys.executable,
        str(TOOLS / "bench_peers.py"),
        "--only",
        "nothing",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "no model is called 'nothing'" in ended.stderr


def test_without_a_zoo_the_repositorys_models_are_left():
    names = [model.name for model in find_models(None, None)]
    assert names == ["tiny_unet", "small_unet", "vgg16_sod", "resnet18", "mobilenet_v2"]


def test_medians_count_what_is_not_right_as_nothing_removed():
    summary = summarise(
        "a",
        [
            result("a", "x", removed=0.6, work_s=1.0),
            result("a", "y", removed=0.4, work_s=3.0, stale=True),
            result("a", "z", Outcome.WRONG, 0.9, stale=True),
            result("b", "x", removed=0.1),
        ],
    )
    assert summary.models == 3
    assert summary.counts == {Outcome.CUT: 2, Outcome.WRONG: 1}
    assert summary.stale == 1
    assert summary.removed == 0.4
    assert summary.removed_right == 0.5
    assert summary.work_s == 2.0
    assert summary.whole_s is None


def test_a_race_takes_the_models_that_both_cut_right():
    results = [
        result("a", "x", work_s=1.0, warm_s=0.5, proved_s=4.0),
        result("b", "x", work_s=2.0, warm_s=0.5, whole_s=2.0),
        result("a", "y", Outcome.LITTLE, work_s=3.0),
        result("b", "y", work_s=2.0),
        result("a", "z", work_s=1.0),
        result("b", "z", Outcome.BROKEN, work_s=9.0),
    ]
    found = race("a", "b", results)
    assert found.models == 2
    assert (found.work, found.warm, found.proved) == (1.0, 1.0, 2.0)
    assert "1.00x for analysis and rewrite" in race_text(found)


def test_a_race_without_common_models_says_so():
    found = race("a", "b", [result("a", "x", work_s=1.0)])
    assert found.work is None
    assert race_text(found).startswith("No model")


def test_a_peer_is_ahead_where_it_cuts_more_than_we_could():
    results = [
        result("a", "could", removed=0.6, possible=0.9),
        result("b", "could", removed=0.7),
        result("a", "could not", Outcome.LITTLE, 0.1, possible=0.1),
        result("b", "could not", removed=0.3),
        result("a", "refused", Outcome.REFUSED, 0.0, possible=0.9),
        result("b", "refused", removed=0.3),
        result("a", "broken", Outcome.NOTHING, 0.0, possible=0.0),
        result("b", "broken", Outcome.BROKEN, 0.3),
    ]
    assert ahead("a", "b", results) == ["could not", "refused"]


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({}, Outcome.CUT),
        ({"removed": 0.24}, Outcome.LITTLE),
        ({"removed": 0.0}, Outcome.NOTHING),
        ({"err": 2e-4}, Outcome.WRONG),
        ({"err": 2e-4, "rounding": 1e-4}, Outcome.CUT),
        ({"err": 2e-4, "n_unmatched": 1}, Outcome.UNJUDGED),
        ({"err": 1.0, "rounding": 0.9}, Outcome.UNJUDGED),
        ({"err": math.inf, "missing": 1}, Outcome.WRONG),
        ({"err": math.nan}, Outcome.UNJUDGED),
        ({"err": None}, Outcome.UNJUDGED),
        ({"error": "does not load"}, Outcome.BROKEN),
        ({"error_masked": "does not run"}, Outcome.UNJUDGED),
        ({"same_io": False}, Outcome.WRONG),
        ({"checker": "stale"}, Outcome.CUT),
    ],
)
def test_a_verdict_has_one_outcome(change, outcome):
    assert judged({**RIGHT, **change})[0] is outcome


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("raise ValueError('no')", Outcome.REFUSED),
        ("import time; time.sleep(60)", Outcome.TIMEOUT),
        ("b'0' * 10 ** 9", Outcome.MEMORY),
    ],
)
def test_a_process_that_fails_has_one_outcome(code, outcome):
    ended = run([sys.executable, "-c", code], Limits(seconds=2, memory_bytes=500_000_000))
    assert failed(ended)[0] is outcome


def test_a_process_gives_its_answer_and_its_figures():
    ended = run([sys.executable, "-c", "print('noise'); print('{\"a\": 1}')"], Limits())
    assert failed(ended) is None
    assert ended.answer == {"a": 1}
    assert ended.seconds > 0
    assert ended.peak_bytes > 1e6


def test_kept_slices_are_found_by_their_values():
    whole = np.random.default_rng(0).standard_normal((6, 5, 3)).astype(np.float32)
    part = whole[np.ix_([1, 4], [0, 2, 3], [0, 1, 2])]
    kept = kept_positions(whole, part)
    assert [positions.tolist() for positions in kept] == [[1, 4], [0, 2, 3], [0, 1, 2]]


def test_slices_of_equal_values_are_not_found():
    assert kept_positions(np.ones((4, 2)), np.ones((3, 2))) is None


def two_layers(kept: list[int], *, is_right: bool = True, seed: int = 1) -> onnx.ModelProto:
    """Two matrix products with a Relu between; only the hidden channels in ``kept`` are left."""
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((2, 4, 4)).astype(np.float32)
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[2, 4] x) => (float[2, 4] y) '
        "{ h = MatMul(x, a) r = Relu(h) y = MatMul(r, b) }"
    )
    rows = kept if is_right else kept[::-1]
    weights = {"a": first[:, kept], "b": second[rows]}
    model.graph.initializer.extend(numpy_helper.from_array(w, n) for n, w in weights.items())
    return model


def test_the_check_accepts_a_right_cut():
    verdict = check(two_layers([0, 1, 2, 3]), two_layers([0, 2]))
    assert verdict["removed"] == 0.5
    assert judged(verdict)[0] is Outcome.CUT


def test_the_check_refuses_crossed_channels():
    verdict = check(two_layers([0, 1, 2, 3]), two_layers([0, 2], is_right=False))
    assert judged(verdict)[0] is Outcome.WRONG


def test_the_check_says_nothing_about_a_dead_output():
    verdict = check(two_layers([0, 1, 2, 3], seed=0), two_layers([0, 2], seed=0))
    assert verdict["err"] is None
    assert judged(verdict)[0] is Outcome.UNJUDGED


def test_markdown_keeps_an_error_line_in_its_cell():
    rows = [result("wrg-onnx", "x", Outcome.REFUSED, note="a | b\nc")]
    text = markdown(rows, [summarise("wrg-onnx", rows)], [], {"command": "`run`"}, {})
    assert "| a / b c |" in text
    assert "- command: `run`" in text

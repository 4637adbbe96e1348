"""How a bench is shown in 80 columns."""

from __future__ import annotations

import dataclasses
import io
import math

import pytest
from rich.console import Console

from wrg_onnx.latency import Latency, Noise, Ratio, Speed
from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.report import BenchReport
from wrg_onnx.report.bench import bench_text
from wrg_onnx.report.speed import change_text, noise_text, ratio_text, speed_text

REPORT = BenchReport(
    provider="cpu",
    latency={"a.onnx": Latency(2, 3, 2, 5), "b.onnx": Latency(1, 2, 1, 5)},
    input_shapes={"x": (4, 3, 8, 8), "rate": ()},
    batch=4,
    threads=2,
    runtime="1.32.0",
    processes=5,
    throughput={"a.onnx": 2000.0, "b.onnx": 4000.0},
    peak_bytes={"a.onnx": 12_300_000, "b.onnx": None},
    processes_ms={"a.onnx": (2.0, 2.0), "b.onnx": (1.0, 1.0)},
    speedup={"b.onnx": Ratio(2.0, 1.9, 2.1)},
    noise={"a.onnx": Noise(1.02, 1.1), "b.onnx": Noise(1.01, 1.2)},
)


def show(report):
    stream = io.StringIO()
    Console(file=stream, width=80, highlight=False).print(bench_text(report))
    text = stream.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    return [" ".join(line.split()) for line in text.splitlines()]


def single(name):
    return BenchReport(
        "cpu", {name: Latency(1, 1, 1, 1)}, {"x": (1,)}, batch=1, threads=1, runtime="1.0.0",
        processes=1, throughput={name: 1000.0}, peak_bytes={name: 1}, processes_ms={name: (1.0,)},
    )  # fmt: skip


def test_a_bench_says_how_it_was_measured_and_what_was_found():
    assert show(REPORT) == [
        "ONNX Runtime 1.32.0 on cpu, 2 threads, input x 4x3x8x8, rate scalar",
        "5 processes of each model, in turns",
        "model median ms p95 ms samples/s memory runs",
        "a.onnx 2.00 3.00 2000.0 12.30 MB 5",
        "b.onnx 1.00 2.00 4000.0 - 5",
        "b.onnx: 2.00x (1.90 to 2.10) as fast as a.onnx",
    ]


def test_a_single_model_in_a_single_process_has_no_comparison():
    lines = show(single("m.onnx"))
    assert lines[:2] == [
        "ONNX Runtime 1.0.0 on cpu, 1 thread, input x 1",
        "1 process of each model, in turns",
    ]
    assert len(lines) == 4


def test_no_difference_beyond_the_noise_is_said_so():
    report = dataclasses.replace(REPORT, speedup={"b.onnx": Ratio(1.01, 0.97, 1.05)})
    assert show(report)[-1] == "b.onnx: no difference beyond the noise (0.97 to 1.05)"


def test_a_noisy_machine_is_told_of_with_what_helps():
    noise = {"a.onnx": Noise(1.234, 1.1), "b.onnx": Noise(1.01, 1.9)}
    report = dataclasses.replace(REPORT, noise=noise, notes=("a word",))
    text = " ".join(show(report)[6:])
    assert text == (
        "Note: a word. Note: this machine is noisy: processes of one model differ 1.23-fold, and "
        "one call in 20 takes 1.9 times the median or more. What helps: close other programs, "
        "take fewer threads or more rounds, hold the clock (cpufreq governor 'performance') and "
        "the processors (taskset)."
    )


def test_a_quiet_machine_needs_no_word():
    assert noise_text([Noise(1.1, 1.5), Noise(None, 1.0)]) is None


LAYERS = SideBySide(
    layers=(
        LayerTime("conv1", "Conv", 1, 1.0, 0.5, macs_before=100, macs_after=50),
        LayerTime(
            "net/b", "Conv", 0, 4.0, 3.5, macs_before=100, macs_after=25,
            why="17 channels computed as 32",
        ),
        LayerTime("(added)", "Transpose", 0, None, 0.25),
        LayerTime("gone", "Concat", 0, 0.1, None, macs_before=0),
    ),
    before_ms=8.0,
    after_ms=5.0,
)  # fmt: skip


def test_layers_are_shown_side_by_side_the_slowest_first():
    lines = show(dataclasses.replace(REPORT, profile={"b.onnx": LAYERS}))[6:]
    assert lines == [
        "Layers of a.onnx and b.onnx, in ms with the profiler",
        "layer before after share faster MACs why",
        "Conv net/b 4.00 3.50 82% 1.1x 4.0x 17 channels computed as",
        "32",
        "conv1 +1 1.00 0.50 12% 2.0x 2.0x",
        "Transpose (added) - 0.25 6%",
        "Concat gone 0.10 - -",
        "+N: so many other nodes run with it as one.",
    ]


def test_layers_of_a_single_model_are_listed():
    alone = SideBySide(
        (LayerTime("conv1", "Conv", 0, 1.0, None, macs_before=12345),), before_ms=4.0
    )
    lines = show(dataclasses.replace(single("m.onnx"), profile={"m.onnx": alone}))[4:]
    assert lines == [
        "Layers of m.onnx, in ms with the profiler",
        "layer ms share MACs",
        "conv1 1.00 100% 12,345",
    ]


def test_a_long_list_of_layers_is_cut_and_says_where_the_rest_is():
    many = tuple(LayerTime(f"conv{n}", "Conv", 0, n / 10, 0.1) for n in range(25))
    found = SideBySide(many, before_ms=30.0, after_ms=3.0)
    lines = show(dataclasses.replace(REPORT, profile={"b.onnx": found}))
    assert lines[-1] == "... and 5 more layers; --json lists all."
    assert lines[8].startswith("conv24 2.40")


def test_markup_in_names_is_shown_as_it_is():
    name = "[bold]m[/bold].onnx"
    layers = SideBySide((LayerTime("[b]", "Conv", 0, 1.0, None),), before_ms=1.0)
    lines = show(dataclasses.replace(single(name), profile={name: layers}))
    assert lines[3].startswith(name)
    assert lines[-1].startswith("Conv [b]")


def test_names_longer_than_the_terminal_are_folded_not_cut():
    name = "/".join(["a_very_long_folder_name"] * 6) + ".onnx"
    table = "".join(show(single(name))[3:]).replace(" ", "")
    assert name in table.replace("1.001.001000.00.00KB1", "")


@pytest.mark.parametrize(
    ("ratio", "text", "cell"),
    [
        (Ratio(1.42, 1.37, 1.48), "1.42x (1.37 to 1.48)", "1.42x faster"),
        (Ratio(0.5, 0.4, 0.6), "0.50x (0.40 to 0.60)", "2.00x slower"),
        (Ratio(1.0, 0.97, 1.05), "no difference beyond the noise (0.97 to 1.05)", "within noise"),
        (Ratio(1.0, 0.0, math.inf), "not known from a single turn", "not known"),
    ],
)
def test_a_ratio_is_claimed_only_where_it_is_known(ratio, text, cell):
    assert ratio_text(ratio) == speed_text(pair(ratio)) == text
    assert change_text(pair(ratio)) == cell


def pair(ratio, tail=1.2):
    latency = Latency(1, 1, 1, 1)
    return Speed("cpu", latency, latency, ratio, Noise(None, tail))


def test_a_noisy_machine_claims_no_speed_up_from_a_single_process():
    noisy = pair(Ratio(1.42, 1.37, 1.48), tail=1.8)
    assert change_text(noisy) == "not sure"
    assert speed_text(noisy) == "not sure on so noisy a machine: 1.42x (1.37 to 1.48)"
    same = pair(Ratio(1.0, 0.97, 1.05), tail=1.8)
    assert change_text(same) == "within noise"
    assert speed_text(same) == "no difference beyond the noise (0.97 to 1.05)"

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from bench_twin import Setting, compare

TOOLS = Path(__file__).parents[3] / "tools" / "bench"


def test_quick_run_prints_a_ratio_for_each_net():
    command = [sys.executable, str(TOOLS / "bench_twin.py"), "--quick", "--rounds", "1",
               "--batch", "1", "--threads", "1"]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    for name in ("VGG16", "ResNet-50"):
        row = re.search(
            rf"^{name} +[\d.]+ ms +[\d.]+ ms +([\d.]+) +(\S+)$", ended.stdout, re.MULTILINE
        )
        assert row, ended.stdout
        assert float(row[1]) > 0
        assert float(row[2]) < 1e-3
    assert "target: a ratio of 1.15" in ended.stdout


def test_module_and_twin_have_the_same_gradients():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)]
    net = nn.Sequential(*layers)
    timing = compare(net.eval(), Setting(rounds=2, batch=2, size=8, width=0))
    assert timing.largest_difference < 1e-5
    assert timing.ratio > 0
    assert timing.module_ms > 0

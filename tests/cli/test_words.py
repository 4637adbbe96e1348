"""Details of a run tell the command line, word by word."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

import wrg_onnx
from wrg_onnx.cli import main

MODEL = str(Path(__file__).parents[2] / "models" / "tiny_unet.onnx")


@pytest.mark.parametrize(
    "words",
    [
        ["--ratio", "0.2", "--criterion", "l1"],
        ["--ratio=.2", "--criterion=l1", "--keep", "*head*", "--keep", "*up_half*"],
    ],
    ids=["apart", "together"],
)
def test_the_words_are_those_that_were_typed(monkeypatch, words):
    typed = ["prune", MODEL, *words, "--dry-run", "--json"]
    assert main.get_command(None, "prune")  # it reads its defaults off the function itself
    monkeypatch.setattr(wrg_onnx, "prune", partial(wrg_onnx.prune, details=True))
    done = CliRunner(catch_exceptions=False).invoke(main, typed)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["details"]["environment"]["command"] == ["wrg-onnx", *typed]

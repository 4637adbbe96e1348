"""Details of a run tell the command line, word by word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

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
def test_the_words_are_those_that_were_typed(words):
    typed = ["prune", MODEL, *words, "--details", "--dry-run", "--json"]
    done = CliRunner(catch_exceptions=False).invoke(main, typed)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["details"]["environment"]["command"] == ["wrg-onnx", *typed]

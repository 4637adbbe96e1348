"""What shells are told of a line that is not complete yet, and that they are told soon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from wrg_onnx.choices import BudgetKind
from wrg_onnx.cli.app import COMMANDS, main
from wrg_onnx.evaluate.metrics import find_metric, metric_names
from wrg_onnx.extensions import Kind

ROOT = Path(__file__).parents[2]
HEAVY = "{'numpy', 'onnx', 'scipy', 'onnxruntime', 'torch', 'PIL', 'rich'}"
ASK = (
    "import sys; from wrg_onnx.cli.guard import run; run(); "
    f"print(*sorted({HEAVY} & set(sys.modules)), file=sys.stderr)"
)


@pytest.fixture
def shell(folder):
    """Run lines in a shell that finds ``wrg-onnx``; return what they print, line by line."""
    program = folder / "bin" / "wrg-onnx"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wrg_onnx "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
    }  # fmt: skip

    def run(*command, script):
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        done = subprocess.run(
            [*command, "-c", script], capture_output=True, text=True, check=False, env=environment
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


BASH = """
eval "$(wrg-onnx completion bash)"
compopt() { :; }
COMP_WORDS=(LINE)
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_wrg_onnx_completion wrg-onnx
printf "%s\\n" "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { : }
eval "$(wrg-onnx completion zsh)"
# In place of the builtins that show what is found; of a value and its help the value.
compadd() { print -l -- $completions }
_describe() { print -l -- "${(@)completions_with_descriptions%%:*}" }
words=(LINE)
CURRENT=${#words}
_wrg_onnx_completion
"""
FISH = """
wrg-onnx completion fish | source
complete -C "BARE" | string replace -r "\\t.*" ""
true
"""
SHELLS = {
    "bash": (("bash", "--norc"), BASH),
    "zsh": (("zsh", "-f"), ZSH),
    "fish": (("fish", "--no-config"), FISH),
}


@pytest.fixture(params=SHELLS)
def complete(request, shell):
    """Complete a line in each of the shells, by the function that it was given."""
    command, script = SHELLS[request.param]

    def ask(*words):
        line, bare = " ".join(f"'{word}'" for word in words), " ".join(words)
        found = shell(*command, script=script.replace("LINE", line).replace("BARE", bare))
        return sorted(line for line in found if line)

    return ask


def test_every_shell_completes_commands(complete):
    assert complete("wrg-onnx", "") == sorted(COMMANDS)
    assert complete("wrg-onnx", "s") == ["sweep"]
    assert complete("wrg-onnx", "tsod", "m") == ["make"]


def test_every_shell_completes_options_and_their_values(complete):
    assert complete("wrg-onnx", "prune", "m.onnx", "--max-b") == ["--max-bytes"]
    found = complete("wrg-onnx", "prune", "m.onnx", "--budget", "")
    assert found == sorted(kind.value for kind in BudgetKind)
    assert complete("wrg-onnx", "inspect", "m.onnx", "--layout", "NH") == ["NHWC"]


def test_every_shell_completes_criteria(complete):
    assert complete("wrg-onnx", "prune", "--criterion", "sel") == ["sel", "sel-repair"]


def test_every_shell_completes_metrics(complete):
    assert complete("wrg-onnx", "prune", "--metric", "max") == ["max_e", "max_f"]
    assert complete("wrg-onnx", "sweep", "m.onnx", "--metric", "rel") == ["relative_error"]
    assert complete("wrg-onnx", "prune", "--align", "a") == ["auto"]


# What click writes for fish divides an answer at its commas.
@pytest.mark.parametrize("complete", ["bash", "zsh"], indirect=True)
def test_the_last_of_several_criteria_is_completed(complete):
    assert complete("wrg-onnx", "sweep", "--criteria", "l1,l") == ["l1,l2"]
    assert complete("wrg-onnx", "sweep", "--criteria", "l2,l1,l") == []


def test_every_metric_that_is_completed_is_one_that_is_taken():
    names = ask_as_bash("wrg-onnx prune --metric ").stdout.split()
    assert [find_metric(name.removeprefix("plain,")).name for name in names] == [*metric_names()]
    assert len(names) == 10


def test_a_loss_of_an_installed_package_is_completed(monkeypatch):
    named = {Kind.LOSS: {"focal": (), "dice": ()}}
    monkeypatch.setattr("wrg_onnx.extensions.installed", named.__getitem__)
    command = main.get_command(None, "finetune")
    (option,) = (one for one in command.params if one.name == "loss")
    found = option.shell_complete(click.Context(command), "f")
    assert [one.value for one in found] == ["focal"]


def test_bash_takes_a_file_for_a_model_when_tab_is_pressed(shell, folder):
    (folder / "my_model.onnx").write_bytes(b"")
    done = shell(
        "bash", "--norc",
        script='eval "$(wrg-onnx completion bash)"; complete -p wrg-onnx; COMP_WORDS=(wrg-onnx '
        'inspect my); COMP_CWORD=2; compopt() { echo "$@"; }; _wrg_onnx_completion wrg-onnx',
    )  # fmt: skip
    assert done == ["complete -o nosort -F _wrg_onnx_completion wrg-onnx", "-o default"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("wrg-onnx ", "plain,prune"),
        ("wrg-onnx prune --max-b", "plain,--max-bytes"),
        ("wrg-onnx prune m.onnx --scope ", "plain,global"),
        ("wrg-onnx sweep m.onnx --re", "plain,--recover"),
        ("wrg-onnx tsod make --background sk", "plain,sky"),
        ("wrg-onnx finetune m.onnx --batch-norm ", "plain,frozen"),
        ("wrg-onnx completion z", "plain,zsh"),
        ("wrg-onnx prune m.onnx --metric weighted", "plain,weighted_f"),
        ("wrg-onnx finetune m.onnx --los", "plain,--loss"),
        ("wrg-onnx bench m", "file,m"),
    ],
)
def test_an_answer_imports_nothing_heavy(line, answer):
    done = ask_as_bash(line)
    assert answer in done.stdout.splitlines()
    assert done.stderr.strip() == ""


def test_names_of_criteria_take_numpy_alone():
    done = ask_as_bash("wrg-onnx prune --criterion hr")
    assert (done.stdout.strip(), done.stderr.strip()) == ("plain,hrank", "numpy")


def ask_as_bash(line):
    words = line.split(" ")
    environment = {
        "_WRG_ONNX_COMPLETE": "bash_complete", "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK], capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_a_script_for_another_shell_is_refused(run):
    done = run("completion", "bahs")
    assert done.exit_code == 2
    assert "'bahs' is not one of 'bash', 'zsh', 'fish' (did you mean 'bash'?)" in done.stderr

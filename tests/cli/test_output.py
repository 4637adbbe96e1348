"""What commands print: results on stdout, one JSON object on demand, as wide as the terminal."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from terminal import run_on_terminal

SHORT = ("--size", 32, "--samples", 2)
COMMANDS = {
    "prune l1": ("prune", "m.onnx", "--ratio", 0.5, "--criterion", "l1", "--size", 32),
    "prune wr": ("prune", "m.onnx", "--ratio", 0.5, "--criterion", "wr", *SHORT),
    "dry run": ("prune", "m.onnx", "--ratio", 0.5, "--criterion", "l1", "--size", 32, "--dry-run"),
    "inspect": ("inspect", "m.onnx"),
    "inspect keep": ("inspect", "m.onnx", "--keep", "first*"),
    "bench": ("bench", "m.onnx", "--size", 32, "--rounds", 2, "--warmup", 0),
    "validate": ("validate", "m.onnx", "same.onnx", *SHORT),
    "validate other": ("validate", "m.onnx", "other.onnx", *SHORT),
}
each_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


@pytest.fixture(autouse=True)
def files(model, folder, make_model):
    (folder / "same.onnx").write_bytes(model.read_bytes())
    make_model(folder / "other.onnx", ("Relu(d)", "Sigmoid(d)"))


@each_command
@pytest.mark.parametrize("columns", [80, 40])
def test_text_fits_the_columns_without_blanks_behind_and_stderr_is_empty(
    run, monkeypatch, command, columns
):
    monkeypatch.setenv("COLUMNS", str(columns))
    done = run(*command)
    assert done.exit_code == (3 if "other.onnx" in command else 0)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert all(len(line) <= columns for line in lines), done.stdout
    assert lines == [line.rstrip() for line in lines]


def test_a_terminal_says_how_wide_it_is():
    for columns in (80, 40):
        code = (
            "import fcntl, os, struct, sys, termios; from wrg_onnx.cli import main; "
            f"fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 24, {columns}, 0, 0)); "
            "os.dup2(2, 1); main(['inspect', 'm.onnx'], standalone_mode=False)"
        )
        status, _, shown = run_on_terminal(code, COLUMNS="")
        assert status == 0
        longest = max(len(line.rstrip()) for line in re.sub(r"\x1b\[\d*m", "", shown).splitlines())
        assert 40 < longest <= 80 if columns == 80 else 20 < longest <= 40, shown


@each_command
def test_json_is_one_object_and_nothing_else(run, command):
    done = run(*command, "--json")
    assert done.exit_code == (3 if "other.onnx" in command else 0)
    assert done.stderr == ""
    assert isinstance(json.loads(done.stdout), dict)


@pytest.mark.parametrize("name", ["m.onnx", "[bold]m[/bold].onnx", "a b.onnx"])
def test_names_are_printed_as_they_are(run, model, folder, name):
    if name != model.name:
        (folder / name.replace("/", "_")).write_bytes(model.read_bytes())
    name = name.replace("/", "_")
    for command in (("inspect", name), ("bench", name, "--size", 32, "--rounds", 1)):
        assert name in run(*command).stdout


def test_the_report_says_what_was_done(run, model):
    done = run("prune", model, "--ratio", 0.5, "--criterion", "wr", *SHORT)
    for words in (
        "m.onnx -> m.pruned.onnx", "removed by 'wr' (global)", "2 generated images",
        "parameters", "MACs", "latency cpu, median", "S-measure", "relative error of 'map'",
        "Judged on 2 generated images", "Proof:", "no --data given",
    ):  # fmt: skip
        assert words in " ".join(done.stdout.split())


def test_hrank_is_r_on_the_command_line(run, model):
    hrank, r = (
        json.loads(run("prune", model, "--ratio", 0.5, "--criterion", name, "--no-evaluate",
                       "--dry-run", "--json", *SHORT).stdout)
        for name in ("hrank", "r")
    )  # fmt: skip
    assert hrank["criterion"] == "r"
    assert (hrank["groups"], hrank["images"]) == (r["groups"], r["images"])


def test_images_are_named_as_the_source(run, model, data):
    done = run("prune", model, "--ratio", 0.5, "--criterion", "wr", "--data", data, "--size", 32)
    assert "statistics from 3 of 4 images with masks from data" in " ".join(done.stdout.split())
    assert "no --data" not in done.stdout


def test_an_output_is_replaced_with_force(run, model, folder):
    command = ("prune", model, "--ratio", 0.5, "--criterion", "l1", "--size", 32)
    assert run(*command).exit_code == 0
    first = (folder / "m.pruned.onnx").read_bytes()
    assert run(*command).exit_code == 1
    assert run(*command, "--force").exit_code == 0
    assert (folder / "m.pruned.onnx").read_bytes() == first


def run_python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False,
    )  # fmt: skip


MAIN = "import sys; from wrg_onnx.cli import main; main({}, standalone_mode=False); "
LOADED = "print(*sorted({'torch', 'onnxruntime', 'py_sod_metrics', 'cv2'} & set(sys.modules)))"


@pytest.mark.parametrize(
    ("command", "loaded"),
    [
        (["inspect", "m.onnx"], ""),
        (["prune", "m.onnx", "--ratio", "0.5", "--criterion", "l1"], "onnxruntime"),
        (["prune", "m.onnx", "--ratio", "0.5", "--criterion", "wr", "--samples", "1",
          "--size", "32", "--no-evaluate"], "onnxruntime"),
    ],
)  # fmt: skip
def test_commands_import_only_what_they_need(command, loaded):
    done = run_python(MAIN.format(command) + LOADED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == loaded


def test_help_imports_neither_torch_nor_onnx_runtime():
    code = (
        "import sys; from click.testing import CliRunner; from wrg_onnx.cli import main; "
        "[CliRunner().invoke(main, [name, '--help']) for name in main.list_commands(None)]; "
    )
    assert run_python(code + LOADED).stdout.strip() == ""


def test_progress_goes_to_a_terminal_on_stderr_alone():
    command = ["prune", "m.onnx", "--ratio", "0.5", "--criterion", "wr", "--samples", "2",
               "--size", "32", "--no-evaluate", "--json"]  # fmt: skip
    status, printed, shown = run_on_terminal(MAIN.format(command))
    assert status == 0
    assert json.loads(printed)["criterion"] == "wr"
    assert "save" in shown  # the last stage; those before it may be over between two frames


SIZED = (
    "import fcntl, struct, termios; "
    "fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 24, {}, 0, 0)); "
)


@pytest.mark.parametrize("columns", [80, 40, 30])
def test_progress_tells_count_and_time_left_uncut_at_any_width(columns):
    command = ["tsod", "make", "--count", "60", "--size", "96", "-o", "made"]
    status, _, shown = run_on_terminal(SIZED.format(columns) + MAIN.format(command), COLUMNS="")
    assert status == 0
    frames = re.split(r"[\r\n]", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown))
    made = [frame for frame in frames if frame.startswith("make ")]
    assert made
    for frame in made:
        assert len(frame) <= columns
        assert re.search(r" \d+/60 ", frame)
        assert re.search(r" (?:-:--:--|\d:\d\d:\d\d)\s*$", frame)
        assert ("━" in frame) == (columns >= 60)


UNCOUNTED = (
    "import time; from wrg_onnx.cli.output import progress_bar\n"
    "with progress_bar() as show:\n"
    "    show('export', 0, 0); time.sleep(1.3); show('latency', 3, 9); time.sleep(0.3)\n"
)


@pytest.mark.parametrize("columns", [80, 40, 30])
def test_a_stage_without_parts_turns_and_tells_how_long_it_has_taken(columns):
    status, _, shown = run_on_terminal(SIZED.format(columns) + UNCOUNTED, COLUMNS="")
    assert status == 0
    frames = re.split(r"[\r\n]", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown))
    alone = [frame for frame in frames if frame.startswith("export ")]
    assert len({turn for frame in alone for turn in re.findall(r" ([|/\\-]) ", frame)}) > 1
    assert {"0:00:00", "0:00:01"} <= {one for f in alone for one in re.findall(r"\d:\d\d:\d\d", f)}
    assert not any("?" in frame or "-:--:--" in frame or len(frame) > columns for frame in alone)
    assert any(re.search(r"^latency .* 3/9 ", frame) for frame in frames)


@pytest.mark.parametrize(("environment", "has_colours"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_heard(environment, has_colours):
    command = ["tsod", "make", "--count", "30", "--size", "96", "-o", "made"]
    unset = {"NO_COLOR": ""} if has_colours else {}
    status, _, shown = run_on_terminal(MAIN.format(command), **unset, TERM="xterm", **environment)
    assert status == 0
    assert bool(re.search(r"\x1b\[3\dm", shown)) == has_colours

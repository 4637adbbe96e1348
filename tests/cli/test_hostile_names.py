"""Names of nodes, tensors and files reach neither terminal nor JSON with what these obey."""

from __future__ import annotations

import json
import logging
import unicodedata
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest
from terminal import run_on_terminal

EVIL = "\x1b[31m\x1b]0;owned\x07\r\nError: forged\u202e\u2066\x9b[bold]:fire:[/bold]\\"
SHOWN = r"\x1b[31m\x1b]0;owned\x07\r\nError: forged\u202e\u2066\x9b[bold]:fire:[/bold]" + "\\"
LONG = "start" + "n" * 10_000 + "end"
SHORT = ("--size", 32, "--samples", 2)


def rename(path, suffix):
    """Give every node and tensor of a file a name that ends with a suffix."""
    model = onnx.load(path)
    graph = model.graph
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}{number} {suffix}"
        node.input[:] = [f"{name}{suffix}" for name in node.input]
        node.output[:] = [f"{name}{suffix}" for name in node.output]
    for value in [*graph.input, *graph.output, *graph.initializer]:
        value.name = f"{value.name}{suffix}"
    del graph.value_info[:]
    onnx.save(model, path)
    return path


@pytest.fixture
def hostile(model):
    return rename(model, EVIL)


def check_shown(text):
    """Fail where anything but letters and ends of lines is in a text, or a line is forged."""
    found = {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert found <= {"\n"}, text
    assert not any(line.startswith("Error: forged") for line in text.splitlines()), text
    assert "🔥" not in text


COMMANDS = {
    "inspect": ("inspect", "m.onnx", "--size", 32),
    "prune l1": ("prune", "m.onnx", "--ratio", 0.3, "--criterion", "l1", "--size", 32),
    "prune": ("prune", "m.onnx", "--ratio", 0.3, *SHORT),
    "validate": ("validate", "m.onnx", "m.onnx", *SHORT),
    "bench": ("bench", "m.onnx", "--size", 32, "--rounds", 1, "--warmup", 0, "--profile"),
    "sweep": ("sweep", "m.onnx", "--ratios", "0.3", "--criteria", "l1", "--recover", "none",
              *SHORT),
    "finetune": ("finetune", "m.onnx", "--teacher", "m.onnx", "--epochs", 1, "--size", 32,
                 "--samples", 4),
}  # fmt: skip
each_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
NAMING = ("inspect", "prune", "validate", "bench", "finetune")
"""Commands whose text names tensors or nodes."""


@each_command
@pytest.mark.usefixtures("hostile")
def test_names_in_a_model_are_escaped_in_text(run, command):
    done = run(*command)
    assert done.exit_code == 0, done.stderr
    check_shown(done.stdout + done.stderr)
    if command[0] in NAMING and command != COMMANDS["prune l1"]:
        assert SHOWN.replace(" ", "") in "".join(done.stdout.split())


@each_command
@pytest.mark.usefixtures("hostile")
def test_json_is_plain_ascii_with_the_names_as_they_are(run, command):
    done = run(*command, "--json")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.isascii()
    check_shown(done.stdout)
    if command[0] == "inspect":
        assert f"image{EVIL}" in json.loads(done.stdout)["sizes"]


@each_command
def test_names_of_ten_thousand_characters_are_shortened_in_text_and_whole_in_json(
    run, model, command
):
    rename(model, LONG)
    done = run(*command)
    assert done.exit_code == 0, done.stderr
    assert "n" * 300 not in "".join(done.stdout.split())
    if command[0] in NAMING and command != COMMANDS["prune l1"]:
        assert "_characters]..." in "".join(done.stdout.split())
    if command[0] == "inspect":
        report = json.loads(run(*command, "--json").stdout)
        assert f"image{LONG}" in report["sizes"]
        assert f"first.weight{LONG}" in [group["name"] for group in report["groups"]]


@pytest.mark.parametrize("name", ["größe/重み", "поле.weight", "وزن", "slot [0]"])
def test_normal_names_of_all_scripts_are_shown_as_they_are(run, model, name):
    rename(model, name)
    shown = " ".join(run("inspect", model, "--size", 32).stdout.split())
    assert f"first.weight{name}" in shown


FILE = "a\x1b[2Jb\nError: forged\u202ec\udcff.onnx"
FILE_SHOWN = r"a\x1b[2Jb\nError: forged\u202ec\udcff.onnx"


@pytest.mark.parametrize("name", ["inspect", "prune l1", "validate", "sweep", "finetune"])
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
def test_a_file_name_is_escaped(run, model, name, as_json):
    model.rename(FILE)
    command = [FILE if part == "m.onnx" else part for part in COMMANDS[name]]
    done = run(*command, *as_json)
    assert done.exit_code == 0, done.stderr
    check_shown(done.stdout + done.stderr)
    if not as_json:
        assert FILE_SHOWN.replace(" ", "") in "".join(done.stdout.split())


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
def test_bench_takes_file_names_that_onnx_runtime_can_open(run, model, as_json):
    named = FILE.replace("\udcff", "")
    model.rename(named)
    done = run("bench", named, *COMMANDS["bench"][2:], *as_json)
    assert done.exit_code == 0, done.stderr
    check_shown(done.stdout)


def test_bench_says_where_onnx_runtime_cannot_open_a_file_of_that_name(refused, model):
    model.rename(FILE)
    line = refused("bench", FILE, "--size", 32)
    assert line.startswith(f"'{FILE_SHOWN}': ONNX Runtime opens files whose names are UTF-8 alone")


def test_images_outputs_and_caches_of_hostile_names_are_used_as_they_are(run, model, data):
    name = FILE.removesuffix(".onnx")
    data.rename(name)
    for path in [*Path(name).glob("*/*.png")]:
        path.rename(path.with_stem(path.stem + name))
    common = ("--data", name, "--cache", f"c{name}", *SHORT)
    for command in (
        ("prune", model, "--ratio", 0.3, "-o", f"{name}1.onnx", *common),
        ("sweep", model, "--ratios", "0.3", "--criteria", "l1", "--out-dir", f"o{name}",
         "--plot", f"{name}.svg", *common),
        ("validate", model, model, "--data", name, "--export-inputs", f"{name}.json", *SHORT),
    ):  # fmt: skip
        done = run(*command)
        assert done.exit_code == 0, done.stderr
        check_shown(done.stdout + done.stderr)
    for made in (f"{name}1.onnx", f"{name}.svg", f"{name}.json", f"c{name}", f"o{name}"):
        assert Path(made).exists()


def test_weights_cannot_lie_beside_a_model_whose_name_is_no_utf_8(refused, model):
    line = refused(
        "prune", model, "--ratio", 0.3, "--criterion", "l1", "--external-data", "-o", FILE
    )
    assert line.startswith(f"'{FILE_SHOWN}': a model names the file of its weights in UTF-8")


ERRORS = {
    "no file": ("inspect", FILE),
    "no name": ("inspect", "m.onnx", "--keep", EVIL),
    "no value": ("inspect", "m.onnx", "--size", EVIL),
    "no command": (EVIL,),
    "no option": ("inspect", "m.onnx", f"--{EVIL}"),
    "no shape": ("prune", "m.onnx", "--ratio", 0.3, "--shape", f"{EVIL}=1x3x8x8"),
    "no data": ("prune", "m.onnx", "--ratio", 0.3, "--data", FILE),
    "no output": ("prune", "m.onnx", "--ratio", 0.3, "-o", f"{EVIL}.txt"),
    "no factory": ("export", EVIL, "--input", "1x3x8x8"),
    "no loss": ("finetune", "m.onnx", "--size", 32, "--samples", 4, "--loss", f"{EVIL}:{EVIL}"),
    "no criterion": ("sweep", "m.onnx", "--criteria", EVIL),
    "no provider": ("bench", "m.onnx", "--provider", EVIL),
    "no set": ("tsod", "filter", FILE),
    "no background": ("tsod", "make", "--background", EVIL),
}


@pytest.mark.parametrize("command", ERRORS.values(), ids=ERRORS)
@pytest.mark.usefixtures("model")
def test_an_error_about_a_hostile_name_is_one_line(run, command):
    done = run(*command)
    assert done.exit_code in (1, 2), done.output
    assert done.stdout == ""
    check_shown(done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1


def test_an_operator_without_a_rule_is_named_escaped(run, hostile):
    model = onnx.load(hostile)
    model.graph.node[1].op_type = f"Odd{EVIL}"
    model.graph.node[1].domain = f"my{EVIL}"
    model.opset_import.add(domain=f"my{EVIL}", version=1)
    onnx.save(model, hostile)
    for command in (("inspect", hostile, "--strict"), ("inspect", hostile), COMMANDS["prune"]):
        done = run(*command)
        check_shown(done.stdout + done.stderr)


def test_images_of_hostile_names_are_named_escaped(run, model, data):
    (data / "images" / FILE.replace(".onnx", ".png")).write_bytes(b"no image")
    done = run("prune", model, "--ratio", 0.3, "--data", data, *SHORT)
    assert done.exit_code == 1
    check_shown(done.stderr)


def test_a_folder_of_kept_statistics_with_a_hostile_name_is_shown_escaped(run):
    done = run("cache", "--cache", FILE)
    assert FILE_SHOWN in done.stdout
    check_shown(done.stdout)


def test_sets_of_hostile_names_are_shown_escaped(run):
    made = run("tsod", "make", "--count", 2, "--size", 32, "-o", FILE)
    assert made.exit_code == 0, made.stderr
    check_shown(made.stdout)
    kept = run("tsod", "filter", FILE, "--max-area", 0.9, "-o", f"{FILE}-kept")
    assert kept.exit_code == 0, kept.stderr
    check_shown(kept.stdout)


def test_a_picture_of_a_sweep_is_well_formed_whatever_the_model_is_called(run, model):
    model.rename(FILE)
    done = run("sweep", FILE, "--ratios", "0.3", "--criteria", "l1", "--recover", "none", *SHORT,
               "--plot", "sweep.svg")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    picture = ET.fromstring(Path("sweep.svg").read_text(encoding="utf-8"))  # noqa: S314 - our own
    texts = [e.text for e in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert any(FILE_SHOWN in text for text in texts)


def test_an_exported_file_of_a_hostile_name_is_shown_escaped(run, folder):
    pytest.importorskip("torch")
    (folder / "net_of_mine.py").write_text(
        "from torch import nn\ndef make():\n    return nn.Conv2d(3, 4, 3)\n"
    )
    done = run(
        "export", "net_of_mine:make", "--input", "1x3x8x8", "-o", f"x{EVIL.replace('/', '')}.onnx"
    )
    assert done.exit_code == 0, done.stderr
    check_shown(done.stdout + done.stderr)


def test_the_log_holds_names_escaped(run, hostile, caplog):
    caplog.set_level(logging.DEBUG, "wrg_onnx")
    run(*COMMANDS["prune"])
    model = onnx.load(hostile)
    bad = onnx.helper.make_node("Reshape", [f"w1{EVIL}", f"w1{EVIL}"], [f"odd{EVIL}"], f"n{EVIL}")
    model.graph.node.insert(0, bad)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, np.int64), f"w1{EVIL}"))
    onnx.save(model, hostile)
    run("inspect", hostile, "--size", 32)
    formatter = logging.Formatter()
    ours = [record for record in caplog.records if record.name.startswith("wrg_onnx")]
    for record in ours:
        check_shown(formatter.format(record))


def test_a_stage_on_the_terminal_is_escaped():
    code = (
        "from wrg_onnx.cli.output import progress_bar\n"
        "with progress_bar() as show:\n    show('a\\x1b]0;owned\\x07[red]b[/red]', 1, 2)\n"
        "    import time; time.sleep(0.5)\n"
    )
    _, _, shown = run_on_terminal(code)
    assert "\x1b]0;" not in shown
    assert r"a\x1b]0;owned\x07[red]b[/red]" in shown

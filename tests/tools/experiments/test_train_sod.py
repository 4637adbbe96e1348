import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import train_sod as tool

TOOLS = Path(__file__).parents[3] / "tools" / "experiments"


def train_sod(folder, *arguments):
    command = [
        sys.executable, str(TOOLS / "train_sod.py"), "--size", "32", "--images", "6",
        "--held-out", "4", "--steps", "2", "--batch", "2",
        "--checkpoint", str(folder / "run.safetensors"), "--out", str(folder / "net.onnx"),
        *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize(
    "net",
    [
        ("--net", "small_unet", "--width", "0.1"),
        ("--net", "vgg16_sod", "--width", "0.05", "--batch-norm", "--amp"),
        ("--net", "u2netp", "--width", "0.05"),
    ],
    ids=["small_unet", "vgg16_sod", "u2netp"],
)
def test_a_net_is_trained_exported_and_judged(tmp_path, net):
    ended = train_sod(tmp_path, *net)
    assert ended.returncode == 0, ended.stderr
    nodes = {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}
    assert "Conv" in nodes
    # Training in mixed precision leaves a file in float32, its normalisation folded.
    assert "BatchNormalization" not in nodes
    assert "Cast" not in nodes
    figures = re.findall(r"^  (\w+) +(\d\.\d{4})$", ended.stdout, re.MULTILINE)
    assert [name for name, _ in figures][:6] == [
        "mae", "max_f", "mean_f", "weighted_f", "s_measure", "max_e",
    ]  # fmt: skip
    assert "going on" not in ended.stdout
    assert "going on from" in train_sod(tmp_path, *net).stdout


def test_a_file_may_take_larger_images_than_the_net_was_trained_on(tmp_path):
    ended = train_sod(tmp_path, "--net", "u2netp", "--width", "0.05", "--export-size", "64")
    assert ended.returncode == 0, ended.stderr
    assert "seen at 64x64" in ended.stdout
    graph = onnx.load(tmp_path / "net.onnx").graph
    sizes = {tuple(d.dim_value for d in v.type.tensor_type.shape.dim[1:]) for v in graph.output}
    assert (len(graph.output), sizes) == (7, {(1, 64, 64)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--export-size", "64", "--data", "a"), "--export-size is for made images"),
        (("--checkpoint", "net.onnx"), "--checkpoint and --out are one file"),
        (("--checkpoint", "file/run.safetensors"), "is not a folder that can be written to"),
        (("--checkpoint", "folder"), "'folder' is a folder"),
        (("--out", "file/net.onnx"), "is not a folder that can be written to"),
        (("--seed", "-1"), "seed must be at least 0, got -1"),
        (("--seed", str(2**70)), "seed must be at most 9223372036854775807"),
        (("--steps", "0"), "steps must be at least 1, got 0"),
        (("--data", "a", "--data", "a"), "--data 'a' is the folder of --data 'a' already"),
        (("--data", "a", "--judge", "a"), "--judge 'a' is the folder of --data 'a' already"),
    ],
)
def test_what_would_fail_late_is_refused_before_anything_is_read(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    there = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["train_sod.py", "--out", "net.onnx", *arguments])
    monkeypatch.setattr(tool, "build", None)
    with pytest.raises(SystemExit) as ended:
        tool.main()
    told = capsys.readouterr().err
    assert ended.value.code in (1, 2)
    assert message in told
    assert told.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == there


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "8"), "--size must be at least 16, got 8"),
        (("--data", "nowhere"), "no data directory at 'nowhere'"),
        (("--judge", "nowhere"), "--judge needs --data"),
        (("--net", "small_unet", "--weights", "vgg.pth"), "--weights are VGG16's"),
        (("--weights", "nowhere.pth"), "'nowhere.pth': cannot be read"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(tmp_path, arguments, message):
    ended = train_sod(tmp_path, "--width", "0.05", *arguments)
    assert ended.returncode in (1, 2)
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "net.onnx").exists()

"""docs/extending.md builds a package; here it is installed, and its commands are run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from extension_package import environment_of, install
from programs import run_program

import wrg_onnx.extend
from wrg_onnx.extensions import Kind

ROOT = Path(__file__).parents[2]
TINY_UNET = ROOT / "models" / "tiny_unet.onnx"
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```(?:python|toml)\n(.*?)```", re.MULTILINE | re.DOTALL)
FILES = dict(BLOCK.findall(PAGE))
PROJECT = tomllib.loads(FILES.pop("pyproject.toml"))["project"]
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"^```sh\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
SAMPLED = """<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> g
(float[1,3,16,16] image) => (float[1,1,8,8] map) {
    c = Conv<pads=[1,1,1,1]>(image, w1)  a = Relu(c)
    s = com.microsoft.GridSample(a, grid)
    z = Conv<pads=[1,1,1,1]>(s, w2)  map = Sigmoid(z)
}"""
RNG = np.random.default_rng(0)


def write_sampled(path):
    model = onnx.parser.parse_model(SAMPLED)
    for name, array in {
        "w1": RNG.standard_normal((8, 3, 3, 3)) / 5,
        "w2": RNG.standard_normal((1, 8, 3, 3)) / 5,
        "grid": RNG.uniform(-1, 1, (1, 8, 8, 2)),
    }.items():
        tensor = onnx.numpy_helper.from_array(array.astype(np.float32), name)
        model.graph.initializer.append(tensor)
    onnx.save(model, path)


def write_images(path):
    images = RNG.integers(0, 100, (8, 48, 48, 3), np.uint8)
    masks = np.zeros((8, 48, 48), bool)
    for number in range(8):
        masks[number, 4 + 2 * number : 18 + 2 * number, 10:24] = True
    images[masks] += 120
    np.savez(path, images=images, masks=masks)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    modules = {"acme_pruning/__init__.py": "", **FILES}
    install(
        folder, PROJECT["name"], PROJECT["version"], modules=modules, points=PROJECT["entry-points"]
    )
    return folder


@pytest.fixture(scope="module")
def ran(site, tmp_path_factory):
    """What the commands of the page print, by the output or model that they name."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("work")
    shutil.copy(TINY_UNET, folder / "tiny_unet.onnx")
    write_sampled(folder / "sampled.onnx")
    write_images(folder / "images.npz")
    found = {}
    for command in COMMANDS:
        done = run_program(
            *command, *(["--no-evaluate"] if command[0] != "inspect" else []), "--json",
            cwd=folder, env=environment_of(site),
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        key = next(part for part in reversed(command) if part.endswith(".onnx"))
        found[key] = json.loads(done.stdout)
        assert command[0] == "inspect" or (folder / key).exists()
    return found


def test_the_page_has_code_for_each_kind_and_each_function_that_it_names():
    groups = PROJECT["entry-points"]
    assert set(groups) == {kind.group for kind in Kind}
    for points in groups.values():
        for value in points.values():
            module, function = value.split(":")
            assert f"def {function}(" in FILES[f"{module.replace('.', '/')}.py"]
    assert PAGE.count("```python") == len(FILES) == 6


def test_the_page_has_a_row_for_each_decorator_of_the_public_face():
    rows = re.findall(r"^\| \[.*?\]\(.*?\) \| (.*?) \| `(.*?)`", PAGE, re.MULTILINE)
    assert {group for _, group in rows} == {kind.group for kind in Kind}
    named = {name for decorators, _ in rows for name in re.findall(r"`(\w+)`", decorators)}
    assert named <= set(wrg_onnx.extend.__all__)


def test_the_pages_factors_prune_by_their_names(ran):
    for name, images in (("energy", 4), ("spread", 0)):
        report = ran[f"{name}.onnx"]
        assert (report["criterion"], report["images"]) == (name, images)
        assert report["equivalence"]["error"] <= report["equivalence"]["tolerance"]
        assert report["notes"].count(
            f"not of wrg-onnx, but of 'acme-pruning' 1.2: the criterion '{name}' and the factor "
            f"'{name}'"
        ) == 1  # fmt: skip


def test_the_pages_criterion_prunes_on_samples_of_the_pages_source(ran):
    report = ran["balanced.onnx"]
    assert report["criterion"] == "balanced"
    assert "images with masks from stack:images.npz ('acme-pruning' 1.2)" in report["calibration"]


def test_the_pages_rule_frees_channels_and_its_twin_gives_them_gradients(ran):
    (layer,) = (g for g in ran["sampled.onnx"]["groups"] if g["name"] == "w1")
    assert layer["removable"] == layer["units"] == 8
    report = ran["sampled.pruned.onnx"]
    assert report["removed"] == 6  # half of the parameters, of which the grid's cannot go
    assert any("rules of its operators and twin operators" in note for note in report["notes"])


def test_the_pages_loss_is_what_training_makes_small(ran):
    report = ran["tuned.onnx"]
    assert report["objective"] == "the loss focal ('acme-pruning' 1.2)"
    assert report["loss_after"] <= report["loss_before"]


def test_without_the_package_the_same_commands_know_nothing_of_it(tmp_path):
    write_sampled(tmp_path / "sampled.onnx")
    done = run_program("inspect", "sampled.onnx", "--json", cwd=tmp_path)
    assert "com.microsoft.GridSample" in done.stdout
    assert not any(g["removable"] for g in json.loads(done.stdout)["groups"])
    done = run_program(
        "prune", "sampled.onnx", "--ratio", "0.5", "--criterion", "energy", cwd=tmp_path
    )
    assert done.returncode == 2
    assert "'energy' is not one of 'sel', 'w'" in done.stderr

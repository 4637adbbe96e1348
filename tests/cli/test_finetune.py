"""`wrg-onnx finetune`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image
from terminal import run_on_terminal

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
BAR = {"COLUMNS": "100", "OMP_NUM_THREADS": "1"}
SHORT = ("--size", 32, "--epochs", 2, "--batch", 2, "--seed", 1)


@pytest.fixture
def many(data):
    """Twelve images with masks."""
    rng = np.random.default_rng(1)
    for number in range(4, 12):
        mask = np.zeros((40, 40), np.uint8)
        mask[5 + number : 15 + number, 8:20] = 255
        noise = rng.integers(0, 100, (40, 40, 3), np.uint8)
        Image.fromarray(noise + (mask[..., None] // 2)).save(f"data/images/{number}.png")
        Image.fromarray(mask).save(f"data/masks/{number}.png")
    return data


@pytest.fixture
def pruned(run, model):
    done = run("prune", model, "--ratio", 0.3, "--criterion", "l1", "--size", 32)
    assert done.exit_code == 0
    return "m.pruned.onnx"


def words(text):
    return " ".join(text.split())


def test_a_model_is_trained_on_masks_and_its_original(run, model, pruned, many, folder):
    done = run("finetune", pruned, "--teacher", model, "--data", many, *SHORT)
    assert (done.exit_code, done.stderr) == (0, "")
    assert all(len(line) <= 80 for line in done.stdout.splitlines()), done.stdout
    for part in (
        "m.pruned.onnx -> m.pruned.tuned.onnx",
        f"Trained on 8 images with masks from {many}, 1 more held out",
        "masks, the teacher's 1 output", "2 of 2 epochs", "held-out loss",
        "teacher before after change", "max F", "relative error of 'map'",
        f"Judged on 3 of 12 images with masks from {many}.", "Check: ONNX Runtime",
    ):  # fmt: skip
        assert part in words(done.stdout)
    session = ort.InferenceSession(folder / "m.pruned.tuned.onnx")
    assert [value.name for value in session.get_inputs()] == ["image"]


def test_json_says_the_same(run, pruned, model, many):
    done = run("finetune", pruned, "--teacher", model, "--data", many, *SHORT, "--json")
    report = json.loads(done.stdout)
    assert (report["training"], report["held_out"], report["epochs"]) == (8, 1, 2)
    assert [row["epoch"] for row in report["history"]] == [0, 1, 2]
    assert report["loss_after"] == report["chosen"]["held_out_loss"]
    tried = [*report["history"], *report["between"]]
    assert report["chosen"]["held_out_max_f"] == max(row["held_out_max_f"] for row in tried)
    assert report["before"]["before"] == report["after"]["before"]
    assert report["before"]["after"]["images"] == 3
    assert report["error"] < 1e-3
    assert report["seconds"]["train"] > 0


def test_without_a_teacher_it_is_held_against_itself(run, pruned, many):
    done = run("finetune", pruned, "--data", many, *SHORT)
    assert done.exit_code == 0
    assert "teacher" not in done.stdout
    assert "before after change" in words(done.stdout)


def test_without_data_generated_images_are_trained_on_and_that_is_said(run, pruned):
    done = run("finetune", pruned, *SHORT, "--samples", 4, "--no-evaluate", "-o", "t.onnx")
    assert done.exit_code == 0, done.stderr
    assert "no --data given, so training and judging are on the built-in generator" in words(
        done.stdout
    )
    assert "Judged on" not in done.stdout


def test_archives_are_trained_on_as_they_are(run, model, pruned, folder):
    (folder / "arrays").mkdir()
    for k in range(8):
        image = np.random.default_rng(k).standard_normal((1, 3, 32, 32)).astype(np.float32)
        np.savez(f"arrays/{k}.npz", image=image)
    done = run("finetune", pruned, "--teacher", model, "--data", "arrays", *SHORT)
    assert done.exit_code == 0, done.stderr
    assert "so the samples are fed as they are" in words(done.stdout)
    assert "max F" not in done.stdout


def test_a_run_goes_on_from_its_checkpoint(run, model, pruned, many, folder):
    command = ("finetune", pruned, "--teacher", model, "--data", many, *SHORT, "--no-evaluate",
               "--checkpoint", "run.safetensors")  # fmt: skip
    assert run(*command, "-o", "one.onnx").exit_code == 0
    assert run(*command, "-o", "two.onnx", "--resume").exit_code == 0
    assert (folder / "one.onnx").read_bytes() == (folder / "two.onnx").read_bytes()
    done = run(*command, "-o", "three.onnx")
    assert done.exit_code == 1
    assert "checkpoint 'run.safetensors' exists; --resume goes on from it" in done.stderr
    assert run(*command, "-o", "three.onnx", "--force").exit_code == 0


def test_a_killed_run_goes_on_to_the_same_file(run, pruned, many, folder):
    command = ["finetune", pruned, "--data", many, *SHORT, "--epochs", 6, "--no-evaluate"]
    kept = ["--checkpoint", "run.safetensors", "-o", "cut.onnx"]
    code = f"from wrg_onnx.cli import main; main({[str(a) for a in (*command, *kept)]})"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        while not (folder / "run.safetensors").exists() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert (folder / "run.safetensors").exists()
    assert run(*command, *kept, "--resume", "--force").exit_code == 0
    assert run(*command, "-o", "whole.onnx").exit_code == 0
    cut, whole = (onnx.load(folder / name).graph for name in ("cut.onnx", "whole.onnx"))
    for one, other in zip(cut.initializer, whole.initializer, strict=True):
        arrays = [onnx.numpy_helper.to_array(tensor) for tensor in (one, other)]
        np.testing.assert_allclose(*arrays, rtol=1e-5, atol=1e-7)


def test_the_bar_shows_epoch_loss_and_the_time_left_of_the_run(pruned, many):
    arguments = ["finetune", str(pruned), "--data", str(many), *map(str, SHORT), "--no-evaluate"]
    arguments += ["--epochs", "10", "--patience", "10"]
    code = f"from wrg_onnx.cli import main; main({arguments}, standalone_mode=False)"
    status, _, shown = run_on_terminal(code, PYTHONPATH=str(ROOT), **BAR)
    assert status == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(
        r"epoch \d+/10 loss \d\.\d{4} \S* \d+/40 0:\d\d:\d\d (0|-):\S\S:\S\S", plain
    ), plain


# --- refusals ------------------------------------------------------------------------------------


def test_torch_that_is_not_installed_is_named_with_the_install_line(pruned, many, folder):
    code = (
        "import sys; sys.modules['torch'] = None; from wrg_onnx.cli import main; "
        f"main(['finetune', '{pruned}', '--data', '{many}'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: fine-tuning needs torch, which is not installed: pip install 'wrg-onnx[torch]'\n"
    )


def test_no_masks_and_no_teacher_is_refused(refused, pruned, many):
    for mask in many.glob("masks/*"):
        mask.unlink()
    (many / "masks").rmdir()
    message = refused("finetune", pruned, "--data", many, *SHORT, code=2)
    assert f"images from {many} have no masks, and there is no teacher" in message
    assert "give --teacher with the original, a folder with masks/, or --loss" in message


def test_missing_masks_are_named(refused, pruned, many):
    (many / "masks" / "3.png").unlink()
    message = refused("finetune", pruned, "--data", many, *SHORT)
    assert message == "1 of 12 images have no mask in 'data/masks': '3'"


@pytest.mark.parametrize("left", [1, 2])
def test_too_few_samples_are_refused(refused, pruned, many, left):
    for kind in ("images", "masks"):
        for file in sorted((many / kind).iterdir())[left:]:
            file.unlink()
    message = refused("finetune", pruned, "--data", many, *SHORT)
    assert message.startswith(f"too few samples: {left} of images with masks from data, expected")


NO_LOSS = (
    "a loss is written module:function, such as my_losses:focal, or by the name of one that an "
    "installed package brings (none is installed); got 'x'"
)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--learning-rate", 0), "learning-rate must be a positive number, got 0"),
        (("--learning-rate", "nan"), "learning-rate must be a positive number, got nan"),
        (("--weight-decay", -1), "weight-decay must be at least 0, got -1"),
        (("--warmup", 1), "warmup must be in [0, 1), got 1"),
        (("--ema", 1.5), "ema must be in [0, 1), got 1.5"),
        (("--distil", -1), "distil must be at least 0, got -1"),
        (("--resume",), "resume goes on from a checkpoint: name it (--checkpoint)"),
        (("--loss", "x"), NO_LOSS),
        (("--device", "cuda"), "device cuda: this torch sees no NVIDIA GPU; use --device cpu"),
        (("-o", "a.txt"), "output 'a.txt' must end in .onnx, such as 'a.onnx'"),
    ],
)  # fmt: skip
def test_an_option_out_of_its_range_is_refused(refused, pruned, many, option, message):
    import torch

    if "cuda" in option and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert refused("finetune", pruned, "--data", many, *SHORT, *option, code=2) == message


def test_a_teacher_that_does_not_fit_is_refused(refused, pruned, make_model, folder, many):
    make_model(
        folder / "other.onnx", ("map = Sigmoid(z)", "y = Sigmoid(z)"), ("h,w] map", "h,w] y")
    )
    message = refused("finetune", pruned, "--teacher", "other.onnx", "--data", many, *SHORT, code=2)
    assert message.startswith("the teacher 'other.onnx' has output 'y'")


def test_a_teacher_that_is_fed_otherwise_is_refused(refused, pruned, make_model, folder, many):
    make_model(folder / "other.onnx", ("image", "picture"))
    message = refused("finetune", pruned, "--teacher", "other.onnx", "--data", many, *SHORT, code=2)
    assert "has input" in message
    assert message.endswith("take the model that was pruned")


def test_an_output_that_exists_is_refused_before_any_work(refused, pruned, many, folder):
    (folder / "m.pruned.tuned.onnx").write_bytes(b"mine")
    message = refused("finetune", pruned, "--data", many, *SHORT)
    assert "'m.pruned.tuned.onnx' exists; --force replaces it" in message


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("m.pruned.onnx", "the model"),
        ("sub/../m.onnx", "the teacher"),
        ("m.pruned.tuned.onnx", "the output"),
    ],
)
def test_a_checkpoint_in_the_place_of_a_model_is_refused(refused, pruned, model, many, name, what):
    Path("sub").mkdir()
    message = refused("finetune", pruned, "--teacher", model, "--data", many, *SHORT,
                      "--checkpoint", name, "--force", code=2)  # fmt: skip
    assert message == f"checkpoint '{name}' is {what} of this run; name another file"


def test_a_checkpoint_that_cannot_be_written_is_refused_before_any_work(refused, pruned, many):
    message = refused("finetune", pruned, "--data", many, *SHORT, "--checkpoint", "data")
    assert message == ("checkpoint 'data' is a folder; name a file, such as 'data/run.safetensors'")


def test_what_diverges_names_the_layer_and_writes_nothing(refused, pruned, many):
    message = refused("finetune", pruned, "--data", many, *SHORT, "--scale", 1e36, "--no-augment")
    assert message.startswith("fine-tuning diverged: ")
    assert "'first.weight' gives NaN" in message
    assert "lower --learning-rate" in message


def test_a_twin_that_onnx_runtime_contradicts_writes_nothing(refused, pruned, many, monkeypatch):
    from wrg_onnx.finetune import result

    whole, calls = result.run_twin, []

    def off(twin, feeds):
        """Let the trained twin, which is asked first, compute something else."""
        calls.append(whole(twin, feeds))
        factor = 1.01 if len(calls) == 1 else 1
        return {name: value * factor for name, value in calls[-1].items()}

    monkeypatch.setattr(result, "run_twin", off)
    message = refused("finetune", pruned, "--data", many, *SHORT, code=3)
    assert message.startswith("output 'map' of the fine-tuned model differs from what was trained")

"""Bad input gets one clear line, the right exit code, and no output file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

L1 = ("--ratio", 0.5, "--criterion", "l1")
WR = ("--ratio", 0.5, "--criterion", "wr", "--samples", 1, "--size", 32)


# --- models --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"hello", b"", b"\x89PNG\r\n\x1a\n" * 9], ids=repr)
def test_what_is_not_a_model_is_named(refused, folder, command, content):
    (folder / "bad.onnx").write_bytes(content)
    assert "'bad.onnx': not an ONNX model" in refused(*command("bad.onnx"))


def test_a_missing_model_is_named(refused, command):
    assert refused(*command("gone.onnx")) == "'gone.onnx': no such file"


@pytest.mark.parametrize("name", [".", "..", "sub"])
def test_a_folder_is_no_model(refused, folder, command, name):
    (folder / "sub").mkdir()
    assert f"'{name}': cannot be read: Is a directory" in refused(*command(name))


@pytest.mark.parametrize("share", [0.999, 0.5, 0.1])
def test_a_truncated_model_is_named(refused, model, folder, command, share):
    whole = model.read_bytes()
    (folder / "part.onnx").write_bytes(whole[: int(len(whole) * share)])
    assert "'part.onnx'" in refused(*command("part.onnx"))


def test_missing_external_data_is_named(refused, make_model, folder, command):
    make_model(
        folder / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0
    )
    (folder / "big.data").unlink()
    line = refused(*command("big.onnx"))
    assert "'big.onnx': its external data cannot be read" in line
    assert line.endswith("put the data file beside the model")


def test_truncated_external_data_is_named(refused, make_model, folder, command):
    make_model(
        folder / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0
    )
    os.truncate("big.data", 100)
    assert "'big.onnx'" in refused(*command("big.onnx"))


@pytest.mark.parametrize("suffix", [".json", ".textproto", ".onnxtxt"])
def test_a_model_written_as_text_is_refused(refused, command, suffix):
    path = Path(f"m{suffix}")
    path.write_text('{"irVersion": "8", "graph": {"node": []}}', encoding="utf-8")
    assert "not an ONNX model" in refused(*command(path))


@pytest.mark.parametrize("name", ["m", "m.bin", "m.pb", "m.json"])
def test_any_other_suffix_is_read(run, model, name):
    model.rename(name)
    assert run("inspect", name).exit_code == 0


def test_a_size_that_does_not_fit_the_model_names_the_option(refused, make_model, folder):
    halved = (
        "b = Relu(d)",
        """p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(d)
        s = Constant<value_floats=[1.0, 1.0, 2.0, 2.0]>()
        u = Resize<mode="nearest">(p, , s)  b = Add(d, u)""",
    )
    make_model(folder / "m.onnx", halved)
    line = refused("prune", "m.onnx", *L1, "--size", "33")
    assert "1x3x33x33" in line or "[1, 3, 33, 33]" in line
    assert "--size" in line


# --- ratios and other options --------------------------------------------------------------------


@pytest.mark.parametrize("ratio", ["1.2", "1", "-0.1", "nan", "inf"])
def test_a_ratio_outside_its_range_is_a_usage_error(refused, model, ratio):
    line = refused("prune", model, "--ratio", ratio, code=2)
    assert line == f"ratio must be in [0, 1), got {ratio}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ratio", "half"), "'half' is not a valid float"),
        ((), "give one of ratio, max_drop, max_params"),
        ((*L1, "--floor", 0), "floor must be in (0, 1], got 0"),
        ((*L1, "--samples", 0), "'--samples': 0 is not in the range"),
        ((*L1, "--size", "²"), "expected a size such as 224 or 240x320, got '²'"),
        ((*L1, "--size", "0"), "expected a size"),
        ((*L1, "--size", "1x2x3"), "expected a size"),
        ((*L1, "--size", "8"), "size must be at least 16x16"),
        ((*L1, "--shape", "1x3x32x32"), "expected an input and its shape such as x=1x512"),
        ((*L1, "--shape", "image=1x0"), "expected an input and its shape such as x=1x512"),
        ((*L1, "--shape", "picture=1x3"), "the model has no such input, only 'image'"),
        ((*L1, "--shape", "image=1x3"), "does not fit the input, which is batchx3xhxw"),
        ((*L1, "--shape", "image=1x4x32x32"), "does not fit the input, which is batchx3xhxw"),
        ((*L1, "--shape", "image=1x3x32x32", "--size", "32"), "give one of them"),
        ((*L1, "--value", "rate"), "expected an input and a number such as sr=16000"),
        ((*L1, "--value", "rate=nan"), "expected an input and a number such as sr=16000"),
        ((*L1, "--value", "rate=16000"), "the model has no such input, only 'image'"),
        ((*L1, "--mean", "a,b"), "expected numbers separated by commas"),
        ((*L1, "--mean", "1"), "mean must be 3 finite number(s)"),
        ((*L1, "--std", "1,1,0"), "std must be positive"),
        ((*L1, "--layout", "NHWC"), "layout 'NHWC' does not fit"),
        ((*L1, "--criterion", "best"), "'best' is not one of"),
        ((*L1, "--keep", "nothing*"), "keep 'nothing*' matches no node or weight"),
        ((*L1, "--only", "nothing*"), "only 'nothing*' matches no node or weight"),
        ((*L1, "--amp"), "amp is for gradients, and criterion 'l1' takes none"),
        ((*L1, "-o", "out.txt"), "output 'out.txt' must end in .onnx, such as 'out.onnx'"),
    ],
)
def test_an_option_out_of_its_range_is_a_usage_error(refused, model, options, words):
    assert words in refused("prune", model, *options, code=2)


def test_an_impossible_ratio_says_what_is_possible(refused, run, model):
    line = refused("prune", model, "--ratio", 0.999, "--criterion", "l1")
    found = re.fullmatch(
        r"cannot remove 99.9% of the parameters: 0.0% are frozen and each layer keeps 10% of its "
        r"channels; the most is (\d+\.\d)% \(see `wrg-onnx inspect m.onnx`\)",
        line,
    )
    possible = float(found[1])
    assert (
        run("prune", model, "--ratio", (possible - 0.1) / 100, "--criterion", "l1").exit_code == 0
    )


def test_bn_without_normalisations_says_how_to_keep_them(refused, model):
    line = refused("prune", model, "--ratio", 0.5, "--criterion", "bn")
    assert "no BatchNormalization with a constant scale" in line
    assert "training=TrainingMode.PRESERVE" in line
    assert "--criterion l1" in line


def test_keep_lowers_what_is_possible(refused, model):
    line = refused("prune", model, "--ratio", 0.9, "--criterion", "l1", "--keep", "first.*")
    frozen, most = map(float, re.findall(r"(\d+\.\d)% (?:are frozen|\(see)", line))
    assert 0 < frozen < 100
    assert 0 < most < 90
    assert line.endswith(
        "(see `wrg-onnx inspect m.onnx --keep 'first.*'`); mostly because 'first.weight' is kept "
        "on request (--keep): leave it out of --keep"
    )


def test_with_all_kept_nothing_can_be_cut(refused, model):
    line = refused("prune", model, *L1, "--keep", "first.*", "--keep", "third.*")
    assert line == (
        "nothing can be cut: no channel is free, mostly because 'first.weight' is kept on request "
        "(--keep): leave it out of --keep "
        "(see `wrg-onnx inspect m.onnx --keep 'first.*' --keep 'third.*'`)"
    )


def test_an_impossible_macs_budget_speaks_of_macs(refused, model):
    line = refused("prune", model, "--ratio", 0.999, "--criterion", "l1", "--budget", "macs")
    assert line.startswith("cannot remove 99.9% of the MACs")


def test_cuda_that_is_not_there_names_the_package(refused, model):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is there")
    line = refused("prune", model, *WR, "--provider", "cuda", code=2)
    assert "wrg-onnx[gpu]" in line


def test_a_size_beyond_memory_is_one_line(refused, model):
    assert "memory" in refused("prune", model, *L1, "--size", 99999999)


# --- outputs -------------------------------------------------------------------------------------


def test_an_existing_output_is_kept(refused, model, folder):
    (folder / "m.pruned.onnx").write_text("mine")
    line = refused("prune", model, *L1)
    assert line == "'m.pruned.onnx' exists; --force replaces it, --output names another file"


def test_a_folder_is_no_output(refused, model):
    assert "'.' is a folder" in refused("prune", model, *L1, "-o", ".")


def test_a_folder_below_a_file_is_no_output(refused, model):
    assert "is not a folder that can be written to" in refused(
        "prune", model, *L1, "-o", "m.onnx/out.onnx"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_no_output(refused, model, folder):
    (folder / "locked").mkdir(mode=0o500)
    assert "can be written to" in refused("prune", model, *L1, "-o", "locked/out.onnx")


def test_a_folder_that_the_system_refuses_is_no_output(refused, model):
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    assert "'/proc/x.onnx': cannot be written" in refused("prune", model, *L1, "-o", "/proc/x.onnx")


def test_a_failed_write_leaves_nothing(refused, model, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    line = refused("prune", model, *L1)
    assert line == "'m.pruned.onnx': cannot be written: No space left on device"


# --- data ----------------------------------------------------------------------------------------


def test_a_missing_data_folder_is_named(refused, model):
    line = refused("prune", model, *WR, "--data", "gone")
    assert line.startswith("no data directory at 'gone': give a folder with images/")


def test_an_empty_data_folder_says_what_was_expected(refused, model, folder):
    (folder / "data").mkdir()
    line = refused("prune", model, *WR, "--data", "data")
    assert line.startswith("no images (png, jpg, jpeg, bmp, webp) in 'data'")


def test_an_unreadable_image_is_named(refused, model, data):
    for number in range(4):
        (data / f"images/{number}.png").write_bytes(b"no picture")
    assert re.search(
        r"cannot read 'data/images/\d.png'", refused("prune", model, *WR, "--data", data)
    )


def test_a_truncated_image_is_named(refused, model, data):
    for path in (data / "images").iterdir():
        os.truncate(path, path.stat().st_size // 2)
    assert "cannot read 'data/images/" in refused("prune", model, *WR, "--data", data)


def test_an_image_without_a_mask_is_named(refused, model, data):
    (data / "masks/2.png").unlink()
    line = refused("prune", model, *WR, "--data", data)
    assert line == "1 of 4 images have no mask in 'data/masks': '2'"


def test_a_mask_without_an_image_is_named(refused, model, data):
    (data / "images/2.png").unlink()
    line = refused("prune", model, *WR, "--data", data)
    assert line == "1 of 4 masks have no image for 'data': '2'"


def test_a_mask_of_another_size_is_named(refused, model, data):
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(data / "masks/2.png")
    line = refused("prune", model, *WR, "--data", data)
    assert line == "mask 'data/masks/2.png' is 40x20 pixels, its image is 40x40"


def test_a_single_image_cannot_calibrate_and_judge(refused, run, model, data):
    for number in (1, 2, 3):
        for kind in ("images", "masks"):
            (data / kind / f"{number}.png").unlink()
    assert "holds a single sample" in refused("prune", model, *WR, "--data", data)
    assert run("prune", model, *WR, "--data", data, "--no-evaluate").exit_code == 0


def test_archives_without_the_input_are_named(refused, model, folder):
    (folder / "npz").mkdir()
    for number in range(3):
        np.savez(folder / "npz" / f"{number}.npz", picture=np.zeros((1, 3, 32, 32), np.float32))
    line = refused("prune", model, *WR, "--data", "npz")
    assert "lacks the input 'image': it holds 'picture'" in line


# --- packages ------------------------------------------------------------------------------------


def test_without_onnx_runtime_the_install_line_is_given(refused, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for command in (("prune", model, *L1), ("prune", model, *WR), ("bench", model)):
        line = refused(*command)
        assert "needs onnxruntime, which is not installed: pip install 'wrg-onnx[cpu]'" in line


WITHOUT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from wrg_onnx.cli import main
main({command!r})
"""


def files():
    return {path: path.stat().st_mtime_ns for path in Path().rglob("*")}


def refused_without(package, *command):
    """Run a command in a process where a package cannot be imported."""
    before = files()
    code = WITHOUT.format(package=package, command=[str(part) for part in command])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, files()) == (1, "", before), done.stderr
    (line,) = done.stderr.splitlines()
    return line.removeprefix("Error: ")


def test_without_torch_the_install_line_and_a_way_around_are_given(model):
    line = refused_without(
        "torch", "prune", model, "--ratio", 0.5, "--size", 32, "--criterion", "sel"
    )
    assert line == (
        "a criterion with a gradient needs torch, which is not installed: "
        "pip install 'wrg-onnx[torch]', or choose one without, such as --criterion wr"
    )


def test_fine_tuning_as_the_recovery_without_torch_gives_the_install_line(model):
    line = refused_without(
        "torch", "prune", model, "--ratio", 0.5, "--criterion", "l1", "--recover", "finetune"
    )
    assert line == "fine-tuning needs torch, which is not installed: pip install 'wrg-onnx[torch]'"


def test_export_without_torch_gives_the_install_line():
    line = refused_without("torch", "export", "somewhere:net", "--input", "1x3x32x32")
    assert line == "export needs torch, which is not installed: pip install 'wrg-onnx[torch]'"


def test_without_the_metrics_the_install_line_and_a_way_around_are_given(
    refused, run, model, monkeypatch
):
    monkeypatch.setitem(sys.modules, "py_sod_metrics", None)
    line = refused("prune", model, *WR)
    assert "pip install 'wrg-onnx[metrics]', or use --no-evaluate" in line
    assert run("prune", model, *WR, "--no-evaluate").exit_code == 0


# --- other commands ------------------------------------------------------------------------------


def test_bench_refuses_what_cannot_be_compared(refused, model, make_model, folder):
    assert "named twice" in refused("bench", model, model, code=2)
    make_model(folder / "gray.onnx", ("float[batch,3,h,w] image", "float[batch,3,64,w] image"))
    assert "only models with the same inputs" in refused("bench", model, "gray.onnx", code=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--threads", 0), "threads must be in 1 to"),
        (("--threads", 100_000), "got 100000"),
        (("--batch", "1,0"), "expected numbers from 1 on such as 1,8, got '1,0'"),
        (("--batch", "all"), "expected numbers from 1 on such as 1,8, got 'all'"),
        (("--processes", 0), "0 is not in the range"),
        (("--provider", "abacus"), "provider abacus: this ONNX Runtime does not have it, but "),
    ],
)
def test_bench_checks_its_options(refused, model, options, words):
    assert words in refused("bench", model, *options, code=2)


def test_inspect_checks_its_options(refused, model):
    assert "floor must be in (0, 1], got 7" in refused("inspect", model, "--floor", 7, code=2)
    assert "matches no node" in refused("inspect", model, "--keep", "nothing", code=2)


def test_an_unknown_command_is_a_usage_error(refused):
    assert "No such command 'prun'" in refused("prun", code=2)


def test_a_failed_validation_exits_with_3_and_writes_nothing(refused, model, monkeypatch):
    from wrg_onnx.errors import ValidationError
    from wrg_onnx.pipeline import cut

    def differ(*_, **__):
        raise ValidationError("'map' differs; nothing was written", error=1, tolerance=0)

    monkeypatch.setattr(cut, "prove", differ)
    assert refused("prune", model, *L1, code=3) == "'map' differs; nothing was written"


def test_validate_exits_with_3_where_the_structure_differs(run, model, make_model, folder):
    make_model(folder / "other.onnx", ("Relu(d)", "Sigmoid(d)"))
    done = run("validate", model, "other.onnx", "--size", 32)
    assert done.exit_code == 3
    assert "Problem: operator 4 is Sigmoid instead of Relu." in done.stdout

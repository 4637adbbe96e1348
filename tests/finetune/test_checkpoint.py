"""A run that was cut off goes on as if it had not been."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategies import build, normal

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from wrg_onnx.errors import DataError, MissingPackageError, OutputError, UsageError  # noqa: E402
from wrg_onnx.finetune import CheckpointFile, Device  # noqa: E402
from wrg_onnx.finetune.checkpoint import (  # noqa: E402
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from wrg_onnx.finetune.finetune import finetune  # noqa: E402
from wrg_onnx.graph import fingerprint, from_proto  # noqa: E402


class CutOffError(Exception):
    """What stands for a killed process."""


@pytest.fixture
def train(kit, tmp_path):
    def run(cut=None, student=None, *, keep=True, resume=False, force=False, **options):
        told, data = options.pop("told", []), options.pop("data", kit.data())

        def progress(_stage, done, _total):
            told.append(done)
            if done == cut:
                raise CutOffError

        file = CheckpointFile(tmp_path / "run" / "c.safetensors", resume, force) if keep else None
        return finetune(
            student or kit.student(), kit.net(), data, kit.channels(),
            kit.options(**{"epochs": 4, **options}, checkpoint=file), progress=progress,
        )  # fmt: skip

    return run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "c.safetensors"


@pytest.fixture
def cut_off(train):
    """A run of 4 epochs of 2 steps that ended in the third."""
    with pytest.raises(CutOffError):
        train(cut=5)


@pytest.mark.usefixtures("cut_off")
def test_a_resumed_run_gives_the_same_weights_as_one_that_was_not_cut_off(train):
    whole, resumed = train(keep=False), train(resume=True)
    assert resumed.history == whole.history
    for name, array in whole.graph.constants.items():
        np.testing.assert_array_equal(resumed.graph.constants[name], array)


@pytest.mark.usefixtures("cut_off")
def test_a_resumed_run_does_only_what_is_left(train):
    told = []
    train(resume=True, told=told)
    assert told == [5, 6, 7, 8]


def test_a_run_that_is_done_is_not_trained_again(train):
    first = train()
    again = train(cut=1, resume=True)
    assert again.history == first.history


def test_without_a_checkpoint_to_resume_a_run_starts_at_its_beginning(train):
    assert train(resume=True).epochs == 4


@pytest.mark.usefixtures("cut_off")
def test_a_checkpoint_is_replaced_with_force_alone(train, path):
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists; --resume goes on from it, --force replaces it"):
        train()
    assert path.read_bytes() == before
    train(force=True)
    assert path.read_bytes() != before


def test_a_checkpoint_is_for_this_user_alone(tmp_path):
    before = os.umask(0)
    try:
        write_checkpoint(tmp_path / "c", Checkpoint({}, {}, {"w": torch.zeros(1)}))
    finally:
        os.umask(before)
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("cut_off")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 5}, "its epochs is 4, here it is 5"),
        ({"seed": 1}, "its seed is 0, here it is 1"),
        ({"learning_rate": 0.5}, "its learning-rate is 0.05, here it is 0.5"),
    ],
)
def test_a_checkpoint_of_other_options_is_refused(train, changed, message):
    with pytest.raises(UsageError, match=message):
        train(resume=True, **changed)


@pytest.mark.usefixtures("cut_off")
def test_a_checkpoint_of_another_model_is_refused(train, kit):
    other = kit.student(b2=np.ones(1, np.float32))
    with pytest.raises(UsageError, match="another run: its model is"):
        train(student=other, resume=True)


@pytest.mark.usefixtures("cut_off")
@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (lambda _, kit: {"training": kit.data_set(range(1, 9))}, "data"),
        (lambda _, kit: {"held_out": kit.data_set(range(20, 23))}, "data"),
        (
            lambda data, _: {"preprocessing": replace(data.preprocessing, scale=1.0)},
            "preprocessing",
        ),
        (lambda data, _: {"saliency": replace(data.saliency, is_logit=True)}, "saliency map"),
    ],
    ids=["training", "held out", "preprocessing", "map"],
)
def test_a_checkpoint_of_other_data_is_refused(train, kit, changed, what):
    with pytest.raises(UsageError, match=f"another run: its {what} is "):
        train(data=replace(kit.data(), **changed(kit.data(), kit)), resume=True)


@pytest.mark.usefixtures("cut_off")
def test_where_it_computes_may_be_named_when_it_goes_on(train):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, which 'auto' takes")
    assert train(resume=True, device=Device.CPU).epochs == 4


def test_a_checkpoint_of_another_device_is_refused(path):
    write_checkpoint(path, Checkpoint({"device": "cuda"}, {}, {}))
    with pytest.raises(UsageError, match="its device is cuda, here it is cpu"):
        read_checkpoint(path, {"device": "cpu"})


# --- by what a model is known again --------------------------------------------------------------

BRANCH = """net (float[{n},3,8,8] x, bool b) => (float[{n},4,8,8] y) {{
    a = Conv<pads = [1, 1, 1, 1]>(x, w)  l = LeakyRelu<alpha = 0.1>(a)
    y = If(b) <then_branch = t () => (p) {{ p = {op}(l) }},
               else_branch = e () => (q) {{ q = Identity(l) }}> }}"""


def mark(*replaced, n="N", op="Relu", opset=17):
    text = BRANCH.format(n=n, op=op).replace("(p)", "(float[] p)").replace("(q)", "(float[] q)")
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return fingerprint(from_proto(build(text, {"w": normal(4, 3, 3, 3)}, opset=opset), name="m"))


def test_the_same_model_has_the_same_fingerprint():
    assert mark() == mark()


@pytest.mark.parametrize(
    ("replaced", "options"),
    [
        ((("pads = [1, 1, 1, 1]", "pads = [2, 2, 2, 2], dilations = [2, 2]"),), {}),
        ((("alpha = 0.1", "alpha = 0.9"),), {}),
        ((), {"op": "Sigmoid"}),
        ((), {"n": "2"}),
        ((), {"opset": 18}),
    ],
    ids=["pads", "alpha", "body", "input", "opset"],
)
def test_another_model_has_another_fingerprint(replaced, options):
    assert mark(*replaced, **options) != mark()


@pytest.mark.usefixtures("cut_off")
@pytest.mark.parametrize("share", [0.99, 0.5, 0.001])
def test_a_truncated_checkpoint_is_named(train, path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"c\.safetensors': no checkpoint, or a truncated one"):
        train(resume=True)


def test_another_safetensors_file_is_no_checkpoint(train, path):
    from safetensors.torch import save_file

    path.parent.mkdir()
    save_file({"w": torch.ones(2)}, path)
    with pytest.raises(DataError, match="not a checkpoint"):
        train(resume=True)


def test_a_checkpoint_leaves_no_other_file(train, path):
    train(epochs=1)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written_is_named_before_the_first_step(train, tmp_path):
    (tmp_path / "run").write_text("a file")
    told = []
    with pytest.raises(OutputError, match=r"c\.safetensors': .*run' is not a folder that can be"):
        train(told=told)
    assert not told


def test_a_folder_in_the_place_of_the_checkpoint_is_named_before_the_first_step(train, path):
    path.mkdir(parents=True)
    told = []
    with pytest.raises(OutputError, match=r"c\.safetensors' is a folder; name a file"):
        train(told=told, force=True)
    assert not told


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_folder_that_takes_no_file_is_named_before_the_first_step(kit):
    told = []
    file = CheckpointFile(Path("/proc/none/c.safetensors"))
    with pytest.raises(OutputError, match=r"c\.safetensors': .*cannot be written|is not a folder"):
        finetune(
            kit.student(), kit.net(), kit.data(), kit.channels(), kit.options(checkpoint=file),
            progress=lambda *a: told.append(a),
        )  # fmt: skip
    assert not told


def test_safetensors_that_is_not_installed_is_named_before_the_first_step(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    told = []
    with pytest.raises(MissingPackageError, match=r"a checkpoint needs safetensors"):
        train(told=told)
    assert not told


def test_a_checkpoint_that_cannot_be_written_later_is_named(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OutputError, match=r"c\.safetensors': cannot be written"):
        write_checkpoint(tmp_path / "run" / "c.safetensors", Checkpoint({}, {}, {}))

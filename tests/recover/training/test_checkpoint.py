"""A run that was cut off goes on as if it had not been."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from wrg_onnx.graph import DataError, OutputError, UsageError  # noqa: E402
from wrg_onnx.recover import CheckpointFile  # noqa: E402
from wrg_onnx.recover.training.finetune import finetune  # noqa: E402


class CutOffError(Exception):
    """What stands for a killed process."""


@pytest.fixture
def train(kit, tmp_path):
    def run(cut=None, student=None, *, keep=True, resume=False, force=False, **options):
        told = options.pop("told", [])

        def progress(_stage, done, _total):
            told.append(done)
            if done == cut:
                raise CutOffError

        file = CheckpointFile(tmp_path / "run" / "c.safetensors", resume, force) if keep else None
        return finetune(
            student or kit.student(), kit.net(), kit.data(), kit.channels(),
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


def test_a_folder_that_cannot_be_written_is_named(train, tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OutputError, match=r"c\.safetensors': cannot be written"):
        train(epochs=1)

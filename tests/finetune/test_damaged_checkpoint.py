"""A checkpoint is gone on from as it was written, or refused in one line that says what to do.

It is damaged as a whole, and each tensor and each value in it in each way that `damage` knows: once
as it is, when the seal tells of any change, and once with a seal made to fit, when types, shapes,
numbers and what follows from them must tell of what training cannot have left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import damage
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from wrg_onnx.errors import DataError, OutputError, UsageError, WrgError  # noqa: E402
from wrg_onnx.finetune import CheckpointFile  # noqa: E402
from wrg_onnx.finetune import checkpoint as module  # noqa: E402
from wrg_onnx.finetune.finetune import finetune  # noqa: E402
from wrg_onnx.finetune.numerics import repeatable  # noqa: E402
from wrg_onnx.finetune.prepare import Setting, prepare, trainable_twin  # noqa: E402
from wrg_onnx.finetune.resume import describe_run, restore  # noqa: E402
from wrg_onnx.finetune.state import TrainingState  # noqa: E402
from wrg_onnx.finetune.train import Trainer  # noqa: E402

NO_FILES = ("a link, not a file", "not an ordinary file", "Is a directory")
ANEW = "start anew with --force and without --resume, or name another file"


@dataclass(frozen=True)
class Run:
    """A run that goes on, again and again.

    Attributes:
        setting: What it trains.
        state: Its state at the beginning.
        identity: What it is.
        data: The whole checkpoint.
        texts: The texts in it, seal included.
        tensors: The tensors in it.
    """

    setting: Setting
    state: TrainingState
    identity: dict[str, Any]
    data: bytes
    texts: dict[str, str]
    tensors: dict[str, torch.Tensor] = field(repr=False)

    def refusal(self, path: Path, kind: type[WrgError] = DataError) -> str:
        """Go on from a file that is damaged; return the line."""
        before = {name: tensor.clone() for name, tensor in self.state.twin.state_dict().items()}
        with pytest.raises(kind) as caught:
            restore(self.state, self.setting, CheckpointFile(path, resume=True), self.identity)
        for name, tensor in self.state.twin.state_dict().items():
            assert torch.equal(tensor, before[name])
        assert self.state.course.step == 0
        line = str(caught.value)
        assert "\n" not in line
        assert f"'{path}'" in line
        return line

    def write(self, path: Path, *, sealed: bool, **changed: Any) -> None:
        """Write the checkpoint with other texts or tensors."""
        texts = {**self.texts, **changed.get("texts", {})}
        tensors = changed.get("tensors", self.tensors)
        if sealed:
            del texts["seal"]
            texts["seal"] = module._seal(texts, tensors)
        path.write_bytes(safetensors.save(tensors, metadata=texts))

    def write_state(self, path: Path, state: Any, *, sealed: bool) -> None:
        """Write the checkpoint with another state."""
        self.write(path, sealed=sealed, texts={"state": json.dumps(state)})

    @property
    def values(self) -> dict[str, Any]:
        """The state in it, but for the tensors."""
        return json.loads(self.texts["state"])


@pytest.fixture(scope="module")
def run(kit, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "c.safetensors"
    options = kit.options(checkpoint=CheckpointFile(path), epochs=2)
    student, teacher, data = kit.student(), kit.net(), kit.data()
    finetune(student, teacher, data, kit.channels(), options)
    with repeatable(0):
        setting, twin, _ = prepare(student, teacher, data, kit.channels(), options)
        average = trainable_twin(student, options).requires_grad_(False).eval()
        state = TrainingState.begin(twin, average, options, half=False)
        trainer = Trainer(setting, state)
        identity = describe_run(setting, teacher, trainer.describe_samples())
        trainer.close()
    texts, tensors = module._read(path, "")
    return Run(setting, state, identity, path.read_bytes(), texts, tensors)


@pytest.fixture
def path(run, tmp_path):
    """Return a whole checkpoint."""
    file = tmp_path / "c.safetensors"
    file.write_bytes(run.data)
    return file


def test_what_was_not_damaged_is_gone_on_from(run, path, kit):
    run.write(path, sealed=True)
    fresh = TrainingState.begin(
        trainable_twin(kit.student(), run.setting.options),
        trainable_twin(kit.student(), run.setting.options).requires_grad_(False),
        run.setting.options,
        half=False,
    )
    restore(fresh, run.setting, CheckpointFile(path, resume=True), run.identity)
    assert (fresh.course.epoch, fresh.course.step) == (2, 4)


# --- whole files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", damage.FILES)
def test_a_damaged_file_is_refused(run, path, way):
    damage.FILES[way](path)
    line = run.refusal(path)
    assert ANEW in line or any(f"cannot be read: {what}" in line for what in NO_FILES)


@pytest.mark.parametrize("share", [n / 40 for n in range(40)])
def test_a_bit_anywhere_is_noticed(run, path, share):
    whole = bytearray(run.data)
    whole[int(len(whole) * share)] ^= 0x20
    path.write_bytes(whole)
    assert ANEW in run.refusal(path)


@pytest.mark.parametrize("way", ["a folder", "a link", "a link to nothing", "a pipe"])
def test_what_is_no_file_is_refused_before_anything_is_read(kit, path, way):
    damage.FILES[way](path)
    told = []
    options = kit.options(checkpoint=CheckpointFile(path, resume=True))
    with pytest.raises(OutputError, match=r"c\.safetensors' is a (folder|link|device)"):
        finetune(
            kit.student(), kit.net(), kit.data(), kit.channels(), options,
            progress=lambda *a: told.append(a),
        )  # fmt: skip
    assert not told


def test_a_checkpoint_of_another_version_says_so(run, path):
    run.write(path, sealed=True, texts={"format": "wrg-onnx checkpoint 2"})
    assert "a checkpoint of another version of wrg-onnx" in run.refusal(path)


# --- each thing in a file -------------------------------------------------------------------------


@pytest.mark.parametrize("sealed", [False, True], ids=["as it is", "sealed anew"])
def test_each_tensor_changed_in_each_way_is_refused(run, path, sealed):
    tried = 0
    arrays = {name: tensor.numpy() for name, tensor in run.tensors.items()}
    for way, changed in damage.changed_arrays(arrays, sealed=sealed):
        try:
            tensors = {n: torch.tensor(a.copy()) for n, a in changed.items()}
            run.write(path, sealed=sealed, tensors=tensors)
        except (TypeError, ValueError, KeyError):  # torch, or safetensors, has no such type
            continue
        line = run.refusal(path)
        assert "a damaged checkpoint: " in line, way
        assert ANEW in line, way
        tried += 1
    assert tried > 10 * len(arrays)


ALIEN = {
    "another weight": ("adamw/99/exp_avg", torch.zeros(2)),
    "a weight that is none": ("adamw/x/exp_avg", torch.zeros(2)),
    "a negative weight": ("adamw/-1/step", torch.zeros(())),
    "another moment": ("adamw/0/exp_avg_max", torch.zeros(2)),
    "no moment": ("adamw/0", torch.zeros(2)),
    "another part": ("other/w1", torch.zeros(2)),
    "no part": ("w1", torch.zeros(2)),
    "another name": ("twin/" + "w" * 300, torch.zeros(2)),
}


@pytest.mark.parametrize("alien", ALIEN.values(), ids=ALIEN)
def test_what_is_no_part_of_the_run_is_refused_whatever_its_seal(run, path, alien):
    name, tensor = alien
    run.write(path, sealed=True, tensors={**run.tensors, name: tensor})
    assert "which is no part of it" in run.refusal(path)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("adamw/0/step", 1e9, "'adamw/0/step' is 1e+09 of 4"),
        ("adamw/0/step", -1.0, "'adamw/0/step' is -1 of 4"),
        ("adamw/0/step", 1.5, "'adamw/0/step' is 1.5 of 4"),
        ("adamw/0/exp_avg_sq", -1.0, "a mean square, is negative"),
        ("torch", 0, "'torch' is no state of a generator"),
        ("generator", 0, "'generator' is no state of a generator"),
    ],
)
def test_numbers_that_training_cannot_leave_are_refused_whatever_their_seal(
    run, path, name, value, words
):
    run.write(
        path, sealed=True, tensors={**run.tensors, name: torch.full_like(run.tensors[name], value)}
    )
    assert words in run.refusal(path)


def test_each_value_changed_in_each_way_is_refused(run, path):
    tried = 0
    for way, state in damage.changed_plain(run.values):
        run.write_state(path, state, sealed=False)
        assert "a damaged checkpoint: it is not as it was written" in run.refusal(path), way
        tried += 1
    assert tried > 300


def could_be(way: str) -> bool:
    """Tell whether a change leaves what another run could have left."""
    is_number = way.endswith((": 10^9", ": -1", ": -0.5"))
    return (
        (is_number and ("loss" in way or "sizes" in way))
        or "notes[" in way
        or way in ("without .course.history[0]", "without .course.history[1]")  # there may be one
        or way.startswith(".course.notes: ")
        or (way.endswith(": nothing") and "max_f" in way)
    )


def test_each_value_that_cannot_be_is_refused_whatever_its_seal(run, path):
    tried = 0
    for way, state in damage.changed_plain(run.values):
        if could_be(way):
            continue
        run.write_state(path, state, sealed=True)
        line = run.refusal(path)
        assert "a damaged checkpoint: " in line, way
        assert len(line) < 400, way
        tried += 1
    assert tried > 250


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step", 10**9), ("step", -1), ("step", 3), ("step", True), ("step", 4.0), ("epoch", 10**9),
        ("epoch", 0), ("tuned_epoch", 10**9), ("tuned_epoch", -1), ("at_once", 0),
        ("at_once", 10**9), ("history", []), ("notes", [1]),
    ],
)  # fmt: skip
def test_counters_that_cannot_be_are_refused_whatever_their_seal(run, path, name, value):
    state = run.values
    state["course"][name] = value
    run.write_state(path, state, sealed=True)
    assert ANEW in run.refusal(path)


@pytest.mark.parametrize("name", ["model", "teacher", "data"])
def test_the_digest_of_another_model_or_data_is_refused(run, path, name):
    identity = json.loads(run.texts["identity"])
    identity[name] = "0" * 64
    texts = {"identity": json.dumps(identity)}
    run.write(path, sealed=False, texts=texts)
    assert "it is not as it was written" in run.refusal(path)
    run.write(path, sealed=True, texts=texts)
    assert f"another run: its {name} is 000000000000" in run.refusal(path, UsageError)


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "{", "", "[" * 100_000, "null", '{"a": 1}'])
@pytest.mark.parametrize("name", ["identity", "state"])
def test_texts_of_another_form_are_refused_whatever_their_seal(run, path, name, text):
    run.write(path, sealed=True, texts={name: text})
    with pytest.raises((DataError, UsageError)) as caught:
        restore(run.state, run.setting, CheckpointFile(path, resume=True), run.identity)
    assert ANEW in str(caught.value)

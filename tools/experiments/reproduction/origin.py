"""What an experiment was made of, by content: a name does not tell that a folder changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from reproduction.results import read, write
from reproduction.settings import Settings
from sod.pool import Pool
from wrg_onnx.errors import DataError, UsageError

OTHERS = "remove it, or name another --folder"
WORDS = {
    "training": "the images that train are",
    "judged": "the images that judge are",
    "weights": "the loaded weights are",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Hashes of what a seed's results come from.

    Attributes:
        training: Of the images and masks that train.
        judged: Of those that judge.
        weights: Of the file that the backbone was loaded from; empty for none.
    """

    training: str
    judged: str
    weights: str


def origin_of(settings: Settings, training: Pool, judged: Pool) -> Origin:
    """Hash what the pools hold, and the file with the weights.

    Raises:
        DataError: If that file cannot be read.
    """
    return Origin(training.fingerprint, judged.fingerprint, _hash(settings.weights))


def keep_origin(folder: Path, settings: Settings, seed: int, origin: Origin) -> None:
    """Write down what a seed is made of, or compare it with what was written down.

    What judges and the weights must be those of all seeds. Folders train all seeds on the same
    pairs too; made images differ from seed to seed.

    Args:
        folder: Where the results are.
        settings: The experiment.
        seed: Which of the trained nets.
        origin: What it would be made of now.

    Raises:
        UsageError: If the folder holds results of something else, or does not say of what.
        DataError: If a file in it is not what was written.
    """
    mine = folder / f"origin-{seed}.json"
    for path in sorted(folder.glob("origin-*.json")):
        found = read(path)
        for name, value in asdict(origin).items():
            is_shared = name != "training" or bool(settings.data) or path == mine
            if is_shared and found.get(name) != value:
                raise UsageError(
                    f"'{folder}' holds another experiment: {WORDS[name]} not those of "
                    f"'{path.name}' any more; {OTHERS}"
                )
    if mine.exists():
        return
    if (folder / f"seed{seed}" / "base.onnx").exists():
        raise UsageError(
            f"'{folder}' does not say what its seed {seed} was trained on: '{mine.name}' is not "
            f"there; {OTHERS}"
        )
    write(mine, json.dumps(asdict(origin), indent=1))


def _hash(path: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"'{path}': cannot be read: {error.strerror or error}") from error

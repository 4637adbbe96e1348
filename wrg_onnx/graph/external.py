"""Weights in files beside the model: only there, only ordinary files, and whole."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx

from wrg_onnx.errors import ModelError
from wrg_onnx.graph.mapped import MappedFile
from wrg_onnx.graph.wire import Payload

CHUNK_BYTES = 1 << 24

KEYS = ("location", "offset", "length", "checksum", "basepath")
"""What may be said of data outside; the last one is for programs, and says nothing in a file."""

PREPACKED = "prepacked"
"""How the further keys begin that ONNX Runtime writes."""

ADDRESS = "_MEM_ADDR_"
"""In a location it tells ONNX Runtime that the offset is an address in its memory."""


class ExternalData:
    """Finds the external data of one model; each file is opened once."""

    def __init__(self, folder: Path | None, model: str) -> None:
        """Look for data in a folder.

        Args:
            folder: The model's; None where it is in memory, and may have no data outside.
            model: What messages call it.
        """
        self._folder = folder
        self._model = model
        self._opened: dict[str, MappedFile] = {}
        self._sums: dict[str, str] = {}
        self._places: set[tuple[str, Payload]] = set()

    @property
    def files(self) -> tuple[MappedFile, ...]:
        """The files that were opened."""
        return tuple(self._opened.values())

    @property
    def length(self) -> int:
        """How many bytes the tensors have outside; what two of them share counts once."""
        return sum(payload.length for _, payload in self._places)

    def find(self, tensor: onnx.TensorProto) -> tuple[MappedFile, Payload]:
        """Open the file that a tensor is in.

        Returns:
            The file, and where the tensor is in it.

        Raises:
            ModelError: If the file is not there, lies outside of the model's folder, is shorter
                than the tensor needs, or is not the one that its checksum tells of.
        """
        entries = self._entries(tensor)
        location = entries.get("location", "")
        file = self._open(location, tensor.name)
        try:
            offset = int(entries.get("offset") or 0)
            length = int(entries.get("length") or file.size - offset)
        except ValueError:
            offset = length = -1
        if offset < 0 or length < 0 or offset + length > file.size:
            raise self._refusal(
                tensor.name,
                f"'{location}' has {file.size} bytes, and the tensor's are "
                f"{entries.get('length', '?')} from {entries.get('offset', 0)} on",
            )
        if entries.get("checksum"):
            self._check_sum(location, file, entries["checksum"])
        payload = Payload(offset, length)
        self._places.add((location, payload))
        return file, payload

    def _entries(self, tensor: onnx.TensorProto) -> dict[str, str]:
        """Return what a tensor says of its data by key, each of which it may say once."""
        entries: dict[str, str] = {}
        for entry in tensor.external_data:
            if entry.key not in KEYS and not entry.key.startswith(PREPACKED):
                raise self._refusal(tensor.name, f"'{entry.key[:60]}' says nothing of data outside")
            if entry.key in entries:
                raise self._refusal(tensor.name, f"its {entry.key} is there twice")
            entries[entry.key] = entry.value
        return entries

    def _open(self, location: str, tensor: str) -> MappedFile:
        if location in self._opened:
            return self._opened[location]
        if self._folder is None:
            raise ModelError(
                f"'{self._model}': the external data of '{tensor}' is not loaded: onnx.load(path) "
                "loads it, or give the path in place of the model"
            )
        if not _is_inside(location, self._folder):
            raise self._refusal(tensor, f"'{location}' is not a path inside the model's folder")
        if ADDRESS in location:
            raise self._refusal(tensor, f"'{location}' is an address in memory, and no file")
        try:
            found = MappedFile(self._folder / location)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise self._refusal(tensor, f"'{location}': {why}") from error
        # The path may have become a link in between, and a second name may be outside.
        if not _is_inside(location, self._folder) or not found.is_at(self._folder / location):
            raise self._refusal(tensor, f"'{location}' has changed while it was opened")
        if found.names > 1:
            raise self._refusal(
                tensor,
                f"'{location}' is a hard link: the same file has {found.names} names, and another "
                "may be outside of the model's folder; copy it",
            )
        self._opened[location] = found
        return found

    def _check_sum(self, location: str, file: MappedFile, wanted: str) -> None:
        """Compare the SHA-1 of a whole file; it is worked out once."""
        if location not in self._sums:
            found = hashlib.sha1(usedforsecurity=False)
            for start in range(0, file.size, CHUNK_BYTES):
                found.update(file.read(start, min(CHUNK_BYTES, file.size - start)).data)
            self._sums[location] = found.hexdigest()
        if self._sums[location] != wanted.lower():
            raise ModelError(
                f"'{self._model}': '{location}' is not the data file of this model: its SHA-1 is "
                f"{self._sums[location]}, not {wanted}"
            )

    def _refusal(self, tensor: str, why: str) -> ModelError:
        return ModelError(
            f"'{self._model}': its external data cannot be read ('{tensor}': {why}); put the data "
            "file beside the model"
        )


def _is_inside(location: str, folder: Path) -> bool:
    """Tell whether a path leads to something in a folder, links followed."""
    if not location or "\0" in location:
        return False
    # As either system reads it: a model that is safe here must be safe there.
    for path in (PurePosixPath(location), PureWindowsPath(location)):
        if path.is_absolute() or path.drive or ".." in path.parts:
            return False
    try:
        return (folder / location).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # too long, or links in a circle
        return False

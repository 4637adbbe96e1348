"""By what a model, or a text, is known again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import numpy as np

from wrg_onnx.graph.mapped import MappedFile
from wrg_onnx.graph.model import Attribute, Graph
from wrg_onnx.graph.records import Source
from wrg_onnx.graph.weights import BLOCK_BYTES, Entry, blocks


def fingerprint(graph: Graph) -> str:
    """Return a hash of all that decides what a graph computes.

    What it is fed and returns, operators with their versions, attributes and bodies, and constants
    count; the name of its file does not.
    """
    found = hashlib.sha256()
    for part in _of_graph(graph):
        found.update(part)
    return found.hexdigest()


def file_digests(*graphs: Graph) -> dict[str, str]:
    """Return the SHA-256 of each file that graphs were read from, by its path.

    Graphs that were in memory have none; one that was edited has those of what it came from.

    Raises:
        ModelError: If a file has changed since.
    """
    sources: list[Source] = [graph.source for graph in graphs]
    files = {str(file.path): file for source in sources for file in source.files}
    return {path: _digest_of_file(file) for path, file in files.items()}


def begin_digests(*graphs: Graph) -> Callable[[], dict[str, str]]:
    """Take ``file_digests`` beside what is done next: of large files it takes a second for a GiB.

    Returns:
        What waits for them, and raises what they raise.
    """
    sources: list[Source] = [graph.source for graph in graphs]
    found: Future[dict[str, str]] = Future()

    def work() -> None:
        try:
            found.set_result(file_digests(*graphs))
        except BaseException as error:  # noqa: BLE001 - it is raised where they are asked for
            found.set_exception(error)

    if sum(file.size for source in sources for file in source.files) <= BLOCK_BYTES:
        work()
    else:
        # A daemon: whoever is interrupted does not wait for it.
        threading.Thread(target=work, daemon=True).start()
    return found.result


def _digest_of_file(file: MappedFile) -> str:
    found, buffer = hashlib.sha256(), np.empty(min(BLOCK_BYTES, file.size), np.uint8)
    for start in range(0, file.size, BLOCK_BYTES):
        part = buffer[: file.size - start]
        file.read_into(start, part)
        found.update(part.data)
    return found.hexdigest()


def digest(*parts: object) -> str:
    """Return a hash of how objects are written, which must not tell where they lie in memory."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _of_graph(graph: Graph) -> Iterator[bytes | memoryview]:
    yield _written(graph.inputs, graph.outputs, sorted(graph.opsets.items()))
    for node in graph.nodes:
        yield _written(node.domain, node.op, node.version, node.inputs, node.outputs)
        for name in sorted(node.attributes):
            yield _written(name)
            yield from _of_attribute(node.attributes[name])
    for name in sorted(graph.constants):
        yield _written(name)
        yield from _of_array(graph.constants.entries[name])


def _of_attribute(value: Attribute) -> Iterator[bytes | memoryview]:
    if isinstance(value, Graph):
        yield from _of_graph(value)
    elif isinstance(value, np.ndarray):
        yield from _of_array(value)
    else:
        yield _written(value)


def _of_array(entry: Entry) -> Iterator[bytes | memoryview]:
    yield _written(entry.dtype, entry.shape)
    if isinstance(entry, np.ndarray) and (entry.dtype.hasobject or not entry.ndim):
        # The bytes of an array of texts are addresses.
        yield _written(entry.tolist()) if entry.dtype.hasobject else entry.tobytes()
        return
    for _, block in blocks(entry):
        yield np.ascontiguousarray(block).reshape(-1).view(np.uint8).data


def _written(*parts: object) -> bytes:
    return repr(parts).encode()

"""Where ONNX Runtime can compute: by name, with what is missing where it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wrg_onnx.choices import Provider
from wrg_onnx.errors import UsageError
from wrg_onnx.graph import runtime
from wrg_onnx.latency.timing import available_providers
from wrg_onnx.nearest import did_you_mean

SUFFIX = "ExecutionProvider"

WAYS: Mapping[str, str] = {
    "cuda": "pip install 'wrg-onnx[gpu]' (after removing onnxruntime)",
    "tensorrt": "pip install 'wrg-onnx[gpu]' (after removing onnxruntime), and TensorRT",
    "openvino": "pip install 'wrg-onnx[openvino]' (after removing onnxruntime)",
    "dml": "pip install onnxruntime-directml on Windows (after removing onnxruntime)",
    "coreml": "pip install 'wrg-onnx[cpu]' on macOS",
}
"""What brings a provider; packages of ONNX Runtime must not be installed together."""

OWN_THREADS: Mapping[str, str] = {"openvino": "num_of_threads"}
"""The option that says how many threads a provider has that brings its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where ONNX Runtime computes.

    Attributes:
        name: What reports call it, such as ``cpu`` or ``openvino``.
        runtime_name: What ONNX Runtime calls it, such as ``CPUExecutionProvider``.
    """

    name: str
    runtime_name: str

    def options(self, threads: int) -> dict[str, str]:
        """Return the options with which a provider takes so many threads."""
        return {OWN_THREADS[self.name]: str(threads)} if self.name in OWN_THREADS else {}


def find_places(provider: str) -> tuple[Place, ...]:
    """Return where to measure: the provider asked for, or for ``auto`` the CPU, and CUDA if there.

    Args:
        provider: ``auto``, or a provider of this ONNX Runtime as it calls it, or without
            ``ExecutionProvider``, in large or small letters.

    Raises:
        UsageError: If this ONNX Runtime does not have it; it says what is there and what to do.
        MissingPackageError: If ONNX Runtime is not installed.
    """
    there = {_short(name): Place(_short(name), name) for name in _available()}
    wanted = _short(provider)
    if wanted == Provider.AUTO.value:
        return tuple(there[found.value] for found in available_providers(Provider.AUTO))
    if wanted not in there:
        way = f"; {WAYS[wanted]} brings it" if wanted in WAYS else did_you_mean(wanted, there)
        raise UsageError(
            f"provider {provider}: this ONNX Runtime does not have it, but {', '.join(there)}{way}"
        )
    return (there[wanted],)


def _short(name: str) -> str:
    folded = name.casefold()
    return folded.removesuffix(SUFFIX.casefold()) or folded


def _available() -> Sequence[str]:
    names: list[str] = runtime().get_available_providers()
    return names

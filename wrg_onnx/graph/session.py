"""ONNX Runtime sessions that read the weights from our memory, without a copy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wrg_onnx.choices import Provider
from wrg_onnx.errors import DataError, MissingPackageError, ModelError, UsageError, one_line
from wrg_onnx.graph.mapped import Stored
from wrg_onnx.graph.message import declare_external, declare_inputs, without_weights
from wrg_onnx.graph.model import Array, Graph
from wrg_onnx.graph.returned import lay_out
from wrg_onnx.graph.run_limits import (
    SECONDS_VARIABLE,
    EndlessRunError,
    RunLimits,
    Watch,
    limits_of,
    watched,
)
from wrg_onnx.graph.weights import Entry, aligned
from wrg_onnx.graph.widen import widen_arrays, widen_entry, widen_message

if TYPE_CHECKING:
    import onnx
    import onnxruntime
    from onnxruntime import OrtValue


RANDOM_SEED = 0
"""Every session draws the same random numbers, so that a run of a command can be repeated."""

NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""What ``import wrg_onnx`` sets, unless the user has: ONNX Runtime looks as it is imported."""

OBEYED = frozenset({"1", "true", "yes", "on", "y"})
"""The values for which ONNX Runtime tells nothing."""


def runtime() -> Any:
    """Import ONNX Runtime.

    Raises:
        MissingPackageError: If neither of its packages is installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            "onnxruntime", purpose="running a model", extra="cpu", otherwise="'wrg-onnx[gpu]'"
        ) from error
    onnxruntime.set_default_logger_severity(4)
    if os.environ.get(NO_TELEMETRY, "").strip().lower() in OBEYED:
        # For who imported it before this package, and for builds that do not know the variable.
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def resolve_provider(provider: Provider) -> Provider:
    """Turn ``auto`` into CUDA where ONNX Runtime computes there, into CPU elsewhere.

    Raises:
        UsageError: If CUDA is asked for, and this ONNX Runtime does not have it or cannot start it.
    """
    has_cuda = "CUDAExecutionProvider" in runtime().get_available_providers()
    if has_cuda and provider is not Provider.CPU and not _cuda_starts():
        if provider is Provider.CUDA:
            raise UsageError(
                "provider cuda: this ONNX Runtime has CUDA, but it does not start: the driver or "
                "a CUDA library is missing or of another version; use --provider cpu"
            )
        return Provider.CPU
    if provider is Provider.CUDA and not has_cuda:
        raise UsageError(
            "provider cuda: this ONNX Runtime has no CUDA; pip install 'wrg-onnx[gpu]' "
            "(after removing onnxruntime), or use --provider cpu"
        )
    if provider is Provider.AUTO:
        return Provider.CUDA if has_cuda else Provider.CPU
    return provider


@cache
def _cuda_starts() -> bool:
    """Try it: ONNX Runtime that cannot load CUDA raises, or quietly computes on the CPU."""
    import onnx

    body = '<ir_version: 8, opset_import: ["": 13]> g (float[1] x) => (float[1] y) { y = Neg(x) }'
    options = runtime().SessionOptions()
    options.log_severity_level = 4
    try:
        engine = runtime().InferenceSession(
            onnx.parser.parse_model(body).SerializeToString(),
            options,
            providers=["CUDAExecutionProvider", "CPUExecutionProvider"],
            enable_fallback=False,  # it would print on stdout, and go on with the CPU
        )
    except Exception as error:
        if not _is_runtime_error(error):
            raise
        return False
    return "CUDAExecutionProvider" in engine.get_providers()


def _providers(provider: Provider, *, tf32: bool) -> list[str | tuple[str, dict[str, str]]]:
    if resolve_provider(provider) is Provider.CUDA:
        return [("CUDAExecutionProvider", {"use_tf32": str(int(tf32))}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """A model ready to run.

    Attributes:
        outputs: The names of what ``run`` returns.
        engine: The ONNX Runtime session.
        weights: Weights that are fed like inputs, because then no copy is made of them.
        label: What messages call the model.
        held: Weights that ONNX Runtime reads where they are: they live as long as the session.
        widened: Whether it computes in float32 what the model does in bfloat16.
        limits: What a run may take; None where nothing in it goes round.
    """

    outputs: tuple[str, ...]
    engine: onnxruntime.InferenceSession
    weights: Mapping[str, Array]
    label: str
    held: Sequence[object] = ()
    widened: bool = False
    limits: RunLimits | None = None

    @property
    def is_on_cpu(self) -> bool:
        """Whether ONNX Runtime computes on the CPU alone."""
        return "CUDAExecutionProvider" not in self.engine.get_providers()

    def run(
        self,
        feeds: Mapping[str, Array],
        names: Sequence[str] | None = None,
        *,
        seconds: float | None = None,
    ) -> dict[str, Array]:
        """Run once.

        Args:
            feeds: The inputs by name.
            names: Which of the outputs to return; None for all.
            seconds: After how long the run is given up, at the end of a node; None for never.

        Returns:
            The outputs by name; sequences and maps in arrays, as ``lay_out`` does.

        Raises:
            DataError: If ONNX Runtime refuses the feeds, fails on them, or takes longer than
                ``seconds``.
            EndlessRunError: If it takes more than ``limits``.
        """
        wanted = self.outputs if names is None else tuple(names)
        with self._run(feeds, seconds) as options:
            values = self.engine.run(list(wanted), self._fed(feeds), options)
        return lay_out(wanted, values)

    def lend(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, OrtValue]:
        """Run once, and leave the outputs where they were computed.

        Args:
            feeds: The inputs by name.
            names: Which of the outputs to return.

        Returns:
            The outputs by name, on the provider's device; other libraries read them by DLPack.

        Raises:
            DataError: If ONNX Runtime refuses the feeds, or fails on them.
            EndlessRunError: If it takes more than ``limits``.
        """
        device = "cpu" if self.is_on_cpu else "cuda"
        binding = self.engine.io_binding()
        # The run reads their memory, so copies must live as long. A scalar stays one.
        lent = {name: np.asarray(a, order="C") for name, a in self._fed(feeds).items()}
        with self._run(feeds, None) as options:
            for name, array in lent.items():
                binding.bind_cpu_input(name, array)
            for name in names:
                binding.bind_output(name, device)
            self.engine.run_with_iobinding(binding, options)
            binding.synchronize_outputs()
        return dict(zip(names, binding.get_outputs(), strict=True))

    def _fed(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        own = widen_arrays(feeds) if self.widened else feeds
        return {**own, **self.weights}

    @contextmanager
    def _run(
        self, feeds: Mapping[str, Array], seconds: float | None
    ) -> Iterator[onnxruntime.RunOptions | None]:
        """Give the options of a run that ends in time, and name what it fails on."""
        most = self.limits
        if seconds is not None:
            most = RunLimits(seconds) if most is None else most.within(seconds)
        options = None if most is None else runtime().RunOptions()
        fed = sum(array.nbytes for array in feeds.values())
        watch = Watch()
        try:
            with nullcontext() if most is None else watched(watch, options, most, fed):
                yield options
        except Exception as error:
            if not _is_runtime_error(error):
                raise
            if watch.ended and most is not None and most.loop:
                raise EndlessRunError(
                    f"'{self.label}': a run takes more than {watch.ended}, and its {most.loop} may "
                    f"go round for ever; {SECONDS_VARIABLE}=60 gives it a minute"
                ) from error
            shapes = ", ".join(f"{k} {list(v.shape)}" for k, v in feeds.items())
            raise DataError(
                f"'{self.label}': ONNX Runtime fails on the inputs {shapes}: {one_line(error)}"
            ) from error


def open_session(
    graph: Graph,
    *,
    outputs: Sequence[str] | None = None,
    provider: Provider = Provider.CPU,
    exact: bool = False,
    one_thread: bool = False,
    tf32: bool = True,
) -> Session:
    """Make a session from a graph in memory.

    Args:
        graph: The model.
        outputs: The tensors to return, intermediate ones included; None for the model's outputs.
        provider: Where to compute.
        exact: Whether to run the graph as it is written, with the weights where they are. Otherwise
            ONNX Runtime optimises it, which changes results by rounding and costs a second copy of
            the weights.
        one_thread: Whether a run takes one thread, so that its last digits do not depend on how
            many cores there are; ``run_side_by_side`` uses the others.
        tf32: Whether CUDA may round operands of float32 to 10 bits, as ONNX Runtime does by
            default. Ranks would be those of the rounding.

    Returns:
        The session.

    Raises:
        ModelError: If ONNX Runtime refuses the model.
        MissingPackageError: If ONNX Runtime is not installed.
    """
    own = [value.name for value in graph.outputs]
    wanted = own if outputs is None else list(outputs)
    extra = [name for name in wanted if name not in own]
    model, absent = without_weights(graph, outputs=extra, for_session=True)
    weights = {name: graph.constants.entries[name] for name in absent}
    return start_session(
        model,
        weights,
        tuple(wanted),
        graph.name,
        provider=provider,
        exact=exact,
        one_thread=one_thread,
        tf32=tf32,
        widened=graph.widened,
    )


def start_session(  # noqa: PLR0913 - the message in parts, and each option of a session
    model: onnx.ModelProto,
    weights: Mapping[str, Entry],
    outputs: tuple[str, ...],
    label: str,
    *,
    provider: Provider = Provider.CPU,
    exact: bool = False,
    tf32: bool = True,
    spin: bool = True,
    one_thread: bool = False,
    widened: bool = False,
    profile: Path | None = None,
) -> Session:
    """Make a session from a message; ``model`` is changed.

    Args:
        model: The message without its large weights.
        weights: Those weights by name.
        outputs: What ``run`` returns.
        label: What messages call the model.
        provider: Where to compute.
        exact: As for ``open_session``.
        tf32: As for ``open_session``.
        spin: Whether threads turn in circles while they wait for their share of an operator: a
            little sooner there, and a waste where operators are small.
        one_thread: As for ``open_session``.
        widened: Whether to compute in float32 what the message does in bfloat16.
        profile: How the name of the file begins that ONNX Runtime writes the time of each kernel
            to, once the session is told to end that; None for no such file.

    Returns:
        The session.

    Raises:
        ModelError: If ONNX Runtime refuses the model.
        MissingPackageError: If ONNX Runtime is not installed.
    """
    ort = runtime()
    if widened:
        widen_message(model.graph)
        weights = {name: widen_entry(entry) for name, entry in weights.items()}
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # Threads of one session would otherwise go on spinning while another is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    if one_thread:
        options.intra_op_num_threads = 1
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    fed: dict[str, Array] = {}
    held: Sequence[object] = ()
    if exact:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.enable_cpu_mem_arena = False
        # In the order of the file. By default nodes that nobody reads, such as those that return
        # parts of tensors, come last, and all that they read is kept until then.
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
        fed = {name: aligned(entry) for name, entry in weights.items()}
        declare_inputs(model, fed)
    elif weights:
        held = _declare_weights(model, weights, options)
    # Operators that draw random numbers would otherwise be seeded by the time.
    ort.set_seed(RANDOM_SEED)
    try:
        engine = ort.InferenceSession(
            model.SerializeToString(),
            options,
            providers=_providers(provider, tf32=tf32),
            enable_fallback=False,  # it would print on stdout, and compute elsewhere than asked
        )
    except Exception as error:
        if not _is_runtime_error(error):
            raise
        raise ModelError(f"'{label}': ONNX Runtime refuses it: {one_line(error)}") from error
    limits = limits_of(model.graph, weights)
    return Session(outputs, engine, fed, label, held, widened, limits)


def _declare_weights(
    model: onnx.ModelProto, weights: Mapping[str, Entry], options: onnxruntime.SessionOptions
) -> list[object]:
    """Let ONNX Runtime read weights where they are: in their file, or else in our memory.

    Returns:
        What it reads of our memory, without a claim of its own to it.
    """
    folder: Path | None = None
    held: dict[str, Array] = {}
    for name, entry in weights.items():
        place = entry.place() if isinstance(entry, Stored) else None
        if place is not None and folder in (None, place.path.parent):
            folder = place.path.parent
            declare_external(model, name, entry, place)
        else:
            held[name] = aligned(entry)
            declare_external(model, name, entry)
    if folder is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder)
        )
    values = [runtime().OrtValue.ortvalue_from_numpy(array) for array in held.values()]
    options.add_external_initializers(list(held), values)
    return [*held.values(), *values]


def _is_runtime_error(error: Exception) -> bool:
    """Tell ONNX Runtime's own exceptions, which share no public base class, from ours."""
    return type(error).__module__.startswith("onnxruntime") or isinstance(
        error, (RuntimeError, ValueError)
    )

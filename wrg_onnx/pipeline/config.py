"""The options of a run, typed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wrg_onnx.channels import Limits
from wrg_onnx.choices import BudgetKind, Precision, Recovery
from wrg_onnx.data.address import DataAddress
from wrg_onnx.data.preprocess import Layout, Order, Size
from wrg_onnx.data.workers import Alone, Workers
from wrg_onnx.errors import UsageError
from wrg_onnx.evaluate.metrics import find_metric
from wrg_onnx.finetune import FinetuneOptions
from wrg_onnx.graph import Provider, Shape
from wrg_onnx.latency import Timing
from wrg_onnx.latency.fresh import PROCESSES
from wrg_onnx.select import Criterion, Scope

__all__ = [
    "BenchConfig",
    "BudgetKind",
    "DataOptions",
    "FinetuneConfig",
    "MaxDrop",
    "Precision",
    "PruneConfig",
    "Recovery",
    "ValidateConfig",
    "check_floor",
    "check_seed",
]


def check_floor(floor: float) -> None:
    """Refuse a floor outside (0, 1].

    Raises:
        UsageError: If it is outside.
    """
    if not 0 < floor <= 1:
        raise UsageError(f"floor must be in (0, 1], got {floor:g}")


def check_seed(seed: int) -> None:
    """Refuse a negative seed.

    Raises:
        UsageError: If it is negative.
    """
    if seed < 0:
        raise UsageError(f"seed must be at least 0, got {seed}")


@dataclass(frozen=True, slots=True)
class DataOptions:
    """Where samples come from, and how images are fed.

    Attributes:
        path: A folder with ``images/`` and maybe ``masks/``, or with ``.npz`` files; or the samples
            of a source that others bring. None for the built-in generator, or for seeded random
            tensors where the model takes no image.
        samples: How many samples statistics are taken from, at most.
        size: Height and width of every image input that leaves them open.
        scale: Multiplies the pixel, which is in [0, 255].
        mean: Subtracted per channel after scaling.
        std: Divided by, last.
        order: Order of the colour channels.
        layout: Where the channels are.
        shapes: Shapes of inputs that leave sizes open, by name.
        values: What inputs are filled with where they would be random, by name.
    """

    path: Path | DataAddress | None = None
    samples: int = 32
    size: Size | None = None
    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    order: Order | None = None
    layout: Layout | None = None
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UsageError(f"samples must be at least 1, got {self.samples}")


AUTO_ALIGN = "auto"
"""Lets the machine say in which numbers of channels layers are kept."""

ENOUGH = 0.98
"""At which overlap with the choice from endless samples a choice is certain, unless told else."""


@dataclass(frozen=True, slots=True)
class MaxDrop:
    """How much worse the model may get; the largest ratio at which it does not is searched for.

    Attributes:
        most: The largest drop of the metric, in [0, 1).
        metric: Its title or name; None for max F with masks, and the relative error without.
    """

    most: float
    metric: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.most < 1:
            raise UsageError(f"max-drop must be in [0, 1), got {self.most:g}")
        if self.metric is not None:
            find_metric(self.metric)


@dataclass(frozen=True, slots=True)
class PruneConfig:
    """What to prune, and how.

    Attributes:
        ratio: Share of the budget to remove, in [0, 1).
        budget: The quantity.
        criterion: The formula of the scores.
        scope: Global or uniform.
        floor: Share of each layer width that stays at least, in (0, 1].
        limits: What to leave alone.
        data: Where samples come from.
        provider: Where ONNX Runtime computes.
        evaluate: Whether accuracy and latency are measured; None does so if the criterion looks at
            data anyway, so that a run on weights alone stays one.
        timing: How long latency is measured.
        strict: Whether an operator without a rule is an error, and a layer that the proof says
            nothing of.
        seed: Seed of everything random.
        recover: How surviving weights make up for the removed ones; None is ridge, where there are
            samples that tell something: a data set, or generated images that are needed anyway.
        rounds: In how many steps the ratio is reached; each is measured, cut and recovered.
        epochs: Passes over the samples where ``recover`` is fine-tuning; None takes its default.
        sparsify: Passes over the samples before the cut, in which what is going to die fades while
            the rest learns to do without; 0 for none. It needs a data set.
        certainty: Calibration ends before the last sample once the expected overlap of the choice
            with that of endless samples reaches this, in (0, 1]; 1 measures every factor on all.
            What remains after repair is asked of all samples; that overlap is then taken if this is
            given, which makes the choice three times. None is ``ENOUGH``, and asks for no more.
        at_objects: Which share of the places where layers are looked at lies on the object, as the
            model's own saliency map sees it, in [0, 1]; of other models they are drawn evenly.
        cache: A folder where what was measured is kept, for other runs and for one that was
            stopped; None for none.
        workers: The processes that share the calibration.
        amp: Whether gradients for the criterion are computed in bfloat16.
        limit: How much of the budget may be left, at most, in its own unit; ``ratio`` is then what
            follows from it. None for no limit.
        external_data: Whether the weights go to a file beside the output.
        align: The number of channels that layers are kept in multiples of, or ``AUTO_ALIGN`` for
            what this machine's kernels like; None does so where the budget is latency.
        precision: In which numbers the result is written, once it is pruned and recovered; None for
            those of the original.
        max_drop: How much worse the model may get; ``ratio`` is then what was tried last. None
            cuts by ``ratio``.
    """

    ratio: float = 0.0
    budget: BudgetKind = BudgetKind.PARAMS
    criterion: Criterion = Criterion.REPAIR
    scope: Scope = Scope.GLOBAL
    floor: float = 0.1
    limits: Limits = field(default_factory=Limits)
    data: DataOptions = field(default_factory=DataOptions)
    provider: Provider = Provider.AUTO
    evaluate: bool | None = None
    timing: Timing = field(default_factory=Timing)
    strict: bool = False
    seed: int = 0
    recover: Recovery | None = None
    rounds: int = 1
    epochs: int | None = None
    sparsify: int = 0
    certainty: float | None = None
    at_objects: float = 0.5
    cache: Path | None = None
    workers: Workers = field(default_factory=Alone)
    amp: bool = False
    limit: float | None = None
    external_data: bool = False
    align: int | str | None = None
    precision: Precision | None = None
    max_drop: MaxDrop | None = None

    @property
    def enough(self) -> float:
        """The overlap at which calibration ends, in (0, 1]."""
        return ENOUGH if self.certainty is None else self.certainty

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise UsageError(f"ratio must be in [0, 1), got {self.ratio:g}")
        check_floor(self.floor)
        check_seed(self.seed)
        self._check_budget()
        if self.rounds < 1:
            raise UsageError(f"rounds must be at least 1, got {self.rounds}")
        if self.certainty is not None and not 0 < self.certainty <= 1:
            raise UsageError(f"certainty must be in (0, 1], got {self.certainty:g}")
        if not 0 <= self.at_objects <= 1:
            raise UsageError(f"at-objects must be in [0, 1], got {self.at_objects:g}")
        if self.workers.count > 1 and self.criterion.repairs and not self.criterion.factors:
            raise UsageError(
                f"criterion '{self.criterion.name}' takes no statistics that processes could "
                "share: start one, or choose another, such as sel"
            )
        if self.rounds > 1 and self.workers.count > 1:
            raise UsageError("several processes share one calibration: start one for more rounds")
        if self.epochs is not None and self.recover is not Recovery.FINETUNE:
            raise UsageError("epochs is for recover 'finetune' (--epochs, --recover)")
        self._check_sparsify()
        self._check_max_drop()
        if self.amp and not self.criterion.needs_gradient:
            raise UsageError(
                f"amp is for gradients, and criterion '{self.criterion.name}' takes none: leave it "
                "out, or choose a criterion with a gradient, such as sel"
            )

    def _check_budget(self) -> None:
        if self.limit is not None and not self.limit > 0:
            raise UsageError(f"a limit must be above 0, got {self.limit:g}")
        is_number = type(self.align) is int and self.align >= 1
        if self.align not in (None, AUTO_ALIGN) and not is_number:
            raise UsageError(f"align must be auto or a number of channels, got '{self.align}'")

    def _check_sparsify(self) -> None:
        if self.sparsify < 0:
            raise UsageError(f"sparsify must be at least 0 epochs, got {self.sparsify}")
        if not self.sparsify:
            return
        if self.data.path is None:
            raise UsageError("sparsify trains the model on your images: give data (--data)")
        if self.rounds > 1:
            raise UsageError("sparsify goes before a single cut: leave rounds at 1")
        if self.workers.count > 1:
            raise UsageError("several processes share one calibration: start one to sparsify")

    def _check_max_drop(self) -> None:
        if self.max_drop is None:
            return
        if self.evaluate is False:
            raise UsageError("max-drop judges the model: leave --no-evaluate out (evaluate=False)")
        if self.sparsify:
            raise UsageError("max-drop tries many cuts, and sparsify trains before a single one")
        if self.workers.count > 1:
            raise UsageError("max-drop tries many cuts, and several processes share one: start one")

    @property
    def needs_samples(self) -> bool:
        """Whether any stage looks at samples."""
        return self.prunes_by_samples or self.precision is not None

    @property
    def prunes_by_samples(self) -> bool:
        """Whether a stage looks at samples without which the pruned model would be another.

        Or what is said of it. What only writes it in other numbers does not count.
        """
        given = self.data.path is not None and (self.recover is None or self.sparsify > 0)
        return self.criterion.needs_data or self.judges or self.recovers or given

    @property
    def recovers(self) -> bool:
        """Whether a recovery is asked for."""
        return self.recover not in (None, Recovery.NONE)

    @property
    def judges(self) -> bool:
        """Whether accuracy and latency are measured."""
        if self.max_drop is not None:
            return True
        return self.criterion.needs_data if self.evaluate is None else self.evaluate


@dataclass(frozen=True, slots=True)
class ValidateConfig:
    """On what two models are held against each other, and where.

    Attributes:
        data: Where samples come from.
        provider: Where ONNX Runtime computes.
        timing: How long latency is measured.
        seed: Seed of everything random; it divides the samples as the same one does in pruning.
        strict: Whether an output that tells nothing is a problem.
    """

    data: DataOptions = field(default_factory=DataOptions)
    provider: Provider = Provider.AUTO
    timing: Timing = field(default_factory=Timing)
    seed: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """How models are timed.

    Attributes:
        provider: Where: ``auto``, or a provider of ONNX Runtime by its name.
        threads: How many ONNX Runtime has in a process; None for one a core.
        batches: How many samples a run has, one after the other; None for what the inputs say.
        timing: How long, for each of them.
        processes: How many processes of each model, one after the other.
        profile: Whether to look into the models, layer by layer.
        seed: Seed of the inputs and of every order.
    """

    provider: str = Provider.AUTO.value
    threads: int | None = None
    batches: tuple[int, ...] | None = None
    timing: Timing = field(default_factory=lambda: Timing(warmup=5, rounds=50, budget_s=60.0))
    processes: int = PROCESSES
    profile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.processes < 1:
            raise UsageError(f"processes must be at least 1, got {self.processes}")
        if self.batches is not None and not all(batch > 0 for batch in self.batches):
            raise UsageError(f"batch must be at least 1, got {min(self.batches)}")
        if self.batches is not None and not self.batches:
            raise UsageError("batch must name at least one")


@dataclass(frozen=True, slots=True)
class FinetuneConfig:
    """How to fine-tune, on what, and how to judge.

    Attributes:
        options: How to train; its seed divides the samples, too.
        data: Where samples come from; ``samples`` bounds those for training.
        provider: Where ONNX Runtime judges.
        evaluate: Whether accuracy is measured before and after.
    """

    options: FinetuneOptions = field(default_factory=FinetuneOptions)
    data: DataOptions = field(default_factory=DataOptions)
    provider: Provider = Provider.AUTO
    evaluate: bool = True

"""What a run found out, as plain records: the terminal and JSON show the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.evaluate.polygraphy import Exported
from wrg_onnx.finetune import Between, EpochResult
from wrg_onnx.latency import Latency, Noise, Ratio, Speed
from wrg_onnx.latency.profile import SideBySide
from wrg_onnx.recover import LayerFit
from wrg_onnx.report.budget import BudgetReport
from wrg_onnx.report.details import Details
from wrg_onnx.report.origin import Origin
from wrg_onnx.report.search import SearchReport
from wrg_onnx.report.unfinished import Unfinished
from wrg_onnx.rewrite import Equivalence


@dataclass(frozen=True, slots=True)
class FrozenReport:
    """Units that stay for one decision: of a node, or of several that do the same with them.

    Attributes:
        reason: The node that decided it and what it does, and how many more do so.
        units: How many units; one that several decisions hold counts for the first.
        parameters: Parameters in the slices of these units; one weight has slices on several axes,
            so the reasons' numbers overlap.
        share: ``parameters`` over the model's.
        node: The first node, as ``Op 'name'``, or the input, output or weight that decided it.
        kind: What kind of decision it is, such as ``operator``, ``normalised`` or ``no-rule``.
        nodes: How many nodes do it.
        met: Where it reaches the units: a node, and which axis of which tensor these meet there.
            Empty where the node itself holds them.
        largest_ratio: The largest ratio if nothing held these units for this reason: an estimate,
            for the decisions that hold most; None for the others and for the model's interface.
        way_out: What lifts it; empty if nothing does.
    """

    reason: str
    units: int
    parameters: int
    share: float
    node: str = ""
    kind: str = "operator"
    nodes: int = 1
    met: str = ""
    largest_ratio: float | None = None
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class GroupReport:
    """One layer width.

    Attributes:
        name: The first weight that makes it, or else the first constant whose axis it is.
        units: Its units before.
        kept: Its units after.
        removable: How many of its units may go.
        parameters: What one of its units holds in the original.
        members: How many axes of constants it spans.
    """

    name: str
    units: int
    kept: int
    removable: int
    parameters: int
    members: int


@dataclass(frozen=True, slots=True)
class InspectReport:
    """What can be cut.

    Attributes:
        model: The file.
        cost: What the model costs.
        groups: The layer widths that may shrink.
        frozen: What stays and why, largest share first.
        frozen_share: Share of the parameters that no selection removes.
        largest_ratio: The largest ratio that can be asked for.
        choices: How ambiguous reshapes were read, by node.
        sizes: The concrete shape of each input in the analysis.
        nothing: Why nothing can be cut; None where something can.
        config: Every option of the run by its name in Python, defaults included, as it was given.
        origin: What made this report.
    """

    model: str
    cost: Cost
    groups: tuple[GroupReport, ...]
    frozen: tuple[FrozenReport, ...]
    frozen_share: float
    largest_ratio: float
    choices: Mapping[str, str]
    sizes: Mapping[str, tuple[int, ...]]
    nothing: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """How surviving weights make up for the removed ones.

    Attributes:
        method: ``bias``, ``ridge`` or ``finetune``, which starts from ridge.
        samples: On how many samples.
        rounds: How often the model was cut and recovered; the rest is of the last time.
        fits: What became of each layer that was solved for, in order.
        left: How many layers kept their weights, by reason.
        added: How many parameters the biases have that layers got.
        history: The epochs of fine-tuning, the first being the model before it; empty without.
        best_epoch: The epoch whose weights were taken, or lie ahead of those; 0 for ridge's.
        between: The weights from ridge's to those of the best epoch that were judged in the end.
        chosen: Those of them that were taken; None without fine-tuning.
        walked: On how many samples layers were solved for in order; 0 where they were not.
    """

    method: str
    samples: int
    rounds: int
    fits: tuple[LayerFit, ...]
    left: Mapping[str, int]
    added: int = 0
    history: tuple[EpochResult, ...] = ()
    best_epoch: int = 0
    between: tuple[Between, ...] = ()
    chosen: Between | None = None
    walked: int = 0


@dataclass(frozen=True, slots=True)
class SparsifyReport:
    """How the original was trained towards the cut, before it.

    Attributes:
        epochs: Passes over the training samples.
        units: How many units were let fade.
        left: The norm of their weights after, over that before.
        loss_before: The held-out loss of the original.
        loss_after: That of what was cut then.
        max_f_before: The largest F-measure of the original on the held-out samples; None where
            there is no mask or no saliency map.
        max_f_after: That of what was cut then.
    """

    epochs: int
    units: int
    left: float
    loss_before: float
    loss_after: float
    max_f_before: float | None = None
    max_f_after: float | None = None


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """In which numbers the pruned model was written.

    Attributes:
        precision: ``float16`` or ``int8``.
        samples: On how many samples int8's ranges were measured; 0 for float16.
        float32_bytes: What a file of the pruned model takes in float32.
        left: How many nodes compute in float32 still, by operator.
    """

    precision: str
    samples: int
    float32_bytes: int
    left: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What a pruning did.

    Attributes:
        model: The original file.
        output: The file that was written; None in a dry run.
        criterion: The formula of the scores.
        budget: The quantity that was reduced.
        scope: What competed with what.
        ratio: The share that was asked for.
        reached: The share that was removed.
        calibration: What the statistics could be taken from.
        images: From how many samples of it they were taken.
        images_of: From how many each factor of the criterion was, by its name: one that hardly
            differs between samples stops before the others.
        certainty: The expected overlap of the removed units with those that endless samples would
            have removed: a Jaccard index in [0, 1]; None without samples.
        units: Units of the original that may go.
        removed: How many units went.
        equivalence: The proof of the surgery.
        before: What the original costs.
        after: What the pruned model costs.
        recovery: How surviving weights were changed; None if they were not.
        accuracy: How good both are; None if that was not measured.
        speed: How fast both are, by provider.
        groups: The layer widths that may shrink, before and after.
        notes: What a user should know about this run.
        seconds: Time by stage.
        cpu_seconds: CPU time by stage, of all threads of this process.
        sparsified: How the original was trained before the cut; None if it was not.
        unfinished: The stages that an error ended after the cut was proven; the model is the last
            one that is proven.
        target: How much of the budget's quantity there was, was allowed, and is left.
        conversion: In which numbers the model was written; None if in those of the original.
        search: How the ratio was found; None if it was asked for.
        config: Every option of the run by its name in Python, defaults included, as it was given.
        origin: What made this report.
        sha256: That of each file of the model, by its path.
        details: What a page shows beyond this; None unless it was asked for.
        changes: How each metric changed on the images that were judged, or the outputs' relative
            error without masks, and how certain that is; empty if nothing was judged.
        page: The HTML page that was written; None if none was.
    """

    model: str
    output: str | None
    criterion: str
    budget: str
    scope: str
    ratio: float
    reached: float
    calibration: str
    images: int
    certainty: float | None
    units: int
    removed: int
    equivalence: Equivalence
    before: Cost
    after: Cost
    recovery: RecoveryReport | None
    accuracy: Accuracy | None
    speed: tuple[Speed, ...]
    groups: tuple[GroupReport, ...]
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    images_of: Mapping[str, int] = field(default_factory=dict)
    sparsified: SparsifyReport | None = None
    unfinished: tuple[Unfinished, ...] = ()
    target: BudgetReport | None = None
    conversion: ConversionReport | None = None
    search: SearchReport | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    details: Details | None = None
    changes: tuple[Change, ...] = ()
    page: str | None = None


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Latency side by side, in one place at one batch.

    Attributes:
        provider: Where ONNX Runtime computed.
        latency: By file.
        input_shapes: The shape of each input that was fed.
        batch: How many samples a run had.
        threads: How many threads ONNX Runtime had in each process.
        runtime: Its version.
        processes: In how many processes each model ran, one after the other.
        throughput: Samples a second at the median, by file.
        peak_bytes: By file, the most memory that a process held beyond what it held before it read
            the model (Python, ONNX Runtime, the inputs): resident memory of the host, median of the
            processes; None where the system does not tell.
        processes_ms: By file, the median of each of its processes.
        speedup: How many times as fast as the first file each other one is, by file.
        noise: How much times of a file differ among themselves, by file.
        profile: By file, its layers beside those of the first one; of a single file those alone.
            Empty without a profile.
        notes: What a user should know.
    """

    provider: str
    latency: Mapping[str, Latency]
    input_shapes: Mapping[str, tuple[int, ...]]
    batch: int
    threads: int
    runtime: str
    processes: int
    throughput: Mapping[str, float]
    peak_bytes: Mapping[str, int | None]
    processes_ms: Mapping[str, tuple[float, ...]]
    speedup: Mapping[str, Ratio] = field(default_factory=dict)
    noise: Mapping[str, Noise] = field(default_factory=dict)
    profile: Mapping[str, SideBySide] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ValidateReport:
    """A pruned model against its original.

    Attributes:
        original: The original file.
        pruned: The pruned file.
        problems: What is wrong with the structure; empty if it is right.
        before: What the original costs.
        after: What the pruned model costs.
        accuracy: How good both are; None if the structure is wrong.
        speed: How fast both are, by provider.
        notes: What a user should know.
        exported: What was written for Polygraphy; None if nothing was.
        narrowed: Why operators and weights were not compared: the pruned model is quantised or in
            half precision, and the original is not. Empty if they were.
        config: Every option of the run by its name in Python, defaults included, as it was given.
        origin: What made this report.
        sha256: That of each file of the models, by its path.
        page: The HTML page that was written; None if none was.
        changes: How each metric changed on the images that were judged, or the outputs' relative
            error without masks, and how certain that is; empty if nothing was judged.
    """

    original: str
    pruned: str
    problems: tuple[str, ...]
    before: Cost
    after: Cost
    accuracy: Accuracy | None
    speed: tuple[Speed, ...]
    notes: tuple[str, ...] = ()
    exported: Exported | None = None
    narrowed: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    page: str | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class BenchReports:
    """Latency side by side, on each provider and at each batch that was measured.

    Attributes:
        providers: One for each of both.
        config: Every option of the run by its name in Python, defaults included, as it was given.
        origin: What made this report.
        sha256: That of each file of the models, by its path.
    """

    providers: tuple[BenchReport, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        factory: Where the module came from.
        output: The file; None if none was kept.
        parameters: Numbers in the module's parameters.
        error: The largest difference from torch, relative to the output's largest value.
        opset: The version of ai.onnx in the file.
        file_bytes: Size of the file.
        seconds: How long it took.
        weights: Which part of the file of weights was taken; None for all of it, or no file.
        notes: What a user should know, such as what torch warned of.
    """

    factory: str
    output: str | None
    parameters: int
    error: float
    opset: int
    file_bytes: int
    seconds: float
    weights: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FinetuneReport:
    """What a fine-tuning did.

    Attributes:
        model: The file that was trained.
        teacher: The file it learnt from; None without one.
        output: The file that was written; None if none was.
        data: What the training samples are.
        training: How many samples gradients were taken from.
        held_out: How many samples said which weights are best.
        objective: What the loss was made of.
        device: Where it was trained.
        planned: How many epochs there were to be.
        patience: After how many without a gain it was to stop.
        epochs: How many there were before training stopped.
        best_epoch: The one whose weights were written, or lie ahead of those; 0 for those from
            before training.
        loss_before: The held-out loss before training.
        loss_after: That of the weights that were written.
        history: Every epoch; the first entry is the model before training.
        between: The weights from those before training to those of the best epoch that were judged
            in the end.
        chosen: Those of them that were written.
        error: The largest difference of ONNX Runtime from torch, relative to the output's largest
            value, on one sample.
        before: The model before training, held against the teacher; None if it was not judged.
        after: The model after training, held against the teacher. Without a teacher both are held
            against the model before training.
        notes: What a user should know about this run.
        seconds: Time by stage.
        unfinished: What an error ended after ONNX Runtime agreed with torch.
        config: Every option of the run by its name in Python, defaults included, as it was given.
        origin: What made this report.
        sha256: That of each file of the models, that of the teacher included, by its path.
    """

    model: str
    teacher: str | None
    output: str | None
    data: str
    training: int
    held_out: int
    objective: str
    device: str
    planned: int
    patience: int
    epochs: int
    best_epoch: int
    loss_before: float
    loss_after: float
    history: tuple[EpochResult, ...]
    between: tuple[Between, ...]
    chosen: Between
    error: float
    before: Accuracy | None
    after: Accuracy | None
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    unfinished: tuple[Unfinished, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)

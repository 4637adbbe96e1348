"""Calibration and validation sets, which never overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wrg_onnx.data.address import DataAddress, as_address
from wrg_onnx.data.dataset import DataSet, from_directory, generated, random_inputs, split
from wrg_onnx.data.preprocess import Preprocessing
from wrg_onnx.data.saliency_map import SaliencyMap, find_saliency_map
from wrg_onnx.errors import DataError
from wrg_onnx.graph import (
    Graph,
    Provider,
    Session,
    Shape,
    Value,
    open_session,
    resolve_provider,
)
from wrg_onnx.logs import logger_of
from wrg_onnx.pipeline.config import DataOptions
from wrg_onnx.pipeline.input_shapes import preprocessing_for

_LOG = logger_of(__name__)

GENERATED_FOR_VALIDATION = 32
"""Enough to tell a good model from a broken one; a model that takes 0.5 s takes 32 s for both."""

RANDOM_FOR_VALIDATION = 8

MOST_FOR_VALIDATION = 500
"""Of a large folder; metrics hardly move beyond it."""

KEPT_BYTES = 128 << 20
"""How many bytes of samples for statistics are kept once they were read."""

SAMPLES_TO_FIND = 4
"""How many samples tell whether a saliency map holds logits."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a run looks at.

    Attributes:
        calibration: For statistics.
        validation: For judging; empty where a folder holds a single sample.
        preprocessing: How an image is fed; None if the model does not take one.
        broken: A message for each file that was left out.
        saliency: How to read the saliency map; None if the model has none, or nobody asked.
        spare: Further samples that neither of both holds; nobody has looked whether their files can
            be read. A search may judge on them.
    """

    calibration: DataSet
    validation: DataSet
    preprocessing: Preprocessing | None
    broken: tuple[str, ...] = ()
    saliency: SaliencyMap | None = None
    spare: DataSet | None = None


def open_samples(
    graph: Graph,
    shapes: Mapping[str, Shape],
    options: DataOptions,
    reference: Graph | None,
    *,
    provider: Provider,
    seed: int,
) -> Samples:
    """Gather what a run looks at, and find out how a model's saliency map is read.

    Args:
        graph: The model.
        shapes: The concrete shape of each input, for random ones.
        options: Where samples come from.
        reference: The model whose answers tell how the map is read: the original, or the teacher;
            None where nobody reads it.
        provider: Where it answers.
        seed: Seed of the division and of what is generated.

    Raises:
        DataError: As ``gather_samples``.
        UsageError: As ``gather_samples``, or if the provider is not there.
    """
    samples = gather_samples(graph, shapes, options, seed=seed)
    # Measuring and recovery both look at them, and to draw one, or to decode it, takes as long as
    # a small model does.
    samples = replace(samples, calibration=samples.calibration.kept(KEPT_BYTES))
    broken = f", {len(samples.broken)} broken ones left out" if samples.broken else ""
    _LOG.info(
        "%d %s for statistics and recovery, %d to judge by%s",
        len(samples.calibration), samples.calibration.content, len(samples.validation), broken,
    )  # fmt: skip
    if reference is None:
        return samples
    place = resolve_provider(provider)
    if samples.preprocessing is None:
        return samples
    session = open_session(reference, provider=place)
    saliency = find_saliency(session, samples.calibration, samples.preprocessing)
    return replace(samples, saliency=saliency)


def gather_samples(
    graph: Graph, shapes: Mapping[str, Shape], options: DataOptions, *, seed: int
) -> Samples:
    """Open the data set and divide it; the same seed divides it in the same way.

    Args:
        graph: The model.
        shapes: The concrete shape of each input, for random ones.
        options: Where samples come from.
        seed: Seed of the division and of what is generated.

    Returns:
        Both sets.

    Raises:
        DataError: If the folder is missing, empty, or does not fit, or many files are broken.
        UsageError: If an option contradicts the model's input.
    """
    preprocessing = preprocessing_for(graph, shapes, options)
    if options.path is not None:
        whole = _open_data(options.path, graph.inputs, preprocessing)
        calibration, validation = split(len(whole), seed=seed)
        count = min(options.samples, len(calibration))
        chosen = calibration[np.arange(count) * len(calibration) // max(count, 1)]
        judged = validation[:: -(-len(validation) // MOST_FOR_VALIDATION) or 1]
        both = whole.take(np.concatenate([chosen, judged]))
        sound, broken = both.sound()
        parts = ([n for n in sound if n < count], [n for n in sound if n >= count])
        first, second = (both.take(part) for part in parts)
        if not len(first):
            raise DataError(f"all {count} {whole.content} for statistics are broken: {broken[0]}")
        spare = whole.take(np.setdiff1d(calibration, chosen))
        return Samples(first, second, preprocessing, broken, spare=spare)
    held_out = RANDOM_FOR_VALIDATION if preprocessing is None else GENERATED_FOR_VALIDATION
    ends = options.samples, options.samples + held_out, options.samples + 2 * held_out
    if preprocessing is not None:
        whole = generated(preprocessing, ends[2], seed)
    else:
        whole = random_inputs(graph, shapes, ends[2], seed)
    return Samples(
        _part(whole, range(ends[0])),
        _part(whole, range(ends[0], ends[1])),
        preprocessing,
        spare=_part(whole, range(ends[1], ends[2])),
    )


def _open_data(
    place: Path | DataAddress, inputs: Sequence[Value], preprocessing: Preprocessing | None
) -> DataSet:
    """Open a folder, or ask a data source.

    Raises:
        DataError: As ``from_directory`` and ``from_source``.
    """
    if isinstance(place, DataAddress):
        from wrg_onnx.data.sources import from_source

        return from_source(place, inputs, preprocessing)
    if as_address(str(place)) is not None:
        from wrg_onnx.data.sources import refuse_unknown

        refuse_unknown(place)
    return from_directory(place, inputs, preprocessing)


def _part(made: DataSet, indices: range) -> DataSet:
    """Take some of what was made for both sets; nobody left any out."""
    return replace(made.take(indices), total=len(indices))


def find_saliency(
    session: Session, data: DataSet, preprocessing: Preprocessing | None
) -> SaliencyMap | None:
    """Find the saliency map among a model's outputs, from its answers to a few samples."""
    if preprocessing is None:
        return None
    answers = [session.run(data[i].feeds) for i in range(min(SAMPLES_TO_FIND, len(data)))]
    size = (preprocessing.height, preprocessing.width)
    return find_saliency_map(session.outputs, answers, size, preprocessing.batch)

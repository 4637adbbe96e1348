"""The loss of fine-tuning: masks, the teacher, or the user's own function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.errors import UsageError, spoken
from wrg_onnx.export.factory import load_function
from wrg_onnx.finetune.distil import Teacher, distance
from wrg_onnx.finetune.named_losses import find_loss
from wrg_onnx.twin.batches import Batch
from wrg_onnx.twin.losses import mask_at, probability, saliency_loss

FEATURES_SHARE = 1.0
"""Weight of the mean over the feature maps beside that over the outputs."""


@dataclass(frozen=True, slots=True, eq=False)
class OwnLoss:
    """The user's loss.

    Attributes:
        spec: ``module:function``, or its name and who brings it.
        function: Takes outputs, mask (N, 1, H, W), and the teacher's outputs. A model of a fixed
            batch has outputs and a mask for each place in it.
    """

    spec: str
    function: Callable[..., Any]

    def __call__(
        self, outputs: dict[str, Tensor], mask: Tensor | None, teacher: dict[str, Tensor] | None
    ) -> Tensor:
        """Return the loss.

        Raises:
            UsageError: If the function fails, or gives no scalar with a gradient.
        """
        try:
            loss = self.function(outputs, mask, teacher)
        except (torch.OutOfMemoryError, KeyboardInterrupt):
            raise
        except BaseException as error:
            shapes = ", ".join(f"'{k}' {list(v.shape)}" for k, v in outputs.items())
            raise UsageError(
                f"loss '{self.spec}' fails on the outputs {shapes} and the mask "
                f"{None if mask is None else list(mask.shape)}: {spoken(error)}"
            ) from error
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            found = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise UsageError(f"loss '{self.spec}' must return a scalar tensor, got {found}")
        if torch.is_grad_enabled() and not loss.requires_grad:
            raise UsageError(
                f"loss '{self.spec}' has no gradient: it must be computed from the outputs by "
                "torch, without detach, item or numpy"
            )
        return loss.reshape(())


def load_loss(spec: str) -> OwnLoss:
    """Import the user's loss: ``module:function``, or the name of one that a package brings.

    Raises:
        UsageError: If there is no such module or function, or no such name.
        ExtensionError: If an installed package says that it brings it, and does not.
    """
    if ":" not in spec:
        found = find_loss(spec)
        return OwnLoss(f"{spec} ({found.origin})", found.function)
    return OwnLoss(spec, load_function(spec, "loss", "my_losses:focal"))


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """What training makes small: a sum of what is there.

    Attributes:
        outputs: The names of the model's outputs.
        saliency: The saliency map to hold against masks; None to leave them out.
        own: The user's loss, in place of the one on masks.
        teacher: Whom to learn from.
        distil: The weight of what the teacher says.
    """

    outputs: tuple[str, ...]
    saliency: SaliencyMap | None = None
    own: OwnLoss | None = None
    teacher: Teacher | None = None
    distil: float = 1.0

    @property
    def taps(self) -> tuple[str, ...]:
        """The feature maps of the student that the loss needs."""
        return () if self.teacher is None else self.teacher.taps

    @property
    def judges_by_masks(self) -> bool:
        """Whether masks say how good a model is: not beside a loss of the user's own."""
        return self.saliency is not None and self.own is None

    def saliency_maps(self, values: Mapping[str, Tensor]) -> Tensor | None:
        """Return (N, 1, H, W) saliency in [0, 1]; None where masks do not judge.

        Args:
            values: The student's outputs.
        """
        if self.saliency is None or not self.judges_by_masks:
            return None
        return probability(values[self.saliency.output].float(), self.saliency)

    def describe(self) -> str:
        """Say in words what the loss is made of."""
        parts = [f"the loss {self.own.spec}"] if self.own else []
        parts += ["masks"] if self.saliency and not self.own else []
        if self.teacher is not None and self.distil:
            outputs, features = len(self.teacher.outputs), len(self.teacher.features)
            parts += (
                [f"the teacher's {outputs} output{'s' if outputs > 1 else ''}"] if outputs else []
            )
            parts += [f"{features} of its feature maps"] if features else []
        return ", ".join(parts)

    def __call__(
        self, values: Mapping[str, Tensor], taught: Mapping[str, Tensor] | None, batch: Batch
    ) -> Tensor:
        """Return the loss of a batch, a mean over its samples.

        Args:
            values: The student's outputs and feature maps.
            taught: The teacher's; None without one.
            batch: What both were fed, with its masks.

        Raises:
            UsageError: If the user's loss does not give a scalar with a gradient.
            DataError: If a tensor of the teacher has another shape than the student's.
        """
        # From the masks, by the user's function or ours, and from the teacher. `check_sources` saw
        # to it that there is one of them.
        terms = []
        if self.own is not None:
            own = {name: values[name] for name in self.outputs}
            theirs = None if taught is None else {name: taught[name] for name in self.outputs}
            mask = _mask_of_each(own, batch)
            terms.append(self.own(_as_float(own), mask, theirs and _as_float(theirs)))
        elif batch.mask is not None and (prediction := self.saliency_maps(values)) is not None:
            terms.append(saliency_loss(prediction, mask_at(batch.mask, prediction)))
        if self.teacher is not None and taught is not None and self.distil:
            for targets, share in (
                (self.teacher.outputs, 1.0),
                (self.teacher.features, FEATURES_SHARE),
            ):
                distances = [distance(values[t.name], taught[t.name], t) for t in targets]
                if distances:
                    terms.append(self.distil * share * torch.stack(distances).mean())
        return torch.stack(terms).sum()


def _mask_of_each(outputs: Mapping[str, Tensor], batch: Batch) -> Tensor | None:
    """Return a mask per image, (N, 1, H, W); of a fixed batch, which is one image N times, too."""
    fed = next(iter(batch.feeds.values())).shape[0]
    if batch.mask is None or all(value.shape[:1] != (fed,) for value in outputs.values()):
        return batch.mask
    return batch.mask.expand(fed, -1, -1, -1)


def _as_float(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: value.float() if value.dtype == torch.float16 else value
        for name, value in values.items()
    }

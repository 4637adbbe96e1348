"""Pruning as a pass of Microsoft's Olive (the extra ``olive``).

::

    "passes": {"prune": {"type": "WrgPrune", "ratio": 0.5, "data": "my_images"}}

``python -m wrg_onnx.integrations.olive_package > package.json`` makes it known to Olive, and
``olive run --config FILE --package-config package.json`` runs it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from olive.common.config_utils import ParamCategory
from olive.hardware import AcceleratorSpec
from olive.model import ONNXModelHandler
from olive.model.utils import resolve_onnx_path
from olive.passes import Pass
from olive.passes.pass_config import BasePassConfig, PassConfigParam
from olive.search.search_parameter import Categorical
from pydantic import model_validator

import wrg_onnx
from wrg_onnx.integrations.olive_options import SEARCHED, TYPES, default_of, descriptions

_LOG = logging.getLogger("olive.passes.wrg_onnx")  # Olive shows what is told below its own name


class WrgPrune(Pass):
    """Removes whole channels; the options are those of ``wrg_onnx.prune``."""

    @classmethod
    def _default_config(cls, accelerator_spec: AcceleratorSpec) -> dict[str, PassConfigParam]:  # noqa: ARG003 - Olive's
        said = descriptions()
        return {
            name: PassConfigParam(
                type_=kind,
                default_value=default_of(name),
                category=ParamCategory.DATA if name == "data" else ParamCategory.NONE,
                # What is given as a list is searched only where there is something here.
                search_defaults=Categorical([default_of(name)]) if name in SEARCHED else None,
                description=said.get(name),
            )
            for name, kind in TYPES.items()
        }

    @classmethod
    def _validators(cls) -> dict[str, Callable[..., Any]]:
        return {"known_options": model_validator(mode="before")(_check_known)}

    def _run_for_config(
        self, model: ONNXModelHandler, config: BasePassConfig, output_model_path: str
    ) -> ONNXModelHandler:
        """Prune a model.

        Raises:
            ValueError: If an option is wrong, the ratio cannot be reached, or whatever else
                ``wrg_onnx.prune`` raises. Olive ends the run with it, where a search leaves this
                point out; behind errors of other classes it would go on, and exit with 0.
            TypeError: If the model is of another format.
        """
        if not isinstance(model, ONNXModelHandler):
            raise TypeError(f"WrgPrune prunes ONNX models, got a {type(model).__name__}")
        if model.external_initializers_path or model.constant_inputs_path:
            raise ValueError("WrgPrune: weights that are fed as inputs, as adapters are, cannot go")
        output = Path(resolve_onnx_path(output_model_path))
        options = {name: getattr(config, name) for name in TYPES}
        try:
            result = wrg_onnx.prune(model.model_path, output, force=True, **options)
        except wrg_onnx.WrgError as error:
            raise ValueError(str(error)) from error
        report = result.report
        if report.unfinished:
            missing = "; ".join(f"{one.stage} ({one.message})" for one in report.unfinished)
            raise ValueError(f"the model is proven, but not all was done: {missing}")
        _LOG.info("Pruned.\n%s", result)
        return _handler(output, {**(model.model_attributes or {}), "wrg_onnx": _summary(report)})


def _check_known(cls: type, values: Any) -> Any:  # noqa: ARG001 - pydantic's
    """Refuse what the pass does not know; Olive would leave it out without a word."""
    unknown = sorted(set(values) - set(TYPES)) if isinstance(values, Mapping) else ()
    if unknown:
        raise ValueError(f"WrgPrune has no option {', '.join(unknown)}; it has {', '.join(TYPES)}")
    return values


def _handler(path: Path, attributes: dict[str, Any]) -> ONNXModelHandler:
    """Wrap what was written; with weights beside it the folder is the model."""
    if path.with_name(f"{path.name}.data").exists():
        return ONNXModelHandler(path.parent, path.name, model_attributes=attributes)
    return ONNXModelHandler(path, model_attributes=attributes)


def _summary(report: wrg_onnx.PruneReport) -> dict[str, Any]:
    """Return what goes into Olive's record of the model."""
    return {
        "reached": report.reached,
        "parameters": [report.before.parameters, report.after.parameters],
        "macs": [report.before.macs, report.after.macs],
        "error": report.equivalence.error,
        "notes": list(report.notes),
    }

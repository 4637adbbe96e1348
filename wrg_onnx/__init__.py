"""A compiler that removes whole channels from trained ONNX models, and proves it.

::

    import wrg_onnx

    result = wrg_onnx.prune("model.onnx", ratio=0.6, data="my_images")
    print(result)                        # the table that the command prints
    result.report.after.parameters       # every figure, as a record
    result.save("model.pruned.onnx")     # or result.model, an onnx.ModelProto

Each function is a command of ``wrg-onnx`` and has its options as parameters: ``prune``,
``sweep``, ``inspect``, ``validate``, ``finetune``, ``bench``, ``export``, ``report``, ``cache``,
``tsod_make`` and ``tsod_filter``.
What they raise on purpose is a ``WrgError``. Importing this package imports nothing heavy; the
first call does.
It sets ``ORT_DISABLE_TELEMETRY=1`` in the environment, unless that is set: ONNX Runtime would
tell its vendor what it runs.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wrg_onnx.choices import (
    BatchNormUse,
    BudgetKind,
    Device,
    Exporter,
    Provider,
    Recovery,
    Scope,
)
from wrg_onnx.errors import (
    BudgetError,
    DataError,
    ExtensionError,
    MissingPackageError,
    ModelError,
    OutOfMemoryError,
    OutputError,
    ShareDone,
    StatisticsError,
    UnfinishedError,
    UnreadableError,
    UnsupportedOperatorError,
    UsageError,
    ValidationError,
    WorkerError,
    WrgError,
)
from wrg_onnx.version import __version__

if TYPE_CHECKING:
    from wrg_onnx.calibrate import CacheReport
    from wrg_onnx.data.workers import join_workers
    from wrg_onnx.pipeline.api.bench import bench
    from wrg_onnx.pipeline.api.cache import cache
    from wrg_onnx.pipeline.api.export import export
    from wrg_onnx.pipeline.api.finetune import finetune
    from wrg_onnx.pipeline.api.inspect import inspect
    from wrg_onnx.pipeline.api.prune import prune
    from wrg_onnx.pipeline.api.report import report
    from wrg_onnx.pipeline.api.sweep import sweep
    from wrg_onnx.pipeline.api.tsod import tsod_filter, tsod_make
    from wrg_onnx.pipeline.api.validate import validate
    from wrg_onnx.pipeline.result import ModelResult, Result
    from wrg_onnx.report.paged import PageReport
    from wrg_onnx.report.records import (
        BenchReports,
        ExportReport,
        FinetuneReport,
        InspectReport,
        PruneReport,
        ValidateReport,
    )
    from wrg_onnx.report.sweep import SweepReport
    from wrg_onnx.select import Criterion
    from wrg_onnx.tsod import FilterReport, MakeReport

__all__ = [
    "BatchNormUse",
    "BenchReports",
    "BudgetError",
    "BudgetKind",
    "CacheReport",
    "Criterion",
    "DataError",
    "Device",
    "ExportReport",
    "Exporter",
    "ExtensionError",
    "FilterReport",
    "FinetuneReport",
    "InspectReport",
    "MakeReport",
    "MissingPackageError",
    "ModelError",
    "ModelResult",
    "OutOfMemoryError",
    "OutputError",
    "PageReport",
    "Provider",
    "PruneReport",
    "Recovery",
    "Result",
    "Scope",
    "ShareDone",
    "StatisticsError",
    "SweepReport",
    "UnfinishedError",
    "UnreadableError",
    "UnsupportedOperatorError",
    "UsageError",
    "ValidateReport",
    "ValidationError",
    "WorkerError",
    "WrgError",
    "__version__",
    "bench",
    "cache",
    "export",
    "finetune",
    "inspect",
    "join_workers",
    "prune",
    "report",
    "sweep",
    "tsod_filter",
    "tsod_make",
    "validate",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # who uses it decides what is shown

# ONNX Runtime tells its vendor of what it runs, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "wrg_onnx.calibrate": ("CacheReport",),
    "wrg_onnx.data.workers": ("join_workers",),
    "wrg_onnx.pipeline.api.bench": ("bench",),
    "wrg_onnx.pipeline.api.cache": ("cache",),
    "wrg_onnx.pipeline.api.export": ("export",),
    "wrg_onnx.pipeline.api.finetune": ("finetune",),
    "wrg_onnx.pipeline.api.inspect": ("inspect",),
    "wrg_onnx.pipeline.api.prune": ("prune",),
    "wrg_onnx.pipeline.api.report": ("report",),
    "wrg_onnx.pipeline.api.sweep": ("sweep",),
    "wrg_onnx.pipeline.api.tsod": ("tsod_filter", "tsod_make"),
    "wrg_onnx.pipeline.api.validate": ("validate",),
    "wrg_onnx.pipeline.result": ("ModelResult", "Result"),
    "wrg_onnx.report.paged": ("PageReport",),
    "wrg_onnx.report.records": (
        "BenchReports", "ExportReport", "FinetuneReport", "InspectReport", "PruneReport",
        "ValidateReport",
    ),
    "wrg_onnx.report.sweep": ("SweepReport",),
    "wrg_onnx.select": ("Criterion",),
    "wrg_onnx.tsod": ("FilterReport", "MakeReport"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and keep it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List what is there, and what would be imported."""
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This package, whose functions come before folders of the same name.

    Python puts a folder here as soon as anything imports it: ``wrg_onnx.export``,
    ``wrg_onnx.finetune`` and ``wrg_onnx.report`` would turn from functions into folders. ``from
    wrg_onnx.finetune import FinetuneOptions`` does not look here, and works as ever.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

"""The tests that are marked `gpu`; those that find no GPU skip themselves, and are counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from gpu.task import Task, run

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "tests" / "calibrate" / "rank" / "test_device_maps.py"


def files(task: Task) -> list[Path]:
    """Return the files with such a test: to collect all others would take longer than they do."""
    found = sorted((ROOT / "tests").rglob("test_*.py"))
    marked = [path for path in found if "mark.gpu" in path.read_text(encoding="utf-8")]
    return [path for path in marked if path == SMALL] if task.small else marked


def work(task: Task, keep: Callable[..., None]) -> None:
    """Run them, and count."""
    report = task.out.with_suffix(".xml")
    # What a pytest around this one has set is not meant for it.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider",
         f"--junitxml={report}", *map(str, files(task))],
        cwd=ROOT, env=environment, check=False, stdout=sys.stderr,
    )  # fmt: skip
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 - we wrote it
    assert suite is not None
    count, failed, broken, skipped = (
        int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
    )
    keep(passed=count - failed - broken - skipped, failed=failed + broken, skipped=skipped)
    sys.exit(done.returncode)


if __name__ == "__main__":
    run(work)

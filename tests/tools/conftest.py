"""The modules of the tools are scripts beside each other, as `python tools/...` sees them."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

sys.path[:0] = [str(ROOT / "tools"), str(ROOT)]

"""The version, below all folders so that none of them imports the package's face."""

from __future__ import annotations

__version__ = "0.2.0"

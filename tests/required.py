"""What a test needs of other projects: skipped where absent, an error where it must be there."""

from __future__ import annotations

import os

import pytest


def require(found: object, missing: str) -> None:
    """Skip a test that needs what was not found, or fail it with WRG_REQUIRE_DEPLOY=1."""
    if found:
        return
    if os.environ.get("WRG_REQUIRE_DEPLOY") == "1":
        pytest.fail(missing)
    pytest.skip(missing)

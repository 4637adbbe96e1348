"""A registry that a test may add to."""

from __future__ import annotations

import pytest
from registries import own_copies


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test registers be forgotten behind it."""
    own_copies(monkeypatch)

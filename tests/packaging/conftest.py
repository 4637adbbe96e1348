"""One build serves all tests of a process."""

from __future__ import annotations

import pytest
from distributions import build


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("built"))

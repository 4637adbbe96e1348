"""Ids, and the question whether they are alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

IdArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
Alive: TypeAlias = Callable[[IdArray], BoolArray]
"""Tells which positions of an id array are kept."""

INERT = -1
"""Marks a position that carries no id and always stays."""

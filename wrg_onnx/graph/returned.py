"""What a run returns, as arrays by name: sequences element by element, maps by key.

Everything that compares two runs, times them or looks at one sees arrays alone, whatever a model's
outputs are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from wrg_onnx.graph.model import Array

KEYS = "[keys]"
"""What the name of a map's keys ends with."""

_ELEMENT = re.compile(r".\[\d+\]'*$")


def lay_out(names: Sequence[str], values: Sequence[Any]) -> dict[str, Array]:
    """Lay the values of outputs out as arrays.

    Args:
        names: The names of the outputs.
        values: What ONNX Runtime returned for them.

    Returns:
        A tensor by its own name. Of a sequence each element, ``s[0]``, ``s[1]``. Of a map its
        values in the order of its keys, which are beside them, ``m[keys]``; of a sequence of maps
        with the same keys the same, a row for each, (maps, keys). Of an empty optional nothing.
    """
    found: dict[str, Array] = {}
    taken = set(names)
    for name, value in zip(names, values, strict=True):
        for part, array in _parts(name, value):
            label = part
            while label != name and (label in taken or label in found):
                label += "'"  # a tensor of the model has this name
            found[label] = array
    return found


def is_element(label: str) -> bool:
    """Tell whether an array may be an element of a sequence, by its name."""
    return _ELEMENT.search(label) is not None


def origins(names: Sequence[str], laid_out: Iterable[str]) -> dict[str, str]:
    """Say which output each array is of.

    Args:
        names: The names of the outputs.
        laid_out: The names of the arrays of ``lay_out``.

    Returns:
        The name of the output by that of the array.
    """
    found = {}
    for label in laid_out:
        whole = [name for name in names if label == name]
        found[label] = next(iter(whole or [n for n in names if label.startswith(f"{n}[")]))
    return found


def _parts(name: str, value: Any) -> Iterator[tuple[str, Array]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        yield from _of_maps(name, [value], whole=False)
    elif isinstance(value, list) and value and all(_alike(value[0], one) for one in value):
        yield from _of_maps(name, value, whole=True)
    elif isinstance(value, list):
        for number, element in enumerate(value):
            yield from _parts(f"{name}[{number}]", element)
    else:
        yield name, value if isinstance(value, np.ndarray) else np.asarray(value)


def _alike(first: object, other: object) -> bool:
    is_map = isinstance(first, Mapping) and isinstance(other, Mapping)
    return is_map and first.keys() == other.keys()  # type: ignore[attr-defined]


def _of_maps(
    name: str, maps: Sequence[Mapping[Any, Any]], *, whole: bool
) -> Iterator[tuple[str, Array]]:
    keys = sorted(maps[0])
    rows = np.asarray([[one[key] for key in keys] for one in maps])
    yield name, rows if whole else rows[0]
    yield f"{name}{KEYS}", np.asarray(keys)

"""What made a report, and the run that a report in JSON tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROGRAM = "wrg-onnx"

_SIGNS: Mapping[str, frozenset[str]] = {
    "prune": frozenset({"model", "criterion", "equivalence"}),
    "sweep": frozenset({"model", "metric", "points"}),
    "finetune": frozenset({"model", "objective", "between"}),
    "validate": frozenset({"original", "pruned", "problems"}),
    "inspect": frozenset({"groups", "frozen", "largest_ratio"}),
    "bench": frozenset({"providers"}),
}
"""By which keys the reports of commands are known that do not say what made them."""

_SHOWN = 4
"""So many keys of a foreign file are named."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What made a report.

    Attributes:
        command: The command, or the function of the same name.
        version: That of the program.
        program: Its name.
    """

    command: str
    version: str
    program: str = PROGRAM


@dataclass(frozen=True, slots=True)
class Run:
    """A run that can be made again.

    Attributes:
        version: That of the program which made it.
        config: Its options by name; None for those that were not given.
        sha256: Of its model's files, by path.
    """

    version: str
    config: Mapping[str, Any]
    sha256: Mapping[str, str]


def read_run(plain: object, command: str) -> Run:
    """Take from a report in JSON what makes its run again.

    Args:
        plain: What the JSON holds.
        command: Of which command the run is to be.

    Raises:
        ValueError: If it is something else; it says what.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(  # noqa: TRY004 - of a file, not of an argument
            f"is no report of {PROGRAM}: it holds {_kind(plain)} and no object"
        )
    origin = plain.get("origin")
    if not isinstance(origin, Mapping) or origin.get("program") != PROGRAM:
        raise ValueError(_what_it_is(plain))
    made_by, version = origin.get("command"), origin.get("version")
    if made_by != command:
        raise ValueError(
            f"is a report of `{PROGRAM} {made_by}`, and `{command} --config` takes one of "
            f"`{PROGRAM} {command}`"
        )
    config, sha256 = plain.get("config"), plain.get("sha256", {})
    if not isinstance(config, Mapping) or not config:
        raise ValueError(f"is a report of `{PROGRAM} {command}`, but holds no configuration")
    is_sound = isinstance(sha256, Mapping) and all(isinstance(one, str) for one in sha256.values())
    if not isinstance(version, str) or not is_sound:
        raise ValueError(f"is a report of `{PROGRAM} {command}` that somebody has changed")
    return Run(version, config, sha256)


def _what_it_is(plain: Mapping[str, Any]) -> str:
    """Say what a JSON object is that no report with a configuration is in."""
    for command, keys in _SIGNS.items():
        if keys <= set(plain):
            return (
                f"is a report of `{PROGRAM} {command}` of an earlier version, which kept no "
                "configuration"
            )
    if not plain:
        return f"is no report of {PROGRAM}: it is empty"
    named = ", ".join(f"'{key}'" for key in list(plain)[:_SHOWN])
    more = f" and {len(plain) - _SHOWN} more" if len(plain) > _SHOWN else ""
    return f"is no report of {PROGRAM}: another program's, with the keys {named}{more}"


def _kind(plain: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(plain), "a number")

"""Write docs/coverage.md: what the analysis does with each operator, from the table of rules.

    python tools/coverage_table.py

The list of ai.onnx operators is that of the installed onnx package. Other domains show what has a
rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

import wrg_onnx.channels.rules  # noqa: F401 - fills the table
from wrg_onnx.channels.table import registered
from wrg_onnx.graph.load import OLDEST_OPSET

TARGET = Path(__file__).parents[1] / "docs" / "coverage.md"
WHOLE = "stays whole (no rule)"
READ_AWAY = {"Constant": "Becomes a constant of the graph when the file is read."}
"""Operators that no rule is ever asked about."""

INTRODUCTION = """\
# What happens to each operator

Written by `python tools/coverage_table.py` with onnx {version}; do not edit it by hand.

An operator's *rule* says which channels are the same ones, which its outputs carry, and which must
stay. *Versions* are those opset versions that define or redefine the operator, mean something from
opset {oldest} on, and are covered by the rule. *Treatment* is the first line of its description.

An axis is *live* where its positions are channels, which carry *ids*, and *inert* where they are
not: batch, height, time.

- "Pass" means that channels go through untouched, so that they can be removed.
- "Tie" means that positions become one unit: they are removed together or not at all.
- "Freeze" means that the positions stay, and `wrg-onnx inspect` shows the reason.
- "{whole}" means that everything such a node reads stays; the rest of the
  model is pruned as usual. Most of these operators handle strings, sequences, optional values,
  lists of detections or training losses, and stand where there are no channels left.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: some versions of an operator that are treated alike."""

    operator: str
    versions: tuple[int, ...]
    treatment: str

    def __str__(self) -> str:
        versions = ", ".join(map(str, self.versions))
        treatment = self.treatment.replace("``", "`").replace("|", "\\|")
        return f"| {self.operator} | {versions} | {treatment} |"


def rules() -> dict[str, dict[str, list[tuple[int, str]]]]:
    """Return (since-version, treatment) by domain and operator, the versions ascending."""
    found: dict[str, dict[str, list[tuple[int, str]]]] = {}
    for domain, name, since, treatment in registered():
        found.setdefault(domain, {}).setdefault(name, []).append((since, treatment))
    return found


def history() -> dict[str, list[int]]:
    """Return the versions of each ai.onnx operator that an accepted opset can mean."""
    versions: dict[str, set[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            versions.setdefault(schema.name, set()).add(schema.since_version)
    return {
        name: [*sorted(v for v in found if v <= OLDEST_OPSET)[-1:],
               *sorted(v for v in found if v > OLDEST_OPSET)]
        for name, found in sorted(versions.items())
    }  # fmt: skip


def rows_of(name: str, versions: list[int], known: list[tuple[int, str]]) -> Iterator[Row]:
    """Divide an operator's versions among its rules.

    Args:
        name: The operator.
        versions: When it changed, ascending.
        known: Since-version and treatment of each rule, ascending.
    """
    if name in READ_AWAY:
        yield Row(name, tuple(versions), READ_AWAY[name])
        return
    ends = [*versions[1:], onnx.defs.onnx_opset_version() + 1]
    bounds = [*(since for since, _ in known), onnx.defs.onnx_opset_version() + 1]
    parts = [(0, bounds[0], WHOLE)]
    parts += [
        (since, after, treatment)
        for (since, treatment), after in zip(known, bounds[1:], strict=True)
    ]
    for since, after, treatment in parts:
        first = max(since, OLDEST_OPSET)
        covered = tuple(
            version
            for version, end in zip(versions, ends, strict=True)
            if max(version, first) < min(end, after)
        )
        if covered:
            yield Row(name, covered, treatment)


def table(rows: list[Row]) -> str:
    """Lay rows out in Markdown."""
    return "\n".join(["| Operator | Versions | Treatment |", "|---|---|---|", *map(str, rows)])


def coverage() -> str:
    """Return the text of docs/coverage.md."""
    known = rules()
    own = known.pop("", {})
    operators = history()
    rows = [
        row
        for name, versions in operators.items()
        for row in rows_of(name, versions, own.get(name, []))
    ]
    ruled = sum(name in own or name in READ_AWAY for name in operators)
    parts = [
        INTRODUCTION.format(version=onnx.__version__, oldest=OLDEST_OPSET, whole=WHOLE),
        f"## ai.onnx, up to opset {onnx.defs.onnx_opset_version()}\n",
        f"{ruled} of {len(operators)} operators have a rule.\n",
        table(rows) + "\n",
    ]
    for domain, found in sorted(known.items()):
        rows = [Row(name, (since,), text) for name in sorted(found) for since, text in found[name]]
        parts += [f"## {domain}\n", "Its other operators stay whole.\n", table(rows) + "\n"]
    return "\n".join(parts)


def main() -> None:
    """Write the file."""
    TARGET.write_text(coverage(), encoding="utf-8")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()

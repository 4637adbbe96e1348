"""Texts in a record are made printable, at any depth; the rest is the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wrg_onnx.choices import Provider
from wrg_onnx.report.shown import shown


@dataclass(frozen=True, slots=True)
class Inner:
    name: str
    values: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    inner: Inner
    rows: tuple[Inner, ...]
    table: dict[str, Inner]
    array: np.ndarray
    kind: Provider = Provider.CPU
    missing: str | None = None


def test_texts_are_escaped_in_records_tuples_and_tables():
    array = np.ones(3)
    bad, good = Inner("a\x1b[31m"), Inner("fine")
    found = shown(Outer(bad, (good, bad), {"k\n": bad}, array))
    assert found.inner.name == r"a\x1b[31m"
    assert [row.name for row in found.rows] == ["fine", r"a\x1b[31m"]
    assert {key: one.name for key, one in found.table.items()} == {r"k\n": r"a\x1b[31m"}
    assert found.array is array
    assert found.kind is Provider.CPU


def test_a_record_without_anything_to_escape_is_the_same_one():
    record = Outer(Inner("a"), (Inner("b"),), {"größe": Inner("c")}, np.ones(2))
    assert shown(record) is record


def test_names_that_look_alike_then_are_numbered_alike_in_each_table():
    names = ["a\x1b", r"a\x1b", "b"]
    first, second = (shown(dict.fromkeys(names, number)) for number in (1, 2))
    assert list(first) == list(second) == [r"a\x1b", r"a\x1b (2)", "b"]

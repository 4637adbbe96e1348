"""The JSON Schema of records."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator

from wrg_onnx.report import to_plain
from wrg_onnx.report.as_text import _TEXTS
from wrg_onnx.report.from_plain import from_plain
from wrg_onnx.report.records import BenchReport, ExportReport
from wrg_onnx.report.schema import _value, json_schema
from wrg_onnx.report.versions import COMMANDS, schema_name

EXPORTED = ExportReport("m:f", "f.onnx", 5, 1e-6, 20, 50_000, 1.0, None, ("a note",))


class Colour(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Leaf:
    """A leaf.

    Attributes:
        size: Its size, which may go on
            in another line; None if it has none.
    """

    size: int | None
    inner: tuple[Leaf, ...] = ()


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (bool, {"type": "boolean"}),
        (float, {"type": ["number", "null"]}),
        (Any, {}),
        (float | None, {"type": ["number", "null"]}),
        (str | None, {"type": ["string", "null"]}),
        (Colour, {"enum": ["red"]}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (
            tuple[str, int],
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}],
             "minItems": 2, "maxItems": 2},
        ),
        (Mapping[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Leaf | None, {"anyOf": [{"$ref": "#/$defs/Leaf"}, {"type": "null"}]}),
    ],
    ids=str,
)  # fmt: skip
def test_types_of_fields_have_a_schema(kind, schema):
    assert _value(kind, {}) == schema


def test_a_record_says_what_its_docstring_says_and_may_hold_its_own_kind():
    records = {}
    assert _value(Leaf, records) == {"$ref": "#/$defs/Leaf"}
    assert records[Leaf] == {
        "description": "A leaf.",
        "type": "object",
        "required": ["size", "inner"],
        "properties": {
            "size": {
                "type": ["integer", "null"],
                "description": "Its size, which may go on in another line; null if it has none.",
            },
            "inner": {"type": "array", "items": {"$ref": "#/$defs/Leaf"}},
        },
    }


def test_a_type_without_a_schema_is_refused():
    with pytest.raises(TypeError, match="no JSON Schema for"):
        _value(complex, {})


@pytest.mark.parametrize("kind", COMMANDS, ids=COMMANDS.values())
def test_every_report_has_a_sound_schema_that_describes_its_records_and_fields(kind):
    schema = json_schema(kind)
    Draft202012Validator.check_schema(schema)
    for record in (schema, *schema["$defs"].values()):
        assert record["description"].endswith(".")
    missing = [k for k, v in schema["properties"].items() if "description" not in v]
    assert missing == []


def test_every_report_that_is_printed_has_a_name():
    assert set(_TEXTS) == {*COMMANDS, BenchReport}
    assert {schema_name(kind) for kind in COMMANDS} == {
        f"wrg-onnx/{command}/v1" for command in COMMANDS.values()
    }
    assert schema_name(BenchReport) is None


def test_a_report_says_first_what_it_is_and_is_read_back():
    plain = to_plain(EXPORTED)
    assert next(iter(plain.items())) == ("schema", "wrg-onnx/export/v1")
    Draft202012Validator(json_schema(ExportReport)).validate(plain)
    assert from_plain(ExportReport, json.loads(json.dumps(plain))) == EXPORTED
    assert from_plain(ExportReport, {k: v for k, v in plain.items() if k != "schema"}) == EXPORTED


def test_a_report_of_another_schema_is_refused():
    plain = to_plain(EXPORTED) | {"schema": "wrg-onnx/export/v9"}
    with pytest.raises(ValueError, match="is of the schema 'wrg-onnx/export/v9', not"):
        from_plain(ExportReport, plain)

"""The schemas in docs/schema/ are those of the records, and only grow within a version."""

from __future__ import annotations

import copy
import json
from importlib.resources import files

import pytest

from tools import json_schema as tool
from wrg_onnx.report.records import ExportReport
from wrg_onnx.report.schema import json_schema
from wrg_onnx.report.versions import COMMANDS


def test_the_published_schemas_are_up_to_date(capsys):
    assert tool.main(["--check"]) == 0
    assert capsys.readouterr().err == ""
    for folder in tool.FOLDERS:
        assert len([*folder.glob("*.json")]) == len(COMMANDS)


def test_an_installed_package_has_the_schemas_that_are_published():
    published, _ = tool.FOLDERS
    for path in published.glob("*.json"):
        installed = files("wrg_onnx") / "schemas" / path.name
        assert installed.read_bytes() == path.read_bytes()


def test_what_is_missing_is_told_and_then_written(tmp_path, capsys):
    assert tool.main(["--check", "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("is not up to date") == len(COMMANDS)
    assert tool.main(["--folder", str(tmp_path)]) == 0
    assert tool.main(["--check", "--folder", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "export.v1.json").read_text())
    assert written == json_schema(ExportReport)


def test_a_field_that_is_gone_needs_a_new_version_and_nothing_is_written(tmp_path, capsys):
    tool.main(["--folder", str(tmp_path)])
    path = tmp_path / "export.v1.json"
    published = json.loads(path.read_text())
    published["properties"]["colour"] = {"type": "string"}
    published["required"].append("colour")
    path.write_text(json.dumps(published))
    assert tool.main(["--folder", str(tmp_path)]) == 1
    assert "export.v1.json: a new version is needed: " in capsys.readouterr().err
    assert json.loads(path.read_text()) == published


SCHEMA = json_schema(ExportReport)


def changed(change):
    other = copy.deepcopy(SCHEMA)
    change(other["properties"], other["required"])
    return other


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda fields, _: fields.pop("opset"), ["properties.opset is gone"]),
        (
            lambda fields, _: fields["opset"].update(type="string"),
            ["properties.opset.type is another"],
        ),
        (
            lambda _, required: required.remove("notes"),
            [".notes is not always there"],
        ),
        (lambda fields, _: fields.update(colour={"type": "string"}), []),
        (lambda fields, _: fields["opset"].update(description="Said better."), []),
    ],
    ids=["gone", "of another type", "not always there", "added", "another description"],
)
def test_what_a_schema_promised_is_not_lost(change, said):
    assert [*tool.lost(SCHEMA, changed(change))] == said

"""The JSON of a run is read as it was, and what is none is refused in a line."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from paged import BARE, PRUNED, SWEPT, VALIDATED

from wrg_onnx.errors import DataError, UnreadableError
from wrg_onnx.latency import Ratio
from wrg_onnx.report import to_json, to_plain
from wrg_onnx.report.from_file import read_report


@pytest.fixture
def held(tmp_path):
    """Return a function that writes plain values as JSON, and gives the file."""

    def write(plain):
        path = tmp_path / "run.json"
        path.write_text(plain if isinstance(plain, str) else json.dumps(plain))
        return path

    return write


@pytest.mark.parametrize("report", [PRUNED, BARE, SWEPT, VALIDATED], ids=lambda one: one.page)
def test_a_report_is_read_as_it_was_written(held, report):
    assert read_report(held(to_json(report))) == report


def test_numbers_that_json_has_not_come_back_as_not_known(held):
    alone = dataclasses.replace(PRUNED.speed[0], speedup=Ratio(2.0, 0.0, math.inf))
    found = read_report(held(to_json(dataclasses.replace(PRUNED, speed=(alone,)))))
    assert not found.speed[0].speedup.is_known


@pytest.mark.parametrize("text", ["", "{", "no", "\x00", "[" * 100_000],
                         ids=["empty", "cut", "text", "zero", "deep"])  # fmt: skip
def test_what_is_no_json_is_refused(held, text):
    with pytest.raises(UnreadableError, match=r"'.*run\.json' is no JSON"):
        read_report(held(text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(UnreadableError, match="is no JSON"):
        read_report(path)


def test_what_is_not_there_or_no_file_is_refused(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UnreadableError, match="cannot read"):
            read_report(path)


FOREIGN = {
    "list": [], "text": '"prune"', "number": 5, "null": None, "empty": {}, "mark": "\ufeff{}",
    "one field": {"model": "m.onnx"}, "in a list": [{"model": 1}],
}  # fmt: skip


@pytest.mark.parametrize("plain", FOREIGN.values(), ids=FOREIGN)
def test_foreign_json_is_refused_by_what_it_should_be(held, plain):
    with pytest.raises(DataError, match=r"is no report of a run: .*`wrg-onnx prune --json`"):
        read_report(held(plain))


def test_the_report_of_another_version_is_told_by_its_fields(held):
    old = to_plain(PRUNED)
    for name in ("details", "changes", "page"):
        del old[name]
    with pytest.raises(DataError) as raised:
        read_report(held({**old, "speedup": 1}))
    assert str(raised.value).endswith(
        "is a report of another version of wrg-onnx: it has no 'changes', 'details', 'page' and "
        "has the unknown 'speedup'; run `wrg-onnx prune --json` again"
    )


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"before": None}, "PruneReport.before"),
        ({"units": "many"}, "PruneReport.units holds str"),
        ({"reached": True}, "PruneReport.reached holds bool"),
        ({"notes": [1]}, "PruneReport.notes holds int"),
        ({"reached": 10**400}, "int too large"),
        ({"seconds": {"analyse": "long"}}, "PruneReport.seconds holds str"),
        ({"seconds": [1]}, "PruneReport.seconds holds list"),
        ({"speed": [{"provider": "cpu"}]}, "PruneReport.speed has other fields than Speed"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_field_of_another_kind_is_named(held, changed, where):
    with pytest.raises(DataError, match=where):
        read_report(held({**to_plain(PRUNED), **changed}))


def test_a_picture_that_is_none_is_refused(held):
    plain = to_plain(PRUNED)
    plain["details"]["examples"]["shown"][0]["input"]["png"] = "PHNjcmlwdD4="
    with pytest.raises(DataError, match="a picture is no PNG file"):
        read_report(held(plain))
    plain["details"]["examples"]["shown"][0]["input"]["png"] = '"><script>'
    with pytest.raises(DataError, match="does not hold what `wrg-onnx prune`"):
        read_report(held(plain))

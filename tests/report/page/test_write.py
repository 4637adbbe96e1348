"""The file of a page is there whole or not at all, and its name is refused early."""

from __future__ import annotations

import dataclasses

import pytest
from paged import BARE

from wrg_onnx.errors import OutputError, UsageError
from wrg_onnx.report.page import check_page, to_html, write_page


def test_the_page_is_written_into_new_folders(tmp_path):
    path = tmp_path / "new" / "page.html"
    size = write_page(BARE, path)
    assert path.read_text(encoding="utf-8") == to_html(BARE)
    assert path.stat().st_size == size
    assert [one.name for one in path.parent.iterdir()] == ["page.html"]


def test_what_was_there_stays_where_the_page_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("as it was")
    with pytest.raises(OutputError, match="cannot write"):
        write_page(BARE, tmp_path / "file" / "page.html")
    assert (tmp_path / "file").read_text() == "as it was"


def test_halves_of_pairs_do_not_stop_it(tmp_path):
    write_page(dataclasses.replace(BARE, model="a\ud800"), tmp_path / "page.html")
    assert r"a\ud800" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["page.json", "page", ".html", ""])
def test_a_name_that_no_browser_would_show_is_refused(tmp_path, name):
    with pytest.raises((UsageError, OutputError), match=r"must end in \.html, such as"):
        check_page(tmp_path / name if name else tmp_path.parent / "..", force=False)


def test_a_page_that_is_there_is_replaced_only_by_force(tmp_path):
    path = tmp_path / "page.HTM"
    path.write_text("as it was")
    with pytest.raises(OutputError, match="--force replaces it, --report names another file"):
        check_page(path, force=False)
    check_page(path, force=True)
    assert path.read_text() == "as it was"

"""Pages from the command line: written by a run, and again from its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paged import Read

import wrg_onnx
from wrg_onnx.report.page import of_report, write

PRUNE = ("prune", "m.onnx", "--ratio", 0.4, "--criterion", "l1")


@pytest.fixture(scope="module")
def printed():
    """What the first test that asks for it lets prune print; timing layers takes a while."""
    return {}


@pytest.fixture
def kept(run, model, printed):
    """The JSON of a pruning with details."""
    if not printed:
        done = run("prune", model, *PRUNE[2:], "--details", "--json", "--evaluate")
        assert done.exit_code == 0, done.stderr
        printed["json"] = done.stdout
    Path("run.json").write_text(printed["json"])
    return json.loads(printed["json"])


@pytest.mark.usefixtures("model")
def test_prune_writes_its_page_and_says_where(run):
    done = run(*PRUNE, "--report", "new/page.html")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "\nPage: new/page.html\n" in done.stdout
    read = Read(Path("new/page.html").read_text(encoding="utf-8"))
    assert "of the parameters are gone" in read.said
    assert "first.weight" in read.said
    assert "wrg-onnx prune m.onnx --ratio 0.4 --criterion l1 --report new/page.html" in read.said
    assert "Every option option value model m.onnx" in read.said
    assert "criterion l1" in read.said


@pytest.mark.usefixtures("model")
def test_the_page_is_refused_before_the_work(run):
    Path("there.html").write_text("as it was")
    for name, code in (("there.html", 1), ("page.json", 2)):
        done = run(*PRUNE, "--report", name)
        assert (done.exit_code, done.stdout) == (code, "")
        assert len(done.stderr.splitlines()) == 1
        assert not Path("m.pruned.onnx").exists()
    assert Path("there.html").read_text() == "as it was"


@pytest.mark.unfinished
@pytest.mark.usefixtures("model")
def test_a_page_that_fails_costs_no_model(run, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "renamed", full)
    done = run(*PRUNE, "--report", "page.html")
    assert done.exit_code == 4
    assert "The page was not written (OutputError: cannot write 'page.html': No space" in " ".join(
        done.stdout.split()
    )
    assert Path("m.pruned.onnx").exists()
    assert not Path("page.html").exists()


def test_sweep_and_validate_write_pages(run, model, data):
    done = run("sweep", model, "--ratios", "0.3,0.5", "--criteria", "l1", "--data", data,
               "--report", "sweep.html")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "Page: sweep.html" in done.stdout
    assert "How far it can go" in Read(Path("sweep.html").read_text(encoding="utf-8")).said
    done = run("validate", model, model, "--report", "validate.html")
    assert done.exit_code == 0, done.stderr
    assert "Page: validate.html" in done.stdout
    read = Read(Path("validate.html").read_text(encoding="utf-8"))
    assert "The structure is the original's; max F changes by +.000; " in read.said


@pytest.mark.usefixtures("kept")
def test_the_page_of_a_kept_run_is_that_of_the_run(run):
    done = run("report", "run.json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("run.json -> run.html, ")
    text = Path("run.html").read_text(encoding="utf-8")
    assert "wrg-onnx prune m.onnx --ratio 0.4 --criterion l1 --details --json --evaluate" in text
    assert text.count("<section ") == 11


@pytest.mark.usefixtures("kept")
def test_two_runs_are_shown_side_by_side(run):
    done = run("report", "run.json", "run.json", "-o", "both.html", "--json")
    assert done.exit_code == 0, done.stderr
    written = json.loads(done.stdout)
    assert written["runs"] == ["run.json", "run.json"]
    assert written["file_bytes"] == Path("both.html").stat().st_size
    assert "m.onnx: two runs" in Path("both.html").read_text(encoding="utf-8")


def test_an_old_or_foreign_file_is_refused_in_one_line(run, kept):
    del kept["changes"]
    Path("old.json").write_text(json.dumps(kept))
    Path("foreign.json").write_text("{}")
    for name in ("old.json", "foreign.json", "none.json"):
        done = run("report", name)
        assert (done.exit_code, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert not Path(name).with_suffix(".html").exists()


def test_figures_that_do_not_fit_each_other_are_refused_in_one_line(run, kept):
    kept["details"]["layers"][0]["scores"] = {"each": [1.0] * 99, "kept": [], "removed": []}
    Path("run.json").write_text(json.dumps(kept))
    done = run("report", "run.json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "its figures do not fit each other" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.usefixtures("kept")
def test_a_page_that_is_there_is_replaced_only_by_force(run):
    Path("run.html").write_text("as it was")
    assert run("report", "run.json").exit_code == 1
    assert Path("run.html").read_text() == "as it was"
    assert run("report", "run.json", "--force").exit_code == 0
    assert Path("run.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_json_is_never_taken_for_the_page(run, kept):
    done = run("report", "run.json", "-o", "run.json", "--force")
    assert done.exit_code == 2
    assert json.loads(Path("run.json").read_text()) == kept


def test_a_result_gives_its_page(model):
    found = wrg_onnx.prune(model, ratio=0.4, criterion="l1")
    assert found.to_html() == of_report.to_html(found.report)
    with pytest.raises(wrg_onnx.UsageError, match="got InspectReport"):
        wrg_onnx.inspect(model).to_html()

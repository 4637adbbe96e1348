"""Models of folders are cut, each in a process of its own, and a page says what became of them."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from strategies import build, normal

TOOLS = Path(__file__).parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import field  # noqa: E402 - a script

GOOD = "net (float[1,3,8,8] x) => (float y) { c = Conv(x, w)  r = Relu(c)  y = Conv(r, v) }"
HELD = GOOD.replace("Relu(c)", "Softmax<axis = 1>(c)")
WEIGHTS = {"w": normal(20, 3, 3, 3), "v": normal(2, 20, 3, 3)}
L1 = ("--criterion", "l1", "--recover", "none")


@pytest.fixture
def folder(tmp_path):
    """Hold two models in folders of different depth, one of them twice, and a broken file."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    onnx.save(build(GOOD, WEIGHTS), tmp_path / "in" / "good.onnx")
    onnx.save(build(GOOD, WEIGHTS), tmp_path / "in" / "deep" / "same.onnx")
    onnx.save(build(HELD, WEIGHTS), tmp_path / "in" / "deep" / "Held.onnx")
    (tmp_path / "in" / "broken.onnx").write_bytes(b"no model")
    return tmp_path


def test_models_are_found_at_any_depth_by_name_and_content_once(folder):
    found = field.find_models([folder], archives=False)
    assert [path.name for path in found] == ["broken.onnx", "good.onnx", "Held.onnx"]
    assert [p.name for p in field.find_models([folder], archives=False, exclude=["*/deep/*"])] == [
        "broken.onnx", "good.onnx",
    ]  # fmt: skip


def test_names_that_several_files_have_are_numbered():
    assert field.names_of([Path("a/m.onnx"), Path("b/m.onnx"), Path("c/m.onnx.xz")]) == [
        "m.onnx", "m.onnx (2)", "m.onnx (3)",
    ]  # fmt: skip


def test_data_for_tests_inside_packages_is_left_out(folder):
    data = folder / "onnx" / "backend" / "test"
    data.mkdir(parents=True)
    onnx.save(build(GOOD.replace("net", "other"), WEIGHTS), data / "model.onnx")
    names = [path.name for path in field.find_models([folder], archives=False)]
    assert "model.onnx" not in names


def test_the_page_says_what_was_cut_what_not_and_why(folder, capsys):
    output = folder / "page.md"
    field.main([str(folder / "in"), "--output", str(output), "--", *L1])
    text = output.read_text(encoding="utf-8")
    assert str(folder) not in text
    assert "    wrg-onnx prune MODEL --ratio 0.6 --criterion l1 --recover none\n" in text
    assert "1 of 3 models were cut as asked." in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == ["broken.onnx", "good.onnx", "Held.onnx"]
    assert rows[1].startswith("| `good.onnx` | 900 | 60.0% | 90.0% | ")
    assert rows[2].startswith("| `Held.onnx` | 900 | 0.0% | 0.0% |  | ")
    reasons = text.partition("## Why less")[2]
    assert "- `broken.onnx`: ModelError:" in reasons
    assert "Softmax" in reasons
    assert "good.onnx" not in reasons
    assert max(map(len, text.splitlines())) <= field.WIDTH
    assert "1 of 3" in capsys.readouterr().out


def test_a_model_is_cut_by_what_it_allows(folder):
    trial = field.Trial(0.95, L1)
    outcome = field.cut(folder / "in" / "good.onnx", "good.onnx", trial)
    assert outcome.removed == pytest.approx(0.9)
    assert outcome.most == pytest.approx(0.9)
    assert outcome.reason


def test_the_limit_to_time_holds(folder):
    path = folder / "in" / "good.onnx"
    slow = field.cut(path, "good.onnx", field.Trial(0.5, L1, seconds=0.01))
    assert slow.reason == "not done after 0.01 s"


def test_the_limit_to_memory_holds(folder):
    code = f"""import sys
sys.path.insert(0, {str(TOOLS)!r})
import field
field.cut_here = lambda *arguments: bytearray(3 * 10**9)
field.main(["--one", "m.onnx", "--to", "o.json", "--memory", "1"])"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder
    )
    assert ended.stderr.strip().endswith("MemoryError")


def test_archives_are_filled_by_the_script_that_is_given(folder):
    script = folder / "fill.py"
    script.write_text(
        "import lzma, sys\n_, how, source, target = sys.argv\nassert how == 'materialize'\n"
        "open(target, 'wb').write(lzma.open(source).read())\n"
    )
    packed = folder / "good.onnx.xz"
    packed.write_bytes(lzma.compress((folder / "in" / "good.onnx").read_bytes()))
    assert packed in field.find_models([folder], archives=True)
    outcome = field.cut(packed, "good.onnx", field.Trial(0.5, L1, skeletons=script))
    assert outcome.removed == pytest.approx(0.5, abs=0.02)
    script.write_text("raise SystemExit('no weights here')")
    failed = field.cut(packed, "good.onnx", field.Trial(0.5, L1, skeletons=script))
    assert failed.reason == "the archive cannot be filled: no weights here"


def test_no_models_are_an_error(tmp_path):
    with pytest.raises(SystemExit, match="no models in"):
        field.main([str(tmp_path)])


def test_a_model_that_norms_hold_is_cut_once_more_through_them(folder):
    text = """net (float[1,4,5] x) => (float[1,4,3] y) {
      a = MatMul(x, w)  n = LayerNormalization(a, g)  y = MatMul(n, z) }"""
    weights = {"w": normal(5, 20), "g": normal(20), "z": normal(20, 3)}
    path = folder / "normed.onnx"
    onnx.save(build(text, weights), path)
    outcome = field.cut_here(path, 0.6, L1)
    assert outcome.removed == 0.0
    assert outcome.freed == pytest.approx(0.6, abs=0.03)
    page = field.page([outcome], field.Trial(0.6), "in no time")
    assert "0 of 1 models were cut as asked, 1 more with `--through-norms`." in page
    assert f"| {outcome.freed:.1%} |" in page

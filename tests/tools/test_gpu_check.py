"""What needs a GPU, rehearsed on the CPU; what becomes of parts that fail; the page of figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import gpu_check  # noqa: E402 - a script
from gpu import page  # noqa: E402

NO_GPU = {"torch_on_gpu": False, "onnxruntime_on_gpu": False, "missing": []}


@pytest.fixture
def machine(monkeypatch):
    """Pretend that the machine has something, and that parts end at once as they are told to."""

    def pretend(found, **codes):
        def ask(command, _=None):
            if command[0] == "gpu.machine":
                return gpu_check.Ended(0, json.dumps({**NO_GPU, **found}), "")
            out = Path(command[command.index("--out") + 1])
            out.write_text(json.dumps({"known": 1}), encoding="utf-8")
            return gpu_check.Ended(codes.get(command[0].partition(".")[2], 0), "", "its last words")

        monkeypatch.setattr(gpu_check, "ask", ask)

    return pretend


def test_without_a_gpu_it_says_what_it_would_do(machine, capsys):
    machine({})
    assert gpu_check.main([]) == 0
    said = capsys.readouterr().out
    assert said.startswith("There is no GPU here")
    for part in gpu_check.PARTS:
        assert f"  {part.limit_s / 60:4.1f}  {part.name}: {part.says}" in said


def test_all_parts_together_end_in_ten_minutes():
    assert sum(part.limit_s for part in gpu_check.PARTS) <= gpu_check.LIMIT_S == 600


def test_a_part_that_fails_or_hangs_takes_no_other_along(machine, tmp_path):
    machine({"torch_on_gpu": True, "onnxruntime_on_gpu": True}, factors=1, twins=None)
    assert gpu_check.main(["--out", str(tmp_path / "r.json")]) == 1
    parts = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["parts"]
    states = {name: part["state"] for name, part in parts.items()}
    assert [*states] == [part.name for part in gpu_check.PARTS]
    assert {k for k, v in states.items() if v != "done"} == {"factors", "twins"}
    assert (states["factors"], states["twins"]) == ("failed", "stopped")
    assert parts["twins"]["figures"] == {"known": 1}
    assert parts["factors"]["said"] == "its last words"


def test_what_needs_onnxruntime_is_left_out_where_it_has_no_cuda(machine, tmp_path):
    machine({"torch_on_gpu": True})
    assert gpu_check.main(["--out", str(tmp_path / "r.json")]) == 0
    parts = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["parts"]
    assert parts["training"]["state"] == "done"
    assert parts["speed, VGG16"] == {"state": "left out: no onnxruntime on the GPU"}


def test_no_part_starts_after_the_time_of_all(machine, tmp_path, monkeypatch):
    machine({"torch_on_gpu": True, "onnxruntime_on_gpu": True})
    monkeypatch.setattr(gpu_check, "LIMIT_S", 0)
    assert gpu_check.main(["--only", "twins", "--out", str(tmp_path / "r.json")]) == 0
    parts = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["parts"]
    assert parts == {"twins": {"state": "left out: no time was left"}}


def test_a_process_that_hangs_is_ended():
    hang = ("timeit", "-n1", "-r1", "import time; time.sleep(60)")
    assert gpu_check.ask(hang, 0.5).returncode is None


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit):
        gpu_check.main(["--only", "nothing"])
    assert "there is no part 'nothing', but tests, factors," in capsys.readouterr().err


@pytest.mark.slow
def test_the_rehearsal_runs_every_part_and_its_figures_fit_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # side by side with other tests
    out = tmp_path / "r.json"
    assert gpu_check.main(["--rehearse", "--out", str(out)]) == 0, out.read_text("utf-8")
    found = json.loads(out.read_text(encoding="utf-8"))
    assert {part["state"] for part in found["parts"].values()} == {"done"}
    assert all(part["figures"] for part in found["parts"].values())
    factors = found["parts"]["factors"]["figures"]
    assert factors["ranks_resnet50"]["different"] == 0
    assert factors["gradients_vgg16_sod"]["difference"] < 1e-4
    assert found["parts"]["training"]["figures"]["largest_difference"] < 0.05
    text = page.tables(found)
    for part in gpu_check.PARTS:
        assert f"| {part.name} | done |" in text
    assert "| 1 | pruned, float16 | " in text
    assert gpu_check.main(["--write-docs", str(out)]) == 1
    assert "is of a rehearsal: its figures are of a CPU" in capsys.readouterr().err


def test_the_figures_of_a_gpu_take_their_place_in_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "PAGE", tmp_path / "page.md")
    gpu_check.PAGE.write_text(f"before\n\n{page.BEGIN}\nold\n{page.END}\n\nafter\n", "utf-8")
    machine = {"gpu": "a card", "torch": "2", "onnxruntime": "1", "cuda": "13"}
    parts = {
        "tests": {"state": "done", "seconds": 3.0, "figures": {"passed": 7, "failed": 0}},
        "twins": {"state": "left out: no time was left"},
    }
    results = tmp_path / "r.json"
    results.write_text(
        json.dumps({"rehearsal": False, "machine": machine, "parts": parts}), "utf-8"
    )
    assert gpu_check.main(["--write-docs", str(results)]) == 0
    once = gpu_check.PAGE.read_text(encoding="utf-8")
    assert once.startswith(f"before\n\n{page.BEGIN}\na card, CUDA 13, torch 2, ONNX Runtime 1;")
    assert once.endswith(f"7 passed, 0 failed\n{page.END}\n\nafter\n")
    assert "| twins | left out: no time was left |  |" in once
    assert gpu_check.main(["--write-docs", str(results)]) == 0
    assert gpu_check.PAGE.read_text(encoding="utf-8") == once


def test_a_page_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="must have these marks once"):
        page.fill("nothing", "text")


def test_the_page_has_the_marks_and_says_what_is_not_measured():
    text = gpu_check.PAGE.read_text(encoding="utf-8")
    inside = text.partition(page.BEGIN)[2].partition(page.END)[0].strip()
    assert inside == page.NOTHING or inside.count("`make gpu-check`") == 1

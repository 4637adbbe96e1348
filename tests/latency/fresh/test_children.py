"""Processes of their own: what they answer, how they die, and that none stays behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from wrg_onnx.errors import DataError, ModelError, UsageError
from wrg_onnx.latency.fresh import Place, started, write_feeds
from wrg_onnx.latency.fresh.children import PROGRAM, Child

NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")


def is_running(pid):
    """Tell a process that runs from one that is gone, or that nobody has waited for."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_runs_its_model_and_tells_how_long_each_call_took(task):
    with started(task) as child:
        times = child.run(3)
    assert len(times) == 3
    assert all(time > 0 for time in times)


@NEEDS_PROC
def test_the_peak_is_what_the_model_adds(task):
    with started(task) as child:
        before = child.peak_bytes()
        child.run(1)
        small = child.peak_bytes()
    assert 0 <= before <= small < 100e6
    write_feeds(task.feeds, {"image": np.ones((4096, 16, 8, 8), np.float32)})
    with started(task) as child:
        child.run(1)
        outputs = 4096 * 24 * 64 * 4
        assert child.peak_bytes() >= small + outputs / 2


def test_names_of_inputs_need_not_be_names_of_files(task, tmp_path):
    body = """<ir_version: 8, opset_import: ["": 17]> g
    (float[2] x) => (float[2] y) { y = Neg(x) }"""
    model = onnx.parser.parse_model(body)
    model.graph.input[0].name = model.graph.node[0].input[0] = "a/b:0 names.npy"
    onnx.save(model, tmp_path / "odd.onnx")
    write_feeds(task.feeds, {"a/b:0 names.npy": np.ones(2, np.float32)})
    with started(replace(task, model=tmp_path / "odd.onnx")) as child:
        assert len(child.run(1)) == 1


def test_a_model_that_onnx_runtime_refuses_is_named_in_one_line(task, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with (
        pytest.raises(ModelError, match=r"'m.onnx': ONNX Runtime refuses it: ") as caught,
        started(replace(task, model=broken)),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_inputs_that_do_not_fit_are_a_data_error(task):
    write_feeds(task.feeds, {"image": np.ones((2, 3, 8, 8), np.float32)})
    with (
        started(task) as child,
        pytest.raises(DataError, match=r"'m.onnx': ONNX Runtime fails on the inputs .*: "),
    ):
        child.run(1)


def test_an_output_too_large_for_memory_is_a_data_error(task, tmp_path):
    body = """<ir_version: 8, opset_import: ["": 17]> g
    (int64[2] sizes) => (float[a,b] y) { y = ConstantOfShape(sizes) }"""
    onnx.save(onnx.parser.parse_model(body), tmp_path / "huge.onnx")
    write_feeds(task.feeds, {"sizes": np.array([1 << 24, 1 << 22])})
    with (
        started(replace(task, model=tmp_path / "huge.onnx")) as child,
        pytest.raises(DataError, match=r"fails on the inputs .*: .*Failed to allocate"),
    ):
        child.run(1)


def test_a_provider_that_does_not_start_is_a_usage_error(task, tmp_path):
    program = tmp_path / "other.py"
    program.write_text('input(); print(\'{"providers": ["CPUExecutionProvider"]}\', flush=True)')
    place = Place("tensorrt", "TensorrtExecutionProvider")
    with (
        Child(replace(task, place=place), program) as child,
        pytest.raises(UsageError, match=r"provider tensorrt: .* does not start"),
    ):
        child.open()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV as it loads the model"),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            r"by SIGKILL \(likely out of memory\) as it loads",
        ),
        ("sys.exit('first\\nthe last word')", "ended with exit code 1 as .*: the last word"),
        ("os._exit(0)", "ended with exit code 0 as it loads the model$"),
    ],
)
def test_a_process_that_dies_is_told_of_in_one_line(task, tmp_path, code, words):
    program = tmp_path / "dies.py"
    program.write_text(f"import os, signal, sys\nsys.stdin.readline()\n{code}\n")
    with (
        Child(task, program) as child,
        pytest.raises(ModelError, match=f"'m.onnx': the process of its own .*{words}") as caught,
    ):
        child.open()
    assert "\n" not in str(caught.value)


def test_what_a_provider_prints_does_not_get_between_the_answers(task, tmp_path):
    program = tmp_path / "chats.py"
    loop = "    for line in sys.stdin:"
    text = PROGRAM.read_text(encoding="utf-8")
    assert loop in text
    program.write_text(text.replace(loop, f"    print('hello', flush=True)\n{loop}"))
    with Child(task, program) as child:
        child.open()
        assert len(child.run(1)) == 1


@NEEDS_PROC
def test_an_interrupt_ends_the_process(task):
    seen = []

    def interrupted():
        with started(task) as child:
            seen.append((child.pid, is_running(child.pid)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    ((pid, ran),) = seen
    assert ran
    assert not is_running(pid)


PARENT = """
import sys, time
from pathlib import Path
from wrg_onnx.latency.fresh import Place, Task
from wrg_onnx.latency.fresh import started
model, feeds = map(Path, sys.argv[1:])
with started(Task("m", model, feeds, Place("cpu", "CPUExecutionProvider"), 1, {})) as child:
    print(child.pid, flush=True)
    time.sleep(600)
"""


@NEEDS_PROC
def test_a_process_ends_when_its_parent_is_killed(task):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, task.model, task.feeds], stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    wait_until(lambda: not is_running(pid))


def children_of(pid):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


@NEEDS_PROC
def hear_ctrl_c():
    """Undo what a shell does to programs in the background: they ignore it, and so do theirs."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_a_bench_and_all_of_its_processes(task):
    command = [sys.executable, "-m", "wrg_onnx", "bench", task.model, "--rounds", "1000000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - no other thread of the tests holds a lock
    ) as parent:  # fmt: skip
        wait_until(lambda: children_of(parent.pid))
        children = children_of(parent.pid)
        parent.send_signal(signal.SIGINT)
        out, error = parent.communicate(timeout=60)
    assert (parent.returncode, out) == (130, "")
    assert "Traceback" not in error
    wait_until(lambda: not any(map(is_running, children)))


def test_the_program_imports_nothing_of_the_package():
    code = f"import runpy, sys; runpy.run_path({str(PROGRAM)!r}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"wrg_onnx", "onnx", "scipy"} & {*done.stdout.split()}

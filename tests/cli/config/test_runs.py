"""What --json printed of a run makes that run again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

SMALL = ("--size", 32, "--samples", 3, "--no-evaluate")
WAYS = {
    "weights": ("--ratio", 0.5, "--criterion", "l1", "--keep", "third*", "--floor", 0.2),
    "ridge": ("--ratio", 0.5, "--data", "data", *SMALL, "--seed", 3, "--no-cache"),
    "ranks in rounds": ("--ratio", 0.4, "--data", "data", *SMALL, "--criterion", "wr",
                        "--rounds", 2, "--recover", "bias"),
    "images that are made": ("--ratio", 0.5, *SMALL, "--mean", "0.5,0.4,0.3", "--order", "bgr"),
    "limit": ("--max-params", 2000, "--criterion", "l2", "--align", 4, "--scope", "uniform"),
    "float16": ("--ratio", 0.5, "--criterion", "l1", "--half", "--external-data"),
    "largest cut": ("--max-drop", 0.3, "--metric", "relative error", "--data", "data",
                    "--size", 32, "--samples", 3, "--criterion", "l1", "--recover", "bias"),
}  # fmt: skip
each_way = pytest.mark.parametrize(
    "way",
    [pytest.param(way, marks=[pytest.mark.slow] * (way == "largest cut")) for way in WAYS],
)


@pytest.fixture
def recorded(run, model, data, folder):  # noqa: ARG001 - the images are there
    """Make a run; return its report, which also lies in ``run.json``."""

    def make(*options, command="prune"):
        done = run(command, model, *options, "--json")
        assert done.exit_code == 0, done.stderr
        (folder / "run.json").write_text(done.stdout, encoding="utf-8")
        return json.loads(done.stdout)

    return make


def files_of(path):
    return [one.read_bytes() for one in (Path(path), Path(f"{path}.data")) if one.exists()]


@each_way
def test_the_same_file_is_written_byte_for_byte(run, recorded, way):
    found = recorded("first.onnx", *WAYS[way])
    # Of the same name: a model with its weights beside it names their file.
    done = run("prune", "--config", "run.json", "-o", "again/first.onnx", "--json")
    assert done.exit_code == 0, done.stderr
    first, again = files_of("first.onnx"), files_of("again/first.onnx")
    assert len(first) == (2 if way == "float16" else 1)
    assert first == again
    assert json.loads(done.stdout)["config"] == {**found["config"], "output": "again/first.onnx"}


def test_from_python_the_options_are_the_arguments(recorded):
    import wrg_onnx

    config = recorded("first.onnx", *WAYS["ridge"])["config"]
    result = wrg_onnx.prune(**{**config, "output": "again.onnx"})
    assert files_of("first.onnx") == files_of("again.onnx")
    assert result.to_dict()["config"] == {**config, "output": "again.onnx"}


def test_a_report_has_all_options_defaults_included_and_paths_as_given(recorded):
    import inspect

    import wrg_onnx

    found = recorded("./first.onnx", *WAYS["ridge"])
    parameters = inspect.signature(wrg_onnx.prune).parameters
    asked_each_time = {"details", "force", "progress", "report", "workers"}
    assert [*found["config"]] == [name for name in parameters if name not in asked_each_time]
    given = {"model": "m.onnx", "output": "first.onnx", "ratio": 0.5, "data": "data",
             "size": [32, 32], "samples": 3, "evaluate": False, "seed": 3,
             "cache": False}  # fmt: skip
    for name, value in found["config"].items():
        default = parameters[name].default
        plain = list(default) if isinstance(default, tuple) else default
        assert value == given.get(name, plain), name
    assert found["origin"] == {
        "command": "prune", "version": wrg_onnx.__version__, "program": "wrg-onnx",
    }  # fmt: skip
    digest = hashlib.sha256(Path("m.onnx").read_bytes()).hexdigest()
    assert found["sha256"] == {"m.onnx": digest}


def test_what_is_there_is_not_replaced_unless_that_is_asked_for_again(run, recorded):
    found = recorded("first.onnx", *WAYS["weights"], "--force")
    assert "force" not in found["config"]
    done = run("prune", "--config", "run.json")
    assert done.exit_code == 1
    assert "Error: 'first.onnx' exists; --force replaces it" in done.stderr
    assert run("prune", "--config", "run.json", "--force").exit_code == 0


def test_the_command_line_comes_before_a_run(run, recorded):
    recorded("first.onnx", *WAYS["weights"])
    typed = ("--config", "run.json", "-o", "again.onnx", "--ratio", 0.2, "--json")
    found = json.loads(run("prune", *typed).stdout)
    assert (found["config"]["ratio"], found["config"]["keep"]) == (0.2, ["third*"])


def test_another_model_is_cut_as_the_first_was_and_gets_a_file_of_its_own(
    run, recorded, make_model
):
    recorded("first.onnx", *WAYS["weights"])
    make_model("other.onnx", ("Relu(d)", "Sigmoid(d)"))
    done = run("prune", "other.onnx", "--config", "run.json", "--json")
    found = json.loads(done.stdout)
    assert (found["output"], found["config"]["keep"]) == ("other.pruned.onnx", ["third*"])


def test_a_model_that_has_changed_is_refused_unless_it_is_named(refused, run, recorded, make_model):
    recorded("first.onnx", *WAYS["weights"])
    make_model("m.onnx", ("Relu(d)", "Sigmoid(d)"))
    line = refused("prune", "--config", "run.json", "-o", "again.onnx", code=2)
    assert line.startswith("'run.json': 'm.onnx' is not the file that it tells of: its SHA-256 ")
    assert run("prune", "m.onnx", "--config", "run.json").exit_code == 0


def test_weights_beside_a_model_count_too(refused, recorded, make_model):
    beside = {"save_as_external_data": True, "location": "m.data", "size_threshold": 0}
    make_model("m.onnx", **beside)
    found = recorded("first.onnx", *WAYS["weights"])
    assert [*found["sha256"]] == ["m.onnx", "m.data"]
    content = bytearray(Path("m.data").read_bytes())
    content[7] ^= 1
    Path("m.data").write_bytes(content)
    line = refused("prune", "--config", "run.json", "-o", "again.onnx", code=2)
    assert "'m.data' is not the file" in line


def test_a_model_that_is_gone_is_told_by_who_reads_it(run, recorded):
    recorded("first.onnx", *WAYS["weights"])
    Path("m.onnx").unlink()
    done = run("prune", "--config", "run.json", "-o", "again.onnx")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[1:] == ["Error: 'm.onnx': no such file"]


def test_paths_of_a_run_count_from_the_current_folder(run, recorded, folder):
    recorded("first.onnx", *WAYS["weights"])
    (folder / "runs").mkdir()
    Path("run.json").rename("runs/run.json")
    assert run("prune", "--config", "runs/run.json", "-o", "again.onnx").exit_code == 0
    assert files_of("first.onnx") == files_of("again.onnx")


def test_names_that_are_no_utf_8_come_through(run, make_model):
    import os

    name = os.fsdecode(b"m\xff.onnx")
    make_model(Path(name))
    done = run("prune", name, "first.onnx", *WAYS["weights"], "--json")
    Path("run.json").write_text(done.stdout, encoding="utf-8")
    assert run("prune", "--config", "run.json", "-o", "again.onnx").exit_code == 0
    assert files_of("first.onnx") == files_of("again.onnx")


def test_a_sweep_is_made_again(run, recorded):
    options = ("--ratios", "0.3,0.5", "--criteria", "l1", "--data", "data", "--size", 32,
               "--samples", 3, "--out-dir", "cuts", "--no-cache")  # fmt: skip
    found = recorded(*options, command="sweep")
    assert found["sha256"] == {"m.onnx": hashlib.sha256(Path("m.onnx").read_bytes()).hexdigest()}
    done = run("sweep", "--config", "run.json", "--out-dir", "again", "--json")
    assert done.exit_code == 0, done.stderr
    made = sorted(path.name for path in Path("cuts").iterdir())
    assert len(made) == 2
    for name in made:
        assert files_of(f"cuts/{name}") == files_of(f"again/{name}")
    assert json.loads(done.stdout)["config"] == {**found["config"], "out_dir": "again"}


@pytest.mark.parametrize(
    ("command", "options", "keys"),
    [
        ("inspect", ("--floor", 0.3), {"model": "m.onnx", "floor": 0.3}),
        ("bench", ("m2.onnx", "--size", 32, "--rounds", 2, "--warmup", 0, "--processes", 1),
         {"models": ["m.onnx", "m2.onnx"], "rounds": 2}),
        ("validate", ("m2.onnx", "--size", 32, "--samples", 2),
         {"original": "m.onnx", "pruned": "m2.onnx", "samples": 2}),
    ],
)  # fmt: skip
def test_other_commands_are_made_again_likewise(run, recorded, make_model, command, options, keys):
    make_model("m2.onnx")
    found = recorded(*options, command=command)
    assert {name: found["config"][name] for name in keys} == keys
    done = run(command, "--config", "run.json", "--json")
    assert done.exit_code == 0, done.stderr
    again = json.loads(done.stdout)
    assert (again["config"], again["origin"]) == (found["config"], found["origin"])
    files = [] if command == "inspect" else ["m.onnx", *options[:1]]
    assert [*found.get("sha256", {})] == files


def test_fine_tuning_tells_of_both_models_and_its_options(run, recorded, make_model):
    pytest.importorskip("torch")
    make_model("teacher.onnx")
    options = ("--teacher", "teacher.onnx", "--data", "data", "--size", 32, "--epochs", 1,
               "-o", "first.onnx", "--no-evaluate")  # fmt: skip
    found = recorded(*options, command="finetune")
    assert [*found["sha256"]] == ["m.onnx", "teacher.onnx"]
    done = run("finetune", "--config", "run.json", "-o", "again.onnx", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["config"] == {**found["config"], "output": "again.onnx"}

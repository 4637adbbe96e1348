"""Options that stand in a file: where it is looked for, and what comes before what."""

from __future__ import annotations

from pathlib import Path

import pytest

PRUNE = {"model": Path("m.onnx"), "output": Path("m.pruned.onnx")}
PROJECT = '[project]\nname = "mine"\n[tool.wrg-onnx.prune]\nratio = 0.3\n'


def test_without_a_file_nothing_is_set_and_nothing_said(called):
    assert called("prune", "m.onnx", "--ratio", 0.5) == {**PRUNE, "ratio": 0.5}
    assert called.stderr == ""


def test_wrg_toml_of_the_current_folder_is_found(called, write):
    write("[prune]\nratio = 0.6\n")
    assert called("prune", "m.onnx") == {**PRUNE, "ratio": 0.6}


def test_that_of_a_folder_above_is_not(called, write, folder, monkeypatch):
    write("[prune]\nratio = 0.6\n")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert "ratio" not in called("prune", "m.onnx")


def test_the_table_of_a_project_is_found(called, write):
    write(PROJECT, "pyproject.toml")
    assert called("prune", "m.onnx") == {**PRUNE, "ratio": 0.3}


@pytest.mark.parametrize(
    "text", ['[project]\nname = "mine"\n', "wrong [", '[project]\ndependencies = ["wrg-onnx"]\n']
)
def test_a_project_without_the_table_sets_nothing(called, write, text):
    write(text, "pyproject.toml")
    assert called("prune", "m.onnx") == PRUNE


def test_wrg_toml_comes_before_the_project_and_the_two_are_not_mixed(called, write):
    write(PROJECT + "seed = 7\n", "pyproject.toml")
    write("[prune]\nratio = 0.6\n")
    assert called("prune", "m.onnx") == {**PRUNE, "ratio": 0.6}


def test_a_named_file_comes_before_both_and_is_not_mixed_with_them(called, write):
    write(PROJECT, "pyproject.toml")
    write("[prune]\nratio = 0.6\nseed = 7\n")
    write("[prune]\nratio = 0.1\n", "other.toml")
    assert called("prune", "m.onnx", "--config", "other.toml") == {**PRUNE, "ratio": 0.1}


def test_a_project_may_be_named(called, write):
    write(PROJECT, "sub/pyproject.toml")
    assert called("prune", "m.onnx", "--config", "sub/pyproject.toml")["ratio"] == 0.3


def test_no_config_looks_for_none(called, write):
    write("wrong [")
    assert called("prune", "m.onnx", "--no-config") == PRUNE


def test_a_file_and_no_file_contradict_each_other(refused, write):
    write("")
    line = refused("prune", "m.onnx", "--config", "wrg.toml", "--no-config", code=2)
    assert line == "--config 'wrg.toml' and --no-config: give one of them"


def test_help_is_there_whatever_the_file_says(run, write):
    write("wrong [")
    for option in ("--help", "-h"):
        assert run("prune", option).exit_code == 0


def test_the_command_line_comes_before_the_file(called, write):
    write('[prune]\nratio = 0.6\ncriterion = "l1"\nkeep = ["a"]\nseed = 3\n')
    found = called("prune", "m.onnx", "--ratio", 0.2, "--keep", "b", "--seed", 0)
    assert found == {**PRUNE, "ratio": 0.2, "criterion": "l1", "keep": ("b",)}


def test_what_several_commands_have_may_stand_above_the_tables(called, write):
    write('data = "images"\nseed = 3\n[prune]\nratio = 0.6\n[sweep]\nseed = 4\n')
    shared = {"data": Path("images"), "seed": 3}
    assert called("prune", "m.onnx") == {**PRUNE, **shared, "ratio": 0.6}
    assert called("sweep", "m.onnx") == {"model": Path("m.onnx"), **shared, "seed": 4}
    assert called("validate", "m.onnx", "p.onnx") == {
        "original": Path("m.onnx"), "pruned": Path("p.onnx"), **shared,
    }  # fmt: skip
    assert called("bench", "m.onnx") == {"models": (Path("m.onnx"),), "seed": 3}


def test_sizes_and_seeds_of_models_are_not_those_of_made_images(called, write):
    write("size = 64\nseed = 3\n[tsod.make]\ncount = 5\n")
    assert called("tsod make") == {"output": Path("tsod"), "count": 5}


def test_models_and_outputs_may_stand_in_a_file(called, write):
    write('[prune]\nmodel = "a.onnx"\noutput = "b.onnx"\nratio = 0.6\n[bench]\nmodels = ["a", "b"]')
    assert called("prune") == {
        "model": Path("a.onnx"), "output": Path("b.onnx"), "ratio": 0.6,
    }  # fmt: skip
    assert called("bench") == {"models": (Path("a"), Path("b"))}
    assert called("prune", "c.onnx", "d.onnx")["output"] == Path("d.onnx")
    assert called("prune", "c.onnx", "-o", "e.onnx")["output"] == Path("e.onnx")


def test_paths_count_from_the_folder_of_the_file(called, write):
    write('data = "images"\n[prune]\nratio = 0.5\noutput = "/b.onnx"\n', "sub/run.toml")
    found = called("prune", "m.onnx", "--config", "sub/run.toml")
    assert (found["data"], found["output"]) == (Path("sub/images"), Path("/b.onnx"))


def test_keys_may_be_written_as_options_are_or_as_parameters(called, write):
    for key in ("max-drop", "max_drop"):
        write(f"[prune]\n{key} = 0.1\n")
        assert called("prune", "m.onnx")["max_drop"] == 0.1


@pytest.mark.parametrize(
    ("file", "typed", "left"),
    [
        ("ratio = 0.5", ("--max-drop", 0.1), {"max_drop": 0.1}),
        ("max-drop = 0.1\nmetric = 'MAE'", ("--ratio", 0.5), {"ratio": 0.5}),
        ("max-drop = 0.1\nmetric = 'MAE'", ("--max-drop", 0.2),
         {"max_drop": 0.2, "metric": "MAE"}),
        ("ratio = 0.5\nbudget = 'macs'", ("--max-params", 100), {"max_params": 100}),
        ("ratio = 0.5\nbudget = 'macs'", ("--ratio", 0.2), {"ratio": 0.2, "budget": "macs"}),
        ("half = true", ("--int8",), {"int8": True}),
        ("int8 = true", ("--half",), {"half": True}),
        ("recover = 'finetune'\nepochs = 5", ("--recover", "ridge"), {"recover": "ridge"}),
        ("criterion = 'sel'\namp = true", ("--criterion", "l1"), {"criterion": "l1"}),
        ("evaluate = true", ("--no-evaluate",), {"evaluate": False}),
        ("cache = false", ("--cache", "kept"), {"cache": Path("kept")}),
        ("cache = 'kept'", ("--no-cache",), {"cache": False}),
    ],
)  # fmt: skip
def test_what_the_command_line_contradicts_is_left_out(called, write, file, typed, left):
    write(f"[prune]\n{file}\n")
    assert called("prune", "m.onnx", *typed) == {**PRUNE, **left}


@pytest.mark.parametrize(
    ("text", "cache"), [("true", None), ("false", False), ("'kept'", Path("kept"))]
)
def test_the_cache_is_a_folder_or_whether_there_is_one(called, write, text, cache):
    write(f"cache = {text}\n")
    assert called("prune", "m.onnx").get("cache") == cache


def test_what_a_file_sets_is_said_but_not_what_is_so_by_default(called, write):
    write(
        'seed = 0\ncache = true\n[prune]\nratio = 0.6\ncriterion = "repair"\nkeep = ["*head*"]\n'
        "samples = 8\nshape = { x = [1, 512] }\nfloor = 0.1\nonly = []\n"
    )
    called("prune", "m.onnx", "--samples", 9)
    assert called.stderr == (
        'Note: \'wrg.toml\' sets ratio = 0.6, keep = ["*head*"], shape = {"x": [1, 512]}\n'
    )


def test_of_several_processes_the_first_one_says_it(called, write, monkeypatch):
    write("[prune]\nratio = 0.6\n")
    monkeypatch.setenv("RANK", "1")
    assert called("prune", "m.onnx")["ratio"] == 0.6
    assert called.stderr == ""


def test_json_may_be_asked_for_in_a_file(run, write, model):
    write("json = true\n")
    assert run("inspect", model).stdout.startswith("{")

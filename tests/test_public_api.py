"""The public surface: what each folder exports is what it says, and imports."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import wrg_onnx

ROOT = Path(wrg_onnx.__file__).parent
FOLDERS = ["", *sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))]
PUBLIC = {
    "select": "Axis Budget Candidates Criterion Measured Products RepairOrder Scope Scores "
    "Selection UnitValues all_criteria criterion_names expected_jaccard halves_jaccard jaccard "
    "knapsack_order largest_ratio per_unit register_criterion removal_order repair_order score "
    "select",
    "factors": "ACTIVATION BATCH_SCALE BoolArray Consumer DISTANCE Factor Float64Array GRADIENT "
    "IntArray L1 L2 LARGEST LayerValues RANK Source Statistics WEIGHT from_source",
    "calibrate": "Cache CacheReport CertaintyFunction CollectOptions Collected Measurements Tap "
    "all_factors cache_folder cache_limit channels_first collect constant_numbers map_factor "
    "measure_weights of_filters plan_taps weights_factor",
    "report": "BenchReport BenchReports ExportReport FinetuneReport InspectReport PruneReport "
    "SweepReport ValidateReport to_json to_plain to_text",
    "recover": "AddedBiases FEWEST_SAMPLES Kept LayerFit MeasureOptions Measured "
    "ReconstructOptions Reconstruction Removal RowOptions check_samples compensate consumers_of "
    "find_or_measure measure_layers reconstruct",
    "finetune": "BatchNormUse Between CheckpointFile Device EpochResult Finetuned "
    "FinetuneOptions TrainingData check_checkpoint check_teacher checkpoint_bytes",
    "rewrite": "Equivalence KeptChannels Plan Reference Survivors TOLERANCE apply_plan "
    "check_folding combine compare_with compose decide_branches find_kept_channels fold "
    "has_branches mask_consumers plan_slices prove read_note run_masked validate_translation "
    "with_note worst_of",
    "tsod": "BACKGROUNDS BackgroundCount FilterOptions FilterReport MakeOptions MakeReport Scene "
    "SetCount draw_scene filter_sets generate make_set",
    "extend": "ACTIVATION Arrays Axes BATCH_SCALE Call Coupling DISTANCE Demand Derived Factor "
    "Float64Array Freeze GRADIENT L1 L2 Node Picture RANK Tie Traits WEIGHT broadcast criterion "
    "data_source derivation freeze_axes loss map_factor op_rule op_traits tie_rows twin_op "
    "weights_factor",
    "extensions": "Extension Kind Named OURS Origin SWITCH calling_module check_name claim foreign "
    "installed lasting load_all load_named origin_of raise_if_failed raise_if_missing "
    "register_named",
    "cli": "main",
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_name_of_all_imports(folder):
    module = importlib.import_module(f"wrg_onnx.{folder}".rstrip("."))
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    for name in names:
        assert hasattr(module, name), name


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_init_imports_nothing_that_all_does_not_say(folder):
    path = ROOT / folder / "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wrg_onnx")
        for alias in node.names
    }
    module = importlib.import_module(f"wrg_onnx.{folder}".rstrip("."))
    assert imported <= {*getattr(module, "__all__", [])}


@pytest.mark.parametrize("folder", PUBLIC)
def test_public_names_are_those_recorded(folder):
    module = importlib.import_module(f"wrg_onnx.{folder}")
    assert sorted(module.__all__) == sorted(PUBLIC[folder].split())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_says_what_it_is_for(folder):
    module = importlib.import_module(f"wrg_onnx.{folder}".rstrip("."))
    assert module.__doc__
    assert module.__doc__.rstrip().endswith(".")

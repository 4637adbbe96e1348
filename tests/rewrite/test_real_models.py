"""Trained models and exported architectures: half of each group goes, and the result is exact."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from strategies import compare, masked, run

from wrg_onnx.channels import find_units, index_bounds, parameter_terms, random_feeds, total_cost
from wrg_onnx.graph import bind_sizes, infer_shapes, load, save
from wrg_onnx.rewrite import apply_plan, plan_slices, validate_translation

SHARED = Path(__file__).resolve().parents[3] / "shared"
# The least share of the parameters that must go when half of each group does.
MODELS = {
    "csnet_L_x2_224": 0.65, "rdian_256": 0.65, "yolox_nano": 0.7, "PP_OCR_v2_det": 0.68,
    "deeplab_v3_mnv2_dm05_tf": 0.7, "agllnet_256x256": 0.7, "ultraface_RFB_320": 0.58,
    "super_resolution_subpixel": 0.7, "picodet_s_320_coco_sim": 0.68, "shufflenet_v2_12_int8": 0.6,
}  # fmt: skip
ZOO = {
    "tv_resnet18_64": 0.7, "tv_mobilenet_v2_64": 0.6, "tv_shufflenet_v2_x1_0_64": 0.55,
    "tv_squeezenet1_1_96": 0.6, "timm_hrnet_w18_small_96": 0.66, "tv_efficientnet_b0_64": 0.63,
}  # fmt: skip


def halve(units):
    rng = np.random.default_rng(0)
    alive = np.ones(units.count, bool)
    for group in np.unique(units.group[units.removable]):
        members = np.flatnonzero((units.group == group) & units.removable)
        alive[rng.permutation(members)[: len(members) // 2]] = False
    return alive


def check(path, least, tmp_path):
    graph = load(path)
    sizes = bind_sizes(graph.inputs, image_size=64)
    shapes = infer_shapes(graph, sizes, index_bounds(graph))
    units = find_units(graph, shapes)
    alive = halve(units)
    plan = plan_slices(units, alive)
    pruned = apply_plan(graph, plan)
    assert validate_translation(graph, pruned, plan, sizes).error < 1e-3
    terms = parameter_terms(units)
    assert total_cost(terms, alive) < (1 - least) * total_cost(terms, np.ones(units.count, bool))
    save(pruned, tmp_path / "pruned.onnx")
    written = onnx.load(tmp_path / "pruned.onnx")
    onnx.checker.check_model(written, full_check=True)
    original = onnx.load(path)
    feeds = random_feeds(graph, sizes, np.random.default_rng(5))
    # The oracle zeroes what the weights lose, the divisors that a graph computes with aside.
    compare(run(masked_like(original, plan), feeds), run(written, feeds), 1e-3)


def masked_like(original, plan):
    consumed = {
        name
        for name, slots in plan.units.slots_of.items()
        if any(plan.units.is_consumed[s.offset : s.offset + s.size].any() for s in slots)
    }
    return masked(original, plan, spare=set(plan.kept) - consumed)


@pytest.mark.parametrize("name", MODELS)
def test_trained_model_is_cut_exactly(name, tmp_path):
    path = SHARED / "data" / "models" / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    check(path, MODELS[name], tmp_path)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # skeleton.py leaves its file to the garbage
@pytest.mark.parametrize("name", ZOO)
def test_exported_architecture_is_cut_exactly(name, tmp_path):
    path = SHARED / "data" / "zoo" / f"{name}.onnx.xz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    spec = importlib.util.spec_from_file_location("skeleton", SHARED / "tools" / "skeleton.py")
    skeleton = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(skeleton)
    model = tmp_path / f"{name}.onnx"
    onnx.save(skeleton.materialize(str(path)), model)
    check(model, ZOO[name], tmp_path)

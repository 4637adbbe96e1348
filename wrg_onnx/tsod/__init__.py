"""Data of tiny salient objects: made, or filtered from other sets; and how pictures are read."""

from wrg_onnx.tsod.backgrounds import BACKGROUNDS
from wrg_onnx.tsod.filter import FilterReport, SetCount, filter_sets
from wrg_onnx.tsod.make import BackgroundCount, MakeOptions, MakeReport, make_set
from wrg_onnx.tsod.scenes import Scene, draw_scene, generate
from wrg_onnx.tsod.verdicts import FilterOptions

__all__ = [
    "BACKGROUNDS", "BackgroundCount", "FilterOptions", "FilterReport", "MakeOptions",
    "MakeReport", "Scene", "SetCount", "draw_scene", "filter_sets", "generate", "make_set",
]  # fmt: skip

"""Rules of `rules/normalisation_microsoft.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
import pytest
from fused_calls import couple_fused, held
from operator_cases import (
    Case,
    assert_costs_follow,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from rule_calls import axes, carried, ties
from strategies import normal

BACK = "u = Transpose<perm = [0, 2, 1]>(o)  y = Reshape(u, r)"

SHAPES = {"s": ints(1, 8, 36), "r": ints(1, -1, 6, 6)}

TOKENS = "f = Reshape(a, s)  q = Transpose<perm = [0, 2, 1]>(f)"


def microsoft(name, body, **extra):
    return Case(name, body, domains=("com.microsoft",), **extra)


def tokens(name, body, *, consts=None, **extra):
    """Make a case on tokens: ``q`` is ``a`` as (1, 36, 8), and ``o`` becomes ``y``."""
    text = f"{TOKENS}  {body}  {BACK}"
    return microsoft(name, text, consts={**SHAPES, **(consts or {})}, **extra)


CASES = [
    tokens("SkipLayerNormalization-stays", "v = MatMul(q, w)  o = com.microsoft.SkipLayerNormalization(q, v, g, c, d)",
           free=0, consts={"w": normal(8, 8), "g": normal(8), "c": normal(8), "d": normal(8)}),
    microsoft("SkipLayerNormalization-over-positions", "f = Reshape(a, s)  h = Reshape(b, s)  "
              "n = com.microsoft.SkipLayerNormalization(f, h, g, c)  y = Reshape(n, r)",
              consts={**SHAPES, "g": normal(36), "c": normal(36)}),
    microsoft("SkipLayerNormalization-skip-of-rank-2", "f = Reshape(a, s)  "
              "n = com.microsoft.SkipLayerNormalization(f, k, g)  y = Reshape(n, r)",
              consts={**SHAPES, "g": normal(36), "k": normal(8, 36)}),
    microsoft("SkipLayerNormalization-sum", "f = Reshape(a, s)  h = Reshape(b, s)  "
              "n, , , m = com.microsoft.SkipLayerNormalization(f, h, g, c, d)  y = Reshape(n, r)  y1 = Reshape(m, r)",
              y=(8, 8), consts={**SHAPES, "g": normal(36), "c": normal(36), "d": normal(36)}),
    microsoft("SkipSimplifiedLayerNormalization-sum", "f = Reshape(a, s)  h = Reshape(b, s)  "
              "n, , , m = com.microsoft.SkipSimplifiedLayerNormalization(f, h, g, d)  y = Reshape(n, r)  y1 = Reshape(m, r)",
              y=(8, 8), consts={**SHAPES, "g": normal(36), "d": normal(36)}),
    tokens("SkipSimplifiedLayerNormalization-stays", "v = MatMul(q, w)  "
           "o = com.microsoft.SkipSimplifiedLayerNormalization(q, v, g)", free=0,
           consts={"w": normal(8, 8), "g": normal(8)}),
    tokens("EmbedLayerNormalization", "e, m = com.microsoft.EmbedLayerNormalization(i, , t, p, , g, c)  "
           "k = MatMul(e, w)  o = Mul(q, k)", consts={
               "i": np.zeros((1, 36), np.int32), "t": normal(3, 4), "p": normal(40, 4), "g": normal(4),
               "c": normal(4), "w": normal(4, 8)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


@each_case(CASES)
def test_costs_are_exact_after_removal(case):
    assert_costs_follow(case)


@pytest.mark.parametrize("last", [0, 1])
def test_group_norm_freezes_all_that_it_normalises(last):
    x = axes((1, 6, 6, 4), a3=0) if last else axes((1, 4, 6, 6), a1=0)
    c = couple_fused("GroupNorm", [x, axes((4,), a0=10), axes((4,), a0=20)], [x.shape], groups=2,
               channels_last=last, activation=1)  # fmt: skip
    assert held(c) == {"normalises over this axis": [*range(4), *range(10, 14), *range(20, 24)]}
    assert carried(c) == [None if i is None else i.tolist() for i in x.ids]


def test_skip_group_norm_freezes_the_skip_and_passes_the_sum():
    x, shape = axes((1, 6, 6, 2), a3=0), (1, 6, 6, 2)
    inputs = [x, axes((2,), a0=10), axes((2,), a0=20), axes((1, 2), a1=30), axes((2,), a0=40)]
    c = couple_fused("SkipGroupNorm", inputs, [shape, shape], groups=2, activation=0)
    normalised = held(c)["normalises over this axis"]
    assert normalised == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]
    assert carried(c, 1) == [None, None, None, [0, 1]]


def test_skip_layer_norm_gives_its_statistics_the_other_axes():
    shape = (1, 2, 4)
    inputs = [axes(shape, a1=50, a2=0), axes((2, 4), a0=60, a1=10), axes((4,), a0=20)]
    c = couple_fused("SkipLayerNormalization", inputs, [shape, (1, 2, 1), (1, 2, 1), shape])
    assert carried(c, 1) == [None, [50, 51], None]
    assert carried(c, 3) == [None, [50, 51], [0, 1, 2, 3]]
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13), (50, 60), (51, 61)]
    assert held(c) == {"normalises over this axis": [0, 1, 2, 3, 20, 21, 22, 23]}


def test_embed_layer_norm_ties_and_freezes_the_columns_of_its_tables():
    ids = axes((1, 5))
    tables = [axes((7, 2), a0=100, a1=10), axes((5, 2), a0=110, a1=20), axes((3, 2), a0=120, a1=30)]
    c = couple_fused("EmbedLayerNormalization", [ids, ids, *tables, axes((2,), a0=40), axes((2,), a0=50)],
               [(1, 5, 2), (1,), (1, 5, 2)])  # fmt: skip
    assert ties(c) == [(10, 20), (10, 30), (11, 21), (11, 31)]
    assert held(c)["normalises over this axis"] == [10, 11, 40, 41, 50, 51]
    assert carried(c) == carried(c, 2) == [None, None, [10, 11]]
    assert carried(c, 1) == [None]

"""Rules of `rules/linear.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
import pytest
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
    network,
)
from rule_calls import axes, carried, couple, ties
from strategies import analyse, normal

from wrg_onnx.channels import mac_terms, total_cost

EINSUM = [
    Case("Einsum-as-a-1x1-convolution", "y = Einsum<equation = \"nchw,oc->nohw\">(a, w)", y=(5,), consts={"w": normal(5, 8)}),
    Case("Einsum-ellipsis", "p = Transpose<perm = [0, 2, 3, 1]>(a)  e = Einsum<equation = \"...c,co->...o\">(p, w)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(e)", y=(5,), consts={"w": normal(8, 5)}),
    Case("Einsum-implicit-output", "y = Einsum<equation = \"bahw,ac\">(a, w)", y=(5,), consts={"w": normal(8, 5)}),
    Case("Einsum-per-channel", "y = Einsum<equation = \"nchw, c -> nchw\">(a, w)", consts={"w": normal(8)}),
    Case("Einsum-of-activations-over-positions", "e = Einsum<equation = \"nchw,ndhw->ncd\">(a, b)  y = Unsqueeze(e, u)",
         consts={"u": ints(3)}),
    Case("Einsum-of-activations-over-channels-stays", "e = Einsum<equation = \"nchw,nchv->nhwv\">(a, b)  y = Identity(e)",
         free=0, y=(6,)),
    Case("Einsum-sums-channels-stays", "e = Einsum<equation = \"nchw->nhw\">(a)  y = Unsqueeze(e, u)", free=0, y=(1,),
         consts={"u": ints(1)}),
    Case("Einsum-sums-height", "e = Einsum<equation = \"nchw->cw\">(a)  y = Unsqueeze(e, u)", consts={"u": ints(0, 2)}),
    Case("Einsum-diagonal-of-height-and-width", "e = Einsum<equation = \"nchh->nch\">(a)  y = Unsqueeze(e, u)",
         consts={"u": ints(3)}),
    Case("Einsum-diagonal-of-channels", "e = Einsum<equation = \"nchw,ndhw->ncd\">(a, b)  "
         "d = Einsum<equation = \"ncc->nc\">(e)  y = Unsqueeze(d, u)", consts={"u": ints(2, 3)}),
    Case("Einsum-three-operands", "y = Einsum<equation = \"nchw,dc,od->nohw\">(a, w, v)", y=(5,),
         consts={"w": normal(4, 8), "v": normal(5, 4)}),
    Case("Einsum-heads", "f = Reshape(a, z)  e = Einsum<equation = \"nhcl,hcd->nhdl\">(f, w)  y = Reshape(e, k)",
         consts={"z": ints(1, 2, 4, 36), "w": normal(2, 4, 4), "k": ints(1, 8, 6, 6)}),
    Case("Einsum-bilinear", "y = Einsum<equation = \"nchw,cod,ndhw->nohw\">(a, w, b)", y=(5,), consts={"w": normal(8, 5, 8)}),
    Case("Einsum-squeeze-and-excite", "g = Einsum<equation = \"nchw->nc\">(a)  e = Einsum<equation = \"nc,co->no\">(g, w)  "
         "s = Sigmoid(e)  y = Einsum<equation = \"nc,nchw->nchw\">(s, a)", consts={"w": normal(8, 8) / 36}),
    Case("Einsum-ellipsis-in-both-and-implicit", "f = Reshape(a, z)  e = Einsum<equation = \"...ij,...jk\">(w, f)  "
         "y = Reshape(e, k)", y=(5,), consts={"z": ints(1, 8, 36), "w": normal(1, 5, 8), "k": ints(1, 5, 6, 6)}),
]  # fmt: skip

CASES = [
    Case("Gemm-without-transB", "f = Flatten(a)  h = Gemm<alpha = 0.5, beta = 2.0>(f, w, c)  y = Reshape(h, t)",
         y=(4,), consts={"w": normal(288, 4), "c": normal(1, 4), "t": ints(-1, 4, 1, 1)}),
    Case("Gemm-without-bias", "f = Flatten(a)  h = Gemm(f, w)  y = Reshape(h, t)", 11,
         y=(4,), consts={"w": normal(288, 4), "t": ints(-1, 4, 1, 1)}),
    Case("Gemm-transA", "f = Flatten(a)  p = Transpose(f)  h = Gemm<transA = 1>(p, w)  y = Reshape(h, t)",
         y=(4,), consts={"w": normal(288, 4), "t": ints(-1, 4, 1, 1)}),
    Case("Gemm-weight-first", "f = Flatten(a)  p = Transpose(f)  h = Gemm(w, p)  y = Reshape(h, t)",
         y=(4,), consts={"w": normal(4, 288), "t": ints(1, 4, 1, 1)}),
    Case("MatMul", "p = Transpose<perm = [0, 2, 3, 1]>(a)  h = MatMul(p, w)  e = Add(h, c)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(e)", y=(5,), consts={"w": normal(8, 5), "c": normal(5)}),
    Case("MatMul-weight-first", "f = Reshape(a, s)  h = MatMul(w, f)  y = Reshape(h, t)", y=(5,),
         consts={"w": normal(5, 8), "s": ints(1, 8, 36), "t": ints(1, 5, 6, 6)}),
    Case("MatMul-vector", "p = Transpose<perm = [0, 2, 3, 1]>(a)  h = MatMul(p, w)  y = Unsqueeze(h, o)", y=(1,),
         consts={"w": normal(8), "o": ints(1)}),
    Case("MatMul-of-activations-over-positions", "f = Reshape(a, s)  g = Reshape(b, s2)  h = MatMul(f, g)  "
         "y = Reshape(h, t)", y=(8,),
         consts={"s": ints(1, 8, 36), "s2": ints(1, 36, 8), "t": ints(1, 8, 8, 1)}),
    Case("MatMul-of-activations-over-channels-stays", "f = Reshape(a, s)  q = Transpose<perm = [0, 2, 1]>(f)  "
         "g = Reshape(b, s)  h = MatMul(q, g)  y = Reshape(h, t)", y=(1,), free=0,
         consts={"s": ints(1, 8, 36), "t": ints(1, 1, 36, 36)}),
    Case("Einsum-as-a-1x1-convolution", "y = Einsum<equation = \"nchw,oc->nohw\">(a, w)", y=(5,), consts={"w": normal(5, 8)}),
    Case("Einsum-ellipsis", "p = Transpose<perm = [0, 2, 3, 1]>(a)  e = Einsum<equation = \"...c,co->...o\">(p, w)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(e)", y=(5,), consts={"w": normal(8, 5)}),
    Case("Einsum-implicit-output", "y = Einsum<equation = \"bahw,ac\">(a, w)", y=(5,), consts={"w": normal(8, 5)}),
    Case("Einsum-per-channel", "y = Einsum<equation = \"nchw, c -> nchw\">(a, w)", consts={"w": normal(8)}),
    Case("Einsum-of-activations-over-positions", "e = Einsum<equation = \"nchw,ndhw->ncd\">(a, b)  y = Unsqueeze(e, u)",
         consts={"u": ints(3)}),
    Case("Einsum-of-activations-over-channels-stays", "e = Einsum<equation = \"nchw,nchv->nhwv\">(a, b)  y = Identity(e)",
         free=0, y=(6,)),
    Case("Einsum-sums-channels-stays", "e = Einsum<equation = \"nchw->nhw\">(a)  y = Unsqueeze(e, u)", free=0, y=(1,),
         consts={"u": ints(1)}),
    Case("Einsum-sums-height", "e = Einsum<equation = \"nchw->cw\">(a)  y = Unsqueeze(e, u)", consts={"u": ints(0, 2)}),
    Case("Einsum-diagonal-of-height-and-width", "e = Einsum<equation = \"nchh->nch\">(a)  y = Unsqueeze(e, u)",
         consts={"u": ints(3)}),
    Case("Einsum-diagonal-of-channels", "e = Einsum<equation = \"nchw,ndhw->ncd\">(a, b)  "
         "d = Einsum<equation = \"ncc->nc\">(e)  y = Unsqueeze(d, u)", consts={"u": ints(2, 3)}),
    Case("Einsum-three-operands", "y = Einsum<equation = \"nchw,dc,od->nohw\">(a, w, v)", y=(5,),
         consts={"w": normal(4, 8), "v": normal(5, 4)}),
    Case("Einsum-heads", "f = Reshape(a, z)  e = Einsum<equation = \"nhcl,hcd->nhdl\">(f, w)  y = Reshape(e, k)",
         consts={"z": ints(1, 2, 4, 36), "w": normal(2, 4, 4), "k": ints(1, 8, 6, 6)}),
    Case("Einsum-bilinear", "y = Einsum<equation = \"nchw,cod,ndhw->nohw\">(a, w, b)", y=(5,), consts={"w": normal(8, 5, 8)}),
    Case("Einsum-squeeze-and-excite", "g = Einsum<equation = \"nchw->nc\">(a)  e = Einsum<equation = \"nc,co->no\">(g, w)  "
         "s = Sigmoid(e)  y = Einsum<equation = \"nc,nchw->nchw\">(s, a)", consts={"w": normal(8, 8) / 36}),
    Case("Einsum-ellipsis-in-both-and-implicit", "f = Reshape(a, z)  e = Einsum<equation = \"...ij,...jk\">(w, f)  "
         "y = Reshape(e, k)", y=(5,), consts={"z": ints(1, 8, 36), "w": normal(1, 5, 8), "k": ints(1, 5, 6, 6)}),
    Case("Trilu", "y = Trilu(a)"),
    Case("Trilu-lower-below-the-diagonal", "y = Trilu<upper = 0>(a, k)", consts={"k": np.int64(-1)}),
    Case("Trilu-over-channels-stays", "p = Transpose<perm = [0, 2, 1, 3]>(a)  t = Trilu(p)  "
         "y = Transpose<perm = [0, 2, 1, 3]>(t)", free=0),
    Case("Det", "d = Det(a)  y = Unsqueeze(d, u)", consts={"u": ints(2, 3)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_einsum_needs_a_weight_where_it_sums():
    given = [axes((2, 8), a1=0), axes((8, 3), a0=10, a1=20)]
    c = couple("Einsum", given, [(2, 3)], weights=(1,), equation="bc,cd->bd")
    assert ties(c) == [(i, i + 10) for i in range(8)]
    assert [f.tolist() for f in c.filters] == [[20, 21, 22]]
    assert [f.tolist() for f in c.consumed] == [list(range(10, 18))]
    both = couple("Einsum", given, [(2, 3)], equation="bc,cd->bd")
    assert both.consumed == both.filters == ()
    assert {f.reason for f in both.frozen} == {"sums over this axis, and not with a weight"}
    assert sorted(i for f in both.frozen for i in f.ids) == [*range(8), *range(10, 18)]


def test_einsum_reads_a_repeated_letter_as_one_axis():
    c = couple("Einsum", [axes((1, 4, 4), a1=0, a2=10)], [(4,)], equation="ncc->c")
    assert carried(c) == [[0, 1, 2, 3]]
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13)]


def test_einsum_leaves_a_broadcast_axis_out():
    given = [axes((2, 8), a1=0), axes((1, 8), a1=10)]
    c = couple("Einsum", given, [(2, 8)], weights=(1,), equation="...c,...c->...c")
    assert carried(c) == [None, list(range(8))]
    assert c.filters == ()


def test_einsum_in_its_implicit_form_sorts_letters_behind_the_broadcast_axes():
    given = [axes((5, 2, 3), a1=10, a2=20)]
    assert carried(couple("Einsum", given, [(5, 3, 2)], equation="...BA")) == [
        None, [20, 21, 22], [10, 11]]  # fmt: skip


def test_einsum_costs_the_product_of_its_letters():
    case = next(case for case in EINSUM if case.name == "Einsum-as-a-1x1-convolution")
    units = analyse(network(case)).units
    by_einsum = 8 * 5 * 36
    by_the_others = 2 * 3 * 8 * 36 + 5 * 2 * 36
    assert total_cost(mac_terms(units), np.ones(units.count, bool)) == by_einsum + by_the_others


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm_ties_the_contracted_axes(trans_a, trans_b):
    a = axes((4, 3), a0=0) if trans_a else axes((3, 4), a1=0)
    b = axes((2, 4), a0=30, a1=20) if trans_b else axes((4, 2), a0=20, a1=30)
    c = couple("Gemm", [a, b, axes((2,), a0=40)], [(3, 2)], weights=(1, 2), transA=trans_a,
               transB=trans_b)  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23), (30, 40), (31, 41)]
    assert carried(c) == [None, [30, 31]]
    assert [f.tolist() for f in c.filters] == [[30, 31]]
    assert [f.tolist() for f in c.consumed] == [[20, 21, 22, 23]]


def test_gemm_without_bias_and_weight_first():
    c = couple("Gemm", [axes((2, 4), a0=30, a1=20), axes((4, 3), a0=0)], [(2, 3)], weights=(0,))
    assert carried(c) == [[30, 31], None]
    assert [f.tolist() for f in c.filters] == [[30, 31]]


def test_matmul_freezes_the_contraction_of_two_activations():
    c = couple("MatMul", [axes((2, 5, 4), a2=0), axes((2, 4, 5), a1=10)], [(2, 5, 5)])
    assert sorted(i for f in c.frozen for i in f.ids) == [0, 1, 2, 3, 10, 11, 12, 13]
    assert c.consumed == ()


def test_matmul_ties_leading_axes():
    c = couple("MatMul", [axes((1, 2, 5, 4), a1=50), axes((2, 4, 3), a0=60, a1=20, a2=30)],
               [(1, 2, 5, 3)], weights=(1,))  # fmt: skip
    assert (50, 60) in ties(c)
    assert carried(c) == [None, [50, 51], None, [30, 31, 32]]


def test_matmul_with_vectors_loses_their_axis():
    right = couple("MatMul", [axes((5, 4), a1=0), axes((4,), a0=10)], [(5,)], weights=(1,))
    left = couple("MatMul", [axes((4,), a0=0), axes((4, 5), a0=10, a1=20)], [(5,)], weights=(1,))
    assert carried(right) == [None]
    assert carried(left) == [[20, 21, 22, 23, 24]]

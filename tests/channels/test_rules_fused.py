"""Rules for fused operators, those that ONNX Runtime does not run on the CPU above all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rule_calls import axes, call, carried, ties

from wrg_onnx.channels.table import find_derivation, find_rule


def fused(op, inputs, shapes, *, domain="com.microsoft", version=1, **options):
    made = call(op, inputs, shapes, version=version, **options)
    return replace(made, node=replace(made.node, domain=domain))


def couple(*args, **kwargs):
    made = fused(*args, **kwargs)
    return find_rule(made.node)(made)


def derived(gone, *args, **kwargs):
    made = fused(*args, **kwargs)
    outputs = find_rule(made.node)(made).outputs
    return dict(
        find_derivation(made.node)(made, outputs, lambda ids: ~np.isin(ids, gone)).attributes
    )


def frozen(coupling):
    """Join what several freezes hold for one reason."""
    held = {}
    for freeze in coupling.frozen:
        if freeze.reason:
            held.setdefault(freeze.reason, []).extend(freeze.ids.tolist())
    return {reason: sorted(ids) for reason, ids in held.items()}


def listed(arrays):
    return [a.tolist() for a in arrays]


# Convolutions and products


def test_channels_last_conv_reads_the_last_axis():
    w = axes((2, 4, 1, 1), a0=10, a1=20)
    c = couple("NhwcConv", [axes((1, 6, 6, 4), a3=0), w, axes((2,), a0=30)], [(1, 6, 6, 2)],
               weights=(1, 2))  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23), (10, 30), (11, 31)]
    assert carried(c) == [None, None, None, [10, 11]]
    assert listed(c.filters) == [[10, 11]]
    assert listed(c.consumed) == [[20, 21, 22, 23]]


def test_channels_last_conv_freezes_height():
    c = couple("NhwcConv", [axes((1, 6, 5, 4), a1=40, a3=0), axes((2, 4, 1, 1), a0=10, a1=20)],
               [(1, 6, 5, 2)], weights=(1,))  # fmt: skip
    assert frozen(c) == {"convolves over this axis": [40, 41, 42, 43, 44, 45]}


def test_channels_last_fused_conv_ties_its_summand():
    inputs = [axes((1, 6, 6, 4), a3=0), axes((2, 4, 1, 1), a0=10, a1=20), None,
              axes((1, 6, 6, 2), a3=40)]  # fmt: skip
    c = couple("NhwcFusedConv", inputs, [(1, 6, 6, 2)], weights=(1,), activation="Relu")
    assert (10, 40) in ties(c)
    assert (11, 41) in ties(c)
    assert carried(c) == [None, None, None, [10, 11]]


def test_channels_last_depthwise_conv_counts_its_groups_anew():
    given = ("NhwcConv", [axes((1, 6, 6, 4), a3=0), axes((4, 1, 3, 3), a0=10)], [(1, 6, 6, 4)])
    assert derived([1, 2], *given, weights=(1,), group=4) == {"group": 2}


def test_channels_last_pool_passes_the_last_axis():
    c = couple("NhwcMaxPool", [axes((1, 6, 6, 4), a2=50, a3=0)], [(1, 3, 3, 4)])
    assert carried(c) == [None, None, None, [0, 1, 2, 3]]
    assert frozen(c) == {"pools over this axis": [50, 51, 52, 53, 54, 55]}


def test_fused_conv_with_an_activation_over_channels_freezes_its_output():
    w = axes((2, 4, 1, 1), a0=10, a1=20)
    c = couple("FusedConv", [axes((1, 4, 6, 6), a1=0), w], [(1, 2, 6, 6)], weights=(1,),
               activation="Softmax")  # fmt: skip
    assert frozen(c) == {"applies Softmax over this axis": [10, 11]}


@pytest.mark.parametrize(("activation", "held"), [("Relu", {}), ("Softmax", [30, 31])])
def test_fused_matmul_activation(activation, held):
    c = couple("FusedMatMulActivation", [axes((1, 3, 4), a2=0), axes((2, 4), a0=30, a1=20)],
               [(1, 3, 2)], weights=(1,), transB=1, activation=activation)  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23)]
    assert carried(c) == [None, None, [30, 31]]
    assert frozen(c) == ({"applies Softmax over this axis": held} if held else {})


def test_fused_matmul_leaves_vectors_alone():
    c = couple("FusedMatMul", [axes((4,), a0=0), axes((4, 2), a0=20, a1=30)], [(2,)],
               weights=(1,), transA=1, transBatchA=1)  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23)]
    assert carried(c) == [[30, 31]]


@pytest.mark.parametrize("bias", [True, False])
def test_gemm_fast_gelu_ties_its_bias(bias):
    operands = [axes((1, 3, 4), a2=0), axes((4, 2), a0=20, a1=30)]
    operands += [axes((2,), a0=40)] if bias else []
    c = couple("GemmFastGelu", operands, [(1, 3, 2)], weights=(1, 2))
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23), *([(30, 40), (31, 41)] if bias else [])]
    assert carried(c) == [None, None, [30, 31]]
    assert listed(c.filters) == [[30, 31]]


# Biases


def test_bias_add_ties_the_bias_and_the_skip():
    c = couple("BiasAdd", [axes((1, 5, 2), a2=0), axes((2,), a0=10), axes((1, 5, 2), a2=20)],
               [(1, 5, 2)])  # fmt: skip
    assert ties(c) == [(0, 10), (0, 20), (1, 11), (1, 21)]
    assert carried(c) == [None, None, [0, 1]]


def test_bias_split_gelu_ties_the_halves():
    c = couple("BiasSplitGelu", [axes((1, 5, 4), a2=0), axes((4,), a0=10)], [(1, 5, 2)])
    assert ties(c) == [(0, 2), (0, 10), (1, 3), (1, 11), (2, 12), (3, 13)]
    assert carried(c) == [None, None, [0, 1]]


def test_bias_split_gelu_of_inert_operands_is_inert():
    c = couple("BiasSplitGelu", [axes((1, 5, 4)), axes((4,))], [(1, 5, 2)])
    assert carried(c) == [None, None, None]


def test_bias_dropout_ties_bias_and_residual_and_passes_the_mask():
    c = couple("BiasDropout", [axes((1, 5, 2), a2=0), axes((2,), a0=10), axes((1, 5, 2), a2=20)],
               [(1, 5, 2), (1, 5, 2)])  # fmt: skip
    assert ties(c) == [(0, 10), (0, 20), (1, 11), (1, 21)]
    assert carried(c, 1) == [None, None, [0, 1]]


def test_bias_dropout_without_residual_and_mask():
    c = couple("BiasDropout", [axes((1, 5, 2), a2=0), axes((2,), a0=10), None], [(1, 5, 2), ()])
    assert ties(c) == [(0, 10), (1, 11)]
    assert carried(c, 1) == []


def test_a_bias_dropout_that_drops_freezes_its_input():
    x = axes((1, 5, 2), a2=0)
    c = couple("BiasDropout", [x, axes((2,), a0=10), None, np.float32(0.5), True], [(1, 5, 2)])
    assert frozen(c) == {"draws random numbers for this axis": [0, 1]}


# Normalisations


@pytest.mark.parametrize("last", [0, 1])
def test_group_norm_freezes_all_that_it_normalises(last):
    x = axes((1, 6, 6, 4), a3=0) if last else axes((1, 4, 6, 6), a1=0)
    c = couple("GroupNorm", [x, axes((4,), a0=10), axes((4,), a0=20)], [x.shape], groups=2,
               channels_last=last, activation=1)  # fmt: skip
    assert frozen(c) == {"normalises over this axis": [*range(4), *range(10, 14), *range(20, 24)]}
    assert carried(c) == [None if i is None else i.tolist() for i in x.ids]


def test_skip_group_norm_freezes_the_skip_and_passes_the_sum():
    x, shape = axes((1, 6, 6, 2), a3=0), (1, 6, 6, 2)
    inputs = [x, axes((2,), a0=10), axes((2,), a0=20), axes((1, 2), a1=30), axes((2,), a0=40)]
    c = couple("SkipGroupNorm", inputs, [shape, shape], groups=2, activation=0)
    held = frozen(c)["normalises over this axis"]
    assert held == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]
    assert carried(c, 1) == [None, None, None, [0, 1]]


def test_skip_layer_norm_gives_its_statistics_the_other_axes():
    shape = (1, 2, 4)
    inputs = [axes(shape, a1=50, a2=0), axes((2, 4), a0=60, a1=10), axes((4,), a0=20)]
    c = couple("SkipLayerNormalization", inputs, [shape, (1, 2, 1), (1, 2, 1), shape])
    assert carried(c, 1) == [None, [50, 51], None]
    assert carried(c, 3) == [None, [50, 51], [0, 1, 2, 3]]
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13), (50, 60), (51, 61)]
    assert frozen(c) == {"normalises over this axis": [0, 1, 2, 3, 20, 21, 22, 23]}


def test_embed_layer_norm_ties_and_freezes_the_columns_of_its_tables():
    ids = axes((1, 5))
    tables = [axes((7, 2), a0=100, a1=10), axes((5, 2), a0=110, a1=20), axes((3, 2), a0=120, a1=30)]
    c = couple("EmbedLayerNormalization", [ids, ids, *tables, axes((2,), a0=40), axes((2,), a0=50)],
               [(1, 5, 2), (1,), (1, 5, 2)])  # fmt: skip
    assert ties(c) == [(10, 20), (10, 30), (11, 21), (11, 31)]
    assert frozen(c)["normalises over this axis"] == [10, 11, 40, 41, 50, 51]
    assert carried(c) == carried(c, 2) == [None, None, [10, 11]]
    assert carried(c, 1) == [None]


# Attention


def test_packed_queries_keys_and_values_share_the_axis_of_heads():
    c = couple("MultiHeadAttention", [axes((1, 5, 2, 3, 4), a2=0), None, None, axes((24,), a0=100)],
               [(1, 5, 8)], num_heads=2)  # fmt: skip
    assert carried(c) == [None, None, [0] * 4 + [1] * 4]
    blocks = np.arange(100, 124).reshape(3, 2, 4)
    pairs = set(ties(c))
    for block in blocks:
        for head, positions in enumerate(block.tolist()):
            assert (head, positions[0]) in pairs
            assert {(positions[0], p) for p in positions[1:]} <= pairs


def test_packed_keys_and_values_tie_to_the_queries():
    c = couple("MultiHeadAttention", [axes((1, 5, 4), a2=0), axes((1, 5, 2, 2, 2), a2=20)],
               [(1, 5, 4)], num_heads=2)  # fmt: skip
    assert ties(c) == [(0, 1), (0, 20), (2, 3), (2, 21)]


def test_attention_with_an_input_cache_keeps_its_heads():
    cache = axes((2, 1, 2, 5, 2))
    c = couple("Attention", [axes((1, 5, 3), a2=0), axes((3, 12), a0=10, a1=20), None, None, cache],
               [(1, 5, 4), (2, 1, 2, 10, 2)], weights=(1,), num_heads=2)  # fmt: skip
    assert (-1, 20) in ties(c)
    assert (-1, 22) in ties(c)
    assert carried(c, 1) == [None, None, [20, 22], None, None]


@pytest.mark.parametrize(
    ("gone", "sizes", "left"),
    [
        ([20, 21], (4, 4, 8), {"num_heads": 1, "qkv_hidden_sizes": (2, 2, 4)}),
        ([20, 21], None, {"num_heads": 1}),
        ([], (4, 4, 8), {}),
    ],
)
def test_attention_counts_its_heads_and_columns_anew(gone, sizes, left):
    width = 16 if sizes else 12
    values = 8 if sizes else 4
    given = {"qkv_hidden_sizes": sizes} if sizes else {}
    inputs = [axes((1, 5, 3), a2=0), axes((3, width), a0=10, a1=20)]
    assert derived(gone, "Attention", inputs, [(1, 5, values)], weights=(1,), num_heads=2,
                   **given) == left  # fmt: skip


def test_grouped_queries_keep_their_ratio():
    inputs = [axes((1, 5, 8), a2=0), axes((1, 5, 4), a2=20), axes((1, 5, 4), a2=30)]
    inputs += [None, None, axes((1,)), axes(())]
    given = ("GroupQueryAttention", inputs, [(1, 5, 8), (1, 2, 5, 2), (1, 2, 5, 2)])
    c = couple(*given, num_heads=4, kv_num_heads=2)
    assert {(0, 20), (2, 20), (4, 22), (6, 22), (20, 30), (22, 32)} <= set(ties(c))
    assert carried(c, 1) == carried(c, 2) == [None, [20, 22], None, None]
    gone = [0, 1, 2, 3]
    assert derived(gone, *given, num_heads=4, kv_num_heads=2) == {"num_heads": 2, "kv_num_heads": 1}


def test_a_single_key_head_serves_the_heads_that_stay():
    inputs = [axes((1, 5, 8), a2=0), axes((1, 5, 2), a2=20), axes((1, 5, 2), a2=30)]
    given = ("Attention", inputs, [(1, 5, 8)])
    options = {"domain": "", "version": 23, "q_num_heads": 4, "kv_num_heads": 1}
    c = couple(*given, **options)
    assert ties(c) == [(0, 1), (2, 3), (4, 5), (6, 7), (20, 21), (30, 31)]
    assert frozen(c) == {"shares these keys and values between all heads": [20, 30]}
    assert derived([0, 1], *given, **options) == {"q_num_heads": 3}


def test_attention_of_four_axes_has_no_heads_to_count():
    inputs = [axes((1, 4, 5, 2), a1=0), axes((1, 4, 5, 2), a1=10), axes((1, 4, 5, 3), a1=20, a3=30)]
    c = couple("Attention", inputs, [(1, 4, 5, 3)], domain="", version=23)
    assert carried(c) == [None, [0, 1, 2, 3], None, [30, 31, 32]]
    assert derived([0], "Attention", inputs, [(1, 4, 5, 3)], domain="", version=23) == {}


@pytest.mark.parametrize("number", [0, 2])
def test_rotary_counts_heads_by_its_tables_or_its_attribute(number):
    inputs = [axes((1, 5, 8), a2=0), axes((1, 5)), axes((9, 2), a0=50, a1=60), axes((9, 2), a0=70)]
    given = ("RotaryEmbedding", inputs, [(1, 5, 8)])
    options = {"num_heads": number} if number else {}
    assert carried(couple(*given, **options)) == [None, None, [0] * 4 + [4] * 4]
    left = derived([0, 1, 2, 3], *given, **options)
    assert left == ({"num_heads": 1} if number else {})

"""Layers side by side, and why one is not as much faster as it multiplies less."""

from __future__ import annotations

import pytest

from wrg_onnx.graph import Node
from wrg_onnx.latency.profile import Anatomy, LayerTime, alone, side_by_side
from wrg_onnx.latency.profile.kernels import Kernel, Profile


def node(index, op, inputs, output):
    return Node(index, f"n{index}", op, "", 17, tuple(inputs), (output,))


NODES = (
    node(0, "Conv", ("x", "w"), "c"),
    node(1, "Relu", ("c",), "r"),
    node(2, "Concat", ("r", "x"), "k"),
)
MACS = 64 * 24 * 16 * 9


def anatomy(macs=MACS, channels=24, inputs=16):
    shapes = {"c": (1, channels, 8, 8), "x": (1, inputs, 8, 8), "w": (channels, inputs, 3, 3)}
    return Anatomy(NODES, {"c": macs}, shapes)


def conv(ms, **changes):
    return Kernel(**{"op": "FusedConv", "makes": ("r",), "ms": ms, "moved_bytes": 1, **changes})


def profile(*kernels):
    return Profile((*kernels, Kernel("Concat", ("k",), 0.5)), 2.0)


def blocked(ms, out, read, **changes):
    return conv(
        ms, makes=("t", "c", "r"), is_blocked=True, input_shape=(1, read, 8, 8),
        output_shape=(1, out, 8, 8), weight_shape=(out, read, 3, 3), **changes,
    )  # fmt: skip


def why(before, after, file):
    found = side_by_side(profile(before), anatomy(), profile(after), file)
    return found.layers[0].why


def test_nodes_that_run_as_one_are_a_layer_by_the_name_of_what_multiplies():
    found = side_by_side(
        profile(conv(1.0)), anatomy(), profile(conv(0.25)), anatomy(macs=MACS // 4)
    )
    assert found.layers == (
        LayerTime("n0", "Conv", 1, 1.0, 0.25, macs_before=MACS, macs_after=MACS // 4),
        LayerTime("n2", "Concat", 0, 0.5, 0.5, macs_before=0, macs_after=0),
    )
    assert (found.before_ms, found.after_ms) == (2.0, 2.0)


def test_layers_are_joined_however_their_nodes_were_fused():
    apart = Profile((Kernel("Conv", ("c",), 0.3), Kernel("Relu", ("r",), 0.1)), 1.0)
    found = side_by_side(profile(conv(1.0)), anatomy(), apart, anatomy(macs=MACS // 4))
    rows = {row.name: (row.before_ms, row.after_ms) for row in found.layers}
    assert rows == {"n0": (1.0, 0.3), "n2": (0.5, None), "n1": (None, 0.1)}


def test_what_onnx_runtime_adds_is_a_layer_of_its_own():
    extra = Kernel("Transpose", ("made up",), 0.2)
    found = alone(Profile((extra, conv(1.0)), 2.0), anatomy())
    assert found.layers[0] == LayerTime("(added)", "Transpose", 0, 0.2, None)
    assert found.after_ms is None


def test_changes_of_layout_count_and_are_told_apart():
    (row, _) = alone(profile(conv(1.0, layout_ms=0.5)), anatomy()).layers
    assert (row.before_ms, row.layout_before_ms) == (1.5, 0.5)


def test_a_layer_that_is_as_much_faster_as_it_multiplies_less_needs_no_why():
    assert why(conv(1.0), conv(0.3), anatomy(macs=MACS // 4)) == ""


def test_channels_that_are_rounded_up_to_a_block_explain():
    text = why(blocked(1.0, 32, 16), blocked(0.9, 32, 16), anatomy(MACS // 2, channels=17))
    assert text == "17 channels computed as 32"


def test_input_channels_that_are_rounded_up_explain():
    after = anatomy(MACS // 2, channels=32, inputs=9)
    assert why(blocked(1.0, 32, 16), blocked(0.9, 32, 16), after) == "9 input channels read as 16"


def test_rounding_that_both_have_alike_explains_nothing():
    after = anatomy(MACS // 2, channels=12, inputs=16)
    assert why(blocked(1.0, 32, 16), blocked(0.9, 16, 16), after) == "not explained"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [(9, "out of blocks: 9 input channels, no multiple of 4"),
     (8, "out of blocks: 8 input channels")],
)  # fmt: skip
def test_a_layer_that_is_no_longer_computed_in_blocks_says_so(inputs, words):
    assert why(blocked(1.0, 32, 16), conv(0.9), anatomy(MACS // 2, inputs=inputs)) == words


def test_changes_of_layout_that_were_not_there_explain():
    text = why(conv(1.0), conv(0.6, layout_ms=0.3), anatomy(MACS // 2))
    assert text == "into or out of blocks: 0.30 ms more"


def test_a_layer_that_waits_for_memory_says_so():
    assert why(conv(1.0), conv(0.9, moved_bytes=MACS), anatomy(MACS // 2)) == (
        "memory-bound: 0.5 MACs a byte"
    )


def test_a_layer_that_takes_hardly_any_time_says_so():
    assert why(conv(0.01), conv(0.009), anatomy(MACS // 2)) == "too small: 9 us"


def test_what_is_not_known_is_not_explained():
    assert why(conv(1.0), conv(0.9), anatomy(MACS // 2)) == "not explained"


def test_where_nothing_was_multiplied_less_nothing_needs_a_why():
    found = side_by_side(profile(conv(1.0)), anatomy(), profile(conv(1.1)), anatomy())
    assert [row.why for row in found.layers] == ["", ""]


def test_a_node_counts_for_the_first_kernel_that_stands_for_it():
    shared = Profile((Kernel("A", ("c",), 1.0), Kernel("B", ("r",), 2.0)), 3.0)
    found = alone(shared, anatomy())
    assert [(row.name, row.macs_before) for row in found.layers] == [("n0", MACS), ("n1", 0)]


def test_what_computes_on_blocks_between_others_is_found_by_what_it_reads():
    nodes = (*NODES[:2], node(2, "Add", ("x", "r"), "s"), node(3, "Relu", ("s",), "y"))
    kernels = (
        Kernel("Conv", ("t", "c", "r"), 1.0),
        Kernel("Add", ("u",), 0.5, reads=("t", "v")),
        Kernel("Relu", ("y",), 0.25, reads=("u",)),
    )
    profile = Profile(kernels, 2.0, same={"t": "r", "v": "x"})
    found = alone(profile, Anatomy(nodes, {"c": MACS}, {}))
    assert [(row.name, row.before_ms) for row in found.layers] == [
        ("n0", 1.0), ("n2", 0.5), ("n3", 0.25),
    ]  # fmt: skip

import numpy as np

from wrg_onnx.recover import KeptChannels, compose


def kept(positions, total, axis=1):
    return KeptChannels(axis, np.array(positions), total)


def test_two_cuts_join_into_one_of_the_original():
    joined = compose({"y": kept([0, 2, 5], 6)}, {"y": kept([0, 2], 3)})["y"]
    assert joined.positions.tolist() == [0, 5]
    assert (joined.axis, joined.total) == (1, 6)


def test_a_cut_that_does_not_follow_the_other_is_left_out():
    assert compose({"y": kept([0, 2, 5], 6)}, {"y": kept([0, 2], 4), "z": kept([0], 2)}) == {}

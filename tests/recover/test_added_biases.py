"""Which biases recovery adds is known before it: those of the layers that a removal reaches."""

from __future__ import annotations

import numpy as np
from strategies import analyse, build, normal

from wrg_onnx.recover import AddedBiases

TEXT = """net (float[1,3,8,8] x) => (float[1,5,8,8] y) {
    a = Conv(x, w1)  p = Relu(a)  b = Conv(p, w2)  q = Relu(b)  c = Conv(q, w3, own)
    r = Relu(c)  d = Conv(r, w4, own2)  e = Conv(r, w5, own2)  y = Add(d, e) }"""


def test_layers_behind_a_removal_that_have_no_bias_of_their_own_get_one():
    weights = {
        "w1": normal(8, 3, 1, 1), "w2": normal(6, 8, 1, 1), "w3": normal(4, 6, 1, 1),
        "w4": normal(5, 4, 1, 1), "w5": normal(5, 4, 1, 1), "own": normal(4), "own2": normal(5),
    }  # fmt: skip
    found = analyse(build(TEXT, weights))
    added = AddedBiases(found.units)

    def count(**gone):
        alive = np.ones(found.units.count, bool)
        for name, positions in gone.items():
            alive[found.labels(name, 0)[positions]] = False
        return added.count(alive)

    assert count() == 0
    # w4 and w5 share theirs; w3 has one; w2 gets one if it reads less, and not if it makes less.
    assert count(w3=[0]) == 5 + 5
    assert count(w2=[0, 1]) == 5 + 5
    assert count(w1=[0], w2=[0, 1]) == 4 + 5 + 5

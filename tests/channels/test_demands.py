"""Sizes that a graph computes: what cannot follow a removal is found, whichever unit goes."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, assert_surgery_is_exact, build, normal

COPIES = 24


@pytest.fixture(scope="module")
def halved():
    """Divide the two channels of many layers by a computed half, which is nothing of one."""
    lines = []
    weights = {"i": np.array([0]), "j": np.array([1]), "k": np.array([2]), "r": np.array([64])}
    weights["divisor"] = np.array([2])
    for n in range(COPIES):
        lines.append(
            f"c{n} = Conv(x, w{n})  s{n} = Shape(c{n})  b{n} = Gather(s{n}, i)"
            f"  d{n} = Gather(s{n}, j)  h{n} = Div(d{n}, divisor)"
            f"  t{n} = Concat<axis = 0>(b{n}, k, h{n}, r)  g{n} = Reshape(c{n}, t{n})"
            f"  u{n} = Reshape(g{n}, s{n})  e{n} = Slice(u{n}, i, j, j)  y{n} = Conv(e{n}, v{n})"
        )
        weights |= {f"w{n}": normal(2, 3, 1, 1, seed=n), f"v{n}": normal(2, 1, 1, 1, seed=n)}
    total = ", ".join(f"y{n}" for n in range(COPIES))
    text = f"net (float[N,3,8,8] x) => (float[N,2,8,8] y) {{ {' '.join(lines)}  y = Sum({total}) }}"
    return analyse(build(text, weights))


def test_a_half_that_becomes_nothing_holds_both_channels_everywhere(halved):
    for number in range(COPIES):
        assert not halved.removable(f"w{number}", 0).any(), number


def test_whatever_goes_is_cut_exactly(halved):
    alive = np.ones(halved.units.count, bool)
    alive[halved.units.removable] = False
    assert_surgery_is_exact(halved, alive)

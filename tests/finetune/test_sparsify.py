"""Before a cut, what is going to die fades and the rest learns."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from wrg_onnx.finetune.sparsify import LEFT, shrinkage, sparsify  # noqa: E402
from wrg_onnx.graph import open_session  # noqa: E402

GONE = (1, 4)


def dying(kit):
    """Rows of the first layer, its bias, and columns of the second."""
    masks = {
        name: np.zeros(array.shape, bool)
        for name, array in kit.net().constants.items()
        if name in ("w1", "b1", "w2")
    }
    masks["w1"][list(GONE)] = True
    masks["b1"][list(GONE)] = True
    masks["w2"][:, list(GONE)] = True
    return masks


def run(kit, masks=None, data=None, **options):
    chosen = kit.options(**{"epochs": 6, "learning_rate": 0.005, **options})
    return sparsify(kit.net(), dying(kit) if masks is None else masks, data or kit.data(), chosen)


def test_shrinkage_grows_and_leaves_one_hundredth_in_all():
    shares = np.array([shrinkage(step, 40) for step in range(40)])
    assert (np.diff(shares) > 0).all()
    assert shares[0] > 0
    assert np.prod(1 - shares) == pytest.approx(LEFT)
    assert shrinkage(0, 1) == pytest.approx(1 - LEFT)


@pytest.mark.parametrize("masks", [True, False], ids=["masks", "itself alone"])
def test_rows_and_columns_of_what_dies_fade_and_the_rest_stays(kit, masks):
    tuned = run(kit, data=kit.data(masks=masks))
    for name, mask in dying(kit).items():
        before, after = kit.net().constants[name], tuned.graph.constants[name]
        assert np.abs(after[mask]).max() < 0.1 * np.abs(before[mask]).max()
        norms = [np.linalg.norm(array[~mask]) for array in (before, after)]
        assert norms[1] > 0.8 * norms[0]


def test_the_last_weights_are_returned_whatever_they_are_worth(kit):
    tuned = run(kit, data=kit.data(masks=False))
    assert tuned.loss_before == 0
    assert tuned.chosen.held_out_loss == tuned.history[-1].held_out_loss > 0
    assert (tuned.epochs, tuned.best_epoch, tuned.between) == (6, 6, ())
    feeds = kit.sample(20).feeds
    found = open_session(tuned.graph).run(feeds)["map"]
    np.testing.assert_allclose(found, tuned.run(feeds)["map"], rtol=0, atol=1e-5)


def test_the_rest_learns_to_do_without_what_dies(kit):
    """The cut costs less than one that nobody prepared for."""

    def loss_without(graph):
        constants = {name: array.copy() for name, array in graph.constants.items()}
        for name, mask in dying(kit).items():
            constants[name][mask] = 0
        wanted, found = open_session(kit.net()), open_session(kit.net(**constants))
        samples = [kit.sample(index).feeds for index in range(30, 36)]
        gaps = [wanted.run(feeds)["map"] - found.run(feeds)["map"] for feeds in samples]
        return float(np.square(gaps).mean())

    tuned = run(kit, data=kit.data(masks=False), epochs=20, learning_rate=0.02)
    assert loss_without(tuned.graph) < 0.5 * loss_without(kit.net())


def test_the_same_seed_gives_the_same_weights(kit):
    one, other = run(kit, epochs=2), run(kit, epochs=2)
    for name, array in one.graph.constants.items():
        np.testing.assert_array_equal(array, other.graph.constants[name])


def test_constants_that_do_not_train_are_left_out(kit):
    tuned = run(kit, {"elsewhere": np.ones(3, bool), "w1": np.zeros((6, 3, 3, 3), bool)}, epochs=1)
    assert np.linalg.norm(tuned.graph.constants["w1"]) > 0.9 * np.linalg.norm(
        kit.net().constants["w1"]
    )

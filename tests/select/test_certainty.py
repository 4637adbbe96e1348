"""The bootstrap foretells how much of a choice other images would have made."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.select import expected_jaccard, halves_jaccard

UNITS, REMOVED = 200, 60


def chooser(rows):
    """Remove the units of the lowest mean."""

    def choose(times):
        mean = rows.mean(0) if times is None else times @ rows / times.sum()
        alive = np.ones(UNITS, bool)
        alive[np.argsort(mean)[:REMOVED]] = False
        return alive

    return choose


def draw(noise, images, seed):
    rng = np.random.default_rng(seed)
    worth = np.random.default_rng(0).random(UNITS)
    return worth + noise * rng.standard_normal((images, UNITS))


def test_images_that_all_say_the_same_are_certain():
    assert expected_jaccard(chooser(draw(0, 8, 1)), 8, np.random.default_rng(0)) == 1


def test_nothing_removed_is_certain():
    choose = lambda times: np.ones(UNITS, bool)  # noqa: ARG005, E731
    assert expected_jaccard(choose, 5, np.random.default_rng(0)) == 1


@pytest.mark.parametrize("noise", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("images", [16, 64])
def test_it_foretells_the_overlap_with_the_choice_of_endless_images(noise, images):
    worth = draw(0, 1, 0)
    wanted = ~chooser(worth)(None)
    truth, foretold = [], []
    for seed in range(1, 13):
        choose = chooser(draw(noise, images, seed))
        removed = ~choose(None)
        truth.append((removed & wanted).sum() / (removed | wanted).sum())
        foretold.append(expected_jaccard(choose, images, np.random.default_rng(seed)))
    # Where a choice is hardly better than chance, resamples agree more than they should.
    assert np.mean(foretold) == pytest.approx(np.mean(truth), abs=0.06 if noise < 2 else 0.2)


@pytest.mark.parametrize("noise", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("images", [16, 64])
def test_halves_foretell_it_as_well(noise, images):
    worth = draw(0, 1, 0)
    wanted = ~chooser(worth)(None)
    truth, foretold = [], []
    for seed in range(1, 25):
        rows = draw(noise, images, seed)
        stays = chooser(rows)(None)
        truth.append((~stays & wanted).sum() / (~stays | wanted).sum())
        order = np.random.default_rng(seed).permutation(images)
        halves = [chooser(rows[part])(None) for part in np.split(order, 2)]
        foretold.append(halves_jaccard(stays, halves))
    # As above, and for the same reason.
    assert np.mean(foretold) == pytest.approx(np.mean(truth), abs=0.06 if noise < 2 else 0.2)


def test_halves_that_choose_alike_are_certain():
    stays = np.array([True, False, True])
    assert halves_jaccard(stays, [stays, stays]) == 1
    assert halves_jaccard(stays, [stays, ~stays]) == 0.5
    assert halves_jaccard(np.ones(3, bool), [np.ones(3, bool)] * 2) == 1

"""Each criterion's formula, on numbers small enough to check by hand."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from wrg_onnx.factors import (
    ACTIVATION,
    BATCH_SCALE,
    DISTANCE,
    GRADIENT,
    RANK,
    WEIGHT,
    LayerValues,
    Statistics,
)
from wrg_onnx.factors import L1 as L1_NORM
from wrg_onnx.factors import L2 as L2_NORM
from wrg_onnx.select import Criterion, all_criteria, criterion_names, register_criterion, score

# The geometric mean of each is 1, as a layer's is after scaling.
W = np.array([0.5, 1.0, 2.0])
R = np.array([2.0, 0.5, 1.0])
G = np.array([4.0, 0.25, 1.0])
L1 = np.array([0.8, 1.0, 1.25])
L2 = np.array([0.5, 2.0, 1.0])
ACT = np.array([1.6, 1.25, 0.5])
FPGM = np.array([1.0, 1.25, 0.8])
BN = np.array([2.0, 0.1, 5.0])
FORMULAS = {
    Criterion.SEL: W * R * G,
    Criterion.W: W,
    Criterion.R: R,
    Criterion.G: G,
    Criterion.WR: W * R,
    Criterion.WG: W * G,
    Criterion.RG: R * G,
    Criterion.L1: L1,
    Criterion.L2: L2,
    Criterion.FPGM: FPGM,
    Criterion.ACT: ACT,
    Criterion.BN: BN,
}


def layers(values, units=(0, 1, 2)):
    return [LayerValues("w", np.array(units, np.int64), np.array(values, np.float64))]


# Multiples, because each layer is divided by its geometric mean.
STATISTICS = Statistics(
    {
        WEIGHT: layers(10 * W),
        L2_NORM: layers(7 * L2),
        L1_NORM: layers(3 * L1),
        DISTANCE: layers(40 * FPGM),
        BATCH_SCALE: layers(BN / 5),
        RANK: layers(R / 2),
        GRADIENT: layers(G * 1e-4),
        ACTIVATION: layers(ACT),
    },
    images=1,
)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("criterion", FORMULAS, ids=lambda criterion: criterion.name)
def test_a_score_is_the_product_of_the_criterions_factors(criterion):
    found = score(criterion, STATISTICS, 3, rng())
    np.testing.assert_allclose(found.values, FORMULAS[criterion])
    assert not found.unmeasured.any()


def test_every_criterion_has_a_formula_here():
    others = {Criterion.RANDOM, Criterion.REPAIR, Criterion.SEL_REPAIR}  # no products of factors
    assert {*FORMULAS, *others} == set(all_criteria())


def test_a_missing_factor_is_the_mean_and_the_unit_is_marked():
    statistics = Statistics({WEIGHT: layers(W), RANK: layers([2.0, 8.0], units=(0, 1))})
    found = score(Criterion.WR, statistics, 3, rng())
    np.testing.assert_allclose(found.values, [0.5 * 2 / 4, 1.0 * 8 / 4, 2.0])
    assert found.unmeasured.tolist() == [False, False, True]


def test_a_unit_is_unmeasured_only_in_the_criterions_own_factors():
    found = score(Criterion.W, Statistics({WEIGHT: layers(W)}), 3, rng())
    assert not found.unmeasured.any()


def test_random_is_reproducible_per_seed():
    first, again, other = (
        score(Criterion.RANDOM, Statistics(), 50, rng(seed)).values for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len(set(first)) == 50


@pytest.mark.parametrize(
    ("criterion", "maps", "gradient"),
    [
        ("sel", True, True), ("w", False, False), ("r", True, False), ("g", False, True),
        ("wr", True, False), ("wg", False, True), ("rg", True, True), ("l1", False, False),
        ("l2", False, False), ("act", True, False), ("random", False, False),
        ("fpgm", False, False), ("bn", False, False), ("taylor", False, True),
        ("hrank", True, False), ("repair", False, False), ("sel-repair", True, True),
    ],
)  # fmt: skip
def test_a_criterion_says_what_it_needs(criterion, maps, gradient):
    found = Criterion(criterion)
    assert (found.needs_maps, found.needs_gradient) == (maps, gradient)
    assert found.needs_data == (maps or gradient or found.repairs)


@pytest.mark.parametrize(("name", "criterion"), [("hrank", "r"), ("taylor", "g")])
def test_papers_names_are_further_names(name, criterion):
    assert Criterion(name) is Criterion(criterion)
    assert name not in {criterion.name for criterion in all_criteria()}


def test_names_are_listed_in_order_and_other_names_last():
    assert criterion_names() == (
        "sel", "w", "r", "g", "wr", "wg", "rg", "l1", "l2", "fpgm", "act", "bn", "random",
        "repair", "sel-repair", "hrank", "taylor",
    )  # fmt: skip


def by_pickle(criterion):
    return pickle.loads(pickle.dumps(criterion))  # noqa: S301 - our own


@pytest.mark.parametrize("copied", [copy.deepcopy, by_pickle])
def test_copies_of_a_criterion_are_itself(copied):
    assert copied(Criterion.SEL) is Criterion.SEL


@pytest.mark.usefixtures("own_registry")
def test_a_registered_criterion_is_found_and_scores_by_its_factors():
    found = register_criterion("mine", (WEIGHT, ACTIVATION), other_names=("also",))
    assert Criterion("mine") is Criterion("also") is found
    assert all_criteria()[-1] is found
    assert (found.needs_maps, found.needs_gradient) == (True, False)
    np.testing.assert_allclose(score(found, STATISTICS, 3, rng()).values, W * ACT)


@pytest.mark.parametrize(
    "names", [("sel", ()), ("hrank", ()), ("mine", ("w",)), ("mine", ("taylor",))]
)
@pytest.mark.usefixtures("own_registry")
def test_a_name_that_is_taken_is_refused(names):
    name, others = names
    before = all_criteria()
    with pytest.raises(ValueError, match=r"there is a criterion '.*' already"):
        register_criterion(name, (WEIGHT,), other_names=others)
    assert all_criteria() == before


def test_an_unknown_name_is_no_criterion():
    with pytest.raises(ValueError, match="'hranks' is not a valid Criterion"):
        Criterion("hranks")


def test_a_unit_that_no_normalisation_passes_is_average_and_marked():
    found = score(Criterion.BN, Statistics({BATCH_SCALE: layers([4.0, 1.0], (0, 2))}), 3, rng())
    np.testing.assert_allclose(found.values, [2, 1, 0.5])
    assert found.unmeasured.tolist() == [False, True, False]

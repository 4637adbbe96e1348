"""The ridge solutions, against the formula written out and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.recover.gram_sums import GramSums, Origin
from wrg_onnx.recover.ridge import MOST_SPREAD, SPREAD, best_penalty, solve, spread_out
from wrg_onnx.recover.ridge_dual import Rows, best_gain, solve_rows


def problem(rows, inputs=6, goals=3, groups=1, noise=0.1, seed=0):
    """Return x (G, D, rows), y (G, M, rows) and the weights W0 (G, M, D) that do not fit them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((groups, inputs, rows)) + 1
    true = np.random.default_rng(99).standard_normal((groups, goals, inputs))
    y = true @ x + 0.5 + noise * rng.standard_normal((groups, goals, rows))
    start = true + 0.3 * np.random.default_rng(98).standard_normal(true.shape)
    return x.astype(np.float32), y.astype(np.float32), start


def moments(x, y, chunks=1, origin=None):
    found = GramSums.empty(x.shape[0], x.shape[1], y.shape[1], origin or Origin())
    for part in np.array_split(np.arange(x.shape[2]), chunks):
        found.add(x[..., part], y[..., part])
    return found


def divided(x, y, rows):
    """Return the moments of the first rows, and of the others."""
    origin = Origin()
    return moments(x[..., :rows], y[..., :rows], origin=origin), moments(
        x[..., rows:], y[..., rows:], origin=origin
    )


def test_the_error_of_a_matrix_is_that_of_its_rows():
    x, y, start = problem(50, groups=2)
    bias = np.ones((2, 3))
    direct = np.square(y - start @ x - bias[..., None]).mean(axis=2)
    np.testing.assert_allclose(moments(x, y).error(start, bias), direct, rtol=1e-4)


def test_chunks_add_up_to_the_whole():
    x, y, _ = problem(50)
    whole, parts = moments(x, y), moments(x, y, chunks=7)
    np.testing.assert_allclose(parts.covariance_x(), whole.covariance_x(), atol=1e-5)
    np.testing.assert_allclose(parts.covariance_yx(), whole.covariance_yx(), atol=1e-5)
    assert parts.rows == whole.rows


@pytest.mark.parametrize("groups", [1, 4])
def test_one_penalty_gives_the_ridge_solution_about_the_old_weights(groups):
    x, y, start = problem(40, groups=groups)
    penalty = 0.1
    found = solve(*divided(x, y, 30), start, np.zeros((groups, 3)), [penalty])
    assert found.penalty == penalty
    x, y = x.astype(float), y.astype(float)
    inputs = x - x.mean(axis=2, keepdims=True)
    scale = np.square(inputs).mean()
    for g in range(groups):
        gram = inputs[g] @ inputs[g].T / 40 + penalty * scale * np.eye(6)
        goals = y[g] - y[g].mean(axis=1, keepdims=True) - start[g] @ inputs[g]
        expected = start[g] + goals @ inputs[g].T / 40 @ np.linalg.inv(gram)
        shrunk = (expected @ inputs[g]).std(axis=1) / y[g].std(axis=1)
        expected /= (shrunk**SPREAD)[:, None]
        np.testing.assert_allclose(found.matrix[g], expected, atol=1e-4)
    ones = found.matrix @ x.mean(axis=2)[..., None] + found.bias[..., None]
    np.testing.assert_allclose(ones[..., 0], y.mean(axis=2), atol=1e-4)


@pytest.mark.parametrize("errors", [[5, 4, 3, 2, 1, 9], [1, 2, 3, 4, 5, 6], [5, 2, 3, 4, 5, 6],
                                    [9, 8, 7, 6, 5, 4], [6, 5, 4, 5, 6, 7]])  # fmt: skip
def test_the_least_error_is_found_from_the_middle_on(errors):
    asked = []

    def error_of(penalty):
        asked.append(penalty)
        return np.full((1, 1), float(errors[int(penalty)]))

    penalty, error = best_penalty(range(5), error_of, np.full((1, 1), float(errors[5])))
    least = int(np.argmin(errors))
    assert penalty == (least if least < 5 else None)
    assert error.item() == min(errors)
    assert len(asked) == len(set(asked)) <= 4


def test_penalties_that_cannot_be_solved_for_are_passed_over():
    def error_of(penalty):
        return None if penalty < 3 else np.full((1, 1), penalty)

    unmoved = np.full((1, 1), 9.0)
    assert best_penalty(range(5), error_of, unmoved)[0] == 3
    assert best_penalty(range(3), error_of, unmoved) == (None, unmoved)


def test_outputs_get_half_of_the_deviation_back_that_they_lost_in_orders_of_magnitude():
    matrix = np.ones((1, 3, 2))
    found = spread_out(matrix, np.array([[1.0, 4.0, 0.25]]), np.array([[1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(found[0, :, 0], [1, 2**-0.5, 2**0.5])


def test_an_output_that_is_flat_is_not_spread_out_and_none_is_without_bound():
    matrix = np.ones((1, 4, 2))
    made, wanted = np.array([[0.0, 1.0, 0.01, 1.0]]), np.array([[1.0, 0.0, 1.0, 1.0]])
    found = spread_out(matrix, made, wanted)
    np.testing.assert_allclose(found[0, :, 0], [1, 1, MOST_SPREAD**SPREAD, 1])


def test_rows_and_moments_give_the_same_weights():
    x, y, start = problem(200)
    bias = np.zeros((1, 3))
    fit, held_out = (Rows(), Rows())
    fit.add(x[..., :150], y[..., :150])
    held_out.add(x[..., 150:], y[..., 150:])
    by_rows = solve_rows(fit, held_out, start, bias)
    by_moments = solve(*divided(x, y, 150), start, bias)
    assert by_rows.penalty == by_moments.penalty
    np.testing.assert_allclose(by_rows.matrix, by_moments.matrix, atol=1e-4)
    np.testing.assert_allclose(by_rows.bias, by_moments.bias, atol=1e-4)
    for name in ("before", "after", "spread"):
        one, other = getattr(by_rows, name), getattr(by_moments, name)
        np.testing.assert_allclose(one, other, rtol=1e-3)
    np.testing.assert_allclose(by_rows.spread[0], y[0, :, 150:].var(axis=1), rtol=1e-3)


@pytest.mark.parametrize(("related", "low", "high"), [(True, 0.5, 1.0), (False, -1.0, 0.05)])
def test_few_rows_tell_whether_a_solution_gains_anything(related, low, high):
    x, y, start = problem(200)
    if not related:
        rng = np.random.default_rng(4)
        y = start @ x + rng.standard_normal(y.shape).astype(np.float32)
    fit, held_out = Rows(), Rows()
    fit.add(x[..., :150], y[..., :150].astype(np.float32))
    held_out.add(x[..., 150:], y[..., 150:].astype(np.float32))
    assert low < best_gain(fit, held_out, start) < high


def test_weights_that_noise_alone_would_change_stay_and_the_bias_moves():
    """Fewer rows than inputs, goals without any relation to them: every solution is worse."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, 20, 16)).astype(np.float32)
    y = (5 + rng.standard_normal((1, 4, 16))).astype(np.float32)
    start, bias = np.zeros((1, 4, 20)), np.zeros((1, 4))
    found = solve(*divided(x, y, 8), start, bias)
    assert found.penalty is None
    np.testing.assert_array_equal(found.matrix, start)
    np.testing.assert_allclose(found.bias[0], y[0].mean(axis=1), rtol=1e-5)
    assert found.after.sum() < found.before.sum()


def test_more_noise_asks_for_a_larger_penalty():
    found = []
    for noise in (0.01, 3.0):
        x, y, start = problem(24, inputs=12, noise=noise)
        penalty = solve(*divided(x, y, 16), start, np.zeros((1, 3))).penalty
        found.append(np.inf if penalty is None else penalty)
    assert found[0] < found[1]


def test_fewer_rows_than_inputs_far_from_zero_can_be_solved_for():
    """Products about zero would lose what the inputs say in the rounding of float32."""
    x, y, start = problem(30, inputs=300)
    found = solve(*divided(1000 + x, y, 20), start, np.zeros((1, 3)))
    assert np.isfinite(found.matrix).all()
    assert found.after.sum() < found.before.sum()


def test_rows_that_all_point_one_way_can_be_solved_for():
    """The kernel's rounding is in proportion to its largest direction, the penalty to its mean."""
    rng = np.random.default_rng(0)
    x, y, start = problem(48, inputs=400)
    x += (1e4 * rng.standard_normal((1, 1, 48))).astype(np.float32)
    fit, held_out = (Rows(), Rows())
    fit.add(x[..., :32], y[..., :32])
    held_out.add(x[..., 32:], y[..., 32:])
    kernel = (fit.arrays()[0] - fit.arrays()[0].mean(axis=0)).astype(np.float32)
    assert np.linalg.eigvalsh((kernel @ kernel.T).astype(np.float64))[0] < -1e-4 * 32
    found = solve_rows(fit, held_out, start, np.zeros((1, 3)))
    assert np.isfinite(found.matrix).all()
    assert found.after.sum() <= found.before.sum()

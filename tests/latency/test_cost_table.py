"""The cost table: fitted to times, it tells those of other widths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from strategies import analyse, build, normal

from wrg_onnx.channels import random_feeds
from wrg_onnx.choices import Provider
from wrg_onnx.graph import open_session
from wrg_onnx.latency import ChannelSteps, TableOptions, measure_table
from wrg_onnx.latency.cost_table import Sample, fit_table
from wrg_onnx.latency.layers import find_timed_layers, values
from wrg_onnx.latency.widths import widths
from wrg_onnx.select import Axis, Measured

STEPS = ChannelSteps(4, 2)
TEXT = """net (float[1,3,16,16] x) => (float[1,4,16,16] y) {
    a = Conv(x, w1)  b = Relu(a)  c = Conv(b, w2)  d = Relu(c)  y = Conv(d, w3) }"""


@pytest.fixture
def found():
    weights = {"w1": normal(32, 3, 1, 1), "w2": normal(48, 32, 1, 1), "w3": normal(4, 48, 1, 1)}
    return analyse(build(TEXT, weights))


def budget(table, units):
    terms = table.terms(units)
    return Measured.from_terms([(t.weight, [*map(Axis, t.axes, t.tables)]) for t in terms])


def machine(units, seed=0):
    """A made machine: milliseconds of each layer are a sum of its features."""
    rng = np.random.default_rng(seed)
    layers = find_timed_layers(units)
    rates = [rng.random(len(layer.features)) * 0.01 for layer in layers.layers]

    def run(alive, noise=0.0):
        times = np.array([
            values(layer.features, STEPS, alive) @ rate
            for layer, rate in zip(layers.layers, rates, strict=True)
        ])  # fmt: skip
        times *= np.abs(1 + noise * rng.standard_normal(len(times)))
        return Sample(alive, times, float(times.sum()) + 0.1)

    return layers, run


def test_widths_begin_with_the_model_as_it_is_and_keep_what_must_stay(found):
    units = found.units
    tried = list(widths(units, STEPS, 12, np.random.default_rng(0)))
    assert len(tried) == 12
    assert tried[0].all()
    for alive in tried:
        assert alive[~units.removable].all()
        assert (np.bincount(units.group, weights=alive) >= 1).all()
    counts = {int(alive[units.of(units.axes["c"].at(1))].sum()) for alive in tried}
    assert len(counts) >= 8


def test_a_table_of_exact_times_tells_those_of_other_widths(found):
    units = found.units
    layers, run = machine(units)
    samples = [run(alive) for alive in widths(units, STEPS, 30, np.random.default_rng(1))]
    table = fit_table(layers, samples, STEPS)
    assert table.error < 0.01
    assert table.whole_ms == samples[0].total_ms
    told = budget(table, units)
    for alive in widths(units, STEPS, 10, np.random.default_rng(2)):
        assert told.cost(alive) == pytest.approx(run(alive).total_ms, rel=0.02)


def test_a_table_of_noisy_times_is_near_and_says_how_near(found):
    units = found.units
    layers, run = machine(units)
    samples = [run(alive, 0.1) for alive in widths(units, STEPS, 30, np.random.default_rng(1))]
    table = fit_table(layers, samples, STEPS)
    assert 0.01 < table.error < 0.2
    told = budget(table, units)
    for alive in widths(units, STEPS, 10, np.random.default_rng(2)):
        assert told.cost(alive) == pytest.approx(run(alive).total_ms, rel=0.25)


def test_fewer_channels_never_take_longer(found):
    units = found.units
    layers, run = machine(units)
    samples = [run(alive, 0.3) for alive in widths(units, STEPS, 20, np.random.default_rng(1))]
    told = budget(fit_table(layers, samples, ChannelSteps(4, 1)), units)
    rng = np.random.default_rng(3)
    alive = np.ones(units.count, bool)
    cost = told.cost(alive)
    for unit in rng.permutation(np.flatnonzero(units.removable)):
        alive[unit] = False
        assert told.cost(alive) <= cost + 1e-12
        cost = told.cost(alive)


def test_a_table_of_a_model_costs_what_is_left_of_it_alike(found):
    units = found.units
    layers, run = machine(units)
    samples = [run(alive) for alive in widths(units, STEPS, 30, np.random.default_rng(1))]
    table = fit_table(layers, samples, STEPS)
    weights = {"w1": normal(20, 3, 1, 1), "w2": normal(28, 20, 1, 1), "w3": normal(4, 28, 1, 1)}
    cut = analyse(build(TEXT, weights)).units
    alive = np.ones(units.count, bool)
    alive[units.of(units.axes["a"].at(1))[:12]] = False
    alive[units.of(units.axes["c"].at(1))[:20]] = False
    whole = np.ones(cut.count, bool)
    assert budget(table, cut).cost(whole) == pytest.approx(budget(table, units).cost(alive))


def test_every_kernel_of_a_real_run_is_counted(found):
    graph = found.units.graph
    shapes = {"x": (1, 3, 16, 16)}
    options = TableOptions(most=6, fewest=6, runs=3, each_s=0.0)
    told = []
    table = measure_table(
        graph, found.units, shapes, STEPS, options,
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )  # fmt: skip
    assert told[-1] == ("cost table", 6, 6)
    assert (table.widths, table.seconds > 0, table.whole_ms > 0) == (6, True, True)
    whole = np.ones(found.units.count, bool)
    assert budget(table, found.units).cost(whole) > 0
    feeds = random_feeds(graph, shapes, np.random.default_rng(0))
    assert open_session(graph, provider=Provider.CPU).run(feeds)["y"].shape == (1, 4, 16, 16)


def test_a_table_of_a_busy_machine_is_noisy(found):
    layers, run = machine(found.units)
    rng = np.random.default_rng(1)
    exact = fit_table(layers, [run(a) for a in widths(found.units, STEPS, 20, rng)], STEPS)
    assert not exact.is_noisy
    assert replace(exact, spread=0.5).is_noisy
    busy = [run(alive, 1.5) for alive in widths(found.units, STEPS, 20, rng)]
    assert fit_table(layers, busy, STEPS).is_noisy

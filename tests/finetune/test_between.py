"""Which weights are taken: the best epoch, or what lies on the way to it."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

torch = pytest.importorskip("torch")

from wrg_onnx.evaluate.f_measure import LargestF  # noqa: E402
from wrg_onnx.finetune import BatchNormUse, Between, CheckpointFile  # noqa: E402
from wrg_onnx.finetune import train as training  # noqa: E402
from wrg_onnx.finetune.finetune import finetune  # noqa: E402
from wrg_onnx.finetune.options import is_better  # noqa: E402
from wrg_onnx.finetune.prepare import prepare, trainable_twin  # noqa: E402
from wrg_onnx.finetune.state import TrainingState, between  # noqa: E402
from wrg_onnx.graph import from_proto, open_session  # noqa: E402
from wrg_onnx.progress import silent  # noqa: E402
from wrg_onnx.twin.batches import join  # noqa: E402


@pytest.fixture
def judged(monkeypatch):
    """Let the held-out samples say what they are told, in order: losses, or pairs with max F."""

    def give(*verdicts):
        left = [one if isinstance(one, tuple) else (one, None) for one in verdicts]
        monkeypatch.setattr(training.Trainer, "_judged", lambda _: left.pop(0))
        return left

    return give


def run(kit, **options):
    return finetune(kit.student(), None, kit.data(), {}, kit.options(**options))


def test_the_largest_f_decides_and_the_loss_between_equals():
    assert is_better(Between(0, 2.0, 0.8), Between(0, 1.0, 0.7))
    assert is_better(Between(0, 1.0, 0.7), Between(0, 2.0, 0.7))
    assert not is_better(Between(0, 1.0, 0.7), Between(0, 1.0, 0.7))
    assert is_better(Between(0, 1.0), Between(0, 2.0, 0.9))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_best_weights_on_the_way_are_taken(kit, judged, share):
    worse = {0.25: 0.6, 0.5: 0.6, 0.75: 0.6, share: 0.1}
    left = judged(1.0, 0.5, 0.7, 0.8, *(worse[s] for s in (0.25, 0.5, 0.75)))
    tuned = run(kit, epochs=3)
    assert not left
    assert (tuned.best_epoch, tuned.chosen) == (1, Between(share, 0.1))
    assert tuned.loss_after == 0.1
    assert [one.share for one in tuned.between] == [0, 0.25, 0.5, 0.75, 1]
    assert [one.held_out_loss for one in tuned.between][::4] == [1.0, 0.5]
    judged(1.0, 0.5, 0.7, 0.8, 0.6, 0.6, 0.6)
    end = run(kit, epochs=3)
    assert (end.best_epoch, end.chosen.share) == (1, 1)
    for name, array in tuned.graph.constants.items():
        start = kit.student().constants[name]
        wanted = start + share * (end.graph.constants[name] - start)
        np.testing.assert_allclose(array, wanted, rtol=0, atol=1e-6)


def test_the_way_is_tried_even_where_every_epoch_is_worse_than_the_start(kit, judged):
    judged((1.0, 0.7), (0.9, 0.6), (0.8, 0.65), (0.9, 0.72), (0.9, 0.71), (0.9, 0.5))
    tuned = run(kit, epochs=2)
    assert tuned.chosen == Between(0.25, 0.9, 0.72)
    assert tuned.best_epoch == 2


def test_weights_from_before_training_are_kept_to_the_bit_where_nothing_is_better(kit, judged):
    judged(1.0, 1.0, 1.0, 1.0, 1.0)
    tuned = run(kit, epochs=1)
    assert (tuned.best_epoch, tuned.chosen.share) == (0, 0)
    for name, array in kit.student().constants.items():
        np.testing.assert_array_equal(tuned.graph.constants[name], array)


def test_the_history_says_how_long_nothing_was_gained_and_patience_ends_the_run(kit, judged):
    judged(1.0, 1.2, 0.8, 0.9, 0.8, 0.85, 0.9, 0.9, 0.9)
    tuned = run(kit, epochs=9, patience=3)
    assert [one.without_gain for one in tuned.history] == [0, 1, 0, 1, 2, 3]
    assert (tuned.epochs, tuned.best_epoch) == (5, 2)


def test_masks_judge_by_the_largest_f_of_the_map_that_is_written(kit):
    tuned = run(kit, epochs=2)
    assert all(one.held_out_max_f is not None for one in (*tuned.history, *tuned.between))
    totals, session = LargestF(), open_session(tuned.graph)
    for sample in kit.data().held_out:
        totals.add(session.run(sample.feeds)["map"][0, 0], sample.mask)
    assert tuned.chosen.held_out_max_f == pytest.approx(totals.value(), abs=2e-3)


def test_a_model_for_one_sample_is_judged_alike(kit):
    joined = run(kit, epochs=1, learning_rate=1e-9)
    single = kit.net(kit.kept, batch=1)
    alone = finetune(single, None, kit.data(), {}, kit.options(epochs=1, learning_rate=1e-9))
    assert alone.history[0].held_out_max_f == pytest.approx(joined.history[0].held_out_max_f)


def test_without_masks_or_beside_a_loss_of_ones_own_the_loss_judges(kit, monkeypatch, tmp_path):
    masked = kit.data(masks=False)
    taught = finetune(kit.student(), kit.net(), masked, kit.channels(), kit.options(epochs=1))
    (tmp_path / "mine.py").write_text(
        "def loss(outputs, mask, teacher):\n    return (outputs['map'] - mask).square().mean()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own = run(kit, epochs=1, loss="mine:loss")
    for tuned in (taught, own):
        assert all(one.held_out_max_f is None for one in (*tuned.history, *tuned.between))
        assert tuned.loss_after == min(one.held_out_loss for one in tuned.between)


# --- running statistics --------------------------------------------------------------------------

NORMALISED = """net (float[N,3,16,16] image) => (float[N,1,16,16] map) {
  c = Conv<pads=[1,1,1,1]>(image, w1)  n = BatchNormalization(c, scale, bias, mean, var)
  z = Conv<pads=[1,1,1,1]>(n, w2, b2)  map = Sigmoid(z) }"""


def trainer_of(kit, use):
    vectors = {"scale": np.ones(4), "bias": np.zeros(4), "mean": np.zeros(4), "var": np.ones(4)}
    weights = {"w1": normal(4, 3, 3, 3), "w2": normal(1, 4, 3, 3) / 3, "b2": np.zeros(1)}
    arrays = {name: array.astype(np.float32) for name, array in {**vectors, **weights}.items()}
    graph = from_proto(build(NORMALISED, arrays), name="m")
    options = kit.options(batch_norm=use)
    setting, twin, _ = prepare(graph, None, kit.data(), {}, options)
    average = trainable_twin(graph, options).requires_grad_(False).eval()
    trainer = training.Trainer(setting, TrainingState.begin(twin, average, options, half=False))
    trainer.judge()
    trainer.train_epoch(silent)
    trainer.close()
    return trainer


def test_trained_statistics_are_measured_anew_for_weights_in_between(kit):
    trainer = trainer_of(kit, BatchNormUse.TRAIN)
    # Far enough apart for the variance in between not to be in between.
    weight = next(name for name, one in trainer.state.start.items() if one.shape == (4, 3, 3, 3))
    trainer.state.tuned[weight] = -trainer.state.start[weight] * 0.5
    trainer._go_to(0.5)
    (batch,) = join(list(kit.data().training), joins=True)
    values = trainer.state.average(batch.feeds, ("c",))["c"].detach()
    found = trainer.state.average.trained_constants()
    np.testing.assert_allclose(found["mean"], values.mean((0, 2, 3)), rtol=0, atol=0.02)
    np.testing.assert_allclose(found["var"], values.var((0, 2, 3)), rtol=0.1)
    assert not trainer.state.average.training


def test_frozen_statistics_stay_as_they_are_in_between(kit):
    trainer = trainer_of(kit, BatchNormUse.FROZEN)
    before = trainer.state.start
    trainer._go_to(0.5)
    now = trainer.state.average.state_dict()
    buffers = [name for name in now if name.startswith("constant_")]
    assert len(buffers) == 2
    for name in buffers:
        assert torch.equal(now[name], before[name])


def test_integers_are_those_of_the_end():
    assert between(torch.tensor([1]), torch.tensor([5]), 0.5).tolist() == [5]
    assert between(torch.tensor([1.0]), torch.tensor([5.0]), 0.25).tolist() == [2.0]


def test_the_best_epoch_goes_through_a_checkpoint(kit, tmp_path):
    path = tmp_path / "c.safetensors"
    first = run(kit, epochs=3, checkpoint=CheckpointFile(path))
    again = run(kit, epochs=3, checkpoint=CheckpointFile(path, resume=True))
    assert (again.between, again.chosen) == (first.between, first.chosen)
    assert again.history == first.history

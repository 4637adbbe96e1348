"""Steps of the loop: memory, numbers that are not finite, batch normalisation."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

torch = pytest.importorskip("torch")

from wrg_onnx.data.dataset import DataSet, Sample  # noqa: E402
from wrg_onnx.errors import StatisticsError  # noqa: E402
from wrg_onnx.finetune import BatchNormUse, TrainingData  # noqa: E402
from wrg_onnx.finetune import finetune as tuning  # noqa: E402
from wrg_onnx.finetune import step as steps  # noqa: E402
from wrg_onnx.finetune.finetune import finetune  # noqa: E402
from wrg_onnx.finetune.numerics import repeatable  # noqa: E402
from wrg_onnx.finetune.schedule import average_decay, rate_factor, size_of, weight_groups  # noqa: E402
from wrg_onnx.graph import from_proto  # noqa: E402
from wrg_onnx.rewrite import KeptChannels  # noqa: E402
from wrg_onnx.twin import Twin, build_twin  # noqa: E402

NORMALISED = """net (float[N,3,16,16] image) => (float[N,1,16,16] map) {
  c = Conv<pads=[1,1,1,1]>(image, w1)  n = BatchNormalization(c, scale, bias, mean, var)
  a = Relu(n)  z = Conv<pads=[1,1,1,1]>(a, w2, b2)  map = Sigmoid(z) }"""


def normalised():
    rng = np.random.default_rng(0)
    weights = {
        "w1": normal(4, 3, 3, 3), "w2": normal(1, 4, 3, 3) / 3, "b2": np.zeros(1, np.float32),
        "scale": np.ones(4, np.float32), "bias": np.zeros(4, np.float32),
        "mean": rng.random(4, np.float32) * 5, "var": rng.random(4, np.float32) + 40,
    }  # fmt: skip
    return from_proto(build(NORMALISED, weights), name="m")


# --- memory --------------------------------------------------------------------------------------


@pytest.fixture
def memory(monkeypatch):
    """Let a forward pass with gradients of more than so many samples run out of memory."""

    def limit(most):
        whole = Twin.forward
        sizes = []

        def forward(self, feeds, *rest, **more):
            size = next(iter(feeds.values())).shape[0]
            if torch.is_grad_enabled():
                if size > most:
                    raise torch.cuda.OutOfMemoryError("CUDA out of memory")
                sizes.append(size)
            return whole(self, feeds, *rest, **more)

        monkeypatch.setattr(Twin, "forward", forward)
        return sizes

    return limit


def test_out_of_memory_takes_half_of_the_batch_at_once_and_learns_the_same(kit, memory):
    options = kit.options(augment=False, epochs=2)
    whole = finetune(kit.student(), None, kit.data(), {}, options)
    sizes = memory(1)
    halved = finetune(kit.student(), None, kit.data(), {}, options)
    assert set(sizes) == {1}
    for name, array in whole.graph.constants.items():
        np.testing.assert_allclose(halved.graph.constants[name], array, atol=2e-4)
    (note,) = halved.notes
    assert "added up over 1 at a time; the batch is still 4" in note


def test_out_of_memory_at_one_sample_says_what_to_do(kit, memory):
    memory(0)
    with pytest.raises(StatisticsError, match="out of memory at a single sample: use --device cpu"):
        finetune(kit.student(), None, kit.data(), {}, kit.options())


def test_the_processor_out_of_memory_is_a_memory_error(kit, monkeypatch):
    def forward(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate ...")

    monkeypatch.setattr(steps, "_gradients", forward)
    with pytest.raises(MemoryError):
        finetune(kit.student(), None, kit.data(), {}, kit.options())


def test_an_operator_without_a_deterministic_form_is_told_and_trained(kit, monkeypatch):
    whole = steps._gradients

    def gradients(setting, state, batches):
        if torch.are_deterministic_algorithms_enabled():
            raise RuntimeError("put_ does not have a deterministic implementation")
        return whole(setting, state, batches)

    monkeypatch.setattr(steps, "_gradients", gradients)
    tuned = finetune(kit.student(), None, kit.data(), {}, kit.options())
    assert tuned.epochs == 3
    assert any("no deterministic form" in note for note in tuned.notes)


def test_settings_of_torch_are_restored_after_an_error():
    torch.use_deterministic_algorithms(False)
    before = torch.random.get_rng_state()

    def fail():
        with repeatable(1):
            assert torch.are_deterministic_algorithms_enabled()
            torch.rand(1)
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.random.get_rng_state(), before)


# --- numbers that are not finite -----------------------------------------------------------------


def test_a_broken_weight_is_named(kit):
    weight = kit.student().constants["w2"].copy()
    weight[0, 1, 1, 1] = np.nan
    with pytest.raises(StatisticsError, match=r"weight 'w2' (holds|gives) NaN.*--learning-rate"):
        finetune(kit.student(w2=weight), None, kit.data(), {}, kit.options())


def test_a_broken_input_is_named(kit):
    broken = Sample("a.npz", {"image": np.full((1, 3, 16, 16), np.inf, np.float32)}, None)
    held_out = DataSet((lambda: broken,), "arrays", 1, has_masks=False)
    data = TrainingData(kit.data_set(range(4), has_masks=False), held_out)
    with pytest.raises(StatisticsError, match="the input 'image' holds NaN or infinity"):
        finetune(kit.student(), kit.net(), data, {}, kit.options())


def test_the_layer_that_overflows_is_named(kit):
    weight = kit.student().constants["w2"] * np.float32(3e38)
    with pytest.raises(StatisticsError, match=r"Conv 'Conv_2' with the weight 'w2' gives NaN"):
        finetune(kit.student(w2=weight), None, kit.data(), {}, kit.options())


def test_the_gradient_that_breaks_first_is_named(kit, monkeypatch):
    whole = steps._gradients

    def gradients(setting, state, batches):
        loss = whole(setting, state, batches)
        named = state.twin.parameters_by_name()
        for name in ("w1", "b1", "w2"):
            named[name].grad.fill_(torch.nan)
        return loss

    monkeypatch.setattr(steps, "_gradients", gradients)
    with pytest.raises(StatisticsError, match="the gradient of 'w2' is NaN"):
        finetune(kit.student(), None, kit.data(), {}, kit.options())


# --- batch normalisation -------------------------------------------------------------------------


def test_frozen_statistics_stay(kit):
    graph = normalised()
    tuned = finetune(graph, None, kit.data(), {}, kit.options(epochs=6))
    for name in ("mean", "var"):
        np.testing.assert_array_equal(tuned.graph.constants[name], graph.constants[name])
    assert tuned.best_epoch > 0


def test_trained_statistics_follow_the_data(kit):
    graph = normalised()
    options = kit.options(epochs=6, batch_norm=BatchNormUse.TRAIN)
    tuned = finetune(graph, None, kit.data(), {}, options)
    assert tuned.best_epoch > 0
    assert np.abs(tuned.graph.constants["var"] - graph.constants["var"]).max() > 1
    assert (
        tuned.loss_after < finetune(graph, None, kit.data(), {}, kit.options(epochs=6)).loss_after
    )


def test_statistics_that_the_file_says_never_move_do_when_they_are_trained(kit):
    text = NORMALISED.replace("BatchNormalization(", "BatchNormalization<momentum = 1.0>(")
    graph = from_proto(build(text, dict(normalised().constants)), name="m")
    options = kit.options(epochs=6, batch_norm=BatchNormUse.TRAIN)
    tuned = finetune(graph, None, kit.data(), {}, options)
    assert np.abs(tuned.graph.constants["var"] - graph.constants["var"]).max() > 1


def test_a_model_without_normalisation_to_train_is_told(kit):
    options = kit.options(batch_norm=BatchNormUse.TRAIN)
    tuned = finetune(kit.student(), None, kit.data(), {}, options)
    assert any("no batch normalisation to train" in note for note in tuned.notes)


# --- levels --------------------------------------------------------------------------------------


def shifted(kit, **net):
    """A pruned net whose map is far from the teacher's, and all its channels."""
    student = kit.net(kit.kept, **net, b2=np.full(1, 3, np.float32))
    return student, {**kit.channels(), "z": KeptChannels(1, np.arange(1), 1)}


def test_training_starts_at_the_levels_of_the_teacher(kit):
    student, channels = shifted(kit)
    options = kit.options(learning_rate=1e-9, epochs=1)
    tuned = finetune(student, kit.net(), kit.data(masks=False), channels, options)
    assert tuned.loss_after < 0.5 * tuned.loss_before
    assert [result.epoch for result in tuned.history] == [0, 0, 1]
    assert any("2 layers were set to the teacher's levels" in note for note in tuned.notes)


def test_levels_that_do_not_help_are_taken_back(kit, monkeypatch):
    def worsen(_graph, student, *_):
        student.parameters_by_name()["b2"].data.add_(5)
        return 1

    monkeypatch.setattr(tuning, "correct_levels", worsen)
    options = kit.options(learning_rate=1e-9, epochs=1, ema=0.0)
    tuned = finetune(kit.student(), kit.net(), kit.data(), kit.channels(), options)
    assert tuned.graph.constants["b2"] == pytest.approx(0, abs=1e-6)
    assert any("to the teacher's levels did not help" in note for note in tuned.notes)


def test_levels_of_a_model_for_one_sample_are_left_and_that_is_told(kit):
    student, channels = shifted(kit, batch=1)
    tuned = finetune(student, kit.net(batch=1), kit.data(), channels, kit.options())
    assert any("levels of the layers are not corrected" in note for note in tuned.notes)


# --- small parts ---------------------------------------------------------------------------------


def test_the_rate_rises_in_a_line_and_falls_to_nothing():
    factors = [rate_factor(step, 20, 0.25) for step in range(20)]
    np.testing.assert_allclose(np.diff(factors[:5]), 1 / 6)
    assert factors[5] == 1
    assert (np.diff(factors[5:]) < 0).all()
    assert 0 < factors[-1] < 0.02
    assert rate_factor(0, 1, 0.0) == 1


def test_the_average_forgets_fast_at_first():
    assert average_decay(0, 0.99) == 0.1
    assert average_decay(10_000, 0.99) == 0.99
    assert average_decay(5, 0.0) == 0.0


def test_what_has_one_axis_does_not_decay(kit):
    twin = build_twin(kit.net(w2=normal(1, 6, 1, 1)))
    groups = weight_groups(twin, 0.1)
    decays = [group["params"][0].shape for group in groups if group["weight_decay"]]
    assert [tuple(shape) for shape in decays] == [(6, 3, 3, 3)]
    assert len(groups) == 4


def test_steps_are_in_proportion_to_the_size_of_each_weight(kit):
    """A net whose layers are of very different sizes learns as the same net of equal ones."""

    def scaled(factor):
        given = kit.student().constants
        layer = {"w1": given["w1"] * factor, "b1": given["b1"] * factor}
        return kit.student(**layer, w2=given["w2"] / factor)

    options = kit.options(clip=1e9, weight_decay=0.0, augment=False)
    losses = [
        [r.held_out_loss for r in finetune(scaled(f), None, kit.data(), {}, options).history]
        for f in (np.float32(1), np.float32(1 / 64))
    ]
    np.testing.assert_allclose(*losses, rtol=2e-3)


def test_a_weight_of_zeros_has_a_size_nevertheless():
    assert size_of(torch.zeros(3)) == 1e-3
    assert size_of(torch.tensor([3.0, -3.0])) == pytest.approx(3)

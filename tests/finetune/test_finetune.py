"""Training a graph: what is learnt, what is written, and that it repeats itself."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import parser
from strategies import build, normal

torch = pytest.importorskip("torch")

from wrg_onnx.data.dataset import DataSet, Sample  # noqa: E402
from wrg_onnx.errors import ModelError, UnsupportedOperatorError, UsageError  # noqa: E402
from wrg_onnx.finetune import BatchNormUse, prepare  # noqa: E402
from wrg_onnx.finetune.finetune import finetune  # noqa: E402
from wrg_onnx.graph import from_proto, open_session  # noqa: E402
from wrg_onnx.twin import build_twin  # noqa: E402


def constants(tuned):
    return tuned.graph.constants


def same(one, other):
    return all(np.array_equal(constants(one)[n], constants(other)[n]) for n in constants(one))


@pytest.fixture
def train(kit):
    def run(student=None, teacher=None, data=None, kept=None, **options):
        progress = options.pop("progress", lambda *_: None)
        return finetune(
            student or kit.student(), teacher, data or kit.data(), kept or {},
            kit.options(**options), progress=progress,
        )  # fmt: skip

    return run


def test_masks_alone_lower_the_held_out_loss(train):
    tuned = train(epochs=8)
    assert tuned.loss_after < 0.9 * tuned.loss_before
    assert tuned.best_epoch > 0
    assert tuned.objective == "masks"


def test_a_teacher_alone_lowers_the_held_out_loss(train, kit):
    tuned = train(teacher=kit.net(), data=kit.data(masks=False), kept=kit.channels(), epochs=8)
    assert tuned.loss_after < 0.9 * tuned.loss_before
    assert tuned.objective == "the teacher's 1 output, 1 of its feature maps"


def test_the_graph_computes_what_the_twin_does_with_the_best_weights(train, kit):
    tuned = train()
    feeds = kit.sample(20).feeds
    found = open_session(tuned.graph).run(feeds)["map"]
    np.testing.assert_allclose(found, tuned.run(feeds)["map"], rtol=0, atol=1e-5)
    assert not np.allclose(found, open_session(kit.student()).run(feeds)["map"], atol=1e-3)


def test_the_student_is_left_as_it_was(train, kit):
    student = kit.student()
    before = {name: array.copy() for name, array in student.constants.items()}
    train(student)
    assert all(np.array_equal(student.constants[name], before[name]) for name in before)


def test_the_same_seed_gives_the_same_losses_and_weights(train):
    one, other = train(seed=3), train(seed=3)
    assert one.history == other.history
    assert same(one, other)
    assert train(seed=4).history != one.history


def test_the_untrained_twin_is_built_when_it_is_asked_for(train, kit, monkeypatch):
    built = []

    def counted(graph, **options):
        built.append(graph.name)
        return build_twin(graph, **options)

    monkeypatch.setattr(prepare, "build_twin", counted)
    student = kit.student()
    tuned = train(student, teacher=kit.net(), kept=kit.channels(), epochs=1)
    assert sorted(built) == ["m", "student", "student"]
    feeds = kit.sample(20).feeds
    found = open_session(student).run(feeds)["map"]
    np.testing.assert_allclose(tuned.start(feeds)["map"], found, rtol=0, atol=1e-5)


def test_torch_is_left_as_it_was(train):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_that_makes_it_worse_gives_back_the_weights_from_before(train):
    start = train(epochs=5, learning_rate=0.02, augment=False).graph
    tuned = train(start, learning_rate=5.0, patience=2)
    assert tuned.best_epoch == 0
    assert tuned.epochs == 2
    assert all(np.array_equal(tuned.graph.constants[n], start.constants[n]) for n in ("w1", "b1"))


def test_patience_ends_the_run(train):
    tuned = train(epochs=50, learning_rate=5.0, patience=3)
    assert tuned.epochs == tuned.best_epoch + 3


def test_a_model_for_one_sample_adds_up_the_same_gradients(train, kit):
    together = train(augment=False)
    apart = train(kit.net(kit.kept, batch=1), augment=False)
    for name, array in constants(together).items():
        np.testing.assert_allclose(constants(apart)[name], array, atol=2e-4)
    assert any("one sample at a time" in note for note in apart.notes)
    assert not together.notes


def test_progress_says_epoch_loss_and_the_steps_of_the_whole_run(train):
    told = []
    train(epochs=2, progress=lambda *args: told.append(args))
    assert [args[1:] for args in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert told[0][0].startswith("epoch 1/2 loss ")


def test_only_channels_of_the_teacher_that_are_left_are_compared(train, kit):
    teacher = kit.net()
    exact = train(
        kit.student(), teacher, kit.data(masks=False), kit.channels(), epochs=1, learning_rate=1e-9
    )
    outputs = train(kit.student(), teacher, kit.data(masks=False), {}, epochs=1, learning_rate=1e-9)
    # The student's first layer is cut from the teacher's, so its feature map is exactly right.
    assert exact.loss_before == pytest.approx(outputs.loss_before, rel=1e-5)
    assert any("does not say which channels" in note for note in outputs.notes)


def test_feature_maps_that_the_teacher_calls_otherwise_are_left_out_and_it_is_told(train, kit):
    teacher = kit.net(name="teacher", text=(("c = ", "cc = "), ("Relu(c)", "Relu(cc)")))
    tuned = train(teacher=teacher, kept=kit.channels(), epochs=1)
    assert tuned.objective == "masks, the teacher's 1 output"
    (note,) = tuned.notes
    assert note == (
        "1 of the 1 feature maps that 'student' has kept channels of is not there, or not of the "
        "same shape, in the teacher 'teacher', so it is not compared (the first original has all "
        "of them)"
    )


def test_feature_maps_of_another_width_in_the_teacher_are_left_out(train, kit):
    tuned = train(teacher=kit.student(), kept=kit.channels(), epochs=1)
    assert tuned.objective == "masks, the teacher's 1 output"
    assert len(tuned.notes) == 1


def test_statistics_of_a_batch_do_not_hide_that_samples_join(train, kit):
    vectors = {"scale": np.ones(6), "bias": np.zeros(6), "mean": np.zeros(6), "var": np.ones(6)}
    student = kit.net(
        text=(("a = Relu(c)", "n = BatchNormalization(c, scale, bias, mean, var)  a = Relu(n)"),),
        **{name: array.astype(np.float32) for name, array in vectors.items()},
    )
    frozen, moving = (train(student, epochs=1, batch_norm=use) for use in BatchNormUse)
    assert moving.notes == ()
    assert moving.loss_before == frozen.loss_before
    assert constants(moving)["mean"].any()
    assert not constants(frozen)["mean"].any()


def test_masks_of_a_model_without_a_map_are_noted(train, kit):
    tuned = train(teacher=kit.net(), data=kit.data(saliency=None), kept=kit.channels())
    assert any("the masks are not used" in note for note in tuned.notes)


def test_samples_that_are_no_images_are_not_augmented(train, kit):
    tuned = train(data=kit.data(image=None))
    assert any("only images of floats are augmented" in note for note in tuned.notes)


# --- float16 -------------------------------------------------------------------------------------


def halved(samples):
    """Return a data set as a float16 model is fed."""

    def read(reader):
        found = reader()
        feeds = {name: array.astype(np.float16) for name, array in found.feeds.items()}
        return Sample(found.name, feeds, found.mask)

    readers = tuple(partial(read, reader) for reader in samples.readers)
    return DataSet(readers, samples.content, samples.total, samples.has_masks)


@pytest.fixture
def half(kit):
    """A student, its teacher and data in float16."""

    def net(whole):
        arrays = {name: array.astype(np.float16) for name, array in whole.constants.items()}
        return kit.net(
            kit.kept if whole.name == "student" else range(6), name=whole.name,
            text=(("float[N,3", "float16[N,3"), ("float[N,1", "float16[N,1")), **arrays,
        )  # fmt: skip

    data = kit.data()
    data = replace(data, training=halved(data.training), held_out=halved(data.held_out))
    return net(kit.student()), net(kit.net()), data


def test_a_float16_model_learns_and_stays_float16(train, kit, half):
    student, teacher, data = half
    tuned = train(student, teacher, data, kit.channels(), epochs=8)
    assert min(one.held_out_loss for one in tuned.history) < 0.9 * tuned.loss_before
    assert {array.dtype.name for array in constants(tuned).values()} == {"float16"}
    assert (tuned.graph.inputs, tuned.graph.outputs) == (student.inputs, student.outputs)
    assert any("float16" in note for note in tuned.notes)
    feeds = data.held_out[0].feeds
    found, wanted = open_session(tuned.graph).run(feeds)["map"], tuned.run(feeds)["map"]
    assert (found.dtype, wanted.dtype) == (np.float16, np.float32)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=float(np.finfo(np.float16).eps))


def test_a_float16_model_is_judged_by_the_weights_that_are_written(train, half):
    student, _, data = half
    tuned = train(student, None, data, epochs=3)
    assert tuned.best_epoch > 0
    again = train(tuned.graph, None, data, epochs=1, learning_rate=1e-9)
    assert again.loss_before == tuned.loss_after


def test_a_step_below_the_rounding_of_float16_is_not_lost(train, half):
    """Each moves a weight by at most 3e-5 of its size; half an epsilon of float16 is 5e-4."""
    student, _, data = half
    tuned = train(student, None, data, epochs=30, learning_rate=3e-5, patience=30)
    assert not np.array_equal(constants(tuned)["w1"], student.constants["w1"])


# --- refusals ------------------------------------------------------------------------------------


def test_nothing_to_learn_from_is_refused(train, kit):
    with pytest.raises(UsageError, match="have no masks, and there is no teacher; give --teacher"):
        train(data=kit.data(masks=False))
    with pytest.raises(UsageError, match=r"no teacher that counts \(--distil 0\)"):
        train(teacher=kit.net(), data=kit.data(masks=False), distil=0.0)


def test_masks_that_fit_no_output_are_refused_with_the_shapes(train, kit):
    with pytest.raises(UsageError, match=r"'map' \['N', 1, 16, 16\], expected one or two channels"):
        train(data=kit.data(saliency=None))


def test_a_teacher_with_other_inputs_or_outputs_is_refused(train):
    text = (
        '<ir_version: 8, opset_import: ["": 17]> t (float[N,{},16,16] {}) => (float[N,{},16,16] y)'
    )
    for channels, name, what in ((1, "image", "input"), (3, "x", "input"), (3, "image", "output")):
        body = text.format(channels, name, channels) + " { y = Relu(" + name + ") }"
        teacher = from_proto(parser.parse_model(body), name="t")
        with pytest.raises(UsageError, match=f"the teacher 't' has {what} '"):
            train(teacher=teacher)


def test_an_operator_without_a_twin_names_itself_and_the_way_out(train):
    text = "net (float[N,3,16,16] image) => (float[N,3,16,16] map) { map = acme.Mine(image) }"
    graph = from_proto(build(text, domains=("acme",)), name="m")
    with pytest.raises(UnsupportedOperatorError, match=r"'acme.Mine' at node .*no gradient"):
        train(graph)


def test_weights_in_bfloat16_are_refused(train):
    text = "net (bfloat16[N,3,16,16] image) => (bfloat16[N,3,16,16] map) { map = Mul(image, w) }"
    weight = normal(3, 1, 1).astype(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16))
    with pytest.raises(ModelError, match="weight 'w' is bfloat16"):
        train(from_proto(build(text, {"w": weight}), name="h"))


def test_a_model_without_weights_is_refused(train):
    text = "net (float[N,3,16,16] image) => (float[N,3,16,16] map) { map = Relu(image) }"
    with pytest.raises(ModelError, match="no weight of floats"):
        train(from_proto(build(text), name="m"))


def test_a_loss_that_no_weight_moves_is_refused(train):
    text = """net (float[N,3,16,16] image) => (float[N,1,16,16] map, float[N,3,16,16] o) {
      o = Mul(image, w)  map = ReduceMax<axes=[1], keepdims=1>(image) }"""
    graph = from_proto(build(text, {"w": normal(3, 1, 1)}, opset=13), name="m")
    with pytest.raises(UsageError, match="does not depend on any weight"):
        train(graph)

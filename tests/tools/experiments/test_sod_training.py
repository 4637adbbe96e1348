import pytest
import torch

from sod.nets import NetOptions, build
from sod.pool import HELD_OUT, TRAINING, make_pool
from sod.training import Checkpoints, Recipe, rate_at, train
from wrg_onnx.errors import DataError, StatisticsError, UsageError
from wrg_onnx.finetune.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

NETS = [NetOptions("vgg16_sod", 0.05), NetOptions("small_unet", 0.1)]


@pytest.fixture(scope="module")
def pool():
    return make_pool(12, 32, seed=0, stream=TRAINING)


pytestmark = pytest.mark.usefixtures("one_thread")


def weights(net):
    return [value.clone() for value in net.state_dict().values()]


def are_equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def stored(path):
    return read_checkpoint(path, {})


class StoppedError(Exception):
    """Stands for a killed process."""


def stop_after(steps):
    def log(done, _):
        if done == steps:
            raise StoppedError

    return log


@pytest.mark.parametrize("options", NETS, ids=lambda o: o.name)
def test_the_same_seed_gives_the_same_weights(pool, options):
    recipe = Recipe(steps=3, batch=2)
    first, again = (weights(train(build(options, 0), pool, recipe)) for _ in range(2))
    other = weights(train(build(options, 0), pool, Recipe(steps=3, batch=2, seed=1)))
    assert are_equal(first, again)
    assert not are_equal(first, other)


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("options", NETS, ids=lambda o: o.name)
def test_a_run_that_was_killed_goes_on_to_the_same_weights(pool, tmp_path, options, amp):
    recipe = Recipe(steps=6, batch=2, amp=amp)
    unbroken = weights(train(build(options, 0), pool, recipe))
    kept = Checkpoints(tmp_path / "run.safetensors", every=2)
    with pytest.raises(StoppedError):
        train(build(options, 0), pool, recipe, checkpoints=kept, log=stop_after(5), log_steps=1)
    assert stored(kept.path).state["step"] == 4
    steps = []
    log = lambda done, _: steps.append(done)  # noqa: E731
    resumed = train(build(options, 0), pool, recipe, checkpoints=kept, log=log, log_steps=1)
    assert steps == [5, 6]
    assert are_equal(weights(resumed), unbroken)


def test_a_run_that_is_done_is_not_trained_again(pool, tmp_path):
    kept, recipe = Checkpoints(tmp_path / "run.safetensors"), Recipe(steps=2, batch=2)
    first = weights(train(build(NETS[0], 0), pool, recipe, checkpoints=kept))
    log = stop_after(2)
    assert are_equal(
        weights(train(build(NETS[0], 0), pool, recipe, checkpoints=kept, log=log)), first
    )


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda: (NETS[0], 0, {"rate": 0.1}), "rate"),
        (lambda: (NETS[0], 1, {}), "first weights"),
        (lambda: (NETS[1], 0, {}), "first weights"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(pool, tmp_path, change, name):
    kept = Checkpoints(tmp_path / "run.safetensors")
    train(build(NETS[0], 0), pool, Recipe(steps=1, batch=1), checkpoints=kept)
    options, seed, fields = change()
    with pytest.raises(UsageError, match=f"of another run: its {name} is"):
        train(build(options, seed), pool, Recipe(steps=1, batch=1, **fields), checkpoints=kept)


def test_a_checkpoint_of_other_images_is_refused(pool, tmp_path):
    kept, recipe = Checkpoints(tmp_path / "run.safetensors"), Recipe(steps=1, batch=1)
    train(build(NETS[0], 0), pool, recipe, checkpoints=kept)
    other = make_pool(12, 32, seed=0, stream=HELD_OUT)
    with pytest.raises(UsageError, match="its images is"):
        train(build(NETS[0], 0), other, recipe, checkpoints=kept)


@pytest.mark.parametrize("content", [b"", b"not torch", None])
def test_a_file_that_is_no_checkpoint_is_refused(pool, tmp_path, content):
    path = tmp_path / "run.safetensors"
    if content is None:
        write_checkpoint(path, Checkpoint({}, {}, {"net/x": torch.zeros(99)}))
        path.write_bytes(path.read_bytes()[:200])
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"run\.safetensors': no checkpoint, .*; remove it"):
        train(build(NETS[0], 0), pool, Recipe(steps=1), checkpoints=Checkpoints(path))


def test_a_loss_that_is_not_finite_ends_the_run(pool):
    net = build(NETS[0], 0)
    torch.nn.init.constant_(net.head.bias, float("nan"))
    with pytest.raises(StatisticsError, match="the loss is nan between steps 1 and 1"):
        train(net, pool, Recipe(steps=3, batch=1), log_steps=1)


def test_training_lowers_the_loss(pool):
    losses = []
    train(
        build(NetOptions("small_unet", 0.25), 0), pool, Recipe(steps=40, batch=4),
        log=lambda _, loss: losses.append(loss), log_steps=10,
    )  # fmt: skip
    assert losses[-1] < 0.9 * losses[0]


def test_a_backbone_with_a_factor_of_zero_stays(pool):
    net = build(NETS[0], 0)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    train(net, pool, Recipe(steps=2, batch=2, backbone=0.0))
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]) is key.startswith("features.")


def test_the_rate_rises_and_falls():
    recipe = Recipe(steps=100, rate=1.0, warm_up=0.1)
    rates = [rate_at(step, recipe) for step in range(100)]
    assert rates[9] == rates[10] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 1, "rate": float("nan")}, "rate must be a positive number, got nan"),
        ({"steps": 1, "backbone": -1.0}, "backbone must be at least 0, got -1"),
        ({"steps": 1, "warm_up": 1.0}, r"warm-up must be in \[0, 1\), got 1"),
    ],
)
def test_an_option_out_of_its_range_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Recipe(**wrong)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no NVIDIA GPU")
def test_mixed_precision_trains_on_cuda_and_goes_on_from_its_checkpoint(pool, tmp_path):
    kept, recipe = (
        Checkpoints(tmp_path / "run.safetensors", every=2),
        Recipe(steps=6, batch=4, amp=True),
    )
    losses, device = [], torch.device("cuda")
    with pytest.raises(StoppedError):
        train(
            build(NETS[0], 0), pool, recipe,
            device=device, checkpoints=kept, log=stop_after(5), log_steps=1,
        )  # fmt: skip
    net = train(
        build(NETS[0], 0), pool, recipe,
        device=device, checkpoints=kept, log=lambda *told: losses.append(told), log_steps=1,
    )  # fmt: skip
    assert [done for done, _ in losses] == [5, 6]
    assert all(value.isfinite().all() and value.device.type == "cpu" for value in weights(net))
    assert stored(kept.path).state["scaler"]["scale"] > 0


def test_a_checkpoint_whose_state_is_not_of_the_net_is_told(tmp_path, pool):
    path, recipe = tmp_path / "run.safetensors", Recipe(2, batch=2)
    net = build(NetOptions("small_unet", 0.1), 0)
    train(net, pool, recipe, checkpoints=Checkpoints(path))
    found = stored(path)
    write_checkpoint(path, Checkpoint(found.identity, found.state, {"net/x": torch.zeros(1)}))
    again = build(NetOptions("small_unet", 0.1), 0)
    with pytest.raises(DataError, match="its state does not fit the net; remove it"):
        train(again, pool, recipe, checkpoints=Checkpoints(path))

import pytest
import torch

from sod.nets import NetOptions, build, load_backbone
from wrg_onnx.errors import ModelError, UsageError

# torchvision's configuration "D": https://github.com/pytorch/vision, torchvision/models/vgg.py.
CHANNELS = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]


def as_torchvision(*, batch_norm):
    """Draw a state dict under the names that torchvision's vgg16 and vgg16_bn have."""
    torch.manual_seed(1)
    state, position, inputs = {}, 0, 3
    for channels in CHANNELS:
        if not channels:
            position += 1
            continue
        state[f"features.{position}.weight"] = torch.randn(channels, inputs, 3, 3)
        state[f"features.{position}.bias"] = torch.randn(channels)
        if batch_norm:
            norm = f"features.{position + 1}"
            for name in ("weight", "bias", "running_mean", "running_var"):
                state[f"{norm}.{name}"] = torch.rand(channels)
            state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
        position += 3 if batch_norm else 2
        inputs = channels
    state["classifier.0.weight"], state["classifier.0.bias"] = torch.randn(8, 8), torch.randn(8)
    return state


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_features_of_torchvision_load_exactly(tmp_path, batch_norm):
    given = as_torchvision(batch_norm=batch_norm)
    torch.save(given, tmp_path / "vgg16.pth")
    net = build(NetOptions("vgg16_sod", batch_norm=batch_norm), seed=0)
    before = net.state_dict()["head.weight"].clone()
    load_backbone(net, tmp_path / "vgg16.pth")
    loaded = {k: v for k, v in net.state_dict().items() if k.startswith("features.")}
    features = {k: v for k, v in given.items() if k.startswith("features.")}
    assert loaded.keys() == features.keys()
    assert all(torch.equal(loaded[key], features[key]) for key in features)
    assert torch.equal(net.state_dict()["head.weight"], before)


@pytest.mark.parametrize(
    ("options", "batch_norm", "message"),
    [
        (NetOptions("vgg16_sod", 0.125), False, r"'features\.0\.weight' is \[64, 3, 3, 3\]"),
        (NetOptions("vgg16_sod", batch_norm=True), False, r"it has no 'features\.1\.weight'"),
        (NetOptions("vgg16_sod"), True, r"it has no 'features\.2\.weight'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_first_key(
    tmp_path, options, batch_norm, message
):
    torch.save(as_torchvision(batch_norm=batch_norm), tmp_path / "vgg16.pth")
    net = build(options, seed=0)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(ModelError, match=message):
        load_backbone(net, tmp_path / "vgg16.pth")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_key_that_the_net_has_not_is_named(tmp_path):
    state = as_torchvision(batch_norm=False) | {"features.30.weight": torch.zeros(1)}
    torch.save(state, tmp_path / "vgg16.pth")
    with pytest.raises(ModelError, match=r"the net has no 'features\.30\.weight'"):
        load_backbone(build(NetOptions("vgg16_sod"), seed=0), tmp_path / "vgg16.pth")


def test_a_file_that_could_run_code_is_refused(tmp_path):
    torch.save({"features.0.weight": pytest.approx}, tmp_path / "vgg16.pth")
    with pytest.raises(ModelError, match="more than tensors"):
        load_backbone(build(NetOptions("vgg16_sod", 0.1), seed=0), tmp_path / "vgg16.pth")


def test_the_seed_draws_the_weights_and_leaves_the_generator_alone():
    state = torch.random.get_rng_state()
    first, second, other = (
        build(NetOptions("vgg16_sod", 0.05), seed=seed).state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(first["head.weight"], second["head.weight"])
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "resnet"}, "net must be 'vgg16_sod' or 'small_unet' or 'u2netp', got 'resnet'"),
        ({"name": "vgg16_sod", "width": 0.0}, r"width must be in \(0, 8\], got 0"),
        ({"name": "small_unet", "batch_norm": True}, "batch-norm is for vgg16_sod"),
    ],
)
def test_an_option_out_of_its_range_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        NetOptions(**wrong)

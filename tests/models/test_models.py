import contextlib
import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import wrg_onnx
from wrg_onnx.export.factory import build_module
from wrg_onnx.export.options import ExportOptions
from wrg_onnx.export.write import export_module

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "models" / "tiny_unet.onnx"
TINY_U2NET = ROOT / "models" / "tiny_u2net.onnx"

SALIENCY = ("models.vgg16_sod:vgg16_sod", "models.small_unet:small_unet")
NESTED = "models.u2netp:u2netp"
CLASSIFIERS = ("models.classifiers:resnet18", "models.classifiers:mobilenet_v2")


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture(scope="module", params=[*SALIENCY, NESTED, *CLASSIFIERS])
def exported(request, tmp_path_factory):
    with contextlib.chdir(ROOT):
        net = build_module(request.param)
    path = tmp_path_factory.mktemp("models") / f"{request.param.partition(':')[2]}.onnx"
    return export_module(net, path, ExportOptions(((1, 3, 64, 64),)))


def parameters(factory):
    with torch.device("meta"):
        return sum(p.numel() for p in build_module(factory).parameters())


@pytest.mark.parametrize(
    ("factory", "count"),
    [
        # The first, third and fourth are the published counts of torchvision's nets.
        ("models.vgg16_sod:vgg16", 138_357_544),
        ("models.vgg16_sod:vgg16_sod", 15_104_961),
        ("models.classifiers:resnet18", 11_689_512),
        ("models.classifiers:mobilenet_v2", 3_504_872),
        ("models.classifiers:resnet50", 25_557_032),
        ("models.classifiers:vgg16", 138_357_544),
        ("models.small_unet:small_unet", 660_105),
        # 4.52 MB in float32; the 4.7 MB of the paper hold the normalisations' statistics, too.
        (NESTED, 1_131_181),
    ],
)
def test_a_net_has_its_number_of_parameters(factory, count):
    assert parameters(factory) == count


def test_the_convolutions_of_vgg16_have_the_names_and_shapes_of_torchvision():
    positions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    channels = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    expected = {}
    for position, inputs, outputs in zip(positions, [3, *channels], channels, strict=False):
        expected[f"features.{position}.weight"] = (outputs, inputs, 3, 3)
        expected[f"features.{position}.bias"] = (outputs,)
    classifier = {
        "classifier.0.weight": (4096, 25088), "classifier.0.bias": (4096,),
        "classifier.3.weight": (4096, 4096), "classifier.3.bias": (4096,),
        "classifier.6.weight": (1000, 4096), "classifier.6.bias": (1000,),
    }  # fmt: skip
    with torch.device("meta"):
        nets = [build_module(f"models.vgg16_sod:{name}") for name in ("vgg16", "vgg16_sod")]
    whole, sod = ({k: tuple(v.shape) for k, v in net.state_dict().items()} for net in nets)
    assert whole == expected | classifier
    assert {k: v for k, v in sod.items() if k.startswith("features.")} == expected


@pytest.mark.parametrize("factory", SALIENCY)
@pytest.mark.parametrize("size", [(64, 64), (50, 71)])
def test_a_saliency_net_gives_a_map_of_the_image_size_in_0_to_1(factory, size):
    net = build_module(factory).eval()
    with torch.no_grad():
        saliency = net(torch.randn(2, 3, *size))
    assert saliency.shape == (2, 1, *size)
    assert 0 <= float(saliency.min()) <= float(saliency.max()) <= 1


@pytest.mark.parametrize("size", [(64, 64), (50, 71)])
def test_u2netp_gives_its_fused_map_and_those_of_six_scales(size):
    net = build_module(NESTED).eval()
    with torch.no_grad():
        maps = net(torch.randn(2, 3, *size))
    assert [each.shape for each in maps] == [(2, 1, *size)] * 7
    # Untrained, it says neither 0 nor 1 anywhere: there is a gradient.
    assert all(0.001 < float(each.min()) < float(each.max()) < 0.999 for each in maps)


def test_u2net_has_the_parameters_of_the_published_one_and_gives_the_same_maps():
    from models.u2netp import u2net

    with torch.device("meta"):
        net = u2net()
        maps = net(torch.randn(1, 3, 64, 48))
    assert sum(each.numel() for each in net.parameters()) == 44_009_869
    assert [each.shape for each in maps] == [(1, 1, 64, 48)] * 7


def test_a_block_of_u2netp_looks_over_as_many_scales_as_its_layers():
    net = build_module(NESTED)
    blocks = [*net.encoder, net.bottom, *net.decoder]
    layers = [len(block.down) for block in blocks]
    assert layers == [7, 6, 5, 4, 4, 4, 4, 4, 5, 6, 7]
    assert [block.shrinks for block in blocks] == [True] * 4 + [False] * 3 + [True] * 4
    assert [layer[0].dilation[0] for layer in net.bottom.down] == [1, 2, 4, 8]
    assert [layer[0].dilation[0] for layer in net.bottom.up] == [4, 2, 1]


@pytest.mark.parametrize("exported", [NESTED], indirect=True)
def test_half_of_u2netp_can_go_by_its_weights(exported):
    found = wrg_onnx.inspect(exported.path).report
    pruned = wrg_onnx.prune(exported.path, ratio=0.5, criterion="l1", evaluate=False, cache=False)
    norms = [m for m in build_module(NESTED).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    folded = 2 * sum(norm.num_features for norm in norms)
    assert found.cost.parameters == exported.parameters - folded
    assert found.largest_ratio > 0.8
    assert pruned.report.reached == pytest.approx(0.5, abs=0.005)
    session = onnxruntime.InferenceSession(
        pruned.model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert [value.shape[1:] for value in session.get_outputs()] == [[1, 64, 64]] * 7


def test_width_and_batch_normalisation_of_vgg16_sod_can_be_chosen():
    from models.vgg16_sod import vgg16_sod

    with torch.device("meta"):
        net = vgg16_sod(0.25, batch_norm=True)
    assert net.features[0].out_channels == 16
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in net.modules()) == 13


def test_a_net_is_exported_and_computes_the_same(exported):
    assert exported.max_relative_error < 1e-4


def test_no_two_layers_of_an_untrained_net_share_a_weight(exported):
    if exported.path.stem == "small_unet":
        pytest.skip("its normalisations start equal, as training wants them")
    graph = onnx.load(exported.path).graph
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    weights = [name for node in layers for name in node.input[1:] if name]
    assert len(set(weights)) == len(weights)


def test_the_committed_nets_are_those_that_their_readme_describes():
    contents = [path.read_bytes() for path in (TINY, TINY_U2NET)]
    readme = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"\b[0-9a-f]{64}\b", readme)
    assert told == [hashlib.sha256(content).hexdigest() for content in contents]
    plain = readme.replace("\N{NARROW NO-BREAK SPACE}", "")
    assert all(f"{len(content)} bytes" in plain for content in contents)
    assert sum(map(len, contents)) < 4_000_000


@pytest.mark.parametrize("path", [TINY, TINY_U2NET], ids=lambda path: path.stem)
def test_a_committed_net_is_valid_and_gives_saliency_maps_at_any_batch(path):
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (feed,) = session.get_inputs()
    assert feed.shape[1] == 3
    for batch in (1, 3):
        image = np.random.default_rng(0).standard_normal((batch, *feed.shape[1:]), np.float32)
        saliency, *_ = session.run(None, {feed.name: image})
        assert saliency.shape == (batch, 1, *feed.shape[2:])
        # ONNX Runtime's vectorised sigmoid may pass 1 by a rounding.
        assert 0 <= saliency.min() <= saliency.max() <= 1 + 1e-6

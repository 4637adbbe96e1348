import uuid
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from wrg_onnx.choices import Exporter
from wrg_onnx.errors import ModelError, OutputError, UsageError
from wrg_onnx.export import write
from wrg_onnx.export.options import ExportOptions
from wrg_onnx.export.write import (
    build_module,
    export_factory,
    export_module,
)

IMAGE = ((1, 3, 8, 8),)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, image):
        return self.head(self.norm(self.conv(image)).relu()).sigmoid()


class TwoInputs(nn.Module):
    def forward(self, left, right):
        return {"sum": left + right, "pair": (left * right, left - right)}


class Random(nn.Module):
    def forward(self, image):
        return image + torch.rand_like(image)


class FixedBatch(nn.Module):
    def forward(self, image):
        return image.reshape(2, 3, 64)


class Sorting(nn.Module):
    def forward(self, image):
        return image if float(image.sum()) > 0 else -image


class Broken(nn.Module):
    def forward(self, image):
        return image / torch.zeros(())


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def factory_module(tmp_path, monkeypatch):
    """Write a module of factories into the current folder; return its name."""
    monkeypatch.chdir(tmp_path)

    def write(source):
        name = f"nets_{uuid.uuid4().hex}"
        Path(f"{name}.py").write_text(f"from torch import nn\n{source}", encoding="utf-8")
        return name

    return write


def run(path, *arrays):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: a for i, a in zip(session.get_inputs(), arrays, strict=True)})


def image(batch):
    return np.random.default_rng(7).standard_normal((batch, 3, 8, 8), np.float32)


# --- the file ------------------------------------------------------------------------------------


@pytest.mark.parametrize("exporter", list(Exporter))
def test_the_file_computes_what_the_module_computes_at_any_batch(net, tmp_path, exporter):
    path = tmp_path / "net.onnx"
    result = export_module(net, path, ExportOptions(IMAGE, exporter=exporter))
    x = image(5)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(path, x)[0], expected, atol=1e-5)
    assert result.path == path
    assert result.parameters == sum(p.numel() for p in net.parameters())
    assert 0 <= result.max_relative_error <= 1e-4
    assert result.opset == onnx.load(path).opset_import[0].version
    assert result.seconds > 0


@pytest.mark.parametrize("bias", [-8.0, -9.0, -10.0, -40.0])
def test_a_net_that_sees_nothing_in_noise_is_exported(net, tmp_path, bias):
    torch.nn.init.constant_(net.head.bias, bias)
    assert export_module(net, tmp_path / "net.onnx", ExportOptions(IMAGE)).max_relative_error < 1e-4


@pytest.mark.parametrize("exporter", list(Exporter))
def test_a_batch_normalisation_behind_a_convolution_is_folded(net, tmp_path, exporter):
    path = tmp_path / "net.onnx"
    export_module(net, path, ExportOptions(IMAGE, exporter=exporter))
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(path).graph.node}


def test_batch_normalisation_stays_a_node_where_it_is_not_folded(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.onnx"
    result = export_module(Net(), path, ExportOptions(IMAGE, fold=False))
    assert result.max_relative_error < 1e-4
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds[:2] == ["Conv", "BatchNormalization"]


def test_the_older_exporter_cannot_leave_batch_normalisation_alone():
    with pytest.raises(UsageError, match="exporter 'torchscript' always folds"):
        ExportOptions(IMAGE, exporter=Exporter.TORCHSCRIPT, fold=False)


def test_a_fixed_batch_stays_in_the_file(net, tmp_path):
    path = tmp_path / "net.onnx"
    export_module(net, path, ExportOptions(((3, 3, 8, 8),), dynamic_batch=False))
    dims = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in dims] == [3, 3, 8, 8]


def test_the_inputs_are_named_after_forward_or_as_asked(net, tmp_path):
    path = tmp_path / "net.onnx"
    export_module(net, path, ExportOptions(IMAGE))
    assert [i.name for i in onnx.load(path).graph.input] == ["image"]
    options = ExportOptions(IMAGE, input_names=("pixels",))
    export_module(net, path, options, force=True)
    assert [i.name for i in onnx.load(path).graph.input] == ["pixels"]


def test_several_inputs_and_nested_outputs_keep_their_order(tmp_path):
    path = tmp_path / "two.onnx"
    export_module(TwoInputs(), path, ExportOptions(((1, 4), (1, 4))))
    left, right = np.ones((2, 4), np.float32), np.full((2, 4), 3, np.float32)
    assert [float(y[0, 0]) for y in run(path, left, right)] == [4, 3, -2]


def test_the_asked_opset_is_the_one_in_the_file(net, tmp_path):
    options = ExportOptions(IMAGE, opset=19)
    assert export_module(net, tmp_path / "net.onnx", options).opset == 19


def test_two_exports_of_one_factory_are_the_same_bytes(factory_module, tmp_path):
    factory = factory_module("def make(): return nn.Conv2d(3, 4, 3)") + ":make"
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path in paths:
        export_factory(factory, path, ExportOptions(IMAGE))
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_file_holds_no_path_of_the_machine_that_made_it(net, tmp_path):
    path = tmp_path / "net.onnx"
    export_module(net, path, ExportOptions(IMAGE))
    assert Path(__file__).name.encode() not in path.read_bytes()


def test_weights_too_large_for_one_file_lie_beside_it(net, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "ONE_FILE_BYTES", 0)
    path, sidecar = tmp_path / "net.onnx", tmp_path / "net.onnx.data"
    export_module(net, path, ExportOptions(IMAGE))
    assert sorted(tmp_path.iterdir()) == [path, sidecar]
    assert run(path, image(1))[0].shape == (1, 1, 8, 8)
    path.unlink()
    with pytest.raises(OutputError, match=r"net\.onnx\.data' exists"):
        export_module(net, path, ExportOptions(IMAGE))
    assert list(tmp_path.iterdir()) == [sidecar]


def test_export_prints_nothing(net, tmp_path, capfd):
    for number, opset in enumerate([None, 17]):
        export_module(net, tmp_path / f"{number}.onnx", ExportOptions(IMAGE, opset=opset))
    assert capfd.readouterr() == ("", "")


def test_the_module_is_left_in_the_mode_it_came_in(net, tmp_path):
    net.train()
    net.head.eval()
    export_module(net, tmp_path / "net.onnx", ExportOptions(IMAGE))
    assert net.training
    assert net.norm.training
    assert not net.head.training


def test_the_weights_of_a_state_dict_are_in_the_file(factory_module, tmp_path):
    factory = factory_module("def make(): return nn.Conv2d(3, 4, 3)") + ":make"
    weights = {"weight": torch.full((4, 3, 3, 3), 0.5), "bias": torch.arange(4.0)}
    torch.save(weights, tmp_path / "weights.pt")
    path = tmp_path / "net.onnx"
    export_factory(factory, path, ExportOptions(IMAGE), weights=tmp_path / "weights.pt")
    zeros = np.zeros((1, 3, 8, 8), np.float32)
    np.testing.assert_array_equal(run(path, zeros)[0][0, :, 0, 0], [0, 1, 2, 3])


# --- refusals leave nothing behind ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Random(), "differs from torch's"),
        (FixedBatch(), "FixedBatch fails in torch on inputs of 1x3x8x8: RuntimeError"),
        (Sorting(), "torch cannot export Sorting.*--exporter torchscript"),
        (Broken(), "not finite"),
    ],
)
def test_a_failed_export_leaves_no_file(module, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        export_module(module, tmp_path / "net.onnx", ExportOptions(IMAGE))
    assert list(tmp_path.iterdir()) == []


def test_an_opset_out_of_reach_is_refused(net, tmp_path):
    with pytest.raises(ModelError, match=r"asked for opset 11.*--exporter torchscript"):
        export_module(net, tmp_path / "net.onnx", ExportOptions(IMAGE, opset=11))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_forced(net, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"kept")
    with pytest.raises(OutputError, match="exists"):
        export_module(net, path, ExportOptions(IMAGE))
    with pytest.raises(ModelError):
        export_module(Random(), path, ExportOptions(IMAGE), force=True)
    assert path.read_bytes() == b"kept"
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shapes": ()}, "a shape for each input"),
        ({"shapes": ((1, 0, 8, 8),)}, "sizes from 1 upwards, got '1x0x8x8'"),
        ({"shapes": IMAGE, "input_names": ("a", "b")}, "a different name for each"),
        ({"shapes": IMAGE * 2, "input_names": ("a", "a")}, "a different name for each"),
    ],
)
def test_options_out_of_range_are_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        ExportOptions(**fields)


# --- factories -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "factory", "message"),
    [
        ("", "no_such_module:make", "no module 'no_such_module'"),
        ("", "{name}", "module:function"),
        ("", "{name}.py:make", "module:function"),
        ("", "{name}:make", "has no function 'make'"),
        ("make = 3", "{name}:make", "has no function 'make'"),
        ("def make(): return 3", "{name}:make", r"must return a torch\.nn\.Module, got int"),
        ("def make(width): return nn.ReLU()", "{name}:make", "with no arguments: TypeError"),
        ("import no_such_package", "{name}:make", "'no_such_package', which is not installed"),
        ("1 / 0", "{name}:make", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_factory_that_is_not_usable_is_named(factory_module, source, factory, message):
    name = factory_module(source)
    with pytest.raises(UsageError, match=message):
        build_module(factory.format(name=name))


def test_a_factory_leaves_the_random_state_alone(factory_module):
    name = factory_module("def make(): return nn.Linear(2, 2)")
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    build_module(f"{name}:make")
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("exporter", list(Exporter))
def test_what_is_warned_of_is_told_and_not_printed(tmp_path, exporter, capfd):
    class Old(nn.Module):
        def forward(self, image):
            warnings.warn("this block is slow", stacklevel=1)
            return image * 2

    options = ExportOptions(IMAGE, exporter=exporter)
    result = export_module(Old(), tmp_path / "net.onnx", options)
    assert "UserWarning: this block is slow" in result.warnings
    assert len(set(result.warnings)) == len(result.warnings)
    assert capfd.readouterr() == ("", "")


def test_a_branch_that_the_older_exporter_takes_for_good_is_told(tmp_path):
    options = ExportOptions(IMAGE, exporter=Exporter.TORCHSCRIPT)
    result = export_module(Sorting(), tmp_path / "net.onnx", options)
    assert any("TracerWarning: Converting a tensor to a Python" in line for line in result.warnings)

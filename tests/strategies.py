"""Small networks for tests, and the oracle that judges what pruning makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper, parser

from wrg_onnx.channels import Limits, Units, find_units, index_bounds, random_feeds
from wrg_onnx.graph import Graph, bind_sizes, infer_shapes
from wrg_onnx.graph.load import from_proto
from wrg_onnx.graph.message import to_message
from wrg_onnx.rewrite import apply_plan, plan_slices

TOLERANCE = 1e-5

repeatable = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def build(text, weights=None, *, opset=17, ir=8, domains=()) -> onnx.ModelProto:
    """Parse a graph from text; further constants come as arrays."""
    imports = ", ".join([f'"" : {opset}', *(f'"{domain}" : 1' for domain in domains)])
    model = parser.parse_model(f"<ir_version: {ir}, opset_import: [{imports}]>\n{text}")
    for name, array in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


def normal(*shape, seed=0, dtype=np.float32):
    rng = np.random.default_rng([seed, *shape])
    return rng.standard_normal(shape).astype(dtype)


SALIENCY_NET = """net (float[1,3,32,32] x) => (float[1,1,32,32] y) {
    c = Conv<pads = [1,1,1,1]>(x, w1, b1)  a = Relu(c)  d = Conv<pads = [1,1,1,1]>(a, w2, b2)
    e = Conv(a, w3, b3)  f = Add(d, e)  b = Relu(f)  z = Conv(b, w4, b4)  y = Sigmoid(z) }"""
"""A small net that makes a map of saliency; a branch is added to another."""

SALIENCY_WEIGHTS = {
    "w1": normal(12, 3, 3, 3), "w2": normal(8, 12, 3, 3, seed=1) / 8, "w3": normal(8, 12, 1, 1),
    "w4": normal(1, 8, 1, 1), "b1": normal(12), "b2": normal(8), "b3": normal(8), "b4": normal(1),
}  # fmt: skip


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    again = onnx.ModelProto()
    again.CopyFrom(model)
    return again


@dataclass(frozen=True)
class Analysis:
    """A model, read and analysed."""

    model: onnx.ModelProto
    graph: Graph
    shapes: dict
    units: Units

    def ids(self, name, axis):
        """Return the ids along an axis of a constant."""
        return self.units.axes[name].at(axis)

    def labels(self, name, axis):
        """Return the units along an axis of any tensor."""
        return self.units.of(self.units.axes[name].at(axis))

    def removable(self, name, axis):
        """Return which positions along an axis may go."""
        labels = self.labels(name, axis)
        return (labels >= 0) & self.units.removable[labels]

    def reasons(self, name, axis):
        """Return why positions along an axis stay."""
        labels = self.labels(name, axis)
        held = self.units.reason[labels[labels >= 0]]
        return {str(self.units.reasons[number]) for number in held if number >= 0}

    def tied(self, *places):
        """Tell whether the (name, axis) places carry the same units."""
        first, *others = [self.labels(*place) for place in places]
        return all(np.array_equal(first, other) for other in others)


def analyse(model: onnx.ModelProto, limits: Limits | None = None, **sizes) -> Analysis:
    graph = from_proto(copy_of(model), name="test")
    shapes = infer_shapes(
        graph, bind_sizes(graph.inputs, sizes=sizes, image_size=8), index_bounds(graph)
    )
    return Analysis(model, graph, shapes, find_units(graph, shapes, limits))


def draw_alive(units: Units, rng, share=0.5):
    """Let random removable units die, but never the last one of a group."""
    alive = np.ones(units.count, bool)
    for group in np.unique(units.group[units.removable]):
        members = np.flatnonzero((units.group == group) & units.removable)
        whole = int((units.group == group).sum())
        count = min(len(members), whole - 1, int(rng.binomial(len(members), share)))
        alive[rng.permutation(members)[:count]] = False
    return alive


def whole(graph: Graph) -> onnx.ModelProto:
    """Return a graph as one message, its large weights inside."""
    return to_message(graph)


def run(model: onnx.ModelProto, feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def masked(model: onnx.ModelProto, plan, spare=(), zeros=None) -> onnx.ModelProto:
    """Zero all slices of the removed units in the original, whatever reads them.

    ``zeros`` names the constants whose zero is another number, and gives it.
    """
    model = copy_of(model)
    for name, tensor in tensors_of(model.graph):
        if name not in plan.kept or name in spare:
            continue
        array = numpy_helper.to_array(tensor).copy()
        zero = np.broadcast_to(np.asarray((zeros or {}).get(tensor.name, 0)), array.shape)
        for axis, kept in enumerate(plan.kept[name]):
            if kept is not None:
                gone = (slice(None),) * axis + (np.setdiff1d(np.arange(array.shape[axis]), kept),)
                array[gone] = zero[gone]
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model


def is_standard(model: onnx.ModelProto) -> bool:
    """Tell whether the checker knows the operators; ONNX Runtime has its own in that domain."""
    version = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    return all(n.domain or onnx.defs.has(n.op_type, version) for n in model.graph.node)


def tensors_of(graph: onnx.GraphProto, prefix=""):
    """Yield the constants of a graph and of its bodies, with what the analysis calls them."""
    for tensor in graph.initializer:
        yield prefix + tensor.name, tensor
    for index, node in enumerate(graph.node):
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                yield prefix + node.output[0], attribute.t
            if attribute.type == onnx.AttributeProto.GRAPH:
                name = node.name or f"{node.op_type}_{index}"
                yield from tensors_of(attribute.g, f"{prefix}{name}.{attribute.name}/")


def difference(reference, found):
    """Return how far outputs are apart, on a scale of at least 1; infinite where kinds differ."""
    worst = 0.0
    for left, right in zip(reference, found, strict=True):
        if (left.shape, left.dtype) != (right.shape, right.dtype):
            return np.inf
        if left.dtype.kind != "f":
            worst = worst if np.array_equal(left, right) else np.inf
        else:
            finite = np.isfinite(left)
            if not np.array_equal(finite, np.isfinite(right)) or not np.array_equal(
                left[~finite], right[~finite], equal_nan=True
            ):
                return np.inf
            gap = np.abs(left[finite].astype(np.float64) - right[finite]).max(initial=0)
            worst = max(worst, gap / max(1.0, float(np.abs(left[finite]).max(initial=0))))
    return worst


def compare(reference, found, tolerance=TOLERANCE):
    for left, right in zip(reference, found, strict=True):
        assert left.shape == right.shape
        assert left.dtype == right.dtype
        if left.dtype.kind == "f":
            scale = max(1.0, float(np.abs(left).max(initial=0)))
            np.testing.assert_allclose(right, left, rtol=0, atol=tolerance * scale)
        else:
            np.testing.assert_array_equal(right, left)


def assert_surgery_is_exact(analysis: Analysis, alive, *, spare=(), zeros=None, batches=(None,)):
    """Prune, and hold the result against the original with the removed units at zero."""
    plan = plan_slices(analysis.units, alive)
    pruned = whole(apply_plan(analysis.graph, plan))
    if is_standard(analysis.model):
        onnx.checker.check_model(pruned, full_check=True)
    reference = masked(analysis.model, plan, spare, zeros)
    for batch in batches:
        shapes = {v.name: analysis.shapes[v.name] for v in analysis.graph.inputs}
        if batch is not None:
            shapes = {name: (batch, *shape[1:]) for name, shape in shapes.items()}
        feeds = random_feeds(analysis.graph, shapes, np.random.default_rng(7))
        compare(run(reference, feeds), run(pruned, feeds))
    return plan


def assert_identity(analysis: Analysis):
    """With nothing removed, the plan is empty and the graph the same."""
    plan = plan_slices(analysis.units, np.ones(analysis.units.count, bool))
    assert not plan.kept
    assert not plan.operands
    pruned = apply_plan(analysis.graph, plan)
    assert pruned.constants.keys() == analysis.graph.constants.keys()
    for name, array in analysis.graph.constants.items():
        np.testing.assert_array_equal(pruned.constants[name], array)
    for old, new in zip(analysis.graph.nodes, pruned.nodes, strict=True):
        assert (old.op, old.inputs, old.outputs) == (new.op, new.inputs, new.outputs)
        assert repr(old.attributes) == repr(new.attributes)


def assert_every_cut_is_exact(analysis: Analysis):
    """Cut a network at random, again and again."""
    assert_identity(analysis)

    @settings(repeatable, max_examples=8)
    @given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.3, 0.6, 1.0]))
    def cut(seed, share):
        alive = draw_alive(analysis.units, np.random.default_rng(seed), share)
        assert_surgery_is_exact(analysis, alive)

    cut()


class NetBuilder:
    """Grows a random network whose tensors are (N, C, 8, 8), in ONNX nodes."""

    def __init__(self, draw, opset, batch):
        self.draw = draw
        self.opset = opset
        self.batch = batch
        self.nodes, self.weights, self.tensors = [], {}, [("x", 3)]
        self.shared = {}

    def name(self):
        return f"t{len(self.nodes)}_{len(self.weights)}"

    def node(self, op, *inputs, count=1, **attributes):
        outputs = [f"{op.lower()}{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs if count > 1 else outputs[0]

    def constant(self, array):
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(array)
        return name

    def weight(self, *shape):
        fan_in = max(1, int(np.prod(shape[1:])))
        return self.constant(normal(*shape, seed=len(self.weights)) / np.float32(fan_in**0.5))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def pick(self):
        """Choose a tensor, the latest ones rather than the first."""
        count = len(self.tensors)
        return self.tensors[-1 - self.draw(st.integers(0, min(count - 1, 3)))]

    def push(self, name, channels):
        self.tensors.append((name, channels))

    def grow(self):
        (x, c), kind = self.pick(), self.draw(st.sampled_from(GROWTHS))
        getattr(self, kind)(x, c)

    def conv(self, x, c):
        out = self.draw(st.sampled_from([2, 4, 6, 8]))
        k = self.draw(st.sampled_from([1, 3]))
        operands = [x, self.weight(out, c, k, k)]
        if self.draw(st.booleans()):
            operands.append(self.weight(out))
        self.push(self.node("Conv", *operands, pads=[k // 2] * 4), out)

    def grouped(self, x, c):
        groups = self.draw(st.sampled_from([2, 4]))
        if c % groups:
            return self.conv(x, c)
        y = self.node("Conv", x, self.weight(8, c // groups, 1, 1), self.weight(8), group=groups)
        return self.push(y, 8)

    def depthwise(self, x, c):
        times = self.draw(st.sampled_from([1, 2]))
        y = self.node("Conv", x, self.weight(c * times, 1, 3, 3), group=c, pads=[1, 1, 1, 1])
        self.push(y, c * times)

    def transposed(self, x, c):
        group = 2 if c % 2 == 0 and self.draw(st.booleans()) else 1
        y = self.node(
            "ConvTranspose", x, self.weight(c, 6 // group, 3, 3), group=group, pads=[1, 1, 1, 1]
        )
        self.push(y, 6)

    def shared_conv(self, x, c):
        weight = self.shared.setdefault(c, None) or self.weight(c, c, 1, 1)
        self.shared[c] = weight
        self.push(self.node("Conv", x, weight), c)

    def norm(self, x, c):
        operands = [self.weight(c), self.weight(c), self.weight(c)]
        variance = self.constant(np.abs(normal(c, seed=len(self.weights))) + np.float32(0.5))
        self.push(self.node("BatchNormalization", x, *operands, variance), c)

    def activation(self, x, c):
        op = self.draw(st.sampled_from(["Relu", "Sigmoid", "Tanh", "HardSigmoid"]))
        self.push(self.node(op, x), c)

    def prelu(self, x, c):
        self.push(self.node("PRelu", x, self.weight(c, 1, 1)), c)

    def pool(self, x, c):
        op = self.draw(st.sampled_from(["MaxPool", "AveragePool"]))
        self.push(self.node(op, x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), c)

    def join(self, x, c):
        others = [t for t, d in self.tensors if d == c]
        other = others[self.draw(st.integers(0, len(others) - 1))]
        op = self.draw(st.sampled_from(["Add", "Mul", "Sub", "Max"]))
        self.push(self.node(op, x, other), c)

    def concat(self, x, c):
        other, d = self.pick()
        if c + d <= 16:
            self.push(self.node("Concat", x, other, axis=1), c + d)

    def split(self, x, c):
        if c < 2:
            return
        first = self.draw(st.integers(1, c - 1))
        if self.opset < 13:
            parts = self.node("Split", x, count=2, axis=1, split=[first, c - first])
        else:
            parts = self.node("Split", x, self.ints(first, c - first), count=2, axis=1)
        self.push(parts[0], first)
        self.push(parts[1], c - first)

    def halves(self, x, c):
        if c % 2:
            return
        extra = {"num_outputs": 2} if self.opset >= 18 else {}
        parts = self.node("Split", x, count=2, axis=1, **extra)
        self.push(parts[1], c // 2)
        self.push(parts[0], c // 2)

    def slice(self, x, c):
        if c < 2:
            return
        start = self.draw(st.integers(-c, c - 2))
        first = start % c
        end = self.draw(st.integers(first + 1, c))
        written = self.draw(st.sampled_from([end, end - c if end < c else 2**63 - 1]))
        y = self.node("Slice", x, self.ints(start), self.ints(written), self.ints(1))
        self.push(y, end - first)

    def gather(self, x, c):
        picked = self.draw(st.lists(st.integers(-c, c - 1), min_size=1, max_size=6))
        self.push(self.node("Gather", x, self.ints(*picked), axis=1), len(picked))

    def pad(self, x, c):
        y = self.node("Pad", x, self.ints(0, 1, 0, 0, 0, 1, 0, 0))
        self.push(y, c + 2)

    def resize(self, x, c):
        if self.draw(st.booleans()):
            scales = self.constant(np.float32([1, 1, 2, 2]))
            y = self.node("Resize", x, self.constant(np.float32([])), scales)
        else:
            n = self.node("Shape", x)
            head = self.node("Slice", n, self.ints(0), self.ints(2))
            sizes = self.node("Concat", head, self.ints(16, 16), axis=0)
            empty = self.constant(np.float32([])) if self.opset < 13 else ""
            y = self.node("Resize", x, empty, empty, sizes)
        self.push(self.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), c)

    def gate(self, x, c):
        p = self.node("GlobalAveragePool", x)
        r = self.node("Relu", self.node("Conv", p, self.weight(4, c, 1, 1), self.weight(4)))
        s = self.node("Sigmoid", self.node("Conv", r, self.weight(c, 4, 1, 1)))
        self.push(self.node("Mul", x, s), c)

    def shuffle(self, x, c):
        if c % 2:
            return
        if self.draw(st.booleans()):
            n = self.node("Shape", x)
            size = [self.node("Gather", n, self.ints(i)) for i in range(4)]
            half = self.node("Div", size[1], self.ints(2))
            split = self.node("Concat", size[0], self.ints(2), half, *size[2:], axis=0)
            back = self.draw(st.sampled_from([n, self.ints(0, -1, 8, 8)]))
        else:
            split, back = self.ints(0, 2, c // 2, 8, 8), self.ints(-1, c, 8, 8)
        grid = self.node("Reshape", x, split)
        turned = self.node("Transpose", grid, perm=[0, 2, 1, 3, 4])
        self.push(self.node("Reshape", turned, back), c)

    def tokens(self, x, c):
        """Reshape to (N, HW, C) with a computed shape, a linear layer, and back."""
        n = self.node("Gather", self.node("Shape", x), self.ints(0))
        flat = self.node("Reshape", x, self.node("Concat", n, self.ints(c, 64), axis=0))
        rows = self.node("Transpose", flat, perm=[0, 2, 1])
        y = self.node("Add", self.node("MatMul", rows, self.weight(c, 6)), self.weight(6))
        back = self.node("Transpose", y, perm=[0, 2, 1])
        shape = self.node("Concat", n, self.ints(6), self.ints(8, 8), axis=0)
        self.push(self.node("Reshape", back, shape), 6)

    def attend(self, x, c):
        """Self-attention over the 64 positions, with packed or separate projections."""
        heads, dim = self.draw(st.sampled_from([(1, 4), (2, 2), (2, 4), (3, 2)]))
        inner = heads * dim
        n = self.node("Gather", self.node("Shape", x), self.ints(0))
        flat = self.node("Reshape", x, self.node("Concat", n, self.ints(c, 64), axis=0))
        rows = self.node("Transpose", flat, perm=[0, 2, 1])
        if self.draw(st.booleans()):
            made = self.node("MatMul", rows, self.weight(c, 3 * inner))
            made = self.node("Add", made, self.weight(3 * inner))
            made = self.node("Reshape", made, self.ints(0, 0, 3, heads, dim))
            made = self.node("Transpose", made, perm=[2, 0, 3, 1, 4])
            q, k, v = (
                self.node("Gather", made, self.constant(np.int64(i)), axis=0) for i in range(3)
            )
        else:
            parts = [self.node("MatMul", rows, self.weight(c, inner)) for _ in range(3)]
            parts = [self.node("Reshape", part, self.ints(0, 0, heads, dim)) for part in parts]
            q, k, v = (self.node("Transpose", part, perm=[0, 2, 1, 3]) for part in parts)
        scores = self.node("MatMul", q, self.node("Transpose", k, perm=[0, 1, 3, 2]))
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=3), v)
        joined = self.node("Transpose", mixed, perm=[0, 2, 1, 3])
        joined = self.node("Reshape", joined, self.ints(0, 0, inner))
        y = self.node("MatMul", joined, self.weight(inner, 6))
        back = self.node("Transpose", y, perm=[0, 2, 1])
        shape = self.node("Concat", n, self.ints(6), self.ints(8, 8), axis=0)
        self.push(self.node("Reshape", back, shape), 6)

    def group_norm(self, x, c):
        """Normalise two groups of channels as torch's exporter writes it."""
        if c % 2 or c < 4:
            return
        ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
        grid = self.node("Reshape", x, self.ints(0, 2, -1))
        y = self.node("InstanceNormalization", grid, self.constant(ones), self.constant(zeros))
        back = self.draw(st.sampled_from([self.node("Shape", x), self.ints(0, c, 8, 8)]))
        scaled = self.node("Mul", self.node("Reshape", y, back), self.weight(c, 1, 1))
        self.push(self.node("Add", scaled, self.weight(c, 1, 1)), c)

    def means(self, x, axis):
        """Average over an axis."""
        if self.opset >= 18:
            return self.node("ReduceMean", x, self.ints(axis))
        return self.node("ReduceMean", x, axes=[axis])

    def channel_norm(self, x, c):
        """Normalise over the channels, as exporters write it or by the operator."""
        kind = self.draw(st.sampled_from(["mean", "length", "operator"]))
        if kind == "operator" and self.opset >= 17:
            rows = self.node("Transpose", x, perm=[0, 2, 3, 1])
            operands = [self.weight(c) for _ in range(self.draw(st.sampled_from([1, 2])))]
            made = self.node("LayerNormalization", rows, *operands)
            self.push(self.node("Transpose", made, perm=[0, 3, 1, 2]), c)
            return
        centred = x if kind == "length" else self.node("Sub", x, self.means(x, 1))
        power = self.means(self.node("Mul", centred, centred), 1)
        spread = self.node("Sqrt", self.node("Add", power, self.constant(np.float32([0.1]))))
        scaled = self.node("Div", centred, spread)
        self.push(self.node("Mul", scaled, self.weight(c, 1, 1)), c)

    def computed_conv(self, x, c):
        """Convolve with a weight that the graph divides by a length, or turns round."""
        weight = self.weight(6, c, 1, 1)
        if self.draw(st.booleans()):
            squares = self.node("Mul", weight, weight)
            # The oracle zeroes whole filters, which have no length.
            some = self.node("Add", self.means(squares, 1), self.constant(np.float32([0.1])))
            length = self.node("Sqrt", some)
            weight = self.node("Div", weight, length)
        else:
            weight = self.node("Transpose", self.weight(c, 6, 1, 1), perm=[1, 0, 2, 3])
        bias = self.node("Identity", self.node("Identity", self.weight(6)))
        self.push(self.node("Conv", x, weight, bias), 6)

    def flip(self, x, c):
        y = self.node(
            "Slice", x, self.ints(-1), self.ints(-(2**63) + 1), self.ints(1), self.ints(-1)
        )
        self.push(y, c)

    def filled(self, x, c):
        """Join zeros as wide as the tensor or of a width of their own, or scale by ones."""
        n = self.node("Shape", x)
        kind = self.draw(st.sampled_from(["zeros", "ones", "expanded", "own"]))
        if kind == "ones":
            one = numpy_helper.from_array(np.ones(1, np.float32))
            self.push(self.node("Mul", x, self.node("ConstantOfShape", n, value=one)), c)
            return
        width = 3 if kind == "own" else c
        if c + width > 16:
            return
        if kind == "own":
            batch = self.node("Gather", n, self.ints(0))
            n = self.node("Concat", batch, self.ints(3), self.ints(8, 8), axis=0)
        if kind == "expanded":
            made = self.node("Expand", self.constant(np.zeros((1, 1, 1), np.float32)), n)
        else:
            made = self.node("ConstantOfShape", n)
        self.push(self.node("Concat", x, made, axis=1), c + width)

    def einsum(self, x, c):
        if self.opset < 12:
            return
        y = self.node("Einsum", x, self.weight(6, c), equation="nchw,oc->nohw")
        self.push(y, 6)

    def finish(self, classify, *, adds_input=False):
        x, c = self.tensors[-1]
        if adds_input:
            out = self.node("Add", self.node("Conv", x, self.weight(3, c, 1, 1)), "x")
            shape = [self.batch, 3, 8, 8]
        elif classify:
            p = self.node("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4])
            y = self.node("Flatten", p)
            out = self.node("Gemm", y, self.weight(5, 4 * c), self.weight(5), transB=1)
            shape = [self.batch, 5]
        else:
            out = self.node("Conv", x, self.weight(2, c, 1, 1))
            shape = [self.batch, 2, 8, 8]
        inputs = [helper.make_tensor_value_info("x", 1, [self.batch, 3, 8, 8])]
        outputs = [helper.make_tensor_value_info(out, 1, shape)]
        tensors = [numpy_helper.from_array(a, n) for n, a in self.weights.items()]
        graph = helper.make_graph(self.nodes, "random", inputs, outputs, tensors)
        return helper.make_model(
            graph, ir_version=8, opset_imports=[helper.make_opsetid("", self.opset)]
        )


GROWTHS = (
    "conv", "conv", "conv", "grouped", "depthwise", "transposed", "shared_conv", "norm",
    "activation", "prelu", "pool", "join", "join", "concat", "concat", "split", "halves", "slice",
    "gather", "pad", "resize", "gate", "shuffle", "tokens", "attend", "group_norm", "flip",
    "einsum", "filled", "filled", "channel_norm", "computed_conv",
)  # fmt: skip


@st.composite
def networks(draw, *, may_add_input=False):
    """Draw a small convolutional network with branches."""
    builder = NetBuilder(
        draw, draw(st.sampled_from([11, 13, 17, 18])), draw(st.sampled_from([1, "N"]))
    )
    builder.conv("x", 3)
    for _ in range(draw(st.integers(3, 14))):
        builder.grow()
    adds_input = may_add_input and draw(st.booleans())
    return builder.finish(draw(st.booleans()), adds_input=adds_input)

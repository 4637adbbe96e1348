"""Load, save, shapes and sessions; the only folder that knows onnx-graphsurgeon."""

from wrg_onnx.choices import Provider
from wrg_onnx.graph.additions import without_additions, without_bias
from wrg_onnx.graph.check import checker_problem
from wrg_onnx.graph.constant_part import ConstantPart, evaluate, find_constant_part
from wrg_onnx.graph.difference import relative_difference
from wrg_onnx.graph.edit import Edit, edited
from wrg_onnx.graph.extremes import Band, Extremes, with_bands, with_extremes
from wrg_onnx.graph.fingerprint import begin_digests, digest, file_digests, fingerprint
from wrg_onnx.graph.flat_branches import lay_flat
from wrg_onnx.graph.given import contradictions, listed
from wrg_onnx.graph.guess import bind_sizes, guesses, is_guessed
from wrg_onnx.graph.inputs import draw_feeds, fill_inputs
from wrg_onnx.graph.kernels import as_written, fit_to_kernels
from wrg_onnx.graph.larger import other_guesses, other_sizes
from wrg_onnx.graph.load import from_bytes, from_message, from_proto, load, stored_bytes
from wrg_onnx.graph.message import element_types, to_message
from wrg_onnx.graph.model import Array, Attribute, Graph, Node, Shape, Value
from wrg_onnx.graph.part_sessions import PartSessions
from wrg_onnx.graph.passages import Passage, passages
from wrg_onnx.graph.returned import KEYS, origins
from wrg_onnx.graph.rewire import Narrowed
from wrg_onnx.graph.run import divide, run_once
from wrg_onnx.graph.save import check_model_output, check_sources, file_bytes, save
from wrg_onnx.graph.session import Session, open_session, resolve_provider, runtime
from wrg_onnx.graph.shapes import check_run, fixed_sizes, infer_shapes, partial_shapes
from wrg_onnx.graph.side_by_side import AHEAD_BYTES, run_side_by_side
from wrg_onnx.graph.subgraphs import Flat, flatten, subgraphs
from wrg_onnx.graph.threads import one_blas_thread, usable_cores
from wrg_onnx.graph.weights import Derived, Entry, Form, Weights, held, is_bfloat16, is_float
from wrg_onnx.graph.widen import as_widened
from wrg_onnx.graph.with_constants import with_constants

__all__ = [
    "AHEAD_BYTES",
    "KEYS",
    "Array",
    "Attribute",
    "Band",
    "ConstantPart",
    "Derived",
    "Edit",
    "Entry",
    "Extremes",
    "Flat",
    "Form",
    "Graph",
    "Narrowed",
    "Node",
    "PartSessions",
    "Passage",
    "Provider",
    "Session",
    "Shape",
    "Value",
    "Weights",
    "as_widened",
    "as_written",
    "begin_digests",
    "bind_sizes",
    "check_model_output",
    "check_run",
    "check_sources",
    "checker_problem",
    "contradictions",
    "digest",
    "divide",
    "draw_feeds",
    "edited",
    "element_types",
    "evaluate",
    "file_bytes",
    "file_digests",
    "fill_inputs",
    "find_constant_part",
    "fingerprint",
    "fit_to_kernels",
    "fixed_sizes",
    "flatten",
    "from_bytes",
    "from_message",
    "from_proto",
    "guesses",
    "held",
    "infer_shapes",
    "is_bfloat16",
    "is_float",
    "is_guessed",
    "lay_flat",
    "listed",
    "load",
    "one_blas_thread",
    "open_session",
    "origins",
    "other_guesses",
    "other_sizes",
    "partial_shapes",
    "passages",
    "relative_difference",
    "resolve_provider",
    "run_once",
    "run_side_by_side",
    "runtime",
    "save",
    "stored_bytes",
    "subgraphs",
    "to_message",
    "usable_cores",
    "with_bands",
    "with_constants",
    "with_extremes",
    "without_additions",
    "without_bias",
]

"""Output files that appear whole or not at all, and what killed runs have left of them."""

from wrg_onnx.files.check import check_output
from wrg_onnx.files.exchange import exchange
from wrg_onnx.files.held import remove_leftovers
from wrg_onnx.files.kept import read_kept
from wrg_onnx.files.parts import flush_folder, old_beside, part_folder, remove_old, renamed
from wrg_onnx.files.room import check_room
from wrg_onnx.files.scratch import scratch_folder

__all__ = [
    "check_output",
    "check_room",
    "exchange",
    "flush_folder",
    "old_beside",
    "part_folder",
    "read_kept",
    "remove_leftovers",
    "remove_old",
    "renamed",
    "scratch_folder",
]

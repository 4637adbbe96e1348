"""Input files that are ordinary ones; outputs that appear whole or not at all."""

from wrg_onnx.files.check import check_output
from wrg_onnx.files.exchange import exchange
from wrg_onnx.files.held import remove_leftovers
from wrg_onnx.files.lock import locked
from wrg_onnx.files.ordinary import (
    NOT_ORDINARY,
    is_special,
    open_descriptor,
    open_kept,
    open_ordinary,
    read_ordinary,
)
from wrg_onnx.files.parts import flush_folder, old_beside, part_folder, remove_old, renamed
from wrg_onnx.files.rights import give_rights
from wrg_onnx.files.room import check_room
from wrg_onnx.files.scratch import scratch_folder

__all__ = [
    "NOT_ORDINARY",
    "check_output",
    "check_room",
    "exchange",
    "flush_folder",
    "give_rights",
    "is_special",
    "locked",
    "old_beside",
    "open_descriptor",
    "open_kept",
    "open_ordinary",
    "part_folder",
    "read_ordinary",
    "remove_leftovers",
    "remove_old",
    "renamed",
    "scratch_folder",
]

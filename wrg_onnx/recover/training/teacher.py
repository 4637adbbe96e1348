"""Which model may teach which; without torch."""

from __future__ import annotations

from wrg_onnx.graph import Graph, UsageError, Value


def check_teacher(student: Graph, teacher: Graph) -> None:
    """Refuse a teacher that is fed otherwise, or answers otherwise.

    Raises:
        UsageError: If its inputs or outputs differ; it names the first difference.
    """
    for what, own, other in (
        ("input", student.inputs, teacher.inputs),
        ("output", student.outputs, teacher.outputs),
    ):
        if len(own) != len(other):
            raise UsageError(
                f"the teacher '{teacher.name}' has {len(other)} {what}s, '{student.name}' has "
                f"{len(own)}: take the model that was pruned"
            )
        for mine, theirs in zip(own, other, strict=True):
            if not _alike(mine, theirs):
                raise UsageError(
                    f"the teacher '{teacher.name}' has {what} {_shown(theirs)}, '{student.name}' "
                    f"has {_shown(mine)}: take the model that was pruned"
                )


def _alike(mine: Value, theirs: Value) -> bool:
    if (mine.name, mine.dtype) != (theirs.name, theirs.dtype):
        return False
    if mine.shape is None or theirs.shape is None:
        return True
    return len(mine.shape) == len(theirs.shape) and all(
        a == b
        for a, b in zip(mine.shape, theirs.shape, strict=True)
        if isinstance(a, int) and isinstance(b, int)
    )


def _shown(value: Value) -> str:
    shape = "of unknown rank" if value.shape is None else list(value.shape)
    return f"'{value.name}' {value.dtype} {shape}"

"""Changes of files: of their bytes, and of what the format makes of them."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import onnx
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import DecodeError, Message

Draw: TypeAlias = random.Random

EXTREMES = (
    -(2**63),
    -(2**31),
    -2,
    -1,
    0,
    1,
    2,
    3,
    7,
    99,
    2**16,
    2**31 - 1,
    2**31,
    2**62,
    2**63 - 1,
)
"""Where arithmetic on sizes goes wrong."""

REALS = (0.0, -0.0, 1.0, -1.0, 1e-45, 3.4e38, -3.4e38, float("inf"), float("-inf"), float("nan"))

TEXTS = (
    "", ".", "..", "/", "../../etc/passwd", "/dev/zero", "x" * 10_000, "\x1b[31mred", "a\nb\rc",
    "\u202egnp.exe", "\x00", "__class__", "*/_ORT_MEM_ADDR_/*", "[bold]", "%s%n{0}", "ai.onnx.ml",
)  # fmt: skip
"""Names and paths that somebody might take for something else."""

MOST_COPIES = 200
"""How often something is repeated at most."""

_WHOLE = {
    Field.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    Field.CPPTYPE_UINT32: (0, 2**32 - 1),
    Field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    Field.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def change_bytes(data: bytes, draw: Draw) -> bytes:
    """Change a file without knowing what it holds."""
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        at = draw.randrange(len(data) + 1)
        length = min(draw.choice((1, 2, 4, 8, 64, 4096)), len(data) - at)
        data = data[:at] + _changed_piece(data[at : at + length], draw) + data[at + length :]
    return data[: draw.randrange(len(data) + 1)] if draw.random() < 0.1 else data


def _changed_piece(piece: bytes, draw: Draw) -> bytes:
    ways: Sequence[Callable[[], bytes]] = (
        lambda: b"",
        lambda: piece * draw.choice((2, 3, 50)),
        lambda: draw.randbytes(len(piece) or 1),
        lambda: bytes(len(piece)),
        lambda: bytes(byte ^ (1 << draw.randrange(8)) for byte in piece),
        lambda: (draw.choice(EXTREMES) % 2**64).to_bytes(8, draw.choice(("little", "big"))),
        lambda: b"\xff\xfe" + piece[2:],
    )
    return draw.choice(ways)()


def change_model(data: bytes, draw: Draw) -> bytes:
    """Change fields of a model's message: numbers, names, what is repeated, what is left out."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return change_bytes(data, draw)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        parts = [*_messages(model)]
        _change_message(draw.choice(parts), parts, draw)
    return bytes(model.SerializeToString())


def change_archive(data: bytes, draw: Draw) -> bytes:
    """Change members of a .npz file: leave out, rename, exchange, or change bytes of one."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        members = [archive.read(name) for name in names]
    one, other = draw.randrange(len(names)), draw.randrange(len(names))
    way = draw.randrange(6)
    if way == 0:
        del names[one], members[one]
    elif way == 1:
        names[one] = draw.choice(TEXTS)[:100] or "empty"
    elif way == 2:
        members[one], members[other] = members[other], members[one]
    elif way == 3:
        members[one] = change_bytes(members[one], draw)
    elif way == 4:
        names.append(f"more{draw.randrange(10)}.npy")
        members.append(members[one])
    else:
        members[one] = _change_header(members[one], draw)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in zip(names, members, strict=True):
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def change_json(data: bytes, draw: Draw) -> bytes:
    """Change a value of a JSON file, or what is behind its first line where that is no JSON."""
    try:
        content = json.loads(data)
    except ValueError:
        head, _, rest = data.partition(b"\n")
        try:
            content = json.loads(rest)
        except ValueError:
            return change_bytes(data, draw)
        return head + b"\n" + json.dumps(_changed_value(content, draw)).encode()
    return json.dumps(_changed_value(content, draw)).encode()


def change_safetensors(data: bytes, draw: Draw) -> bytes:
    """Change the header of a .safetensors file, and be its length right or not."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        return change_bytes(data, draw)
    notes = header.get("__metadata__", {})
    inside = [name for name, text in notes.items() if text[:1] in "[{"]
    if inside and draw.random() < 0.5:  # JSON in a text of JSON
        name = draw.choice(inside)
        notes[name] = json.dumps(_changed_value(json.loads(notes[name]), draw))
    else:
        header = _changed_value(header, draw)
    text = json.dumps(header).encode()
    told = draw.choice(EXTREMES) % 2**64 if draw.random() < 0.1 else len(text)
    return told.to_bytes(8, "little") + text + data[8 + length :]


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.cpp_type == Field.CPPTYPE_MESSAGE:
            for part in value if _is_repeated(field) else (value,):
                yield from _messages(part)


def _is_repeated(field: Field) -> bool:
    return bool(field.is_repeated)


def _change_message(message: Message, parts: Sequence[Message], draw: Draw) -> None:
    given = [field for field, _ in message.ListFields()]
    # What is there matters more often than what is not.
    fields = given if given and draw.random() < 0.8 else list(message.DESCRIPTOR.fields)
    field = draw.choice(fields)
    if draw.random() < 0.15:
        message.ClearField(field.name)
    elif field.cpp_type == Field.CPPTYPE_MESSAGE:
        _change_part(message, field, parts, draw)
    elif _is_repeated(field):
        _change_list(getattr(message, field.name), field, draw)
    else:
        setattr(message, field.name, _value(field, getattr(message, field.name), draw))


def _change_part(message: Message, field: Field, parts: Sequence[Message], draw: Draw) -> None:
    alike = [part for part in parts if part.DESCRIPTOR is field.message_type]
    if not _is_repeated(field):
        if alike:
            copied = type(alike[0])()
            copied.CopyFrom(draw.choice(alike))
            getattr(message, field.name).CopyFrom(copied)
        return
    held = getattr(message, field.name)
    way = draw.randrange(4)
    if way == 0 and held:
        del held[draw.randrange(len(held))]
    elif way == 1 and len(held) > 1:
        order = [*range(len(held))]
        draw.shuffle(order)
        copies = [type(part).FromString(part.SerializeToString()) for part in held]
        for place, number in enumerate(order):
            held[place].CopyFrom(copies[number])
    elif alike:
        copy = draw.choice(alike).SerializeToString()
        for _ in range(MOST_COPIES if way == 2 and draw.random() < 0.2 else 1):
            held.add().ParseFromString(copy)


def _change_list(held: Any, field: Field, draw: Draw) -> None:
    way = draw.randrange(3)
    if way == 0 and held:
        del held[draw.randrange(len(held))]
    elif way == 1 and held:
        place = draw.randrange(len(held))
        held[place] = _value(field, held[place], draw)
    else:
        old = held[-1] if held else _nothing(field)
        held.extend([_value(field, old, draw)] * draw.choice((1, 1, 2, MOST_COPIES)))


def _nothing(field: Field) -> Any:
    if field.cpp_type == Field.CPPTYPE_STRING:
        return b"" if field.type == Field.TYPE_BYTES else ""
    return 0


def _value(field: Field, old: Any, draw: Draw) -> Any:
    if field.cpp_type in _WHOLE:
        low, high = _WHOLE[field.cpp_type]
        new = draw.choice((*EXTREMES, old + 1, old - 1, old * 2, old // 2))
        return min(max(new, low), high)
    if field.cpp_type in (Field.CPPTYPE_FLOAT, Field.CPPTYPE_DOUBLE):
        return draw.choice((*REALS, old * 2, -old))
    if field.cpp_type == Field.CPPTYPE_ENUM:
        return draw.choice([value.number for value in field.enum_type.values])
    if field.type == Field.TYPE_BYTES:
        return change_bytes(old, draw)
    return draw.choice(TEXTS) if draw.random() < 0.7 else old[: draw.randrange(len(old) + 1)]


def _change_header(member: bytes, draw: Draw) -> bytes:
    """Let a .npy file say another shape or type of what it holds."""
    end = member.find(b"\n")
    if not member.startswith(b"\x93NUMPY") or end < 0:
        return change_bytes(member, draw)
    kind = draw.choice((b"<f8", b"|b1", b"|O", b"<U9", b"<i8", b"<c8", b">f4", b"|V8", b"<M8[s]"))
    shape = draw.choice((b"()", b"(0,)", b"(1,)", b"(-1,)", b"(1099511627776,)", b"(1, 3, 2, 2)"))
    text = b"{'descr': '" + kind + b"', 'fortran_order': False, 'shape': " + shape + b", }"
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + member[end + 1 :]


def _changed_value(value: Any, draw: Draw) -> Any:
    """Change one value somewhere in what a JSON file holds."""
    places = [*_places(value)]
    if not places or draw.random() < 0.05:
        return draw.choice((None, [], {}, 0, "", True))
    holder, key = draw.choice(places)
    if isinstance(holder, dict) and draw.random() < 0.2:
        del holder[key]
        return value
    old = holder[key]
    ways: Sequence[Callable[[], Any]] = (
        lambda: draw.choice((*EXTREMES, 10**9, 10**30)),
        lambda: draw.choice(REALS),
        lambda: draw.choice(TEXTS),
        lambda: draw.choice((None, True, False, [], {}, [[]], {"a": 1})),
        lambda: [old] * 3,
        lambda: -old if isinstance(old, int | float) else old,
    )
    holder[key] = draw.choice(ways)()
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys if isinstance(value, dict | list) else ():
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])

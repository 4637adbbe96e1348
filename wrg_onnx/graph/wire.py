"""Protobuf's wire format: the places of tensors' payloads in a file, taken out and put back in.

A parsed message holds a copy of every payload, and a written one is a copy of the whole message.
Here a message is walked as bytes. Of what the walk leaves alone nothing is decoded.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import math
import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import onnx
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

LEAST_BYTES = 4096
"""Payloads below this stay in the message."""

DEEPEST = 100
"""How deep messages may be nested; protobuf's own parser stops there, too."""

MOST_FIELDS = 1 << 20
"""How many nodes, weights and the like a graph may have: two bytes of a file may be a record of a
hundred in memory."""

_MOST_OF_TENSOR = 1 << 12
"""How many fields are looked through in a tensor; writers need a dozen."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class ExcessError(DecodeError):  # type: ignore[misc]
    """A message is one, and is nested deeper or has more parts than any model."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        number: Its number in the message's definition.
        wire: How its value is written.
        start: Where it begins.
        value: Where its value does: behind the tag, and behind the length if it has one.
        end: Where the next field begins.
    """

    number: int
    wire: int
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Payload:
    """Where the bytes of a tensor's elements are."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class _Hole:
    """What stands in pieces for a payload that is written there."""

    key: str
    length: int


Piece: TypeAlias = "bytes | memoryview | _Hole"


def _numbers(message: type, *names: str) -> dict[int, Descriptor]:
    fields = (message.DESCRIPTOR.fields_by_name[name] for name in names)  # type: ignore[attr-defined]
    return {field.number: field.message_type for field in fields}


# Where weights are: initializers, and attributes of the nodes of graphs and functions.
_INSIDE: dict[Descriptor, dict[int, Descriptor]] = {
    onnx.ModelProto.DESCRIPTOR: _numbers(onnx.ModelProto, "graph", "functions"),
    onnx.GraphProto.DESCRIPTOR: _numbers(onnx.GraphProto, "node", "initializer"),
    onnx.FunctionProto.DESCRIPTOR: _numbers(onnx.FunctionProto, "node"),
    onnx.NodeProto.DESCRIPTOR: _numbers(onnx.NodeProto, "attribute"),
    onnx.AttributeProto.DESCRIPTOR: _numbers(onnx.AttributeProto, "t", "g"),
}
_ATTRIBUTE = onnx.AttributeProto.DESCRIPTOR
_TENSOR = onnx.TensorProto.DESCRIPTOR
_OF_TENSOR = {name: field.number for name, field in _TENSOR.fields_by_name.items()}
_PACKED = {
    _OF_TENSOR["float_data"]: (onnx.TensorProto.FLOAT, 4),
    _OF_TENSOR["double_data"]: (onnx.TensorProto.DOUBLE, 8),
}
"""Lists of numbers that are written as their bytes are in memory: the type, and bytes of one."""


def take_payloads(data: memoryview, keys: Callable[[Payload], str]) -> onnx.ModelProto:
    """Parse a model without the payloads of its large tensors.

    Args:
        data: The file.
        keys: Gives a payload a name. Its tensor gets external data in the place of that name.

    Returns:
        The message. Tensors whose data are external in the file are left as they are.

    Raises:
        ExcessError: If it is nested too deep, or has too many parts.
        DecodeError: If it is no message.
    """

    def strip(start: int, end: int) -> Sequence[Piece] | None:
        found = _payload(data, start, end)
        if found is None:
            return None
        payload, gone = found
        fields = (field for field in _fields(data, start, end) if field.number not in gone)
        kept = [data[field.start : field.end] for field in fields]
        return [*kept, _reference(keys(payload))]

    walk = _Walk(data, strip, lambda start, end: end - start >= LEAST_BYTES)
    light = b"".join(piece for piece in walk.pieces() if not isinstance(piece, _Hole))
    model = onnx.ModelProto()
    try:
        model.ParseFromString(light)
    except DecodeError:
        # Protobuf does not say why: small messages may be nested too deep, too.
        _Walk(data, lambda _start, _end: None, lambda _start, _end: True).pieces()
        raise
    return model


def put_payloads(
    model: onnx.ModelProto, payloads: Mapping[str, int]
) -> Iterator[tuple[bytes, str | None]]:
    """Write a model with payloads in the places of their names, piece by piece.

    Args:
        model: A message with tensors that ``take_payloads``, or ``refer``, gave names.
        payloads: The bytes of each payload that is to be in the message, by name; other tensors
            with external data keep these.

    Yields:
        Bytes, and the name of the payload behind them; None behind the last.
    """
    written: bytes = model.SerializeToString()
    data = memoryview(written)
    places = list(_occurrences(written, _MARK))

    def holds(start: int, end: int) -> bool:
        at = bisect_left(places, start)
        return at < len(places) and places[at] < end

    def fill(start: int, end: int) -> Sequence[Piece] | None:
        tensor = onnx.TensorProto()
        tensor.ParseFromString(written[start:end])
        key = key_of(tensor)
        if key is None or key not in payloads:
            return None
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        head = tensor.SerializeToString() + _head(_OF_TENSOR["raw_data"], payloads[key])
        return [head, _Hole(key, payloads[key])]

    pending: list[bytes | memoryview] = []
    for piece in _Walk(data, fill, holds).pieces():
        if isinstance(piece, _Hole):
            yield b"".join(pending), piece.key
            pending = []
        else:
            pending.append(piece)
    yield b"".join(pending), None


def refer(tensor: onnx.TensorProto, key: str) -> None:
    """Let a tensor stand for a payload of this name; its values go."""
    for name in ("raw_data", "float_data", "int32_data", "int64_data", "double_data",
                 "uint64_data", "string_data", "external_data"):  # fmt: skip
        tensor.ClearField(name)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=_LOCATION + key)


def key_of(tensor: onnx.TensorProto) -> str | None:
    """Return the name of the payload that a tensor stands for; None if it stands for itself."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL or len(tensor.external_data) != 1:
        return None
    location = tensor.external_data[0].value
    return location[len(_LOCATION) :] if location.startswith(_LOCATION) else None


_LOCATION = f"\0weight {secrets.token_hex(8)} "
"""What our names begin with: no file has a name with a zero in it, and no model knows this one."""

_MARK = _LOCATION.encode()


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """A way through the tensors of a model.

    Attributes:
        data: The model.
        visit: Given where a TensorProto begins and ends, returns what to put there, or None.
        holds: Tells whether a message at a place may hold tensors to visit.
    """

    data: memoryview
    visit: Callable[[int, int], Sequence[Piece] | None]
    holds: Callable[[int, int], bool]

    def pieces(self) -> Sequence[Piece]:
        """Return the model's new form in pieces."""
        found = self._of(0, len(self.data), onnx.ModelProto.DESCRIPTOR, 0)
        return [self.data] if found is None else found

    def _of(self, start: int, end: int, kind: Descriptor, depth: int) -> Sequence[Piece] | None:
        """Return the pieces of a message; None where nothing changes in it."""
        if depth > DEEPEST:
            raise ExcessError(f"its parts are nested more than {DEEPEST} deep")
        if kind is _TENSOR:
            return self.visit(start, end)
        inside = _INSIDE[kind]
        pieces: list[Piece] = []
        done = start
        for count, field in enumerate(_fields(self.data, start, end)):
            if count > MOST_FIELDS and kind is not _ATTRIBUTE:
                raise ExcessError(f"a graph has more than {MOST_FIELDS} parts")
            number, value = field.number, field.value
            if field.wire != _BYTES or number not in inside or not self.holds(value, field.end):
                continue
            child = self._of(value, field.end, inside[number], depth + 1)
            if child is None:
                continue
            length = sum(p.length if isinstance(p, _Hole) else len(p) for p in child)
            # What was not looked into stays as it is, up to this field.
            pieces += [self.data[done : field.start], _head(number, length), *child]
            done = field.end
        return [*pieces, self.data[done:end]] if pieces else None


def _payload(data: memoryview, start: int, end: int) -> tuple[Payload, set[int]] | None:
    """Find the elements of a tensor in one piece, and the fields that they replace."""
    fields: dict[int, list[Field]] = {}
    for count, field in enumerate(_fields(data, start, end)):
        if count > _MOST_OF_TENSOR:
            return None  # a list of numbers one by one, which protobuf reads sooner
        fields.setdefault(field.number, []).append(field)
    # A few writers say that the data are not outside.
    where = fields.get(_OF_TENSOR["data_location"], [])
    if _OF_TENSOR["external_data"] in fields or any(data[field.value] for field in where):
        return None
    lists = [number for number in _PACKED if number in fields]
    raw = fields.get(_OF_TENSOR["raw_data"], [])
    if raw:
        last = raw[-1]  # it is the one that counts
        place = Payload(last.value, last.end - last.value)
        is_large = last.wire == _BYTES and place.length >= LEAST_BYTES
        return (place, {_OF_TENSOR["raw_data"], *lists}) if is_large else None
    kinds = [_varint(data, f.value, f.end)[0] for f in fields.get(_OF_TENSOR["data_type"], [])]
    sizes = (n for field in fields.get(_OF_TENSOR["dims"], []) for n in _integers(data, field))
    count = math.prod(sizes)
    for number in lists:
        (first, *others), (kind, size) = fields[number], _PACKED[number]
        length = first.end - first.value
        if kinds[-1:] == [kind] and not others and length == count * size >= LEAST_BYTES:
            return Payload(first.value, length), {number}
    return None


def _integers(data: memoryview, field: Field) -> Iterator[int]:
    place = field.value
    while place < field.end:
        value, place = _varint(data, place, field.end)
        yield value


def _reference(key: str) -> bytes:
    tensor = onnx.TensorProto()
    refer(tensor, key)
    written: bytes = tensor.SerializeToString()
    return written


def _occurrences(data: bytes, mark: bytes) -> Iterator[int]:
    place = data.find(mark)
    while place >= 0:
        yield place
        place = data.find(mark, place + 1)


def _fields(data: memoryview, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of a message.

    Raises:
        DecodeError: If they do not end where the message does, or are of a kind that is not used.
    """
    place = start
    while place < end:
        first = place
        tag, place = _varint(data, place, end)
        wire = tag & 7
        value = place
        if wire == _BYTES:
            length, value = _varint(data, place, end)
            place = value + length
        elif wire == _VARINT:
            place = _varint(data, place, end)[1]
        elif wire in (_FIXED32, _FIXED64):
            place += 4 if wire == _FIXED32 else 8
        else:
            raise DecodeError(f"a field of wire type {wire}")
        if place > end or not tag >> 3:
            raise DecodeError("a field that does not fit")
        yield Field(tag >> 3, wire, first, value, place)


def _varint(data: memoryview, place: int, end: int) -> tuple[int, int]:
    """Read an integer, and where what is behind it begins."""
    # 7 bits a byte, the lowest first; the highest bit says that another byte follows.
    value = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise DecodeError("an integer that does not end")


def _head(number: int, length: int) -> bytes:
    """Encode the tag and the length of a field of bytes."""
    return _encoded(number << 3 | _BYTES) + _encoded(length)


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

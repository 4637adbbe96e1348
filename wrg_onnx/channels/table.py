"""The table of rules: (domain, operator, since-version) to the function that answers for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import currentframe
from typing import TypeAlias, TypeVar

from wrg_onnx.channels.answers import Coupling
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import Alive
from wrg_onnx.graph import Array, Attribute, Node

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """What a node's attributes and shape operands become after removal.

    Attributes:
        attributes: New attributes; None removes one.
        operands: New constant operands by input position; None leaves an optional input out.
    """

    attributes: Mapping[str, Attribute | None] = field(default_factory=dict)
    operands: Mapping[int, Array | None] = field(default_factory=dict)


Rule: TypeAlias = Callable[[Call], Coupling]
Derivation: TypeAlias = Callable[[Call, Sequence[Axes], Alive], Derived]
_Function = TypeVar("_Function", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class _Entry:
    """A function, and the family (the name of the file) whose file registered it."""

    function: Callable[..., object]
    family: str


@dataclass(frozen=True, slots=True)
class _Table:
    """Functions by domain and operator, each with the opset version it starts at."""

    entries: dict[tuple[str, str], dict[int, _Entry]] = field(default_factory=dict)

    def register(
        self, names: Sequence[str], since: int, domain: str, family: str
    ) -> Callable[[_Function], _Function]:
        def add(function: _Function) -> _Function:
            for name in names:
                versions = self.entries.setdefault((domain, name), {})
                if since in versions:
                    raise ValueError(f"'{domain}.{name}' since {since} is registered twice")
                versions[since] = _Entry(function, family)
            return function

        return add

    def find(self, node: Node) -> Callable[..., object] | None:
        versions = self.entries.get((node.domain, node.op), {})
        fitting = [since for since in versions if since <= node.version]
        return versions[max(fitting)].function if fitting else None


_RULES = _Table()
_DERIVATIONS = _Table()


def calling_family() -> str:
    """Return the name of the file that calls the caller: an operator's family.

    A function may be written in one file and registered in another, so that what tells the family
    is where the registration stands.
    """
    frame = currentframe()
    assert frame is not None  # CPython has frames
    assert frame.f_back is not None
    assert frame.f_back.f_back is not None  # the caller has a caller
    module: str = frame.f_back.f_back.f_globals["__name__"]
    return module.rpartition(".")[2]


def op_rule(*names: str, since: int, domain: str = "") -> Callable[[_Function], _Function]:
    """Register a rule for operators from an opset version on.

    Raises:
        ValueError: If an operator has a rule for that version already.
    """
    return _RULES.register(names, since, domain, calling_family())


def derivation(*names: str, since: int, domain: str = "") -> Callable[[_Function], _Function]:
    """Register how operators' attributes and shape operands follow a removal.

    Raises:
        ValueError: If an operator has a derivation for that version already.
    """
    return _DERIVATIONS.register(names, since, domain, calling_family())


def find_rule(node: Node) -> Rule | None:
    """Return the rule for a node's operator and opset version."""
    return _RULES.find(node)  # type: ignore[return-value]


def find_derivation(node: Node) -> Derivation | None:
    """Return the derivation for a node's operator and opset version."""
    return _DERIVATIONS.find(node)  # type: ignore[return-value]


def registered() -> Iterator[tuple[str, str, int, str]]:
    """Yield (domain, operator, since-version, first line of the rule's docstring), sorted."""
    for (domain, name), versions in sorted(_RULES.entries.items()):
        for since, entry in sorted(versions.items()):
            yield domain, name, since, (entry.function.__doc__ or "").partition("\n")[0]


def families() -> Mapping[tuple[str, str], frozenset[str]]:
    """Return by (domain, operator) the families whose files hold its rules and derivations."""
    found: dict[tuple[str, str], set[str]] = {}
    for table in (_RULES, _DERIVATIONS):
        for key, versions in table.entries.items():
            found.setdefault(key, set()).update(entry.family for entry in versions.values())
    return {key: frozenset(names) for key, names in sorted(found.items())}

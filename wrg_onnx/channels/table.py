"""The table of rules: (domain, operator, since-version) to the function that answers for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from wrg_onnx.channels.answers import Coupling
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.guarded import guarded
from wrg_onnx.channels.ids import Alive
from wrg_onnx.extensions import (
    OURS,
    Kind,
    calling_module,
    claim,
    load_all,
    origin_of,
    raise_if_failed,
    raise_if_missing,
)
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

    what: str
    answer: type[object]
    entries: dict[tuple[str, str], dict[int, _Entry]] = field(default_factory=dict)

    def register(
        self, names: Sequence[str], since: int, domain: str, module: str
    ) -> Callable[[_Function], _Function]:
        family, origin = module.rpartition(".")[2], origin_of(module)

        def add(function: _Function) -> _Function:
            asked = (
                function if origin == OURS else guarded(function, self.what, self.answer, origin)
            )
            for name in names:
                claim(Kind.RULE, (domain, name), origin)
                versions = self.entries.setdefault((domain, name), {})
                if since in versions:
                    raise ValueError(f"'{domain}.{name}' since {since} is registered twice")
                versions[since] = _Entry(asked, family)
            return function

        return add

    def find(self, node: Node) -> Callable[..., object] | None:
        versions = self.entries.get((node.domain, node.op), {})
        fitting = [since for since in versions if since <= node.version]
        return versions[max(fitting)].function if fitting else None


_RULES = _Table("rule", Coupling)
_DERIVATIONS = _Table("derivation", Derived)


def op_rule(*names: str, since: int, domain: str = "") -> Callable[[_Function], _Function]:
    """Register a rule for operators from an opset version on.

    Raises:
        ValueError: If an operator has a rule for that version already, or is another package's.
    """
    # A function may be written in one file and registered in another, so that what tells an
    # operator's family is where the registration stands.
    return _RULES.register(names, since, domain, calling_module())


def derivation(*names: str, since: int, domain: str = "") -> Callable[[_Function], _Function]:
    """Register how operators' attributes and shape operands follow a removal.

    Raises:
        ValueError: If an operator has a derivation for that version already, or is another
            package's.
    """
    return _DERIVATIONS.register(names, since, domain, calling_module())


def find_rule(node: Node) -> Rule | None:
    """Return the rule for a node's operator and opset version.

    Raises:
        ExtensionError: If an installed package of others says that it brings one, and does not.
    """
    load_all(Kind.RULE)
    name = operator_name(node)
    raise_if_failed(Kind.RULE, name)
    found: Rule | None = _RULES.find(node)  # type: ignore[assignment]
    if found is None and (node.domain, node.op) not in _RULES.entries:
        raise_if_missing(Kind.RULE, name)
    return found


def find_derivation(node: Node) -> Derivation | None:
    """Return the derivation for a node's operator and opset version."""
    return _DERIVATIONS.find(node)  # type: ignore[return-value]


def operator_name(node: Node) -> str:
    """Return the name of a node's operator, with its domain where it is not ai.onnx."""
    return f"{node.domain}.{node.op}" if node.domain else node.op


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

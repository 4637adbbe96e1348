"""What other stages ask of an operator beyond its coupling, declared once, beside its rule.

A stage that wants to know whether an operator keeps zeros, or what it multiplies, asks
``traits_of(node)``; it holds no list of operators itself. What a trait would only hide stays as
code in the stage that owns it: arithmetic on the one operator that a function is about.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from wrg_onnx.graph import Node


@dataclass(frozen=True, slots=True)
class Traits:
    """The answers for one operator; a default says that nothing is known.

    Attributes:
        is_pointwise: Whether each element of the outputs depends on those elements of the operands
            alone that broadcasting puts at its place.
        every_position_alike: Whether it has no say in which position of an axis is which, so that
            positions may be repeated or exchanged before it or after it.
    """

    is_pointwise: bool = False
    every_position_alike: bool = False


_NOTHING = Traits()
_TRAITS: dict[tuple[str, str], Traits] = {}


def op_traits(traits: Traits, *names: str, domain: str = "") -> None:
    """Declare traits of operators, beside those that were declared before.

    Args:
        traits: Those fields that are not the default are declared.
        names: The operators.
        domain: Their domain; ``""`` is ai.onnx.

    Raises:
        ValueError: If an operator has an answer in one of the fields already.
    """
    declared = {
        field.name: getattr(traits, field.name)
        for field in fields(traits)
        if getattr(traits, field.name) != getattr(_NOTHING, field.name)
    }
    for name in names:
        known = _TRAITS.get((domain, name), _NOTHING)
        for field, value in declared.items():
            if getattr(known, field) != getattr(_NOTHING, field):
                raise ValueError(f"'{domain}.{name}' has trait '{field}' twice: again as {value!r}")
        _TRAITS[domain, name] = replace(known, **declared)


def traits_of(node: Node) -> Traits:
    """Return the traits of a node's operator."""
    return _TRAITS.get((node.domain, node.op), _NOTHING)


def traits_named(name: str, domain: str = "") -> Traits:
    """Return the traits of an operator by its name: that of a fused activation, say."""
    return _TRAITS.get((domain, name), _NOTHING)

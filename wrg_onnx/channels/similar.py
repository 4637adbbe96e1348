"""Which operator a node may be meant to be that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable

from wrg_onnx.nearest import most_like


def similar_operator(domain: str, op: str, known: Iterable[tuple[str, str]]) -> str:
    """Return a question that names a known operator of a like name, such as one of another domain.

    Args:
        domain: The domain of the operator that is not known; ``""`` is ai.onnx.
        op: Its name.
        known: (domain, operator) of all that are. One of them that is the operator itself is known
            from a later version on, and nothing is asked then.

    Returns:
        The question with a blank before it; empty where nothing is like it.
    """
    domains: dict[str, list[str]] = {}
    for place, name in known:
        domains.setdefault(name, []).append(place)
    found = most_like(op, domains)
    if found is None or domain in domains.get(op, ()):
        return ""
    place = domain if domain in domains[found] else min(domains[found])
    return f" (did you mean '{f'{place}.{found}' if place else found}'?)"

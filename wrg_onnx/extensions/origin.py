"""Who registered something: this package, an installed one, or code that nobody installed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from inspect import currentframe

from wrg_onnx.extensions.kind import Kind
from wrg_onnx.extensions.scan import Extension, installed

_OWN = "wrg_onnx"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who registered something.

    Attributes:
        package: The name of the distribution; empty where the code is of none that has entry
            points for us, such as a script.
        version: The distribution's version; empty for this package.
        module: The module that registered it, where there is no distribution.
    """

    package: str
    version: str = ""
    module: str = ""

    def __str__(self) -> str:
        if self.package:
            return f"'{self.package}' {self.version}".rstrip()
        return f"the module '{self.module}', which no installed package brings"


OURS = Origin("wrg-onnx")
"""What this package registers itself."""


def calling_module() -> str:
    """Return the name of the module that calls the caller."""
    frame = currentframe()
    assert frame is not None  # CPython has frames
    assert frame.f_back is not None
    assert frame.f_back.f_back is not None  # the caller has a caller
    return str(frame.f_back.f_back.f_globals.get("__name__", ""))


def origin_of(module: str) -> Origin:
    """Tell who brings a module, from the modules that entry points name.

    Whether the module was imported because of its entry point makes no difference, so that the
    answer does not depend on the order of imports.

    Args:
        module: Its ``__name__``.
    """
    if module.partition(".")[0] == _OWN:
        return OURS
    shared = {extension: _shared(module, extension) for extension in _all()}
    longest = max(shared.values(), default=0)
    owners = {
        (extension.package, extension.version)
        for extension, parts in shared.items()
        if parts == longest > 0
    }
    # Two packages may lie in one namespace; then nobody knows whose a third module in it is.
    return Origin(*owners.pop()) if len(owners) == 1 else Origin("", module=module)


def lasting(origins: Iterable[Origin]) -> bool:
    """Tell whether what code of these makes may be kept for other runs.

    The version of a distribution says when it changes; of other code nothing does.
    """
    return all(origin.package for origin in origins)


def _all() -> tuple[Extension, ...]:
    return tuple(one for kind in Kind for several in installed(kind).values() for one in several)


def _shared(module: str, extension: Extension) -> int:
    """Count the parts that a module's name begins with as that of an entry point does."""
    count = 0
    for one, other in zip(module.split("."), extension.point.module.split("."), strict=False):
        if one != other:
            break
        count += 1
    return count

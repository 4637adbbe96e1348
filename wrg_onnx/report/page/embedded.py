"""JSON in a page: nothing in it ends the script element that holds it."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from wrg_onnx.report.as_json import finite

_AS_JSON = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}


def embedded(value: Any) -> Markup:
    """Return plain values as JSON in ASCII, without a letter that HTML has a meaning for.

    Args:
        value: Dicts, lists, texts, numbers and None; what JSON does not know becomes null.
    """
    text = json.dumps(finite(value), separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_AS_JSON))  # noqa: S704 - no markup is left in it

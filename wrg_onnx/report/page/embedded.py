"""JSON in a page: nothing in it ends the script element that holds it."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

_AS_JSON = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}


def embedded(value: Any) -> Markup:
    """Return plain values as JSON in ASCII, without a letter that HTML has a meaning for.

    Args:
        value: Dicts, lists, texts, numbers that are finite, and None.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_AS_JSON))  # noqa: S704 - no markup is left in it

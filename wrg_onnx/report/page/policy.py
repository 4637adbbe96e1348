"""What a page may do: run its own scripts, known by their hashes, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable


def policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """Return the content security policy of a page that holds all it needs.

    Nothing is loaded, sent or framed. Without ``unsafe-eval`` and ``unsafe-inline`` a script that
    got into the page by a name would not run.

    Args:
        scripts: The texts of its scripts, as they stand between the tags.
        styles: Those of its style sheets.
    """
    allowed = {
        "default-src": ("'none'",),
        "script-src": map(_hash, scripts),
        "style-src": map(_hash, styles),
        "img-src": ("data:",),
        "base-uri": ("'none'",),
        "form-action": ("'none'",),
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in allowed.items())


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

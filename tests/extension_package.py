"""Packages of others, as an installer leaves them: modules, and metadata beside them."""

from __future__ import annotations

import os
from pathlib import Path


def install(site, name="acme-pruning", version="1.2", *, modules, points):
    """Put a package into a folder, as it lies among installed ones.

    Args:
        site: The folder, which is to be on ``sys.path``.
        name: The distribution's name.
        version: Its version.
        modules: Code by path, such as ``acme_pruning/rules.py``.
        points: Entry points by group and name.
    """
    for path, code in modules.items():
        target = Path(site, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(code, encoding="utf-8")
    metadata = Path(site, f"{name.replace('-', '_')}-{version}.dist-info")
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    sections = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in named.items())
        for group, named in points.items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(sections), encoding="utf-8")
    return metadata


def environment_of(*sites, **changes):
    """Return the environment of a process that finds what is installed in some folders."""
    found = [*map(str, sites), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **changes, "PYTHONPATH": os.pathsep.join(found)}

"""Write the JSON Schemas of what the commands print with ``--json``.

They go to docs/schema/, where people read them, and to wrg_onnx/schemas/, which is installed.

    python tools/json_schema.py            # write them anew
    python tools/json_schema.py --check    # tell which are not up to date; exit code 1 if any

A field may be added. One that is gone, or of another type, is refused: programs that read the JSON
rely on it, so that its command needs a new version first (``VERSIONS`` in
wrg_onnx/report/versions.py; docs/json.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wrg_onnx.report.schema import json_schema
from wrg_onnx.report.versions import COMMANDS, VERSIONS

ROOT = Path(__file__).parents[1]

FOLDERS = (ROOT / "docs" / "schema", ROOT / "wrg_onnx" / "schemas")


def main(arguments: list[str] | None = None) -> int:
    """Write or check all schemas; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="Write nothing.")
    parser.add_argument("--folder", type=Path, help="Where they are, instead of both folders.")
    options = parser.parse_args(arguments)
    folders = FOLDERS if options.folder is None else (options.folder,)
    # A list, and no generator: all are looked at, whatever is wrong with the first.
    return max([_write(folder, check=options.check) for folder in folders])


def _write(folder: Path, *, check: bool) -> int:
    """Write or check those of one folder; return the exit code."""
    code = 0
    for kind, command in COMMANDS.items():
        path = folder / f"{command}.v{VERSIONS[command]}.json"
        made = json_schema(kind)
        text = json.dumps(made, indent=2) + "\n"
        before = path.read_text(encoding="utf-8") if path.exists() else None
        broken = [] if before is None else [*lost(json.loads(before), made)]
        if broken:
            print(f"{path.name}: a new version is needed: {'; '.join(broken)}", file=sys.stderr)
            code = 1
        elif check and text != before:
            print(f"{path.name} is not up to date: run tools/json_schema.py", file=sys.stderr)
            code = 1
        elif text != before:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path)
    return code


def lost(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """Yield what a schema promised and its successor does not.

    Args:
        before: A schema, or a part of one.
        after: What is in its place now.
        where: The names that lead to it.
    """
    if not isinstance(before, dict) or not isinstance(after, dict):
        if before != after:
            yield f"{where} is another"
        return
    for key, value in before.items():
        if key in ("description", "title", "required"):
            continue
        place = f"{where}.{key}" if where and key not in ("properties", "$defs") else where or key
        if key not in after:
            yield f"{place} is gone"
        elif isinstance(value, list) and isinstance(after[key], list):
            if value != after[key]:
                yield f"{place} is another"
        else:
            yield from lost(value, after[key], place)
    for name in before.get("required", ()):
        if name not in after.get("required", ()):
            yield f"{where}.{name} is not always there"


if __name__ == "__main__":
    sys.exit(main())

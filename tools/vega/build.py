"""Make the one script that draws the charts of the report page, and the notices of what is in it.

``npm ci`` installs the versions of package-lock.json by their hashes, esbuild puts what entry.mjs
names into one file. Both results are committed: who installs wrg-onnx needs no npm, and
tests/tools/test_vega.py holds them against a new build.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "wrg_onnx" / "report" / "page" / "static"
PACKAGES = HERE / "node_modules"

SCRIPT, NOTICES = "charts.min.js", "NOTICES.txt"


def build(folder: Path) -> None:
    """Write the script and the notices into a folder."""
    meta = folder / "meta.json"
    subprocess.run(
        [
            PACKAGES / ".bin" / "esbuild", "entry.mjs", "--bundle", "--minify", "--format=iife",
            "--global-name=wrgCharts", "--target=es2022", "--legal-comments=none",
            "--log-level=warning", f"--outfile={(folder / SCRIPT).resolve()}",
            f"--metafile={meta.resolve()}",
        ],
        cwd=HERE,
        check=True,
    )  # fmt: skip
    (output,) = json.loads(meta.read_text(encoding="utf-8"))["outputs"].values()
    meta.unlink()
    taken = [path for path, part in output["inputs"].items() if part["bytesInOutput"]]
    (folder / NOTICES).write_text(notices(packages_of(taken)), encoding="utf-8")


def packages_of(paths: list[str]) -> list[Path]:
    """Return the folders of the packages that files belong to, by name."""
    found = (re.match(r"node_modules/(?:@[^/]+/)?[^/]+", path) for path in paths)
    return sorted({HERE / one[0] for one in found if one})


def notices(packages: list[Path]) -> str:
    """Return what the licences of some packages ask to be passed on, each text once."""
    alike: dict[str, list[str]] = {}
    for folder in packages:
        described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        (text,) = list(_licences(folder))[:1]  # a package without one fails here
        title = f"{described['name']} {described['version']} ({described['license']})"
        alike.setdefault(text.strip(), []).append(title)
    return "\n\n\n".join(f"{', '.join(names)}\n\n{text}" for text, names in alike.items()) + "\n"


def _licences(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.name.upper().startswith(("LICENSE", "LICENCE")):
            yield path.read_text(encoding="utf-8").replace("\r\n", "\n")


def main() -> None:
    """Install what is locked, and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=STATIC, help="the folder to write to")
    output = parser.parse_args().output
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(install, cwd=HERE, check=True)
    output.mkdir(parents=True, exist_ok=True)
    build(output)
    for name in (SCRIPT, NOTICES):
        print(f"{output / name}: {(output / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""What draws the charts is what the locked packages give, with the licences of all of them."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from required import require

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tools" / "vega"
STATIC = ROOT / "wrg_onnx" / "report" / "page" / "static"


def test_a_build_of_the_locked_packages_gives_what_is_committed(tmp_path):
    require(
        (HERE / "node_modules" / "esbuild").is_dir(), "no esbuild here: `make vega` installs it"
    )
    runpy.run_path(str(HERE / "build.py"))["build"](tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["NOTICES.txt", "charts.min.js"]
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (STATIC / path.name).read_bytes(), "run `make vega`"


def test_versions_are_exact_and_locked_by_hash():
    asked = json.loads((HERE / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name, version in {**asked["dependencies"], **asked["devDependencies"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in one and "resolved" not in one for path, one in locked.items() if path)


@pytest.mark.parametrize("name", ["vega", "vega-lite", "vega-interpreter"])
def test_the_notices_name_the_locked_versions(name):
    locked = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    notices = (STATIC / "NOTICES.txt").read_text(encoding="utf-8")
    assert f"{name} {locked[f'node_modules/{name}']['version']} (" in notices


def test_nothing_of_the_script_ends_a_script_element_or_names_a_place():
    script = (STATIC / "charts.min.js").read_text(encoding="utf-8")
    assert not re.search(r"</script|<!--", script, re.IGNORECASE)
    assert script.isascii()
    assert "sourceMappingURL" not in script

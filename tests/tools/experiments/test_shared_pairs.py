"""Real pairs by split and size, on a small folder of the same layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import shared_pairs

TOOLS = Path(__file__).parents[3] / "tools" / "experiments"
INDEX = """dataset,name,split,width,height,area_fraction
SOD300,a,train,8,8,0.2
SOD300,b,train,8,8,0.05
MT-Defect,b,train,8,8,0.01
SIRST-V2,c,val,8,8,0.001
"""


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    data = tmp_path / "data"
    for line in INDEX.splitlines()[1:]:
        dataset, name, *_ = line.split(",")
        for kind, suffix in (("images", "jpg"), ("masks", "png")):
            path = data / "saliency" / dataset / kind / f"{name}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{kind} {dataset} {name}", encoding="utf-8")
    (data / "saliency" / "index.csv").write_text(INDEX, encoding="utf-8")
    monkeypatch.setattr(shared_pairs, "DATA", data)
    return tmp_path


@pytest.mark.parametrize(
    ("split", "sets", "areas", "names"),
    [
        ("train", shared_pairs.ALL_SETS, (0.0, 1.0), {"SOD300_a", "SOD300_b", "MT-Defect_b"}),
        ("train", shared_pairs.ALL_SETS, (0.0, 0.05), {"SOD300_b", "MT-Defect_b"}),
        ("train", ("SOD300",), (0.1, 1.0), {"SOD300_a"}),
        ("val", shared_pairs.ALL_SETS, (0.0, 1.0), {"SIRST-V2_c"}),
    ],
)
def test_pairs_of_a_split_and_size_are_linked(pairs, split, sets, areas, names):
    folder = shared_pairs.link(split, sets, pairs / "out", areas)
    assert {path.stem for path in (folder / "images").iterdir()} == names
    for image in (folder / "images").iterdir():
        mask = folder / "masks" / f"{image.stem}.png"
        assert image.read_text(encoding="utf-8").split()[1:] == image.stem.split("_")
        assert mask.read_text(encoding="utf-8").split()[1:] == image.stem.split("_")


def test_a_folder_that_is_there_is_left_alone(pairs):
    shared_pairs.link("val", shared_pairs.ALL_SETS, pairs / "out")
    with pytest.raises(FileExistsError):
        shared_pairs.link("train", shared_pairs.ALL_SETS, pairs / "out")
    assert [path.name for path in (pairs / "out" / "images").iterdir()] == ["SIRST-V2_c.jpg"]


def test_without_the_data_it_says_so(tmp_path):
    script = tmp_path / "a" / "tools" / "experiments" / "shared_pairs.py"
    script.parent.mkdir(parents=True)
    script.write_bytes((TOOLS / "shared_pairs.py").read_bytes())
    found = subprocess.run(
        [sys.executable, str(script), "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert "is not there; nothing was written" in found.stderr
    assert not (tmp_path / "out").exists()

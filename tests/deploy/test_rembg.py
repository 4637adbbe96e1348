"""A pruned net of U2-Net's shape in rembg's own sessions, which know nothing of pruning."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from required import require

import wrg_onnx
from wrg_onnx.tsod import generate

TINY_U2NET = Path(__file__).parents[2] / "models" / "tiny_u2net.onnx"

IMAGES = 6

SIDE = 640

OVERLAP = 0.85
"""Of what both models cut out: intersection over union, over all images."""


@pytest.fixture(scope="module", params=["float32", "int8"])
def pruned(request, tmp_path_factory):
    """The net without two fifths of its parameters, recovered on made images."""
    path = tmp_path_factory.mktemp("rembg") / "pruned.onnx"
    wrg_onnx.prune(
        TINY_U2NET, path, ratio=0.4, samples=8, evaluate=False, int8=request.param == "int8"
    )
    return path


@pytest.fixture(scope="module")
def images():
    """Made images that no run has seen, of twice the size of the net's input."""
    rng = np.random.default_rng(2026)
    return [Image.fromarray(generate(rng, SIDE, SIDE)[0]) for _ in range(IMAGES)]


@pytest.fixture(scope="module")
def rembg():
    there = importlib.util.find_spec("rembg") is not None
    require(there, "no rembg here: pip install 'wrg-onnx[deploy-tests]'")
    import rembg

    return rembg


@pytest.fixture
def u2net(rembg, monkeypatch, tmp_path):
    """Return a function that opens rembg's session 'u2net' on a file, without a download."""

    def session(model):
        home = tmp_path / model.stem
        home.mkdir()
        (home / "u2net.onnx").write_bytes(model.read_bytes())
        monkeypatch.setenv("U2NET_HOME", str(home))
        monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")  # of the weights that rembg publishes
        return rembg.new_session("u2net")

    return session


def overlap(first, second):
    both, either = 0, 0
    for one, other in zip(first, second, strict=True):
        both += int((one & other).sum())
        either += int((one | other).sum())
    return both / either


def cut_out(rembg, session, images):
    """Return where rembg leaves each image opaque."""
    found = [rembg.remove(image, session=session) for image in images]
    assert all(one.mode == "RGBA" and one.size == (SIDE, SIDE) for one in found)
    return [np.asarray(one)[..., 3] > 127 for one in found]


def test_rembg_cuts_out_what_it_cut_out_before(rembg, u2net, pruned, images):
    before, after = (cut_out(rembg, u2net(model), images) for model in (TINY_U2NET, pruned))
    assert all(0 < mask.mean() < 0.5 for mask in before)
    assert overlap(before, after) >= OVERLAP


def test_a_custom_session_takes_the_pruned_file(rembg, pruned, images):
    session = rembg.new_session("u2net_custom", model_path=str(pruned))
    assert len(session.inner_session.get_outputs()) == 7
    (mask,) = session.predict(images[0])
    assert (mask.mode, mask.size) == ("L", (SIDE, SIDE))
    assert rembg.remove(images[0], session=session, only_mask=True).size == (SIDE, SIDE)

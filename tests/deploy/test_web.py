"""Pruned models in ONNX Runtime Web, in a real browser: it computes what Python computes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from browser import find_chromium, opened_page
from deployed import made_image
from required import require

WEB = Path(__file__).parent / "web"
PACKAGES = WEB / "node_modules"

LONGEST = 120
"""Seconds until the browser has answered for one model; the first takes longest, to start it."""

BOUNDS = {"float32": (1e-5, 1e-6), "float16": (1e-3, 1e-5), "int8": (0.2, 1e-4)}
"""The largest and the mean difference of a pixel, of a map in [0, 1]. WebAssembly's kernels add up
in another order; beside a step of int8 that moves a pixel on an edge by some of them."""


@pytest.fixture(scope="module")
def answers(request, tmp_path_factory):
    """What the browser returns, and Python, by the numbers of the file."""
    require(find_chromium(), "no Chromium here: `make web` installs it")
    require(PACKAGES.is_dir(), "no onnxruntime-web here: `make web` installs it")
    written = request.getfixturevalue("written")
    site = tmp_path_factory.mktemp("site")
    shutil.copy(WEB / "page.html", site)
    (site / "node_modules").symlink_to(PACKAGES)
    image = made_image(160)
    (site / "input.bin").write_bytes(image.tobytes())
    for path in written.values():
        shutil.copy(path, site)
    names = [path.name for path in written.values()]
    (site / "models.json").write_text(json.dumps({"models": names, "shape": image.shape}))
    found = {}
    with opened_page(site, "page.html", tmp_path_factory.mktemp("chromium")) as posted:
        for name, path in written.items():
            where, body = posted.get(timeout=LONGEST)
            assert where == f"/answer/{path.name}", body.decode(errors="replace")
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            (expected,) = session.run(None, {session.get_inputs()[0].name: image})
            found[name] = (np.frombuffer(body, np.float32).reshape(expected.shape), expected)
    return found


@pytest.mark.parametrize("numbers", BOUNDS)
def test_the_browser_computes_what_python_does(answers, numbers):
    found, expected = answers[numbers]
    assert expected.max() > 0.9  # there is an object to see
    largest, mean = BOUNDS[numbers]
    assert np.abs(found - expected).max() <= largest
    assert np.abs(found - expected).mean() <= mean

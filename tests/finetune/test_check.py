"""Whether ONNX Runtime computes what the twin was trained to."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from wrg_onnx.errors import ValidationError
from wrg_onnx.finetune import check
from wrg_onnx.graph import relative_difference


@pytest.fixture
def answers(monkeypatch):
    """Let ONNX Runtime answer so, with and without its optimiser."""

    class Fake:
        def __init__(self, value):
            self.value = value

        def run(self, _feeds=None):
            return {"y": np.array([self.value, 1.0])}

    def set_to(optimised, plain, untrained=0.5, *, is_half=False):
        def open_session(graph, *, outputs, exact=False):
            assert outputs == ["y"]
            return Fake(untrained if graph == "student" else plain if exact else optimised)

        monkeypatch.setattr(check, "open_session", open_session)
        trained = SimpleNamespace(
            graph="tuned", run=Fake(0.5).run, start=Fake(0.5).run, is_half=is_half
        )
        return check.check_twin("student", trained, SimpleNamespace(feeds={}))

    return set_to


def test_the_check_allows_a_thousandth_of_the_maximum(answers):
    assert answers(0.5005, 0.5) == pytest.approx(5e-4)
    with pytest.raises(ValidationError, match=r"differs from what was trained by 5\.0e-03"):
        answers(0.505, 0.505)


def test_the_check_of_float16_allows_ten_of_its_steps(answers):
    assert check.HALF_TOLERANCE == 10 * 2**-10
    assert answers(0.509, 0.509, is_half=True) == pytest.approx(9e-3)
    with pytest.raises(ValidationError, match=r"expected at most 1e-02"):
        answers(0.511, 0.511, is_half=True)


def test_the_check_allows_twice_what_rounding_moves(answers):
    assert answers(0.505, 0.501) == pytest.approx(5e-3)
    with pytest.raises(ValidationError, match=r"expected at most 4e-03"):
        answers(0.505, 0.503)


def test_the_check_allows_twice_how_far_the_twin_was_before(answers):
    assert answers(0.505, 0.505, untrained=0.503) == pytest.approx(5e-3)
    with pytest.raises(ValidationError, match=r"expected at most 4e-03"):
        answers(0.505, 0.505, untrained=0.502)


def test_a_map_of_nothing_holds_rounding_alone():
    assert relative_difference(np.array([1e-9]), np.array([3e-9]), least=check.SMALLEST) < 1e-5

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from processes import fail

from wrg_onnx.errors import (
    BudgetError,
    MissingPackageError,
    UnsupportedOperatorError,
    ValidationError,
    WrgError,
)

PARTS = {
    BudgetError: {"wanted": 0.9, "possible": 0.5, "frozen": 0.1},
    MissingPackageError: {"purpose": "plots", "extra": "plots", "otherwise": "do without"},
    UnsupportedOperatorError: {"op": "MyOp", "node": "/mix"},
    ValidationError: {"error": 0.1, "tolerance": 0.01},
}


def kinds(of=WrgError):
    """Return the kind and all below it."""
    return [of, *(kind for below in of.__subclasses__() for kind in kinds(below))]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickle_with_its_message_and_attributes(kind):
    error = kind("what is wrong", **PARTS.get(kind, {}))
    error.add_note("a note")
    found = pickle.loads(pickle.dumps(error))  # noqa: S301 - the bytes are our own
    assert type(found) is kind
    assert (str(found), found.args) == (str(error), error.args)
    assert vars(found) == vars(error)
    assert found.exit_code == error.exit_code


def test_an_error_of_a_worker_process_arrives_as_it_was_raised():
    error = BudgetError("cannot 3", **PARTS[BudgetError])
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        with pytest.raises(BudgetError, match="cannot 3") as caught:
            executor.submit(fail, error).result()
        assert caught.value.possible == 0.5
        assert executor.submit(abs, -2).result() == 2

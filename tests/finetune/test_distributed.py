"""Processes that train together: the parts of a step, and what they must have in common."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from wrg_onnx.data.workers import Alone  # noqa: E402
from wrg_onnx.errors import UsageError  # noqa: E402
from wrg_onnx.finetune.distributed import check_alike, shares  # noqa: E402
from wrg_onnx.twin.batches import Batch  # noqa: E402


class Process(Alone):
    def __init__(self, index, count, others=0.0):
        self.index, self.count, self.others = index, count, others

    def total(self, array):
        return array + self.others


def batch(size):
    numbers = torch.arange(float(size))
    return Batch({"x": numbers[:, None]}, numbers[:, None, None, None], size)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_sample_of_a_batch_is_done_once(size, count):
    parts = [part for k in range(count) for part in shares([batch(size)], Process(k, count))]
    assert sum(part.size for part in parts) == size
    seen = torch.cat([part.feeds["x"][:, 0] for part in parts])
    assert sorted(seen.tolist()) == list(range(size))
    for part in parts:
        assert torch.equal(part.mask[:, 0, 0, 0], part.feeds["x"][:, 0])


def test_samples_that_do_not_join_are_dealt_out():
    single = [batch(1) for _ in range(5)]
    dealt = [list(shares(single, Process(k, 2))) for k in range(2)]
    assert [len(parts) for parts in dealt] == [3, 2]
    assert [part for pair in zip(*dealt, strict=False) for part in pair] + [dealt[0][2]] == single


@pytest.mark.parametrize("others", [[0.0, 0.0], [2.0, 2.0]])
def test_a_mixture_of_devices_is_refused(others):
    cpu = torch.device("cpu")
    process = Process(0, 3, np.array(others))
    if any(others):
        with pytest.raises(UsageError, match="some processes would train on a GPU"):
            check_alike(cpu, process, half=False)
    else:
        check_alike(cpu, process, half=False)

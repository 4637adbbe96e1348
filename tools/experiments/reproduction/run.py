"""Do what is not done yet, in as many processes as the machine has cores, or on one GPU."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch

from reproduction.results import Cell, Store, cells_of
from reproduction.settings import Settings
from reproduction.stages import base_path, kept_pools, make_base, run_cell
from wrg_onnx.errors import WorkerError

Say: TypeAlias = Callable[[str], object]

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What BLAS reads when it is loaded; two processes of two threads each wait for each other."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how the work is done.

    Attributes:
        device: The CPU, or a GPU of NVIDIA.
        processes: How many at a time.
        threads: Threads of each of them.
    """

    device: torch.device
    processes: int
    threads: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a process tells of a piece.

    Attributes:
        seconds: How long it took.
        remarks: What a user should know of the images.
    """

    seconds: float
    remarks: tuple[str, ...] = ()


def run_all(settings: Settings, store: Store, place: Place, say: Say) -> None:
    """Train the nets that are missing, then make the results that are.

    A seed's results start when its net is there. Whatever was finished before this call, or before
    it is stopped, is kept.

    Args:
        settings: The experiment.
        store: Where results are, and go to.
        place: Where and how.
        say: Told what was finished.

    Raises:
        WrgError: Of the first piece that fails; no further pieces are started then.
    """
    left = store.left(cells_of(settings))
    total, start = len(left), time.perf_counter()
    for name in THREADS:
        os.environ[name] = str(place.threads)
    with ProcessPoolExecutor(
        place.processes, multiprocessing.get_context("spawn"), _start, (place.threads,)
    ) as executor:
        waiting: dict[Future[Done], Cell | int] = {}
        for seed in dict.fromkeys(cell.seed for cell in left):
            waiting[executor.submit(_base, settings, store.folder, seed, place.device)] = seed
        try:
            done = 0
            told: set[str] = set()
            for what, found in finished(waiting):
                if isinstance(what, Cell):
                    done += 1
                    passed = time.perf_counter() - start
                    took = f"{found.seconds:.0f} s, {passed / 60:.1f} min in all"
                    say(f"{done}/{total} {what.name} {took}")
                    continue
                for remark in found.remarks:
                    if remark not in told:
                        say(remark)
                told.update(found.remarks)
                say(f"seed{what}/base trained in {found.seconds:.0f} s")
                for cell in left:
                    if cell.seed == what:
                        made = executor.submit(_cell, settings, store, cell, place.device)
                        waiting[made] = cell
        except BaseException as error:
            # What runs cannot be stopped halfway, and may take long.
            say(f"stopping when what is running has ended: {error}")
            executor.shutdown(cancel_futures=True)
            raise


def finished(waiting: dict[Future[Done], Cell | int]) -> Iterator[tuple[Cell | int, Done]]:
    """Yield what ends and what became of it; more may be added meanwhile.

    Raises:
        WrgError: What a piece raised.
        WorkerError: If the process that made it is gone.
    """
    while waiting:
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            what = waiting.pop(future)
            try:
                found = future.result()
            except BrokenProcessPool as error:
                name = what.name if isinstance(what, Cell) else f"seed{what}/base"
                raise WorkerError(
                    f"a process ended before {name} was made, perhaps for want of memory: the same "
                    "command goes on, with fewer --processes if it happens again"
                ) from error
            yield what, found


def _start(threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it does; a worker would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _base(settings: Settings, folder: Path, seed: int, device: torch.device) -> Done:
    # Made here too where the net is there: a changed folder is noticed before the first result.
    training, judged = kept_pools(settings, folder, seed)
    start = time.perf_counter()
    if not base_path(folder, seed).exists():
        make_base(settings, folder, seed, device, lambda _done, _loss: None)
    remarks = tuple(dict.fromkeys((*training.remarks, *judged.remarks)))
    return Done(time.perf_counter() - start, remarks)


def _cell(settings: Settings, store: Store, cell: Cell, device: torch.device) -> Done:
    start = time.perf_counter()
    run_cell(settings, store, cell, device)
    return Done(time.perf_counter() - start)

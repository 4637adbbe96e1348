"""Train VGG16-SOD, prune it with every criterion, fine-tune, judge: a table and plots.

    python tools/reproduce_wrgpruner.py --profile quick
    python tools/reproduce_wrgpruner.py --profile full --ratio 0.6
    python tools/reproduce_wrgpruner.py --data DUTS-TR --judge DUTS-TE --folder build/duts

Each result is a file under --folder, so that a run that was stopped goes on, and one done in pieces
(--seed, --ratio, --criterion) adds up. The table and the plots are made from what is there of the
asked seeds and ratios.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from reproduction.results import CONTROL, Store, write  # noqa: E402 - needs the root on the path
from reproduction.run import Place, run_all  # noqa: E402
from reproduction.settings import NAMES, PROFILES, Row, Settings  # noqa: E402
from reproduction.table import document  # noqa: E402
from sod.folders import check_folders  # noqa: E402
from sod.training import pick_device  # noqa: E402
from wrg_onnx.graph import UsageError, WrgError  # noqa: E402

ON_GPU = 4
"""Processes that share a GPU: cutting and judging keep the cores busy while others train."""


def main() -> None:
    """Do what is missing, then write the table and the plots."""
    options = parse()
    try:
        run(options)
    except WrgError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--profile", choices=tuple(PROFILES), default="quick", help="how large (%(default)s)")
    add("--seed", type=int, action="append", help="only this seed; may be repeated (0 1 2)")
    add("--ratio", type=float, action="append", help="only this ratio; may be repeated")
    add("--criterion", choices=NAMES, action="append", help="only this one; may be repeated")
    add("--data", type=Path, action="append", default=[], help="images/ and masks/ to train on")
    add("--judge", type=Path, action="append", default=[], help="images/ and masks/ to judge on")
    add("--weights", type=Path, help="torchvision's vgg16_bn for the backbone")
    add("--width", type=float, help="multiplies all channels of the net")
    add("--size", type=int, help="side of the images in pixels")
    add("--steps", type=int, help="steps that train the unpruned net")
    add("--tune-steps", type=int, help="steps of fine-tuning")
    add("--fold", action="store_true", help="fold batch normalisation before pruning")
    add("--recover", choices=("none", "bias", "ridge"), help="what follows the cut")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where (%(default)s)")
    add("--processes", type=int, help="at a time (on the CPU one a core, on CUDA 4)")
    add(
        "--threads",
        type=int,
        help="threads of each process (on the CPU 1, on CUDA the cores divided)",
    )
    add("--folder", type=Path, help="where the results are kept (build/wrgpruner-PROFILE)")
    add("--output", type=Path, help="the table to write; plots lie beside it (FOLDER/table.md)")
    add("--table-only", action="store_true", help="make table and plots of what is there")
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    """Do what the command line says.

    Raises:
        WrgError: One of its kinds; finished results are kept.
    """
    settings = settings_for(options)
    folder = options.folder or Path("build", f"wrgpruner-{options.profile}")
    store = Store(folder, settings)
    rows = chosen_rows(settings, options.criterion or NAMES)
    if not options.table_only:
        run_all(settings, store, rows, place_for(options), lambda text: print(text, flush=True))
    found = store.all(settings)
    if not found:
        raise UsageError(f"'{folder}' holds no results yet: run without --table-only")
    output = options.output or folder / "table.md"
    plot = output.with_suffix(".svg")
    # A single ratio is no line.
    has_lines = len({result.ratio for result in found if result.criterion != CONTROL}) > 1
    write(output, document(settings, found, plot.name if has_lines else ""))
    print(f"table  {output}")
    if not has_lines:
        return
    from reproduction.plots import draw

    draw(settings.rows, found, plot)
    print(f"plots  {plot}")


def chosen_rows(settings: Settings, names: Sequence[str]) -> tuple[Row, ...]:
    """Return the rows that have one of the names.

    Raises:
        UsageError: If this net has none of them.
    """
    rows = tuple(row for row in settings.rows if {row.criterion.value, *row.also} & {*names})
    if not rows:
        raise UsageError("criterion 'bn' needs batch normalisation in the file: leave out --fold")
    return rows


def settings_for(options: argparse.Namespace) -> Settings:
    """Return the profile with what the command line changes in it.

    Raises:
        UsageError: If an option contradicts another.
    """
    settings = PROFILES[options.profile]
    check_folders(options.data, options.judge)
    net, training, tuning = settings.net, settings.training, settings.tuning
    if options.width is not None:
        net = replace(net, width=options.width)
    if options.steps is not None:
        training = replace(training, steps=options.steps)
    if options.tune_steps is not None:
        tuning = replace(tuning, steps=options.tune_steps)
    return replace(
        settings,
        net=net,
        training=training,
        tuning=tuning,
        fold=options.fold,
        size=options.size or settings.size,
        recover=options.recover or settings.recover,
        seeds=tuple(options.seed or settings.seeds),
        ratios=tuple(options.ratio or settings.ratios),
        data=tuple(str(folder) for folder in options.data),
        judge=tuple(str(folder) for folder in options.judge),
        weights="" if options.weights is None else str(options.weights),
    )


def place_for(options: argparse.Namespace) -> Place:
    """Return where the work is done: a process per core, or some that share the GPU.

    Raises:
        UsageError: If CUDA is asked for and torch does not have it.
    """
    device, cores = pick_device(options.device).type, len(os.sched_getaffinity(0))
    on_gpu = device == "cuda"
    processes = options.processes or (min(ON_GPU, cores) if on_gpu else cores)
    threads = options.threads or (max(1, cores // processes) if on_gpu else 1)
    return Place(device, processes, threads)


if __name__ == "__main__":
    main()

"""Train VGG16-SOD, prune it with every criterion, fine-tune, judge: a table and plots.

    python tools/experiments/reproduce_wrgpruner.py --profile quick
    python tools/experiments/reproduce_wrgpruner.py --profile full --ratio 0.6
    python tools/experiments/reproduce_wrgpruner.py --data DUTS-TR --judge DUTS-TE --folder duts

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

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from reproduction.results import CONTROL, Store, write  # noqa: E402 - needs the root on the path
from reproduction.run import Place, run_all  # noqa: E402
from reproduction.settings import NAMES, PROFILES, Row, Settings  # noqa: E402
from reproduction.table import document  # noqa: E402
from sod.folders import check_folders  # noqa: E402
from wrg_onnx.data.preprocess import SMALLEST_SIDE  # noqa: E402
from wrg_onnx.errors import DataError, UsageError, WrgError  # noqa: E402
from wrg_onnx.files import check_output  # noqa: E402
from wrg_onnx.finetune import Device  # noqa: E402
from wrg_onnx.finetune.prepare import resolve_device  # noqa: E402
from wrg_onnx.pipeline.config import PruneConfig, Recovery  # noqa: E402

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
    add(
        "--device",
        choices=[device.value for device in Device],
        default="auto",
        help="where (%(default)s)",
    )
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
    check(options)
    settings, folder = settings_for(options), folder_of(options)
    rows, place = chosen_rows(settings, options.criterion), place_for(options)
    store = Store(folder, settings, begins=not options.table_only)
    if not options.table_only:
        run_all(settings, store, rows, place, lambda text: print(text, flush=True))
    found = store.all(settings)
    if not found:
        raise UsageError(f"'{folder}' holds none of these results yet: run without --table-only")
    output = output_of(options)
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


def check(options: argparse.Namespace) -> None:
    """Refuse what would stop the run late, before anything is read or written.

    Raises:
        UsageError: If an option is out of its range, or contradicts another.
        DataError: If what trains, judges or is loaded is not there.
        OutputError: If results, table or plots cannot be written.
    """
    for name, least in (("size", SMALLEST_SIDE), ("processes", 1), ("threads", 1)):
        given = getattr(options, name)
        if given is not None and given < least:
            raise UsageError(f"--{name} must be at least {least}, got {given}")
    for ratio in options.ratio or ():
        PruneConfig(ratio)
    recipe = PROFILES[options.profile].training
    for seed in options.seed or ():
        replace(recipe, seed=seed)
    check_folders(options.data, options.judge)
    if not options.table_only:
        _check_inputs(options)
    output = output_of(options)
    if output.suffix.lower() == ".svg":
        raise UsageError(f"--output '{output}' is the table, in Markdown: the plots lie beside it")
    for path in (folder_of(options) / "settings.json", output, output.with_suffix(".svg")):
        check_output(path, force=True)


def _check_inputs(options: argparse.Namespace) -> None:
    for folder in (*options.data, *options.judge):
        if not folder.is_dir():
            raise DataError(f"no data directory at '{folder}': give images/ and masks/ in one")
    if options.weights is not None and not options.weights.is_file():
        raise DataError(f"no weights at '{options.weights}': give a state dict of vgg16_bn")


def folder_of(options: argparse.Namespace) -> Path:
    """Return where the results are kept."""
    return options.folder or Path("build", f"wrgpruner-{options.profile}")


def output_of(options: argparse.Namespace) -> Path:
    """Return where the table goes."""
    return options.output or folder_of(options) / "table.md"


def chosen_rows(settings: Settings, names: Sequence[str] | None) -> tuple[Row, ...]:
    """Return the rows that have one of the names; all of the net's without any.

    Raises:
        UsageError: If this net has no row of a name.
    """
    if names is None:
        return settings.rows
    known = {name for row in settings.rows for name in (row.criterion.name, *row.also)}
    if not known.issuperset(names):
        raise UsageError("criterion 'bn' needs batch normalisation in the file: leave out --fold")
    return tuple(row for row in settings.rows if {row.criterion.name, *row.also} & {*names})


def settings_for(options: argparse.Namespace) -> Settings:
    """Return the profile with what the command line changes in it.

    Raises:
        UsageError: If an option is out of its range.
    """
    settings = PROFILES[options.profile]
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
        size=settings.size if options.size is None else options.size,
        recover=Recovery(options.recover) if options.recover else settings.recover,
        seeds=tuple(dict.fromkeys(options.seed or settings.seeds)),
        ratios=tuple(dict.fromkeys(options.ratio or settings.ratios)),
        data=tuple(str(folder) for folder in options.data),
        judge=tuple(str(folder) for folder in options.judge),
        weights="" if options.weights is None else str(options.weights),
    )


def place_for(options: argparse.Namespace) -> Place:
    """Return where the work is done: a process per core, or some that share the GPU.

    Raises:
        UsageError: If CUDA is asked for and torch does not have it.
    """
    device, cores = resolve_device(Device(options.device)), len(os.sched_getaffinity(0))
    on_gpu = device.type == "cuda"
    # None alone is the default: 0 was refused.
    processes = options.processes or (min(ON_GPU, cores) if on_gpu else cores)
    threads = options.threads or (max(1, cores // processes) if on_gpu else 1)
    return Place(device, processes, threads)


if __name__ == "__main__":
    main()

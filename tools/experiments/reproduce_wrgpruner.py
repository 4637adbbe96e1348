"""Train VGG16-SOD, prune it with every criterion, fine-tune, judge: a table and plots.

    python tools/experiments/reproduce_wrgpruner.py --profile quick
    python tools/experiments/reproduce_wrgpruner.py --profile wide --width 0.5
    python tools/experiments/reproduce_wrgpruner.py --profile full --ratio 0.6 --budget params
    python tools/experiments/reproduce_wrgpruner.py --data DUTS-TR --judge DUTS-TE --folder duts

Profiles: quick has a net of 1/8 of the width and every criterion at four ratios, wide has nets of
1/8, 1/4 and 1/2 and the main criteria at 60 %, full has one of full width and is for a GPU.

Each result is a file under --folder, so that a run that was stopped goes on, and one done in pieces
(--seed, --width, --budget, --ratio, --criterion, --tune-steps) adds up. The table and the plots are
made from what is there of the asked seeds, widths, budgets, ratios and steps, and say what is not.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from reproduction.figures import QUANTITIES, Part  # noqa: E402 - needs the root on the path
from reproduction.results import Store, write  # noqa: E402
from reproduction.run import Place, run_all  # noqa: E402
from reproduction.settings import NAMES, PROFILES, Settings, Tuning  # noqa: E402
from reproduction.table import document  # noqa: E402
from sod.folders import check_folders  # noqa: E402
from wrg_onnx.data.preprocess import SMALLEST_SIDE  # noqa: E402
from wrg_onnx.errors import DataError, UsageError, WrgError  # noqa: E402
from wrg_onnx.files import check_output  # noqa: E402
from wrg_onnx.finetune import Device  # noqa: E402
from wrg_onnx.finetune.prepare import resolve_device  # noqa: E402
from wrg_onnx.pipeline.config import BudgetKind, PruneConfig, Recovery  # noqa: E402

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
    add(
        "--budget",
        choices=[kind.value for kind in QUANTITIES],
        action="append",
        help="what the ratio speaks of; may be repeated (params macs)",
    )
    add("--ratio", type=float, action="append", help="only this ratio; may be repeated")
    add("--criterion", choices=NAMES, action="append", help="only this one; may be repeated")
    add("--data", type=Path, action="append", default=[], help="images/ and masks/ to train on")
    add("--judge", type=Path, action="append", default=[], help="images/ and masks/ to judge on")
    add("--weights", type=Path, help="torchvision's vgg16_bn for the backbone")
    add("--width", type=float, action="append", help="only a net so wide; may be repeated")
    add("--size", type=int, help="side of the images in pixels")
    add("--steps", type=int, help="steps that train the unpruned net")
    add(
        "--tune-steps",
        type=int,
        action="append",
        help="tune all asked cuts for so many steps; may be repeated",
    )
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
    nets, folder, place = settings_for(options), folder_of(options), place_for(options)
    if (folder / "settings.json").exists():
        raise UsageError(
            f"'{folder}' holds another experiment, of an older kind: remove it, or name another "
            "--folder"
        )
    is_read_only = options.table_only
    if is_read_only:
        nets = tuple(one for one in nets if (folder / one.place / "settings.json").exists())
    # All are opened before anything is run: another experiment's folder is refused at once.
    stores = [Store(folder / settings.place, settings) for settings in nets]
    parts = []
    for settings, store in zip(nets, stores, strict=True):
        if not is_read_only:
            if len(nets) > 1:
                print(f"width {settings.net.width:g}", flush=True)
            run_all(settings, store, place, lambda text: print(text, flush=True))
        if found := store.all(settings):
            parts.append(Part(settings, found))
    if not parts:
        raise UsageError(f"'{folder}' holds none of these results yet: run without --table-only")
    output = output_of(options)
    plot = output.with_suffix(".svg")
    # The first net with more ratios than one: a single ratio is no line.
    drawn = [part for part in parts if len({c.ratio for c in part.columns if c.steps}) > 1][:1]
    write(output, document(parts, command_of(options), plot.name if drawn else ""))
    print(f"table  {output}")
    if not drawn:
        return
    from reproduction.plots import draw

    draw(drawn[0], plot)
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
    for seed in options.seed or ():
        replace(PROFILES[options.profile][0].training, seed=seed)
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


def command_of(options: argparse.Namespace) -> str:
    """Return the command that makes these results, without where and how fast it is done."""
    words = ["python", "tools/experiments/reproduce_wrgpruner.py", "--profile", options.profile]
    for name in (
        "data", "judge", "weights", "size", "steps", "width", "seed", "budget", "ratio",
        "criterion", "tune_steps", "recover",
    ):  # fmt: skip
        given = getattr(options, name)
        several = given if isinstance(given, list) else [] if given is None else [given]
        for one in several:
            words += [f"--{name.replace('_', '-')}", shlex.quote(str(one))]
    return " ".join([*words, *(["--fold"] if options.fold else [])])


def settings_for(options: argparse.Namespace) -> tuple[Settings, ...]:
    """Return the nets of the profile with what the command line changes in them.

    Raises:
        UsageError: If an option is out of its range, or a net has no row of a criterion.
    """
    profile = PROFILES[options.profile]
    if options.width is None:
        return tuple(_changed(settings, options) for settings in profile)
    found = []
    for width in dict.fromkeys(options.width):
        # A width that the profile lacks is treated as its first one.
        own = [one for one in profile if one.net.width == width] or profile[:1]
        found.append(_changed(replace(own[0], net=replace(own[0].net, width=width)), options))
    return tuple(found)


def _changed(settings: Settings, options: argparse.Namespace) -> Settings:
    training, tuning, tunings = settings.training, settings.tuning, settings.tunings
    if options.steps is not None:
        training = replace(training, steps=options.steps)
    if options.tune_steps is not None:
        # The recipe refuses numbers out of range; each of them is put into it later.
        tunings = tuple(
            Tuning(replace(tuning, steps=n).steps) for n in dict.fromkeys(options.tune_steps)
        )
    budgets = [BudgetKind(name) for name in options.budget or ()]
    changed = replace(
        settings,
        training=training,
        tunings=tunings,
        fold=options.fold,
        size=settings.size if options.size is None else options.size,
        recover=Recovery(options.recover) if options.recover else settings.recover,
        criteria=tuple(dict.fromkeys(options.criterion or settings.criteria)),
        budgets=tuple(dict.fromkeys(budgets or settings.budgets)),
        seeds=tuple(dict.fromkeys(options.seed or settings.seeds)),
        ratios=tuple(dict.fromkeys(options.ratio or settings.ratios)),
        data=tuple(str(folder) for folder in options.data),
        judge=tuple(str(folder) for folder in options.judge),
        weights="" if options.weights is None else str(options.weights),
    )
    known = {name for row in changed.rows for name in (row.criterion.name, *row.also)}
    if options.criterion and not known.issuperset(options.criterion):
        raise UsageError("criterion 'bn' needs batch normalisation in the file: leave out --fold")
    return changed


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

"""The figures of a run as tables, and their place in docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

BEGIN = "<!-- gpu-check: what stands until the end mark is written by tools/gpu_check.py -->"
END = "<!-- gpu-check: end -->"
NOTHING = "Not measured yet: it needs a GPU; `make gpu-check`."


def fill(page: str, text: str) -> str:
    """Return a page with a text between the marks.

    Raises:
        ValueError: If a mark is not there once.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"the page must have these marks once: {BEGIN} and {END}")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{text.strip()}\n{END}{rest.partition(END)[2]}"


def tables(found: Mapping[str, Any]) -> str:
    """Return the figures of a run: what each part says, and what became of it."""
    machine = found["machine"]
    lines = [
        f"{_said(machine)}; `make gpu-check`. Nets have random weights.",
        "",
        "| part | | s |",
        "|---|---|---|",
    ]
    for name, part in found["parts"].items():
        seconds = f"{part['seconds']:.0f}" if "seconds" in part else ""
        lines.append(f"| {name} | {part['state']} | {seconds} |")
    for name, part in found["parts"].items():
        figures = part.get("figures")
        if not figures:
            continue
        kind = name.partition(",")[0]
        lines += ["", f"**{name[0].upper()}{name[1:]}**", "", *_WRITERS[kind](figures)]
    return "\n".join(lines)


def _said(machine: Mapping[str, Any]) -> str:
    return (
        f"{machine['gpu']}, CUDA {machine.get('cuda')}, torch {machine['torch']}, ONNX Runtime "
        f"{machine['onnxruntime']}"
    )


def _tests(figures: Mapping[str, Any]) -> Iterator[str]:
    yield ", ".join(f"{count} {what}" for what, count in figures.items())


def _factors(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "| | CPU s | device s | difference |"
    yield "|---|---|---|---|"
    for name, one in figures.items():
        kind, _, net = name.partition("_")
        if kind == "ranks":
            said = f"{one['different']} of {one['maps']} ranks, {one['largest_difference']:.1e}"
        elif kind == "gradients":
            said = f"{one['difference']:.1e}; in bfloat16 {one['bfloat16_difference']:.1e}"
        else:
            said = f"{one['rank_difference']:.1e}"
        yield f"| {kind} of {net} | {one['cpu_s']:.3f} | {one['device_s']:.3f} | {said} |"


def _training(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "| forward pass | steps a second | first loss | last loss | peak GiB |"
    yield "|---|---|---|---|---|"
    for name in ("float32", "float16"):
        if name in figures:
            one = figures[name]
            yield (
                f"| {name} | {one['steps_per_s']:.1f} | {one['first_loss']:.4f} | "
                f"{one['last_loss']:.4f} | {one['peak_bytes'] / 2**30:.2f} |"
            )
    if "largest_difference" in figures:
        yield ""
        yield f"The losses differ by {figures['largest_difference']:.1e} at most."


def _twins(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "| net | | ms | pruned, ms | speed-up |"
    yield "|---|---|---|---|---|"
    for net, rows in figures.items():
        for label, (before, after) in rows.items():
            yield f"| {net} | {label} | {before:.3f} | {after:.3f} | {before / after:.2f} |"
    yield ""
    yield "By default torch rounds what convolutions of float32 multiply on a GPU (TF32)."


def _speed(figures: Mapping[str, Any]) -> Iterator[str]:
    if "prune_s" in figures:
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in figures["stages_s"].items())
        yield (
            f"`prune` took {figures['prune_s']:.1f} s ({stages}) and removed "
            f"{figures['reached']:.1%}; the proof's error is {figures['proof_error']:.1e}."
        )
    if "half_difference" in figures:
        said = ", ".join(f"{name} {one:.1e}" for name, one in figures["half_difference"].items())
        yield f"Float16 against float32: {said}."
    yield ""
    yield "| batch | model | median ms | p95 ms |"
    yield "|---|---|---|---|"
    for name, models in figures.items():
        if name.startswith("bench_"):
            for model, one in models.items():
                batch = name.removeprefix("bench_")
                yield f"| {batch} | {model} | {one['median_ms']:.3f} | {one['p95_ms']:.3f} |"


_WRITERS = {
    "tests": _tests, "factors": _factors, "training": _training, "twins": _twins, "speed": _speed,
}  # fmt: skip

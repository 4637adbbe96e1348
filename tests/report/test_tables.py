"""What a terminal of 80 columns shows."""

from __future__ import annotations

import dataclasses
import io
import math

import pytest
from rich.console import Console

from wrg_onnx.evaluate.agreement import OutputAgreement
from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.image_scores import SaliencyScores
from wrg_onnx.evaluate.judge import Accuracy, Judged
from wrg_onnx.finetune import Between, EpochResult
from wrg_onnx.latency import Latency, Noise, Ratio, Speed
from wrg_onnx.recover import LayerFit
from wrg_onnx.report import FinetuneReport, InspectReport, PruneReport, ValidateReport
from wrg_onnx.report.records import (
    ExportReport,
    FrozenReport,
    GroupReport,
    RecoveryReport,
    SparsifyReport,
)
from wrg_onnx.report.tables import (
    export_text,
    finetune_text,
    inspect_text,
    prune_text,
    validate_text,
)
from wrg_onnx.rewrite import Equivalence


def show(renderable):
    stream = io.StringIO()
    Console(file=stream, width=80, highlight=False).print(renderable)
    text = stream.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    return text


def rows(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def scores(value):
    return SaliencyScores(*[value] * 9, images=3)


BEFORE = Cost(138_357_544, 15_470_264_320, 553_000_000)
AFTER = Cost(55_343_018, 999, 221_000_000)
PRUNED = PruneReport(
    model="m.onnx",
    output="m.pruned.onnx",
    criterion="sel",
    budget="params",
    scope="global",
    ratio=0.6,
    reached=0.6,
    calibration="32 generated images",
    images=20,
    certainty=0.985,
    units=1000,
    removed=500,
    equivalence=Equivalence(5e-7, 1e-4, 18),
    before=BEFORE,
    after=AFTER,
    recovery=None,
    accuracy=Accuracy(
        "9 images", scores(0.9), scores(0.85), (OutputAgreement("out[0]", 0.1234, 9, 0),)
    ),
    speed=(
        Speed(
            provider="cpu",
            before=Latency(1234.5, 2345.6, 1240, 50),
            after=Latency(617.25, 700, 620, 50),
            speedup=Ratio(2.0, 1.9, 2.1),
            noise=Noise(None, 1.2),
        ),
        Speed(
            provider="cuda",
            before=Latency(1.0, 2.0, 1.1, 50),
            after=Latency(2.0, 3.0, 2.1, 50),
            speedup=Ratio(0.5, 0.45, 0.55),
            noise=Noise(None, 1.2),
        ),
    ),
    groups=(),
    notes=("something to know",),
)


def test_a_pruning_is_shown_before_and_after():
    text = show(prune_text(PRUNED))
    shown = rows(text)
    for row in (
        "m.onnx -> m.pruned.onnx",
        "500 of 1,000 units removed by 'sel' (global), statistics from 32 generated",
        "parameters 138.36 M 55.34 M -60.0%",
        "MACs 15.47 G 999 -100.0%",
        "file 553.00 MB 221.00 MB -60.0%",
        "latency cpu, median 1234.50 ms 617.25 ms 2.00x faster",
        "latency cuda, median 1.00 ms 2.00 ms 2.00x slower",
        "Speed-up on cpu: 2.00x (1.90 to 2.10).",
        "Speed-up on cuda: 0.50x (0.45 to 0.55).",
        "max F 0.900 0.850 -0.050",
        "relative error of 'out[0]' 0.123",
        "Judged on 9 images.",
        "Note: something to know.",
    ):
        assert row in shown, text
    assert "error 5.0e-07 in 18 tensors (tolerance 1e-04)" in " ".join(shown)


def test_a_factor_that_stopped_early_is_told():
    early = dataclasses.replace(PRUNED, images_of={"rank": 8, "gradient": 20})
    assert "(20 used, 8 of them for rank; the choice is 98.5% certain)" in " ".join(
        rows(show(prune_text(early)))
    )
    assert "(20 used; the choice is 98.5% certain)" in " ".join(rows(show(prune_text(PRUNED))))


RECOVERY = RecoveryReport(
    method="ridge",
    samples=32,
    rounds=1,
    fits=(LayerFit("a", 0.5, 0.25, 0.1, 9, 9), LayerFit("b", 0.3, 0.05, None, 9, 9)),
    left={"they share their weights": 1},
)


def test_a_recovery_is_shown_with_what_it_started_from():
    cut = Judged(scores(0.4), (OutputAgreement("out[0]", 0.9, 9, 0),))
    accuracy = dataclasses.replace(PRUNED.accuracy, cut=cut)
    text = show(prune_text(dataclasses.replace(PRUNED, accuracy=accuracy, recovery=RECOVERY)))
    shown = rows(text)
    for row in (
        "before cut after change",
        "parameters 138.36 M 55.34 M -60.0%",
        "latency cpu, median 1234.50 ms 617.25 ms 2.00x faster",
        "max F 0.900 0.400 0.850 -0.050",
        "relative error of 'out[0]' 0.900 0.123",
    ):
        assert row in shown, text
    said = " ".join(shown)
    assert "the weights of 2 layers were solved for on 32 samples" in said
    assert "from 40.0% to 15.0% of its variance (median)" in said


def test_biases_in_rounds_are_said_so():
    biases = dataclasses.replace(
        RECOVERY, method="bias", rounds=3, fits=(LayerFit("a", None, None, None, 9, 9),)
    )
    said = " ".join(rows(show(prune_text(dataclasses.replace(PRUNED, recovery=biases)))))
    assert "Recovery by bias in each of 3 rounds: the biases of 1 layers were solved for" in said
    assert "variance" not in said


def test_a_recovery_that_changed_nothing_says_so():
    none = dataclasses.replace(RECOVERY, fits=())
    said = " ".join(rows(show(prune_text(dataclasses.replace(PRUNED, recovery=none)))))
    assert "Recovery by ridge: no layer could be solved for." in said
    whole = dataclasses.replace(none, left={})
    said = " ".join(rows(show(prune_text(dataclasses.replace(PRUNED, recovery=whole)))))
    assert "Recovery by ridge: no layer needed it." in said


def test_fine_tuning_is_told_with_its_loss():
    history = (EpochResult(0, None, 0.5), EpochResult(1, 0.4, 0.25), EpochResult(2, 0.3, 0.3))
    tuned = dataclasses.replace(
        RECOVERY, method="finetune", history=history, best_epoch=1, chosen=Between(1.0, 0.25)
    )
    said = " ".join(rows(show(prune_text(dataclasses.replace(PRUNED, recovery=tuned)))))
    assert "held-out loss from 0.5000 to 0.2500, in epoch 1 of 2." in said


def test_fine_tuning_is_told_with_max_f_and_the_way_between():
    history = (EpochResult(0, None, 0.5, 0.7), EpochResult(1, 0.4, 0.25, 0.72))
    tuned = dataclasses.replace(
        RECOVERY, method="finetune", history=history, best_epoch=1, chosen=Between(0.5, 0.3, 0.75)
    )
    said = " ".join(rows(show(prune_text(dataclasses.replace(PRUNED, recovery=tuned)))))
    assert (
        "Fine-tuning then took the held-out loss from 0.5000 to 0.3000, max F there from 0.700 to "
        "0.750, 50% of the way to epoch 1 of 1."
    ) in said
    assert "gained nothing" not in said
    idle = (*history, EpochResult(2, 0.3, 0.3, 0.6, 1), EpochResult(3, 0.3, 0.3, 0.6, 2))
    tuned = dataclasses.replace(tuned, history=idle)
    said = " ".join(rows(show(prune_text(dataclasses.replace(PRUNED, recovery=tuned)))))
    assert "to epoch 1 of 3. The last 2 gained nothing." in said


def test_what_faded_before_the_cut_is_told():
    found = SparsifyReport(3, 1200, 0.0123, 0.5, 0.625)
    said = " ".join(rows(show(prune_text(dataclasses.replace(PRUNED, sparsified=found)))))
    assert (
        "Before the cut 3 epochs let 1,200 units fade to 1.2% of their size; held-out loss 0.5000 "
        "-> 0.6250."
    ) in said
    judged = dataclasses.replace(found, epochs=1, max_f_before=0.8, max_f_after=0.75)
    said = " ".join(rows(show(prune_text(dataclasses.replace(PRUNED, sparsified=judged)))))
    assert "Before the cut 1 epoch let" in said
    assert "-> 0.6250, max F 0.800 -> 0.750." in said


def test_a_dry_run_says_so_and_has_no_file():
    dry = dataclasses.replace(
        PRUNED, output=None, after=dataclasses.replace(AFTER, file_bytes=None), accuracy=None
    )
    text = show(prune_text(dry))
    assert "m.onnx -> (nothing written)" in text
    assert "MB" not in text


def test_a_proof_in_float32_says_why():
    proof = dataclasses.replace(PRUNED.equivalence, widened=True)
    shown = " ".join(show(prune_text(dataclasses.replace(PRUNED, equivalence=proof))).split())
    assert "both run in float32, since ONNX Runtime does not run their bfloat16: error" in shown
    assert "float32" not in show(prune_text(PRUNED))


@pytest.mark.parametrize("error", [None, math.inf])
def test_an_error_that_is_no_number_is_shown(error):
    accuracy = Accuracy("9 images", None, None, (OutputAgreement("y", error, 9, 0),))
    shown = rows(show(prune_text(dataclasses.replace(PRUNED, accuracy=accuracy))))
    assert f"relative error of 'y' {'-' if error is None else 'inf'}" in shown
    assert not any("max F" in row for row in shown)


def test_markup_in_names_is_shown_as_it_is():
    name = "[bold]m[/bold].onnx"
    odd = dataclasses.replace(PRUNED, model=name, output=None, notes=("about [red]it[/red]",))
    assert name in show(prune_text(odd))
    assert "about [red]it[/red]" in show(prune_text(odd))


def test_what_is_no_faster_than_the_noise_is_not_called_faster():
    (cpu, _) = PRUNED.speed
    noisy = dataclasses.replace(cpu, speedup=Ratio(1.02, 0.97, 1.05), noise=Noise(None, 1.8))
    for record, text in (
        (dataclasses.replace(PRUNED, speed=(noisy,)), prune_text),
        (
            ValidateReport("a.onnx", "b.onnx", (), BEFORE, AFTER, accuracy=None, speed=(noisy,)),
            validate_text,
        ),
    ):
        shown = rows(show(text(record)))
        assert "latency cpu, median 1234.50 ms 617.25 ms within noise" in shown
        assert "Speed-up on cpu: no difference beyond the noise (0.97 to 1.05)." in shown
        assert "Note: this machine is noisy: one call in 20 takes 1.8 times" in " ".join(shown)
    assert "noisy" not in show(prune_text(PRUNED))


def inspected(groups, frozen):
    return InspectReport(
        "m.onnx",
        BEFORE,
        tuple(GroupReport(f"layer.{n}.weight", 64, 64, 60, 1234, 3) for n in range(groups)),
        tuple(FrozenReport(f"Op 'node{n}' does a thing", 3, 10, 0.1) for n in range(frozen)),
        0.25,
        0.6,
        {"/reshape": "heads carry the units"},
        {"x": (1, 3, 224, 224)},
    )


def test_an_inspection_lists_widths_reasons_and_choices():
    text = show(inspect_text(inspected(2, 1)))
    shown = rows(text)
    assert "layer.0.weight 64 60 1,234" in shown
    assert "Op 'node0' does a thing 3 10.0% -" in shown
    assert "Choice at '/reshape': heads carry the units." in shown
    assert "the largest ratio is 60.0%" in " ".join(shown)
    assert "more" not in text


def test_a_reason_tells_where_it_reaches_units_and_what_lifts_it():
    row = FrozenReport(
        "Op '[b]root[/b]' (and 3 more) does a thing", 64, 10, 0.1, node="Op '[b]root[/b]'", nodes=4,
        met="Conv 'c' meets axis 1 of 't'", largest_ratio=0.7, way_out="--head-dims",
    )  # fmt: skip
    report = dataclasses.replace(inspected(1, 0), frozen=(row,), choices={})
    shown = rows(show(inspect_text(report)))
    assert shown[-4:] == [
        "why units stay units they hold ratio if freed",
        "Op '[b]root[/b]' (and 3 more) does a thing 64 10.0% 70.0%",
        "Conv 'c' meets axis 1 of 't'",
        "way out: --head-dims",
    ]


def test_nodes_that_divide_alike_share_a_line():
    report = dataclasses.replace(inspected(1, 1), choices=dict.fromkeys("abc", "heads"))
    assert "Choice at 'a' and 2 more: heads." in show(inspect_text(report))


def test_long_tables_are_cut_and_say_where_the_rest_is():
    text = show(inspect_text(inspected(25, 23)))
    assert "... and 5 more layer widths; --json lists all." in text
    assert "... and 3 more reasons; --json lists all." in text


def test_a_validation_lists_its_problems():
    report = ValidateReport(
        "a.onnx", "b.onnx", ("it grew",), BEFORE, AFTER, accuracy=None, speed=()
    )
    assert "Problem: it grew." in show(validate_text(report))
    right = show(validate_text(dataclasses.replace(report, problems=())))
    assert "Structure: the same inputs, outputs and operators; the checker passes." in right


VALIDATED = ValidateReport(
    "a.onnx", "b.onnx", (), BEFORE, AFTER, accuracy=PRUNED.accuracy, speed=(),
    changes=(
        Change("MAE", 0.9, 0.85, -0.05, -0.0612, -0.04, 40, falls=False),
        Change("max F", 0.9, 0.85, 0.05, -0.08, -0.02, 40),
    ),
)  # fmt: skip


def test_a_validation_shows_the_interval_of_each_change():
    shown = rows(show(validate_text(VALIDATED)))
    assert "before after change 95 % interval" in shown
    assert "MAE (lower is better) 0.900 0.850 -0.050 -.061 to -.040" in shown
    assert "max F 0.900 0.850 -0.050 -.080 to -.020" in shown
    assert "relative error of 'out[0]' 0.123" in shown  # of which there is none beside the metrics


def test_on_too_few_images_there_is_no_column_of_intervals():
    few = dataclasses.replace(VALIDATED, changes=(Change("max F", 0.9, 0.8, 0.1, None, None, 9),))
    text = " ".join(rows(show(validate_text(few))))
    assert "interval" not in text
    assert "Judged on 9 images. 10 or more would tell how certain a change is." in text


@pytest.mark.parametrize(
    ("outputs", "row"),
    [
        (("y",), "relative error of 'y' 0.123 +.100 to +.140"),
        (("y", "z"), "largest relative error .130 +.100 to +.140"),
    ],
)
def test_without_masks_the_relative_error_has_the_interval(outputs, row):
    agreement = tuple(OutputAgreement(name, 0.1234, 40, 0) for name in outputs)
    change = Change("relative error", 0.0, 0.13, 0.13, 0.1, 0.14, 40, falls=False)
    report = dataclasses.replace(
        VALIDATED, accuracy=Accuracy("40 samples", None, None, agreement), changes=(change,)
    )
    shown = rows(show(validate_text(report)))
    assert row in shown
    assert sum("+.100 to +.140" in line for line in shown) == 1


def test_where_no_output_was_compared_there_is_no_column_of_intervals():
    nan = float("nan")
    change = Change("relative error", 0.0, nan, nan, nan, nan, 40, falls=False)
    report = dataclasses.replace(
        VALIDATED, accuracy=Accuracy("40 samples", None, None, (), None, ("label",)),
        changes=(change,),
    )  # fmt: skip
    text = " ".join(rows(show(validate_text(report))))
    assert "interval" not in text
    assert "Not judged, since of no numbers: 'label'." in text


def test_an_export_is_one_line_of_facts():
    text = show(export_text(ExportReport("m:f", "f.onnx", 12345, 1e-6, 20, 50_000, 1.0)))
    assert rows(text)[0].startswith("m:f -> f.onnx: 12,345 parameters, 50.00 KB, opset 20;")


def test_an_export_says_which_weights_were_taken_and_what_was_warned_of():
    report = ExportReport(
        "m:f", "f.onnx", 5, 1e-6, 20, 50_000, 1.0,
        "['state_dict'] of 'w[0].pt'", ("torch warned: [bold]",),
    )  # fmt: skip
    assert rows(show(export_text(report)))[-2:] == [
        "Weights: ['state_dict'] of 'w[0].pt'.",
        "Note: torch warned: [bold].",
    ]


TUNED = FinetuneReport(
    model="m.pruned.onnx",
    teacher="m.onnx",
    output="m.pruned.tuned.onnx",
    data="images with masks from my_images",
    training=216,
    held_out=24,
    objective="masks, the teacher's 1 output, 12 of its feature maps",
    device="cpu",
    planned=20,
    patience=5,
    epochs=17,
    best_epoch=12,
    loss_before=2.5,
    loss_after=1.25,
    history=(EpochResult(0, None, 2.5), EpochResult(12, 2.0, 1.25), EpochResult(17, 1.9, 1.5)),
    between=(Between(0.0, 2.5), Between(0.5, 2.0), Between(1.0, 1.25)),
    chosen=Between(1.0, 1.25),
    error=3e-7,
    before=Accuracy("80 images", scores(0.8), scores(0.5), (OutputAgreement("map", 0.9, 80, 0),)),
    after=Accuracy("80 images", scores(0.8), scores(0.75), (OutputAgreement("map", 0.1, 80, 0),)),
    notes=("CUDA was out of memory",),
    seconds={"train": 61.4},
)


def test_a_fine_tuning_shows_teacher_before_and_after():
    text = show(finetune_text(TUNED))
    lines = rows(text)
    assert lines[0] == "m.pruned.onnx -> m.pruned.tuned.onnx"
    assert "Trained on 216 images with masks from my_images, 24 more held out" in " ".join(lines)
    assert (
        "17 of 20 epochs in 61 s on cpu took the held-out loss from 2.5000 to 1.2500, in epoch 12 "
        "of 17. The last 5 gained nothing, so training stopped."
    ) in " ".join(lines)
    assert "teacher before after change" in lines
    assert "max F 0.800 0.500 0.750 +0.250" in lines
    assert "relative error of 'map' 0.900 0.100" in lines
    assert "Judged on 80 images." in lines
    assert "Note: CUDA was out of memory." in lines


def test_a_fine_tuning_without_a_teacher_is_held_against_itself():
    itself = Accuracy("8 images", scores(0.5), scores(0.7), (OutputAgreement("map", 0.3, 8, 0),))
    before = dataclasses.replace(itself, after=itself.before)
    lines = rows(
        show(finetune_text(dataclasses.replace(TUNED, teacher=None, before=before, after=itself)))
    )
    assert "before after change" in lines
    assert "max F 0.500 0.700 +0.200" in lines
    assert "relative error of 'map' 0.300" in lines


def test_a_fine_tuning_that_did_not_help_says_so():
    stayed = dataclasses.replace(TUNED, best_epoch=0, chosen=TUNED.between[0])
    lines = rows(show(finetune_text(dataclasses.replace(stayed, before=None, after=None))))
    assert "from 2.5000 to 2.5000, no weights of 17 epochs being better." in " ".join(lines)
    assert not any("max F" in line for line in lines)

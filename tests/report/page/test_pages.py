"""Every page is whole, holds what it needs, and no name becomes a part of it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re

import pytest
from paged import (
    BARE,
    DETAILS,
    HOSTILE,
    PRUNED,
    SWEPT,
    VALIDATED,
    WIDE,
    Read,
    change,
    example,
    hostile,
    layer,
    on_images,
    point,
)

from wrg_onnx.errors import UsageError
from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.image_values import ImageValues
from wrg_onnx.latency import Noise, Ratio
from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.recover import LayerFit
from wrg_onnx.report import InspectReport
from wrg_onnx.report.details import (
    MOST_EDGES,
    MOST_LAYERS,
    MOST_LETTERS,
    MOST_NODES,
    MOST_NUMBERS,
    MOST_PLOTTED,
    MOST_SPECTRA,
    MOST_TIMED,
    PICTURE_BYTES,
    SPECTRUM_POINTS,
    Picture,
    Spectrum,
    Structure,
    UnitNumbers,
    WidthEdge,
    WidthNode,
)
from wrg_onnx.report.origin import Origin
from wrg_onnx.report.page import to_html, to_html_of_two
from wrg_onnx.report.records import GroupReport
from wrg_onnx.report.unfinished import Unfinished
from wrg_onnx.rewrite import Equivalence

PAGES = {
    "prune": lambda: to_html(PRUNED),
    "bare": lambda: to_html(BARE),
    "sweep": lambda: to_html(SWEPT),
    "validate": lambda: to_html(VALIDATED),
    "two": lambda: to_html_of_two(PRUNED, BARE),
}
each_page = pytest.mark.parametrize("page", PAGES)

SECTIONS = [
    "before-after", "metrics", "images", "layers", "factors", "spectra", "recovery", "curve",
    "layer-latency", "structure", "provenance",
]  # fmt: skip


@pytest.fixture(scope="module")
def pages():
    return {name: Read(make()) for name, make in PAGES.items()}


def policy_of(read):
    (content,) = (one["content"] for one in read.of("meta")
                  if one.get("http-equiv") == "Content-Security-Policy")  # fmt: skip
    return {name: set(sources) for name, *sources in map(str.split, content.split(";"))}


def hash_of(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@each_page
def test_a_page_runs_its_own_scripts_alone(pages, page):
    policy = policy_of(pages[page])
    scripts = [text for attributes, text in pages[page].scripts if not attributes]
    assert policy["script-src"] == {hash_of(text) for text in scripts}
    assert policy["style-src"] == {hash_of(text) for text in pages[page].styles}
    assert policy["default-src"] == policy["form-action"] == policy["base-uri"] == {"'none'"}
    assert policy["img-src"] == {"data:"}
    assert "unsafe" not in str(policy)


@each_page
def test_a_page_names_nothing_to_be_loaded(pages, page):
    for tag, attributes in pages[page].tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "input", "use"}
        assert "srcset" not in attributes
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert attributes.get("href", "#").startswith("#")
        assert not {name for name in attributes if name.startswith("on") or name == "style"}
    (style,) = pages[page].styles
    assert not re.search(r"url\(|@import", style)


@each_page
def test_a_page_has_one_title_and_a_heading_for_each_section(pages, page):
    tags = [tag for tag, _ in pages[page].tags]
    assert tags.count("h1") == tags.count("main") == 1
    assert tags.count("h2") == tags.count("section") > 0
    ids = [one["id"] for _, one in pages[page].tags if "id" in one]
    assert len(ids) == len(set(ids))
    links = [one["href"][1:] for one in pages[page].of("a")]
    assert set(links) <= set(ids)
    assert {one["id"] for one in pages[page].of("section")} <= set(links)
    assert pages[page].of("html")[0]["lang"] == "en"


@each_page
def test_tables_name_their_columns_and_rows(pages, page):
    read = pages[page]
    assert all(one["scope"] in ("col", "row") for one in read.of("th"))
    assert len(read.of("caption")) <= len(read.of("table"))
    assert all("alt" in one for one in read.of("img"))
    assert all("aria-label" in one or "aria-hidden" in one for one in read.of("svg")
               if "viewbox" not in one)  # fmt: skip


def test_a_pruning_has_every_section(pages):
    assert [one["id"] for one in pages["prune"].of("section")] == SECTIONS


def test_the_decision_comes_first(pages):
    said = pages["prune"].said
    for text in (
        "50.0% of the parameters are gone; max F changes by -.050 (-.080 to -.020); ",
        "it is 2.00x faster on cpu; the surgery is proven.",
        "parameters removed 50.0% 1.00 M → 500.00 K parameters",
        "max F .900 → .850 -.050; 95 % interval -.080 to -.020, 40 images",
        "latency on cpu, ms 10.00 → 5.00 2.00x (1.90 to 2.10)",
        "proof: largest error 5.0e-07 in 18 tensors; tolerance 1e-04",
    ):
        assert text in said


def test_the_rows_of_the_terminal_are_on_the_page(pages):
    said = pages["prune"].said
    assert "parameters 1.00 M 500.00 K -50.0%" in said
    assert "max F 0.900 0.400 0.850 -0.050" in said
    assert "301 of 604 units removed by 'sel' (global)" in said
    assert "Proof: 50.0% of the parameters are gone" in said
    assert "Note: something to know." in said
    assert "The largest cut found whose max F gets worse by at most .050" in said
    assert "Fine-tuning then took" in said


def test_every_section_shows_what_it_is_about(pages):
    said = pages["prune"].said
    for text in (
        "frozen", "input 'x' is the model's input 100 1",  # why channels stay, how many, where
        "W (weight)", "R (rank)", "G (gradient)", "score",
        "map 0.75 4 16 2",  # a spectrum
        "map 50.00% 2.00% 900",  # what recovery repaired
        "shared with another layer 2",
        "Conv node +1", "12 as 16",
        "best: a picture.png", "max F .900 → .800 (-.100), MAE .050 → .060, relative error .200",
        "4 → 3", "3 more lines are not drawn",
        "wrg-onnx prune 'a model.onnx' --ratio 0.5", "abc123", "not installed", "a processor",
    ):  # fmt: skip
        assert text in said, text
    assert len(pages["prune"].of("img")) == 15


def test_what_a_run_has_not_is_said_in_a_line(pages):
    read = pages["bare"]
    assert [one["id"] for one in read.of("section")] == SECTIONS
    for text in (
        "Accuracy was not measured in this run.",
        "This run has no images to show",
        "No layer width of this model may shrink.",
        "This run kept no scores of single channels.",
        "The ranks of feature maps were not measured in this run",
        "Weights were not recovered in this run.",
        "This run made one cut.",
        "Layers were not timed in this run.",
        "This run has no graph of layer widths.",
        "This run kept neither its environment nor its command.",
        "accuracy not measured", "latency not measured", "(nothing written)",
    ):  # fmt: skip
        assert text in read.said, text


def test_without_a_chart_there_is_no_script_that_draws(pages):
    assert len(pages["bare"].scripts) == 1
    assert len(pages["bare"].text) < 100_000
    assert "Licences" not in pages["bare"].said
    assert "Licences of the scripts in this page" in pages["prune"].said
    assert "Copyright" in pages["prune"].said


def test_without_masks_metrics_are_missing_and_the_outputs_error_decides():
    bare = dataclasses.replace(PRUNED.accuracy, before=None, after=None, cut=None)
    error = change("relative error", 0.0, 0.12, 0.1, 0.14, falls=False)
    said = Read(
        to_html(dataclasses.replace(PRUNED, accuracy=bare, search=None, changes=(error,)))
    ).said
    assert "This run had no masks, or the model no saliency map" in said
    assert "relative error of the outputs .120 95 % interval +.100 to +.140, 40 images" in said
    assert "the outputs are off by .120" in said
    examples = dataclasses.replace(
        DETAILS.examples,
        by="error",
        shown=(example("best", mask=None, max_f_before=None, max_f_after=None, mae_before=None,
                       mae_after=None),),
    )  # fmt: skip
    details = dataclasses.replace(DETAILS, examples=examples)
    read = Read(to_html(dataclasses.replace(PRUNED, details=details)))
    assert "by the relative error of the output, since there are no masks" in read.said
    assert len(read.of("img")) == 4


def test_a_stage_that_failed_is_an_alert():
    failed = (Unfinished("latency", "ModelError", "it does not run", known=True),)
    said = Read(to_html(dataclasses.replace(PRUNED, unfinished=failed))).said
    assert "Attention: The latency was not measured (ModelError: it does not run)." in said


def test_too_few_images_a_noisy_machine_and_no_proof_are_told_in_the_headline():
    few = Change("max F", 0.9, 0.8, 0.1, None, None, 3)
    noisy = dataclasses.replace(PRUNED.speed[0], noise=Noise(None, 9.0))
    report = dataclasses.replace(
        PRUNED, search=None, changes=(few,), speed=(noisy,), equivalence=Equivalence(0.0, 1e-4, 0)
    )
    said = Read(to_html(report)).said
    assert "-.100; 3 images, too few for an interval" in said
    assert "not sure on so noisy a machine: 2.00x (1.90 to 2.10)" in said
    assert "nothing to prove" in said
    assert "nothing was to prove." in said
    alone = dataclasses.replace(PRUNED.speed[0], speedup=Ratio(2.0, 0.0, math.inf))
    said = Read(to_html(dataclasses.replace(PRUNED, speed=(alone,)))).said
    assert "whether it is faster on cpu is not known" in said


def test_a_sweep_has_its_curve_its_table_and_its_commands(pages):
    read = pages["sweep"]
    assert [one["id"] for one in read.of("section")] == ["curve", "commands"]
    assert "knee of 'repair' 50.0% max F .900 → .850" in read.said
    assert "l1 at 0.9: it is too much." in read.said
    assert "repair 0.5 700 K 1 0.50x .850 -.050 -.080 to -.020 knee" in read.said
    assert "wrg-onnx prune m.onnx --ratio 0.5" in read.said


def test_a_sweep_holds_criteria_against_the_first_one_on_the_same_images(pages):
    said = pages["sweep"].said
    assert "Criteria side by side, max F on the same images" in said
    assert "l1 0.3 .795 .775 -.020 -.020 to -.020" in said


@pytest.mark.parametrize("images", [on_images(digest="other"), ImageValues("same", 40, {})],
                         ids=["other images", "no masks"])  # fmt: skip
def test_criteria_that_do_not_pair_are_said_not_to(images):
    points = (point(), point("l1", images=images))
    said = Read(to_html(dataclasses.replace(SWEPT, points=points))).said
    assert "Criteria are not held against each other image by image" in said
    assert "Criteria on the same images" not in said


def test_a_sweep_by_one_criterion_says_nothing_of_others():
    said = Read(to_html(dataclasses.replace(SWEPT, points=(point(), point(reached=0.5))))).said
    assert "each other" not in said
    assert "side by side" not in said


def test_a_sweep_of_what_is_infinite_is_shown_all_the_same():
    endless = Change("relative error", 0.0, math.inf, math.inf, 0.1, math.inf, 40, falls=False)
    points = (point(change=endless), point(change=Change("max F", 0.9, 0.8, 0.1, None, None, 3)))
    assert Read(to_html(dataclasses.replace(SWEPT, points=points))).of("svg")


def test_a_validation_says_what_is_wrong():
    wrong = dataclasses.replace(VALIDATED, problems=("its inputs are others",), accuracy=None,
                                speed=())  # fmt: skip
    said = Read(to_html(wrong)).said
    assert "The structure is wrong." in said
    assert "Attention: its inputs are others." in said
    assert "The structure is the original's; " in Read(to_html(VALIDATED)).said


def test_a_validation_says_how_certain_each_change_is(pages):
    said = pages["validate"].said
    for text in (
        "The structure is the original's; max F changes by -.050 (-.080 to -.020); it is",
        "max F .900 → .850 -.050; 95 % interval -.080 to -.020, 40 images",
        "max F 0.900 0.850 -0.050 -.080 to -.020",
        "MAE (lower is better) 0.050 0.050 +0.000 -.010 to +.010",
    ):
        assert text in said
    assert said.count("95 % interval") == 2  # the tile, and beside the drawing


def test_a_validation_says_which_files_it_is_of_and_how_it_was_asked():
    known = dataclasses.replace(
        VALIDATED, sha256={"a.onnx": "0" * 64}, config={"samples": 16},
        origin=Origin("validate", "0.2.0"),
    )  # fmt: skip
    said = Read(to_html(known)).said
    for text in ("SHA-256 of a.onnx " + "0" * 64, "wrg-onnx 0.2.0", "samples 16"):
        assert text in said
    assert f"judged on {VALIDATED.accuracy.data}" in said


def test_a_validation_on_few_images_says_that_they_are():
    few = (Change("max F", 0.9, 0.8, 0.1, None, None, 3),)
    said = Read(to_html(dataclasses.replace(VALIDATED, changes=few))).said
    assert "-.100; 3 images, too few for an interval" in said


def test_a_validation_without_masks_has_the_interval_of_the_error_in_its_table():
    bare = dataclasses.replace(VALIDATED.accuracy, before=None, after=None)
    error = change("relative error", 0.0, 0.12, 0.1, 0.14, falls=False)
    said = Read(to_html(dataclasses.replace(VALIDATED, accuracy=bare, changes=(error,)))).said
    assert "relative error of 'out' 0.120 +.100 to +.140" in said
    assert "relative error of the outputs .120 95 % interval +.100 to +.140, 40 images" in said


def test_two_runs_stand_side_by_side(pages):
    said = pages["two"].said
    assert "m.onnx: two runs" in said
    assert "run 1: max F .900 → .850" in said
    assert "run 2: accuracy not measured" in said
    assert "max F 0.900 0.850 -0.050" in said
    assert "The runs have no layer width of the same name." in said
    both = Read(to_html_of_two(PRUNED, PRUNED)).said
    assert "conv.weight 4 3 3" in both


def second(**changed):
    """Another run with details."""
    return dataclasses.replace(PRUNED, details=dataclasses.replace(DETAILS, **changed))


def test_runs_that_were_judged_on_the_same_images_are_paired():
    both = Read(to_html_of_two(PRUNED, second(images=on_images(0.01, metrics=("MAE", "max F")))))
    assert "Both were judged on the same 40 images" in both.said
    assert "max F .795 .805 +.010 +.010 to +.010" in both.said
    assert "paired" in [one["id"] for one in both.of("section")]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (BARE, "Run 2 did not judge its model."),
        (dataclasses.replace(PRUNED, details=None), "Run 2 did not keep what its model had on"),
        (second(images=ImageValues("same", 40, {})), "Run 2 had no masks, or its model no"),
        (second(images=on_images(digest="other")), "The runs were judged on other images, or on"),
    ],
    ids=["not judged", "no details", "no masks", "other images"],
)
def test_runs_that_do_not_pair_say_why(other, why):
    said = Read(to_html_of_two(PRUNED, other)).said
    assert why in said
    assert "Metrics on the same images" not in said


def test_another_report_has_no_page():
    inspected = InspectReport("m.onnx", PRUNED.before, (), (), 0.0, 0.5, {}, {})
    with pytest.raises(UsageError, match="a page is made of PruneReport, SweepReport, ValidateRep"):
        to_html(inspected)
    with pytest.raises(UsageError, match="two runs of prune stand side by side, got a SweepReport"):
        to_html_of_two(PRUNED, SWEPT)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_becomes_a_part_of_the_page(text):
    usual, found = Read(to_html(PRUNED)), Read(to_html(hostile(text)))
    assert {tag for tag, _ in found.tags} <= {tag for tag, _ in usual.tags}
    assert policy_of(found) == policy_of(usual)
    scripts = [one for attributes, one in found.scripts if not attributes]
    assert {hash_of(one) for one in scripts} == policy_of(found)["script-src"]
    for attributes, content in found.scripts:
        if attributes:
            assert attributes == {"type": "application/json"}
            assert set(json.loads(content)) == {"columns", "spec"}
    for tag, attributes in found.tags:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}, tag
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", found.text)
    assert len(found.text) < len(usual.text) + 50_000
    assert "{{" not in text or "{{ 7 * 7 }}" in found.said


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_becomes_a_part_of_the_page_of_a_sweep_or_of_two_runs(text):
    point_ = dataclasses.replace(SWEPT.points[0], criterion=text, command=text)
    failed = dataclasses.replace(SWEPT.points[-1], problem=text)
    swept = dataclasses.replace(
        SWEPT, model=text, metric=text, judged=text, notes=(text,), points=(point_, failed)
    )
    for found in (Read(to_html(swept)), Read(to_html_of_two(hostile(text), PRUNED))):
        assert "img" not in {tag for tag, _ in found.tags}
        assert len(found.of("h1")) == 1
        assert len([1 for attributes, _ in found.scripts if not attributes]) <= 2


def largest():
    """Return a report that is as large as details get, and larger than any in what they are not."""
    name = "n" * MOST_LETTERS
    each = UnitNumbers(tuple(1.234e-05 * (1 + i) for i in range(MOST_NUMBERS // 4 // 40)))
    plotted = layer(name, len(each.each), 1, scores=each, w=each, r=each, g=each,
                    alive=tuple(i % 2 == 0 for i in range(len(each.each))))  # fmt: skip
    boxes = dataclasses.replace(WIDE, name=name, frozen=name)
    png = "iVBORw0KGgo" + "A" * (PICTURE_BYTES - 11 - 1) + "="
    picture = Picture(png, 192, 192)
    shown = [
        dataclasses.replace(example(place, name), input=picture, mask=picture, original=picture,
                            pruned=picture, difference=picture)
        for place in ("best", "median", "worst")
    ]  # fmt: skip
    spectrum = Spectrum(name, tuple(0.98**i for i in range(SPECTRUM_POINTS)), 999, 0.5, 16, 2)
    details = dataclasses.replace(
        DETAILS,
        layers=(plotted,) * MOST_PLOTTED + (boxes,) * (MOST_LAYERS - MOST_PLOTTED),
        structure=Structure(
            tuple(WidthNode(name, 9, 999, 99, (name,) * 6, 99) for _ in range(MOST_NODES)),
            tuple(WidthEdge(i % MOST_NODES, i * 7 % MOST_NODES, 1) for i in range(MOST_EDGES)),
            9999,
        ),
        spectra=(spectrum,) * MOST_SPECTRA,
        examples=dataclasses.replace(DETAILS.examples, shown=tuple(shown)),
        latency=SideBySide((LayerTime(name, name, 9, 1.0, 1.0, why=name * 3),) * MOST_TIMED, 9, 9),
    )  # fmt: skip
    fits = tuple(LayerFit(name, 0.5, 0.1, 1.0, 9, 9) for _ in range(20_000))
    groups = PRUNED.groups * 10_000
    return dataclasses.replace(
        PRUNED, details=details, groups=groups, notes=(name,) * 100,
        recovery=dataclasses.replace(PRUNED.recovery, fits=fits),
    )  # fmt: skip


def test_the_page_of_any_model_has_at_most_5_mb():
    found = to_html(largest())
    assert len(found.encode()) < 5_000_000
    said = Read(found).said
    assert "Drawn are the 40 layer widths that hold most parameters." in said
    assert "Drawn are the 40 layers that lost most." in said
    assert f"All {MOST_LAYERS:,} layer widths" in said
    assert re.search(
        r"The first [\d,]+ of 20,000 layers that .* solved for are in the JSON alone.", said
    )


def deep(count):
    """Return a report of so many layer widths, each with details and recovered."""
    wide = tuple(layer(f"stage{number}.conv.weight", 64, 63) for number in range(count))
    fits = tuple(LayerFit(one.name, 0.5, 0.1, 1.0, 9, 9) for one in wide)
    times = tuple(LayerTime(one.name, "Conv", 0, 1.0, 0.5) for one in wide[:300])
    details = dataclasses.replace(
        DETAILS, layers=wide[:MOST_LAYERS], layers_left=max(count - MOST_LAYERS, 0),
        latency=SideBySide(times, 300.0, 150.0), timed_left=max(count - 300, 0),
    )  # fmt: skip
    groups = tuple(GroupReport(one.name, 64, 63, 64, 100, 2) for one in wide)
    recovery = dataclasses.replace(PRUNED.recovery, fits=fits)
    return dataclasses.replace(PRUNED, details=details, groups=groups, recovery=recovery)


@pytest.mark.parametrize("count", [41, 1000, 3000])
def test_every_layer_of_a_deep_model_is_on_its_page_without_scripts(count):
    report = deep(count)
    text = to_html(report)
    assert len(text.encode()) < 5_000_000
    folded = re.findall(r"<details><summary>(.*?)</summary>(.*?)</details>", text, re.DOTALL)
    tables = {title: body for title, body in folded if title.startswith(("All", "The"))}
    of_widths = "layer widths" if count <= MOST_LAYERS else "layer widths that may shrink"
    titles = [f"All {count:,} {of_widths}", f"All {count:,} layers that were solved for"]
    for title in titles:
        for one in report.groups:
            assert f">{one.name}</th><td>" in tables[title]
    last = f"stage{count - 1}.conv.weight 63 64 2% 100"
    assert last in Read(text).said
    assert ("The 300 layers that take longest" in tables) == (count > 300)


def test_a_page_without_details_lists_every_layer_width():
    text = to_html(dataclasses.replace(deep(1000), details=None))
    assert "All 1,000 layer widths" in text
    assert "stage999.conv.weight 63 64 2% 100" in Read(text).said


def test_two_runs_of_a_deep_model_list_every_layer_width():
    text = to_html_of_two(deep(1000), deep(1000))
    assert len(text.encode()) < 5_000_000
    assert "All 1,000 layer widths" in text
    assert "stage999.conv.weight 64 63 63" in Read(text).said


def test_layers_that_are_not_drawn_hold_least():
    wide = [layer(f"l{number}", 4, 3) for number in range(50)]
    wide[7] = dataclasses.replace(wide[7], parameters=1)
    details = dataclasses.replace(DETAILS, layers=tuple(wide))
    said = Read(to_html(dataclasses.replace(PRUNED, details=details))).said
    drawn, _, listed = said.partition("All 50 layer widths")
    assert "l6 3 4" in drawn
    assert "l7 3 4" not in drawn
    assert "l7 3 4" in listed

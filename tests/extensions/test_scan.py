"""What installed packages say that they bring, and what is refused of it."""

from __future__ import annotations

import pytest

from wrg_onnx.errors import ExtensionError, UsageError
from wrg_onnx.extensions import OURS, SWITCH, Kind, Origin, installed, origin_of

LOSS = (
    "from wrg_onnx.extend import loss\n\n@loss('{0}')\ndef {0}(outputs, mask, teacher):\n    ...\n"
)
EXITS = "raise AssertionError('imported')"


def test_nothing_is_installed_where_these_tests_run():
    assert {kind: dict(installed(kind)) for kind in Kind} == {kind: {} for kind in Kind}


def test_looking_for_names_imports_nothing(bring):
    bring("acme_a", EXITS, {kind.group: {"it": "acme_a:it"} for kind in Kind}, version="2.5")
    for kind in Kind:
        ((name, (found,)),) = installed(kind).items()
        assert (name, found.kind, found.package, found.version) == ("it", kind, "acme-a", "2.5")
        assert str(found) == f"{kind.value} 'it' of 'acme-a' 2.5"


def test_the_switch_leaves_all_packages_alone(bring, monkeypatch):
    bring("acme_a", EXITS, {Kind.LOSS.group: {"it": "acme_a:it"}})
    monkeypatch.setenv(SWITCH, "none")
    assert not installed(Kind.LOSS)
    monkeypatch.setenv(SWITCH, "no")
    with pytest.raises(UsageError, match=f"{SWITCH} must be all or none, got 'no'"):
        installed(Kind.LOSS)


def test_a_group_that_is_misspelt_is_refused_with_those_that_there_are(bring):
    bring("acme_a", EXITS, {"wrg_onnx.criterion": {"it": "acme_a:it"}})
    with pytest.raises(
        ExtensionError,
        match=r"'acme-a' 1\.0 has entry points in 'wrg_onnx\.criterion': .*wrg_onnx\.criteria",
    ):
        installed(Kind.LOSS)


def test_entry_points_that_cannot_be_read_are_refused_with_their_package(bring, tmp_path):
    bring("acme_a", EXITS, {Kind.LOSS.group: {"it": "acme_a:it"}})
    (texts,) = (tmp_path / "site").glob("*.dist-info/entry_points.txt")
    texts.write_text(f"[{Kind.LOSS.group}]\nwithout a value\n")
    with pytest.raises(ExtensionError, match=r"'acme-a' 1\.0 has entry points that cannot be read"):
        installed(Kind.LOSS)


def test_of_two_versions_on_the_path_the_first_counts(bring, tmp_path, monkeypatch):
    from extension_package import install

    group = Kind.LOSS.group
    install(tmp_path / "later", "acme-a", "9", modules={}, points={group: {"old": "acme_a:old"}})
    monkeypatch.setattr("sys.path", [str(tmp_path / "site"), str(tmp_path / "later")])
    bring("acme_a", EXITS, {group: {"new": "acme_a:new"}})
    assert set(installed(Kind.LOSS)) == {"new"}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("wrg_onnx.select.criteria", OURS),
        ("acme.a", Origin("acme-a", "1.0")),
        ("acme.a.inner", Origin("acme-a", "1.0")),
        ("acme.b", Origin("acme-b", "2.0")),
        ("acme.c", Origin("", module="acme.c")),
        ("acmeish", Origin("", module="acmeish")),
        ("__main__", Origin("", module="__main__")),
    ],
)
def test_a_module_is_of_the_package_whose_entry_points_lie_nearest(bring, module, expected):
    bring("a", "", {Kind.LOSS.group: {"one": "acme.a:it"}}, name="acme-a")
    bring("b", "", {Kind.LOSS.group: {"two": "acme.b:it"}}, name="acme-b", version="2.0")
    assert origin_of(module) == expected

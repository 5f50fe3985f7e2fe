"""The catalogue: every code in use has an entry and every entry is used; its wrong text has that code, its right text none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from archloom.compiler.check import check, check_text
from archloom.dsl.catalogue import MODULES, Entry, catalogue
from archloom.dsl.diagnostics import Diagnostic, Severity
from archloom.dsl.source import Source

ROOT = Path(__file__).parents[2]
ENTRIES = tuple(catalogue().values())
ELSEWHERE = {
    "A560",
    "A561",
    "A562",
    "A563",
    "A650",
    "A652",
    "A653",
    "A654",
    "A655",
    "A656",
    "A660",
    "A661",
    "A662",
    "A663",
    "A664",
    "A821",
    "A822",
    "A823",
    "A824",
    "A831",
    "A832",
    "A833",
    "A841",
    "A842",
}
"""Codes that no check can cause: weights and reference tensors are read, Python is wrapped, a model is trained."""


def codes(text: str) -> list[str]:
    return [d.code for d in check_text(Source("spec.arch", text)).diagnostics]


def written(folder: Path, name: str, content: bytes) -> tuple[Diagnostic, ...]:
    (folder / name).write_bytes(content)
    return check(folder / name).diagnostics


def circle(folder: Path) -> tuple[Diagnostic, ...]:
    (folder / "other.arch").write_text("import .main.Thing\n")
    return written(folder, "main.arch", b"import .other.Thing\nmodel M { in x: float[B]; t = Thing(); out y = t(x) }")


def many(folder: Path) -> tuple[Diagnostic, ...]:
    for i in range(210):
        (folder / f"f{i}.arch").write_text(f"import .f{i + 1}.Thing\n")
    return written(folder, "main.arch", b"import .f0.Thing\nmodel M { in x: float[B]; t = Thing(); out y = t(x) }")


def outside(folder: Path) -> tuple[Diagnostic, ...]:
    (folder / "secret.arch").write_text("block Thing { in x: float[B]; out y = x }")
    (folder / "project").mkdir()
    (folder / "project" / "thing.arch").symlink_to("../secret.arch")
    return written(folder / "project", "main.arch", b"import .thing.Thing\nmodel M { in x: float[B]; t = Thing(); out y = t(x) }")


def preset(folder: Path) -> tuple[Diagnostic, ...]:
    text = "model M(dim: int = 4) { in x: float[B, dim]; out y = x }\npreset paper for M { dim = 8 }"
    return check_text(Source("a.arch", text), preset="papr").diagnostics


FILES: dict[str, Callable[[Path], tuple[Diagnostic, ...]]] = {
    "A605": preset,
    "A800": lambda folder: check(folder / "modle.arch").diagnostics,
    "A801": lambda folder: written(folder, "model.arch", b"# a line\n" * 200_000),
    "A802": lambda folder: written(folder, "photo.arch", b"\xff\xd8\xff\xe0JFIF"),
    "A803": lambda folder: written(folder, "model.arch", b"model\x00"),
    "A805": lambda folder: written(folder, "model.arch", b"model M { in x: float[B]; out y = " + b"relu(" * 201 + b"x" + b")" * 201 + b" }"),
    "A806": lambda folder: written(folder, "model.arch", b"# \x1b[2J\nmodel M { in x: float[B]; out y = x }"),
    "A807": lambda folder: written(folder, "config.json", b'{"hidden_size": 8}'),
    "A811": lambda folder: check_text(Source("a.arch", "model M { in x: float[B]; out y = x }"), model="N").diagnostics,
    "A814": circle,
    "A816": many,
    "A818": outside,
}
"""Codes that come from files and from what is asked for: what causes each."""


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.code not in {*FILES, *ELSEWHERE} and not e.python], ids=lambda e: e.code)
def test_the_wrong_text_has_its_code_and_no_other(entry: Entry) -> None:
    assert set(codes(entry.wrong)) == {entry.code}


@pytest.mark.parametrize("code", FILES)
def test_the_wrong_file_has_its_code(code: str, tmp_path: Path) -> None:
    assert [d.code for d in FILES[code](tmp_path)] == [code]


@pytest.mark.parametrize(
    "entry",
    [e for e in ENTRIES if e.code not in {"A605", "A800", "A801", "A802", "A803", "A807", *ELSEWHERE} and e.right and not e.python],
    ids=lambda e: e.code,
)
def test_the_right_text_checks(entry: Entry) -> None:
    found = check_text(Source("right.arch", entry.right)).diagnostics
    assert [d.message for d in found if d.severity is Severity.ERROR or entry.code.startswith("A12")] == []


@pytest.mark.parametrize("code", sorted(ELSEWHERE))
def test_codes_of_other_doors_are_tested_where_they_are(code: str) -> None:
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if "catalogue" not in path.name]
    assert any(code in path.read_text("utf-8") for path in tests), f"no test mentions {code}"


def test_codes_in_use_are_the_codes_listed() -> None:
    used: set[str] = set()
    for folder in ("dsl", "blocks", "compiler"):
        for path in (ROOT / folder).rglob("*.py"):
            if "catalogue" not in path.parts:
                used |= set(re.findall(r'"(A\d{3})"', path.read_text("utf-8")))
    assert used == set(catalogue())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.code)
def test_entries_read_well(entry: Entry) -> None:
    assert entry.title and not entry.title.endswith(".")
    assert entry.meaning.endswith((".", "!", "?")) and entry.meaning[0] in "`ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert len(entry.title) <= 75


def test_every_number_has_a_module() -> None:
    assert [n for numbers in MODULES.values() for n in numbers] == list(range(1000))
    assert len({e.code[1] for e in ENTRIES}) == 10

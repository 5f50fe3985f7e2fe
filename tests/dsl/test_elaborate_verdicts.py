"""What presets come to is kept from check to check: a check that takes it over says what one that elaborates them says."""

from __future__ import annotations

import re
from bisect import bisect_left
from pathlib import Path
from random import Random

import pytest

import archloom
from archloom.compiler.check import CheckResult, check_text
from archloom.dsl.elaborate import kept, model, verdicts
from archloom.dsl.limits import Limits
from archloom.dsl.parse import again
from archloom.dsl.source import Source

EXAMPLES = Path(archloom.__file__).parent / "examples"
ALL = [path.stem for path in sorted(EXAMPLES.glob("*.arch"))]
WITH_PRESETS = [name for name in ALL if "\npreset " in (EXAMPLES / f"{name}.arch").read_text("utf-8")]
QUICK = ("com_mlp", "scalearn")

SPEC = """arch 1
import ffn.Mlp
share = 2
block Own(dim: int) { in x: float[B, dim]; f = Linear(dim, share * dim); out y = f(x) }
block Wide(dim: int) { in x: float[B, dim]; f = Linear(dim, dim); out y = f(x) }
model M(dim: int = 4, wide: bool = false) {
  in x: float[B, dim]
  if wide { own = Wide(dim) } else { own = Own(dim) }
  out y = own(x)
}
preset narrow for M { dim = 2; assert params(own) == 2 * 4 + 4 }
preset wide for M {
  wide = true  # reaches the block
  assert params() == 20
}
"""


def check(text: str, **limits: int) -> CheckResult:
    return check_text(Source("spec.arch", text), text=False, presets=True, limits=Limits(**limits))


def told(result: CheckResult) -> tuple[object, ...]:
    """Return all that a check says, with the places."""
    found = [
        (
            d.code,
            d.message,
            d.span.start,
            d.span.end,
            d.span.line,
            d.help,
            tuple((label.span.start, label.span.line, label.text) for label in d.labels),
        )
        for d in result.diagnostics
    ]
    programs = {name: (made.presets, made.counts, made.files, sorted(made.open_in_presets)) for name, made in result.programs.items()}
    return found, programs, result.report, result.unreached


def agrees(text: str) -> CheckResult:
    """Check a text as it comes, and as the first of a process: both say the same."""
    result = check(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdicts, "_kept", {})
        patch.setattr(kept, "_kept", {})
        patch.setattr(again, "_kept", {})
        assert told(check(text)) == told(result)
    return result


def plus_one(found: re.Match[str]) -> str:
    return f"{found[1]}{int(found[2].replace('_', '')) + 1}"


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in WITH_PRESETS])
def test_an_edited_example_is_checked_as_a_new_one(name: str) -> None:
    text = (EXAMPLES / f"{name}.arch").read_text("utf-8")
    at = text.index("  in ", text.index("\nmodel "))
    edits = [
        text,
        f"{text[:at]}  # a comment\n{text[at:]}",
        re.sub(r"(\w: int = )(\d+)", plus_one, text, count=1),
        re.sub(r"(\bassert params\([^)]*\) == )([\d_]+)", plus_one, text, count=1),
        text.replace("\npreset ", "\n# above\npreset ", 1),
        text,
    ]
    assert check(text).ok
    for edit in edits:
        agrees(edit)


def edited(text: str, random: Random) -> str:
    """Return a text with one line, number or word of it changed."""
    lines = text.splitlines(keepends=True)
    at = random.randrange(1, len(lines))
    line, other = lines[at], lines[random.randrange(1, len(lines))]
    numbers, words = list(re.finditer(r"\b\d+\b", line)), list(re.finditer(r"\b[a-z_]\w*\b", line))
    kinds = ["comment", "leave out", "twice", "another's", *(["number"] if numbers else []), *(["word"] if words else [])]
    kind = random.choice(kinds)
    if kind in ("number", "word"):
        found = random.choice(numbers if kind == "number" else words)
        put = str(int(found[0]) + 1) if kind == "number" else random.choice(re.findall(r"\b[a-z_]\w*\b", text))
        lines[at] = f"{line[: found.start()]}{put}{line[found.end() :]}"
    else:
        new = {"comment": f"# a comment\n{line}", "leave out": "", "twice": line + line}
        lines[at] = new.get(kind, other + line)
    return "".join(lines)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name == "com_mlp" else [pytest.mark.slow]) for name in ALL])
def test_whatever_is_edited_a_check_says_what_the_first_of_a_process_says(name: str) -> None:
    text = (EXAMPLES / f"{name}.arch").read_text("utf-8")
    random = Random(name)
    assert check(text).ok
    for _ in range(8):
        agrees(edited(text, random))


def test_presets_are_elaborated_once_for_the_same_words(entered: list[str]) -> None:
    first = check(SPEC)
    assert first.ok and entered.count("M") == 3 and not first.unreached
    for text in (SPEC.replace("  out y", "\n  # between\n  out y"), f"# above\n{SPEC}", SPEC + 'weights w for M from "x" { own <- "own" }\n'):
        entered.clear()
        assert agrees(text).programs["M"].presets == {"narrow": {"own": 12}, "wide": {"": 20}}
        assert entered.count("M") == 1 + 3, "once where they are known, and in the check that knows nothing"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("share = 2", "share = 3", 11),
        ("out y = own(x)", "more = Linear(dim, 1)\n  out y = own(x) + more(x)", 15),
        ("dim = 2;", "dim = 3;", 11),
        ("block Wide(dim: int) { in x: float[B, dim]; f = Linear(dim, dim)", "block Wide(dim: int) { in x: float[B, dim]; f = Linear(dim, dim, bias = false)", 14),
        ("wide = true  #", "wide = false  #", 14),
    ],
)  # fmt: skip
def test_what_changes_a_preset_is_seen(old: str, new: str, line: int) -> None:
    assert check(SPEC).ok
    result = agrees(SPEC.replace(old, new))
    assert [(d.code, d.span.line) for d in result.diagnostics if d.code == "A702"] == [("A702", line)]
    assert not check(SPEC.replace(old, new)).ok, "what failed is not kept"
    assert agrees(SPEC).ok


def test_a_string_keeps_its_spaces_and_marks(entered: list[str]) -> None:
    text = SPEC.replace("dim: int = 4", 'dim: int = 4, note: str = "a # b"')
    assert check(text).ok
    entered.clear()
    assert check(text.replace("a # b", "a # c")).ok and entered.count("M") == 3


def test_what_has_a_warning_or_an_open_claim_is_looked_at_each_time(entered: list[str]) -> None:
    text = SPEC.replace("assert params() == 20", "assert y[:, 0] uses x[:, 1:]")
    for _ in range(2):
        entered.clear()
        assert list(agrees(text).programs["M"].open_in_presets) == ["wide"] and entered.count("M") == 6


def test_a_file_beside_it_is_read_each_time(tmp_path: Path, entered: list[str]) -> None:
    (tmp_path / "own.arch").write_text("block Own(dim: int) { in x: float[B, dim]; f = Linear(dim, 2 * dim); out y = f(x) }\n")
    lines = SPEC.splitlines(keepends=True)
    path = tmp_path / "spec.arch"
    path.write_text("".join(["import .own.Own\n" if line.startswith("block Own") else line for line in lines]).replace("share = 2\n", ""))
    for width, ok in ((2, True), (3, False)):
        (tmp_path / "own.arch").write_text(f"block Own(dim: int) {{ in x: float[B, dim]; f = Linear(dim, {width} * dim); out y = f(x) }}\n")
        assert archloom.check(path).ok is ok
    assert entered.count("M") == 6


@pytest.mark.parametrize("limit", ["steps", "operations"])
def test_what_is_taken_over_counts_as_if_it_were_elaborated(entered: list[str], limit: str) -> None:
    fewest = bisect_left(range(4000), True, key=lambda most: check(SPEC, **{limit: most}).ok)
    for most in (fewest - 1, fewest):
        verdicts.forget()
        assert [check(SPEC, **{limit: most}).ok for _ in range(2)] == [most == fewest] * 2


def test_what_counts_twice_ends_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage's model shares a block with a preset: where that is known its steps are those of the stage alone, and all is elaborated."""
    text = """block Wide(dim: int) { in x: float[B, dim]; f = Linear(dim, dim); out y = f(x) }
model M(wide: bool = false) {
  in x: float[B, 4]
  own = Linear(4, 4)
  if wide { more = Wide(4); y = own(more(x)) } else { y = own(x) }
  out z = y
  loss l = mean(y)
}
preset wide for M { wide = true; assert params() == 40 }
train M { stage s { set wide = true; tune all } }
"""
    fewest = bisect_left(range(4000), True, key=lambda most: check(text, steps=most).ok)
    assert fewest < 4000
    verdicts.forget()
    again: list[None] = []
    monkeypatch.setattr(model, "forget", lambda: again.append(verdicts.forget()))
    assert check(text, steps=fewest).ok and not again
    assert check(text, steps=fewest).ok and len(again) == 1

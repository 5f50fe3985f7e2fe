"""Every stored case after passes: training and gradients after `default`, evaluation after `inference`, compiled and emitted."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

import archloom
from archloom.compiler.cli import run
from archloom.compiler.golden.verify import Report
from archloom.compiler.optimize.interface import Keeps
from archloom.compiler.optimize.pipelines import PIPELINES, pipeline
from archloom.dsl.diagnostics import Failure

from .cases import failing

ROOT = Path(archloom.__file__).parent
CASES = sorted((ROOT / "tests" / "golden").glob("*/*/"))
ASKED = list({passes: name for name, passes in PIPELINES.items() if passes}.values())
FOLDING = [name for name in ASKED if any(each.keeps is Keeps.EVALUATION for each in pipeline(name))]
CHOSEN = [(case, False) for case in CASES] + [(case, True) for case in {case.parent: case for case in CASES}.values()]
"""Cases, compiled, and one of each system emitted."""


def spec(case: Path) -> Path:
    """Return the spec of a system."""
    name = case.parent.name.lower()
    return ROOT / "examples" / f"{'scalearn' if name.startswith('scalearn') else name}.arch"


def mode(case: Path) -> str:
    return str(json.loads((case / "config.json").read_text()).get("mode", "eval"))


@cache
def plain(case: Path) -> Report:
    return archloom.verify(spec(case), case)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(("case", "source"), CHOSEN, ids=[f"{c.parent.name}-{c.name}-{'emitted' if s else 'compiled'}" for c, s in CHOSEN])
def test_the_authors_numbers_after_passes(case: Path, asked: str, source: bool) -> None:
    if asked in FOLDING and mode(case) == "train":
        with pytest.raises(Failure, match=r"A661.*: the case was computed in training, and of the passes `\w+`.* evaluation alone"):
            archloom.verify(spec(case), case, optimize=asked, source=source)
        return
    report = archloom.verify(spec(case), case, optimize=asked, source=source)
    assert [step.name for step in report.passes] == list(PIPELINES[asked])
    rows = plain(case).rows
    if asked == "default":
        assert (report.share, report.beyond) == (1.0, ())
        assert {row.stored for row in report.rows} == {row.stored for row in rows}
    else:
        gradients = {row.stored for row in rows if row.kind == "gradient"}
        assert report.ok, failing(report)
        assert set(report.beyond) == gradients
        assert {row.stored for row in report.rows} == {row.stored for row in rows} - gradients
    assert {row.stored for row in report.rows if not row.holds} <= {row.stored for row in rows if not row.holds}


def test_the_stated_error_of_what_rounds_is_the_limit() -> None:
    case = ROOT / "tests" / "golden" / "MLoRE" / "a"
    report = archloom.verify(spec(case), case, optimize="inference, quantize(least = 1)")
    assert report.ok and report.stated == {"quantize": 0.02} and report.nothing == ()
    assert {row.limit for row in report.rows} == {0.02} and max(row.difference for row in report.rows) > 0.002
    report = archloom.verify(spec(case), case, optimize="quantize(least = 1, to = 'int4_weight', group = 32)")
    assert {row.limit for row in report.rows} <= {0.1, 2e-5} and bool(report.stated) != bool(report.nothing)


def test_what_rounds_nothing_is_not_verified(capsys: pytest.CaptureFixture[str]) -> None:
    case = ROOT / "tests" / "golden" / "MLoRE" / "a"
    assert run(["verify", str(spec(case)), "--against", str(case), "--optimize", "quantize"]) == 0
    assert "`quantize` found nothing to round, so it isn't verified: `" in capsys.readouterr().out
    assert run(["verify", str(spec(case)), "--against", str(case), "--optimize", "quantize(least = 1)"]) == 0
    assert "`quantize` rounds: the limit is its stated error, 2e-02; layers add theirs up" in capsys.readouterr().out

"""What an audit says of models whose own code raises, exits or replaces what it stands on; more of it is made by `tests/fuzz/audits.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from archloom.compiler.audit.selectors import Miss, matched
from archloom.compiler.cli import run

MODULE = """import sys, torch
from torch import nn
class Odd(Exception):
    def __str__(self): raise ValueError("no text")
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
    def forward(self, x):
        {forward}
        return {{"loss": self.a(x).mean()}}
    {extra}
def subject():
    {setup}
    return {{"model": Net(), "batch": {{"x": torch.zeros(2, 4)}}, {field}}}
"""
HOSTILE: dict[str, tuple[dict[str, str], str]] = {
    "exits in its forward": ({"forward": "sys.exit(3)"}, "failed: SystemExit: 3"),
    "exits in its function": ({"setup": "sys.exit('bye')"}, "`subject` failed: SystemExit: bye"),
    "raises what has no text": ({"forward": "raise Odd()"}, "failed: Odd"),
    "overrides what is asked": ({"extra": "def named_parameters(self, *a, **k): raise KeyError('x')"}, "the code of the model failed: KeyError: 'x'"),
    "takes the error stream": ({"setup": "sys.stderr = None; 1 / 0"}, "`subject` failed: ZeroDivisionError: division by zero"),
    "closes the streams": ({"forward": "sys.stdout.close(); sys.stderr.close()"}, ""),
    "is no number of steps": ({"field": "'steps': 'x'"}, "`steps` is 'x', not a whole number"),
    "is no number of steps but a truth": ({"field": "'steps': True"}, "`steps` is True, not a whole number"),
    "is no seed": ({"field": "'seed': 2 ** 70"}, "`seed` is 1180591620717411303424, not a whole number"),
    "is no checkpoint": ({"field": "'checkpoint': 3"}, "`checkpoint` is a `int`, neither a state dict nor a path"),
    "holds no tensor": ({"field": "'checkpoint': {'a.weight': 3}"}, "`checkpoint` holds a `int` under `'a.weight'`, not a tensor"),
    "holds itself": ({"setup": "b = {}; b['me'] = b", "field": "'batches': [b]"}, "nests too deep, or holds itself"),
    "is sparse": ({"field": "'batches': [torch.zeros(2, 4).to_sparse()]"}, ""),
}


@pytest.mark.parametrize(("pieces", "says"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_wrong_is_said(
    pieces: dict[str, str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHLOOM_TRACEBACK", "1")
    stream = sys.stderr
    path = tmp_path / "a.py"
    path.write_text(MODULE.format(**{"forward": "pass", "extra": "", "setup": "pass", "field": "", **pieces}))
    assert run(["audit", f"{path}:subject"]) == 1
    assert sys.stderr is stream
    shown = capsys.readouterr()
    assert says in " ".join(shown.err.split()) and "Traceback" not in shown.err


def test_large_numbers_and_many_stars_take_no_time() -> None:
    paths = [f"a.{number}.w" for number in range(12)]
    assert matched("a[0..9999999999].w", paths) == tuple(paths)
    assert matched("a[2..11]", paths) == tuple(paths[2:11])
    assert matched("a[10..].w", paths) == tuple(paths[10:])
    assert isinstance(matched("**." * 60 + "x", paths), Miss)
    assert isinstance(matched(f"a[{'9' * 5000}..]", paths), Miss)

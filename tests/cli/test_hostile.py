"""Bad input through the command line: a clear error that names the place, exit code 1, bounded time and memory, no traceback."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from archloom.compiler.cli import run

GIGABYTES = 4
BODY = "model M(dim: int = 4) {{\n  in x: float[B, S, 4]\n  f = Linear(4, dim)\n  {}\n  out y = f(x)\n}}\n"


def check(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `archloom check` with a bound on its memory."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES << 30, GIGABYTES << 30))

    command = [sys.executable, "-m", "archloom", "check", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=bound, check=False)


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "A804", "the file is empty"),
        (b"\x00\x01\x02model", "A803", "binary"),
        (b"\xff\xfe\x00", "A802", "UTF-8"),
        (b"model M { out y = " + b"(" * 1_000_000, "A805", "deep"),
        (b"model M { out y = " + b"[" * 1_000_000 + b"]" * 1_000_000, "A801", "larger"),
        (b"block A { in x: float[B]; a = A(); out y = a(x) }\nmodel M { in x: float[B]; a = A(); out y = a(x) }", "A905", "contains itself"),
        (b"model M { in x: float[B]; index s = 0..1_000_000_000; out y = x }", "A815", "1,000,000,000"),
        (b"model M { in x: float[B]; for i in 0..99999 { for j in 0..99999 { z = relu(x) } }; out y = x }", "A815", "more than 500,000 operations"),
        (b"model M { in x: float[S]; n = (S + 1) ** 16; m = n ** 16; k = m ** 16; out y = zeros([k]) }", "A204", "10,000 terms"),
        (b"model M { out y = 9 ** 9 ** 9 ** 9 }", "A204", "too large"),
    ],
    ids=lambda v: v if isinstance(v, str) and v.startswith("A") else "",
)
def test_files(tmp_path: Path, content: bytes, code: str, says: str) -> None:
    path = tmp_path / "bad.arch"
    path.write_bytes(content)
    result = check(path)
    assert result.returncode == 1
    assert f"error[{code}]" in result.stdout and says in result.stdout
    assert "Traceback" not in result.stdout + result.stderr and len(result.stdout) < 5000


@pytest.mark.parametrize(
    ("line", "code", "write"),
    [
        ("g = nn.Linear(4, 4)", "A021", "write `Linear`"),
        ("self.g = Linear(4, 4)", "A022", "write `g = ...`"),
        ("def g(x): return x", "A023", "write `block Name"),
        ("g = lambda x: x", "A024", "named `fn`"),
        ("g = Linear(4, 4, bias = True)", "A025", "write `true`"),
        ("z = x.view(4, 4)", "A026", "write `rearrange"),
        ("n = x.shape[0]", "A027", "name the dimensions"),
        ("z = F.relu(x)", "A028", "write `relu`"),
        ("x += 1", "A029", "write `x = x + ...`"),
        ("z = x +\n  x", "A005", "parentheses"),
        ("loss = mean(x)", "A113", "write `loss NAME = ...`"),
    ],
)
def test_habits_from_python(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, code: str, write: str) -> None:
    path = tmp_path / "habit.arch"
    path.write_text(BODY.format(line))
    assert run(["check", str(path)]) == 1
    printed = capsys.readouterr().out
    assert printed.count("error[") == 1 and f"error[{code}]" in printed, printed
    assert write in printed and "habit.arch:" in printed


def test_an_import_of_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "habit.arch"
    path.write_text("import torch\n" + BODY.format("z = x"))
    assert run(["check", str(path)]) == 1
    printed = capsys.readouterr().out
    assert "error[A020]" in printed and "leave the line out" in printed


@pytest.mark.parametrize(("where", "code", "says"), [(">/dev/full", 1, "error: can't write the answer: no space left on device\n"), (">&-", 0, "")])
def test_a_closed_or_full_output_is_no_traceback(where: str, code: int, says: str, tmp_path: Path) -> None:
    path = tmp_path / "m.arch"
    path.write_text(BODY.format(""))
    command = f"{sys.executable} -m archloom check {path} {where}"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, says)

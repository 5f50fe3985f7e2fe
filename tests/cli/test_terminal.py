"""On a terminal: colours, and excerpts as wide as it is; in a pipe or a file: plain text of one width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from pathlib import Path

import pytest

from archloom.compiler.check import check_text
from archloom.compiler.cli import run
from archloom.compiler.cli._printing import show, width_of
from archloom.dsl.render import WIDTH
from archloom.dsl.source import Source

TEXT = f"model M {{\n  in x: float[B, 4]\n  out y = softmx(x + {' + '.join(['x'] * 60)})\n}}\n"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def on_a_terminal(columns: int) -> tuple[str, int]:
    """Return what is printed of the text on a terminal, and how wide lines are taken to be."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(slave, "w") as stream:
        show(check_text(Source("spec.arch", TEXT)).diagnostics, stream)
        width = width_of(stream)
        stream.flush()
        shown = os.read(master, 1 << 16).decode().replace("\r\n", "\n")
    os.close(master)
    return shown, width


@pytest.mark.parametrize(("columns", "width"), [(72, 72), (140, 140), (20, 60)])
def test_a_terminal_gets_colours_and_its_own_width(columns: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    shown, taken = on_a_terminal(columns)
    assert ESCAPE.search(shown) and taken == width
    excerpt = [line for line in ESCAPE.sub("", shown).splitlines() if re.match(r" *\d* \|", line)]
    assert max(map(len, excerpt)) == width and any(line.endswith("…") for line in excerpt)


def test_no_colour_is_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not ESCAPE.search(on_a_terminal(80)[0])


def test_a_pipe_gets_plain_text(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    (tmp_path / "spec.arch").write_text(TEXT)
    assert run(["check", str(tmp_path / "spec.arch")]) == 1
    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert "did you mean `softmax`?" in text and not ESCAPE.search(text)
    assert max(len(line) for line in text.splitlines() if re.match(r" *\d* \|", line)) == WIDTH

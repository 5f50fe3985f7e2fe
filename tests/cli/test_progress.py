"""The spinner: only on a terminal, only for what takes long."""

from __future__ import annotations

import io
import sys
import threading
import time

import pytest

from archloom.compiler.cli._progress import Steps, busy


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place of standard error; not a fixture, since pytest sets standard error anew after those."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def test_long_work_is_shown_with_its_latest_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with busy("building [2]", patience=0.0) as say:
        deadline = time.monotonic() + 5
        while "building [2]" not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        say("filling weights")
        while "filling weights" not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "building [2]" in terminal.getvalue()
    assert "filling weights" in terminal.getvalue()


def test_short_work_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with busy("building"):
        pass
    assert terminal.getvalue() == ""


def test_no_terminal_no_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with busy("building", patience=0.0) as say:
        time.sleep(0.05)
        say("more")
    assert stream.getvalue() == ""


def test_an_error_inside_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch)
    with pytest.raises(ValueError, match="inside"), busy("building", patience=0.0):
        raise ValueError("inside")


def test_a_bar_moves_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, before = open_terminal(monkeypatch), set(threading.enumerate())
    with Steps("building") as steps:
        steps.say("building more")
        for done in (1, 2):
            steps.count("timing [M]", done, 3)
            assert f"{done}/3" in terminal.getvalue() and "timing [M]" in terminal.getvalue()
            assert set(threading.enumerate()) <= before
        steps.say("looking")


def test_no_terminal_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Steps("building") as steps:
        steps.count("timing", 1, 3)
    assert stream.getvalue() == ""

"""A sign of life on the terminal for whatever takes over a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Thread
from typing import Any, Self

PATIENCE = 1.0


@contextmanager
def busy(text: str, patience: float = PATIENCE) -> Generator[Callable[[str], None]]:
    """Show `text` with a spinner on standard error while the block runs longer than `patience` seconds.

    Gives a function that changes the text.  Nothing is shown where standard error is no terminal, and rich is
    imported only when there is something to show.
    """
    said = [text]

    def say(new: str) -> None:
        said[0] = new

    if not sys.stderr.isatty():
        yield say
        return
    done = Event()
    thread = Thread(target=_spin, args=(said, done, patience), daemon=True)
    thread.start()
    try:
        yield say
    finally:
        done.set()
        thread.join()


def _spin(said: list[str], done: Event, patience: float) -> None:
    if done.wait(patience):
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(said[0])) as status:
        while not done.wait(0.1):
            status.update(Text(said[0]))


class Steps:
    """Shows what is done: long steps by `busy`, counted ones by a bar that moves when it is told to, so that nothing runs beside what is timed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._busy: AbstractContextManager[Callable[[str], None]] | None = None
        self._say: Callable[[str], None] | None = None
        self._bar: Any = None

    def __enter__(self) -> Self:
        self.say(self._text)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def say(self, text: str) -> None:
        """Tell which step it is now."""
        if self._say is None:
            self._stop()
            self._busy = busy(text)
            self._say = self._busy.__enter__()
        self._say(text)

    def count(self, text: str, done: int, total: int) -> None:
        """Tell how many of equal steps are done."""
        if self._bar is None:
            self._stop()
            if not sys.stderr.isatty():
                return
            self._bar = _bar(text, total)
        self._bar.update(self._bar.task_ids[0], completed=done, refresh=True)

    def _stop(self) -> None:
        if self._busy is not None:
            self._busy.__exit__(None, None, None)
        if self._bar is not None:
            self._bar.stop()
        self._busy = self._say = self._bar = None


def _bar(text: str, total: int) -> Any:
    """Return a bar that a reader sees and no thread moves; it is gone when it stops."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
    bar.add_task(text, total=total)
    bar.start()
    return bar

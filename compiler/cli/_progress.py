"""A sign of life on the terminal for whatever takes over a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Thread

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

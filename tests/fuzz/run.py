"""Fuzzes the command line: `python -m archloom.tests.fuzz.run SECONDS [SEED]`.

Every case runs in a child process that is killed where it takes too long or too much memory.  What a case must not do: raise, hang, take more
than `MOST_MEMORY`, exit with a code other than 0, 1 and 2, or print a character that a terminal would act on.  Exits with 1 where one did; its
seed makes the same case again: `run 0 SEED`.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from archloom.compiler.cli import run as command_line
from archloom.dsl.record import record
from archloom.dsl.source import HIDDEN

from .audits import audited
from .cases import KINDS, corpus, loaded
from .grammar import texts

MOST_SECONDS = 60
MOST_MEMORY = 2 << 30
BATCH = 200
ADDRESSES = 16 << 30  # what a child may map at all: torch alone maps several


@record
class Fault:
    """A seed whose case did what none may do."""

    seed: int
    words: str
    what: str


def case(seed: int, folder: Path, torch: bool) -> list[str]:
    """Make the files of a seed in a folder and return its command line."""
    chance = random.Random(seed)
    kinds = (*KINDS, loaded, audited) if torch else KINDS
    return kinds[seed % len(kinds)](chance, folder)


def judged(words: Sequence[str]) -> str | None:
    """Run a command line in this process; return what it did that none may do."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2))
    os.environ["ARCHLOOM_TRACEBACK"] = "1"
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(b"model M { in x: float[B]; out y = x }"))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command_line(words)
    except BaseException:  # noqa: BLE001 - whatever comes out is a fault
        return traceback.format_exc(limit=-6)
    finally:
        sys.stdin = stdin
    shown = ""
    for stream in (out, err):
        stream.flush()
        shown += stream.buffer.getvalue().decode()
    hidden = HIDDEN.search(shown)
    if hidden:
        return f"prints U+{ord(hidden[0]):04X} raw: {shown[max(0, hidden.start() - 80) : hidden.end() + 20]!a}"
    return None if code in (0, 1, 2) else f"exits with {code}"


def one(seed: int, torch: bool = False) -> str | None:
    """Make and run the case of a seed in this process; return what it did that none may do."""
    with tempfile.TemporaryDirectory() as folder:
        return judged(case(seed, Path(folder), torch))


def beside(words: Sequence[str], folder: Path) -> str | None:
    """Run an audit in its folder; return what it did that none may do, a change of the folder's files too."""
    os.chdir(folder)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    found = judged(words)
    after = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    return found or ("changes files" if after != before else None)


def _child(seeds: Sequence[int], torch: bool, say: Callable[[str], object]) -> None:
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            words = case(seed, Path(folder), torch)
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here: a fork inherits that of its parent
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            say(f"begin\t{seed}\t{words!a}")
            found = judged(words) if words[0] != "audit" else beside(words, Path(folder))
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
            if found is None and grown > MOST_MEMORY:
                found = f"takes {grown >> 20:,} MiB"
            if found is not None:
                say(f"fault\t{seed}\t{words!a}\t{found!a}")
        if words[0] == "audit":
            return  # what its module did to the process is there to stay


def batch(seeds: Sequence[int], torch: bool) -> Iterator[Fault | int]:
    """Run cases in a child process; yield each fault, and the last seed that was begun."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        _child(seeds, torch, lambda line: os.write(writing, line.encode() + b"\n"))
        os._exit(0)
    os.close(writing)
    rest, last, words = b"", seeds[0], ""
    while True:
        ready, _, _ = select.select([reading], [], [], MOST_SECONDS)
        data = os.read(reading, 1 << 16) if ready else b""
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            kind, seed, words, *found = line.decode().split("\t")
            last = int(seed)
            if kind == "fault":
                yield Fault(last, words, found[0])
    if not ready:
        os.kill(child, signal.SIGKILL)
        yield Fault(last, words, f"takes more than {MOST_SECONDS} s")
    os.close(reading)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ready and status:
        yield Fault(last, words, f"ends the process with {status}")
    yield last


def main(seconds: float, seed: int | None, torch: bool = True) -> int:
    """Run for some seconds, or one seed where there are none; print the faults and return how many there were."""
    if torch:
        __import__("torch")
        __import__("archloom.compiler.runtime.compiling")
        __import__("archloom.compiler.golden.verify")
        __import__("archloom.compiler.audit.run")
    corpus()
    texts()
    first = int(time.time()) % 10**8 * 100 if seed is None else seed
    start, following, faults = time.monotonic(), first, 0
    while True:
        for found in batch(range(following, following + (BATCH if seconds else 1)), torch):
            if isinstance(found, Fault):
                faults += 1
                print(f"seed {found.seed}: {found.words[:400]}\n  {found.what[:3000]}".replace("\\n", "\n"), flush=True)
            else:
                following = found + 1
        if time.monotonic() - start >= seconds:
            break
    print(f"{following - first} cases in {time.monotonic() - start:.0f} s from seed {first}: {faults or 'no'} faults")
    return faults


if __name__ == "__main__":
    sys.exit(bool(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)))

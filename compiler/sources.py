"""Reading `.arch` files from disk: every way in which a file can be unreadable is a diagnostic."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from ..dsl.diagnostics import Diagnostic, closest
from ..dsl.limits import DEFAULT, Limits
from ..dsl.record import record
from ..dsl.source import Source, Span

SUFFIX = ".arch"


def read_source(path: str | os.PathLike[str], limits: Limits = DEFAULT) -> Source | Diagnostic:
    """Read one file as text, or say why it can't be; a near name in the folder is suggested for one that is missing."""
    from ..dsl import parser

    found = parser.read_source(path, limits)
    if isinstance(found, Diagnostic) and "\0" not in str(path) and not os.path.exists(path):
        return replace(found, help=_near(Path(path)) or found.help)
    return found


def read_stream(stream: BinaryIO, name: str, limits: Limits = DEFAULT) -> Source | Diagnostic:
    """Read a text from standard input, no more of it than the limit."""
    from ..dsl import parser

    data = stream.read(limits.bytes + 1)
    if len(data) > limits.bytes:
        return parser.too_large(_start(name), limits)
    try:
        return Source(name, data.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        return Diagnostic("A802", f"`{name}` isn't text: byte {error.start} is no UTF-8", _start(name), help="give `.arch` text in UTF-8")


@record
class Project:
    """Reads the files beside a file; no link leads out of the folder of the first one, but into the other `folders`."""

    root: Path
    folders: tuple[Path, ...] = ()
    limits: Limits = DEFAULT

    @staticmethod
    def of(source: Source, folders: Sequence[str | os.PathLike[str]] = (), limits: Limits = DEFAULT) -> Project:
        """Return the project of a file: its folder, for a text the folder that we are in."""
        return Project(Path(source.name).parent, tuple(map(Path, folders)), limits)

    def __call__(self, source: Source, module: tuple[str, ...]) -> Source | Diagnostic | None:
        """Read the file that `import .a.b.Thing` in `source` means, `a/b.arch` beside it, or say why not; None if there is none."""
        path = Path(source.name).parent.joinpath(*module[:-1], module[-1] + SUFFIX)
        if not os.path.lexists(path):
            return None
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(os.path.realpath(folder)) for folder in (self.root, *self.folders)):
            help = f"copy the file here, or say that imports may lead there: `--folder {real.parent}`"
            return Diagnostic("A818", f"`{path}` leads out of the project's folder, to `{real}`", _start(str(path)), help=help)
        return read_source(path, self.limits)


def beside(source: Source, module: tuple[str, ...]) -> Source | Diagnostic | None:
    """Read a file that `source` imports; see `Project`."""
    return Project.of(source)(source, module)


def find_files(paths: Sequence[str]) -> Iterator[str | Diagnostic]:
    """Yield the files that the paths name, each once: a folder stands for every `.arch` file below it, `-` for itself."""
    seen: set[str] = set()
    for path in paths:
        for file in _below(path) if path != "-" and os.path.isdir(path) else [path]:
            if isinstance(file, Diagnostic):
                yield file
            elif (key := os.path.realpath(file)) not in seen:
                seen.add(key)
                yield file


def _below(folder: str) -> list[str | Diagnostic]:
    files = sorted(str(path) for path in Path(folder).rglob(f"*{SUFFIX}") if path.is_file() and not _hidden(path, folder))
    return [*files] or [Diagnostic("A800", f"there is no `{SUFFIX}` file in `{folder}`", _start(folder), help="give the path of an `.arch` file")]


def _hidden(path: Path, folder: str) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _near(path: Path) -> str | None:
    try:
        near = closest(path.name, (other.name for other in path.parent.iterdir() if other.suffix == SUFFIX))
    except OSError:
        return None
    return f"did you mean `{path.with_name(near)}`?" if near else None


def _start(name: str) -> Span:
    return Span(Source(name, ""), 0, 0)

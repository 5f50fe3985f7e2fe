"""Reading `.arch` files from disk: every way in which a file can be unreadable is a diagnostic."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..dsl.diagnostics import Diagnostic, closest
from ..dsl.source import Source, Span

SUFFIX = ".arch"
MAX_BYTES = 4 * 1024 * 1024
"""A longer text is refused before it is read whole."""


def read_source(path: str | os.PathLike[str], name: str | None = None) -> Source | Diagnostic:
    """Read one file as UTF-8 text, or say why it can't be."""
    shown = name or os.fspath(path)
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            return _unreadable(shown, "is a folder", "name a file in it")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _unreadable(shown, "does not exist", _near(path))
    except (OSError, ValueError) as error:
        return _unreadable(shown, f"can't be read: {getattr(error, 'strerror', None) or error}", None)
    return decode(data, shown)


def decode(data: bytes, name: str) -> Source | Diagnostic:
    """Turn the bytes of a file into a source; line ends become `\\n` and a byte-order mark is dropped."""
    if len(data) > MAX_BYTES:
        message = f"`{name}` is longer than {MAX_BYTES // 2**20} MiB"
        return Diagnostic("A807", message, _start(name), help="cut the file into several and `import` them")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = data[error.start]
        return Diagnostic("A805", f"`{name}` is not UTF-8 text: byte 0x{byte:02x} at offset {error.start}", _start(name), help="save it as UTF-8")
    if "\0" in text:
        return Diagnostic("A805", f"`{name}` is not text: it holds a zero byte", _start(name), help="name an `.arch` file")
    return Source(name, text.replace("\r\n", "\n").replace("\r", "\n"))


def beside(source: Source, module: tuple[str, ...]) -> Source | None:
    """Read the file that `import .a.b.Thing` in `source` means, `a/b.arch` beside it; None if there is none."""
    path = Path(source.name).parent.joinpath(*module[:-1], module[-1] + SUFFIX)
    found = read_source(path)
    return found if isinstance(found, Source) else None


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
    return [*files] or [_unreadable(folder, f"holds no `{SUFFIX}` file", None)]


def _hidden(path: Path, folder: str) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _near(path: str | os.PathLike[str]) -> str | None:
    wanted = Path(path)
    try:
        near = closest(wanted.name, (other.name for other in wanted.parent.iterdir() if other.suffix == SUFFIX))
    except OSError:
        return None
    return f"did you mean `{wanted.with_name(near)}`?" if near else None


def _unreadable(name: str, why: str, help: str | None) -> Diagnostic:
    return Diagnostic("A801", f"`{name}` {why}", _start(name), help=help)


def _start(name: str) -> Span:
    return Span(Source(name, ""), 0, 0)

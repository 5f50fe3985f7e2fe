"""Safetensors on disk: one file, a folder of them, or shards with an index; checked by their headers before anything is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.pickles import is_pickle, refusal
from ...dsl.record import record
from ...dsl.source import Source, Span, is_plain

SUFFIX = ".safetensors"
INDEX = ".safetensors.index.json"
LONGEST_HEADER = 100_000_000
WIDTHS = {"F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
"""Bytes of one number by the format's name; those not listed take one."""


@record
class Stored:
    """One tensor of a file, as its header describes it."""

    name: str
    file: Path
    shape: tuple[int, ...]


class Checkpoint:
    """Every tensor that a path offers, by name; values are read when they are asked for."""

    def __init__(self, path: str | PathLike[str], span: Span | None = None) -> None:
        """Read the headers; raises Failure for what isn't whole safetensors."""
        self.path = Path(path)
        self.span = span or Span(Source(str(path), ""), 0, 0)
        self.stored: dict[str, Stored] = {}
        self._opened: dict[Path, Any] = {}
        self.files = self._files()
        for file in self.files:
            for stored in self._header(file):
                if stored.name in self.stored:
                    raise self.failure("A655", f"`{stored.name}` is in `{self.stored[stored.name].file}` and in `{file}`", "name one of the files")
                self.stored[stored.name] = stored

    @property
    def name(self) -> str:
        """The path, for messages."""
        return str(self.path)

    def covered(self, names: Iterable[str]) -> set[str]:
        """Return the names: a file has each tensor once."""
        return set(names)

    def read(self, name: str) -> Tensor:
        """Return a tensor's values on the CPU."""
        stored = self.stored[name]
        try:
            if stored.file not in self._opened:
                opener: Any = safe_open
                self._opened[stored.file] = opener(stored.file, framework="pt", device="cpu")
            return cast("Tensor", self._opened[stored.file].get_tensor(name))
        except SafetensorError as error:
            raise self.failure("A652", f"`{stored.file}` can't be read: {error}", "fetch it again") from error

    def failure(self, code: str, message: str, help: str | None) -> Failure:
        """Return the error to raise."""
        return Failure((Diagnostic(code, message, self.span, help=help),))

    # ------------------------------------------------------------------------------------------------------ files

    def _files(self) -> list[Path]:
        path = self.path
        if path.is_dir():
            return self._in_folder(path)
        if not is_plain(str(path)):
            raise self.failure("A650", f"the name `{path}` holds a character that isn't shown", "rename it")
        if path.exists() and not path.is_file():
            raise self.failure("A650", f"`{path}` is a pipe, socket or device, not a file", "name a .safetensors file, or a folder of them")
        if not path.exists():
            raise self.failure("A650", f"there is nothing at `{path}`", "name a .safetensors file, or a folder of them")
        if path.name.endswith(INDEX):
            return self._indexed(path)
        if is_pickle(path.name) or _holds_pickle(path):
            raise self._pickled(path)
        return [path]

    def _in_folder(self, folder: Path) -> list[Path]:
        indices = sorted(folder.glob(f"*{INDEX}"))
        if len(indices) == 1:
            return self._indexed(indices[0])
        found = sorted(file for file in folder.glob(f"*{SUFFIX}") if file.is_file())
        if found:
            return found
        pickles = sorted(file for file in folder.iterdir() if is_pickle(file.name))
        if pickles:
            raise self._pickled(pickles[0])
        raise self.failure("A650", f"`{folder}` holds no {SUFFIX} file", "name a .safetensors file, or a folder of them")

    def _indexed(self, index: Path) -> list[Path]:
        try:
            if index.stat().st_size > LONGEST_HEADER:
                raise ValueError(f"it is longer than {LONGEST_HEADER:,} bytes")
            content: Any = json.loads(index.read_bytes())
            names = sorted({str(name) for name in content["weight_map"].values()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self.failure("A652", f"`{index}` is no index of safetensors shards: {error}", "fetch it again") from error
        files = [index.parent / name for name in names]
        outside = [file for file in files if file.parent.resolve() != index.parent.resolve()]
        if outside:
            raise self.failure("A652", f"`{index}` names the file `{outside[0].name}` outside its folder", None)
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise self.failure("A650", f"`{index}` names {', '.join(f'`{name}`' for name in missing)}, which isn't there", "fetch the missing shards")
        return files

    def _pickled(self, file: Path) -> Failure:
        return Failure((refusal(str(file), self.span),))

    def _header(self, file: Path) -> Iterator[Stored]:
        """Yield what a file holds, after comparing the header with the file's length."""
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if size < 8 or not 2 <= length <= LONGEST_HEADER or 8 + length > size:
                raise self._broken(file, "its header is cut short or isn't one")
            text = opened.read(length)
        try:
            header: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._broken(file, "its header isn't JSON") from error
        if not isinstance(header, dict):
            raise self._broken(file, "its header isn't a table of tensors")
        entries = cast("Mapping[str, Any]", header)
        hidden = next((name for name in entries if not is_plain(name)), None)
        if hidden is not None:
            raise self._broken(file, f"the name {hidden!a} holds a character that isn't shown")
        rows = [self._row(file, name, entry) for name, entry in entries.items() if name != "__metadata__"]
        end = max((last for _, last in rows), default=0)
        if 8 + length + end != size:
            raise self._broken(file, f"its header speaks of {8 + length + end:,} bytes and it has {size:,}")
        yield from (stored for stored, _ in rows)

    def _row(self, file: Path, name: str, entry: Any) -> tuple[Stored, int]:
        try:
            shape, (first, last) = tuple(map(_whole, entry["shape"])), map(_whole, entry["data_offsets"])
            numbers = 1
            for extent in shape:
                numbers *= extent
            if last - first != numbers * WIDTHS.get(entry["dtype"], 1):
                raise ValueError(f"its {last - first} bytes don't hold {list(shape)} of {entry['dtype']}")
        except (KeyError, TypeError, ValueError) as error:
            raise self._broken(file, f"the entry of `{name}` is wrong ({error})") from error
        return Stored(name, file, shape), last

    def _broken(self, file: Path, why: str) -> Failure:
        return self.failure("A652", f"`{file}` isn't whole safetensors: {why}", "fetch or save it again")


def _whole(number: Any) -> int:
    """Return a size or an offset of a header, which is a whole number of 64 bits."""
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 63:
        raise ValueError(f"{str(number)[:40]} is no size")
    return number


def _holds_pickle(path: Path) -> bool:
    """Tell a pickle, or torch's zip of one, by its first bytes; the length that safetensors begin with may look like either."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] != b"{" and (start[:2] == b"PK" or (start[:1] == b"\x80" and len(start) > 1 and start[1] <= 5))


def empty(shape: tuple[int, ...]) -> Tensor:
    """Return a tensor on the meta device, to follow shapes through steps without reading anything."""
    return torch.empty(shape, device="meta")

"""Values for a model's inputs, from what a person can write after `--input name=`.

| written | is |
| --- | --- |
| `cat.png` for an input `as picture(...)` | the picture, resized where the declared size is a number, scaled to 0..1, less `mean`, by `std` |
| any text for an input `as tokens(...)` | its tokens: bytes, or those of the `--tokenizer` file; `@lines.txt` is a row for each line |
| `mask(ids)` | which places of the token input `ids` hold a token and not padding |
| `file.npy`, `file.safetensors`, `file.safetensors:name` | the array in it |
| `3`, `true`, `[[1, 2], [3, 4]]` | the number or array; one number fills a shape whose sizes the other inputs tell |

A picture or text that is given several times makes a batch, a row each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...dsl.dims import Dim, Symbol
from ...dsl.program import InputDecl
from ...dsl.types import DType, extent

Array = np.ndarray[Any, Any]
BYTES = 256
WHOLE: dict[DType, Any] = {DType.INT: np.int64, DType.INT32: np.int32, DType.INT8: np.int8}


class InputError(click.ClickException):
    """An input that can't be made from what was written."""

    def __init__(self, name: str, message: str, help: str | None = None) -> None:
        super().__init__(f"input `{name}`: {message}" + (f"\n  = help: {help}" if help else ""))


class Reader:
    """Makes arrays of the values of one command line, and says what it did to them in `notes`."""

    def __init__(self, declared: Mapping[str, InputDecl], sizes: Mapping[str, int], tokenizer: str | None) -> None:
        self.declared = declared
        self.tokenizer = tokenizer
        self.notes: list[str] = []
        self._sizes = dict(sizes)
        self._masks: dict[str, Array] = {}

    def read(self, written: Mapping[str, Sequence[str]]) -> dict[str, Array]:
        """Return an array for each input that is given; those that lean on others are made after them."""
        arrays: dict[str, Array] = {}
        later: list[str] = []
        for name, texts in written.items():
            if _leans(self.declared[name], texts):
                later.append(name)
                continue
            arrays[name] = self._typed(name, self._value(self.declared[name], texts))
            self._learn(self.declared[name], arrays[name])
        for name in later:
            arrays[name] = self._typed(name, self._leaning(self.declared[name], written[name][0].strip()))
        return {name: arrays[name] for name in written}

    def _value(self, declared: InputDecl, texts: Sequence[str]) -> Array:
        role = declared.role.name if declared.role is not None else None
        file = Path(texts[0])
        if len(texts) == 1 and re.search(r"\.(npy|safetensors)(:[^/\\]+)?$", texts[0]):
            return self._array_file(declared.key, texts[0])
        if role == "picture":
            return np.stack([self._picture(declared, text) for text in texts])
        if role == "tokens" and not (len(texts) == 1 and texts[0].lstrip().startswith("[[")):
            return self._tokens(declared, texts)
        if len(texts) > 1:
            raise InputError(declared.key, "is given more than once", "only pictures and text make a batch that way; write one array")
        if file.suffix in (".png", ".jpg", ".jpeg") and file.exists():
            raise InputError(declared.key, f"`{file}` is a picture, and the input doesn't say how to read one", "declare it `as picture(...)`")
        return _literal(declared.key, texts[0])

    # ------------------------------------------------------------------------------------------------ one kind each

    def _array_file(self, name: str, text: str) -> Array:
        path, _, entry = text.partition(".safetensors:")
        if entry or text.endswith(".safetensors"):
            return _safetensors(name, path + ".safetensors" if entry else text, entry)
        try:
            with open(text, "rb") as file:
                return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        except OSError as error:
            raise InputError(name, f"`{text}` can't be read: {error.strerror}") from None
        except (ValueError, EOFError) as error:
            raise InputError(name, f"`{text}` is no array of numbers: {error}") from None

    def _picture(self, declared: InputDecl, path: str) -> Array:
        image_module = _needs("PIL.Image", "pillow", declared.key)
        channels, height, width = _picture_shape(declared)
        try:
            with image_module.open(path) as opened:
                image = opened.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
        except FileNotFoundError:
            raise InputError(declared.key, f"there is no file `{path}`") from None
        except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
            raise InputError(declared.key, f"`{path}` is not a picture that can be read: {error}") from None
        wanted = (width or image.width, height or image.height)
        if wanted != image.size:
            self.notes.append(f"{declared.key}: {path} resized from {image.width} x {image.height} to {wanted[0]} x {wanted[1]}")
            image = image.resize(wanted, image_module.Resampling.BICUBIC)
        pixels = np.asarray(image, dtype=np.float32).reshape(wanted[1], wanted[0], channels).transpose(2, 0, 1) / 255
        return (pixels - _per_channel(declared, "mean", 0.0, channels)) / _per_channel(declared, "std", 1.0, channels)

    def _tokens(self, declared: InputDecl, texts: Sequence[str]) -> Array:
        lines = [line for text in texts for line in _lines(declared.key, text)]
        vocabulary = next((value for value in (declared.role.arguments.values() if declared.role else ()) if isinstance(value, int)), None)
        rows = self._by_file(declared.key, lines) if self.tokenizer else [list(line.encode()) for line in lines]
        if not self.tokenizer:
            self.notes.append(f"{declared.key}: text as bytes (no --tokenizer)")
            if vocabulary is not None and vocabulary < BYTES:
                raise InputError(declared.key, f"a vocabulary of {vocabulary} can't hold bytes", "give a file with --tokenizer")
        largest = max((token for row in rows for token in row), default=0)
        if vocabulary is not None and largest >= vocabulary:
            raise InputError(declared.key, f"token {largest} is outside of the vocabulary of {vocabulary}", "the tokenizer is another model's")
        length = max(1, *(len(row) for row in rows))
        self._masks[declared.key] = np.array([[True] * len(row) + [False] * (length - len(row)) for row in rows])
        return np.array([row + [self._padding] * (length - len(row)) for row in rows], dtype=np.int64)

    _padding = 0

    def _by_file(self, name: str, lines: Sequence[str]) -> list[list[int]]:
        module = _needs("tokenizers", "tokenizers", name)
        try:
            tokenizer = module.Tokenizer.from_str(Path(str(self.tokenizer)).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(name, f"`{self.tokenizer}` can't be read: {error.strerror}") from None
        except Exception as error:  # noqa: BLE001 - the library raises no narrower one
            raise InputError(name, f"`{self.tokenizer}` is no tokenizers file: {error}") from None
        if tokenizer.padding:
            self._padding = int(tokenizer.padding["pad_id"])
        tokenizer.no_padding()
        return [list(encoding.ids) for encoding in tokenizer.encode_batch(list(lines))]

    def _leaning(self, declared: InputDecl, text: str) -> Array:
        asked = re.fullmatch(r"mask\(([\w.]+)\)", text)
        if asked is None:
            return np.full(self._shape(declared), _literal(declared.key, text))
        if asked[1] not in self._masks:
            known = ", ".join(f"`{name}`" for name in self._masks) or "none is"
            raise InputError(declared.key, f"`{asked[1]}` is not given as text", f"given as text: {known}")
        return self._masks[asked[1]]

    # ------------------------------------------------------------------------------------------------- sizes, types

    def _learn(self, declared: InputDecl, array: Array) -> None:
        for axis, size in zip(declared.type.shape, array.shape, strict=False):
            if isinstance(axis, Dim) and axis.symbol is not None:
                self._sizes.setdefault(axis.symbol.name, size)

    def _shape(self, declared: InputDecl) -> tuple[int, ...]:
        shape: list[int] = []
        for axis in map(extent, declared.type.shape):
            symbols: tuple[Symbol, ...] = axis.symbols() if isinstance(axis, Dim) else ()
            missing = [symbol.name for symbol in symbols if symbol.name not in self._sizes]
            if missing:
                raise InputError(declared.key, f"nothing tells the size {missing[0]}", f"give it: --size {missing[0]}=...")
            shape.append(int(axis.value({symbol: self._sizes[symbol.name] for symbol in symbols})) if isinstance(axis, Dim) else axis)
        return tuple(shape)

    def _typed(self, name: str, array: Array) -> Array:
        """Return the array in the declared type, where no number changes by that."""
        wanted = self.declared[name].type.dtype
        if array.dtype.kind not in "biuf":
            raise InputError(name, f"an array of {array.dtype} holds no numbers")
        if wanted is DType.BOOL:
            if not np.isin(array, (0, 1)).all():
                raise InputError(name, "is `bool`, and there are other values than 0 and 1")
            return array.astype(np.bool_)
        if wanted in WHOLE:
            if array.dtype.kind == "f" and not np.array_equal(array, np.round(array)):
                raise InputError(name, f"is `{wanted}`, and there are fractions in it")
            found = array.astype(WHOLE[wanted])
            if not np.array_equal(found, array):
                raise InputError(name, f"is `{wanted}`, and there are numbers in it that this can't hold")
            return found
        return array.astype(np.float64 if wanted is DType.FLOAT64 else np.float32)


def _leans(declared: InputDecl, texts: Sequence[str]) -> bool:
    """Tell whether a value needs the others first: a mask, or one number for a whole shape."""
    if len(texts) != 1 or (declared.role is not None and declared.role.name in ("picture", "tokens")):
        return False
    text = texts[0].strip()
    return text.startswith("mask(") or (declared.type.rank > 0 and re.fullmatch(r"true|false|[-+.\deE]+", text) is not None)


def _literal(name: str, text: str) -> Array:
    try:
        return np.array(json.loads(text))
    except (ValueError, RecursionError):
        advice = "write a number, `true`, an array `[[1, 2], [3, 4]]`, or a .npy or .safetensors file"
        raise InputError(name, f"`{text[:60]}` is no value", advice) from None


def _safetensors(name: str, path: str, entry: str) -> Array:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(Path(path).read_bytes())
    except FileNotFoundError:
        raise InputError(name, f"there is no file `{path}`") from None
    except (OSError, SafetensorError) as error:
        raise InputError(name, f"`{path}` is no safetensors file: {error}") from None
    wanted = entry or (next(iter(arrays)) if len(arrays) == 1 else name)
    if wanted not in arrays:
        raise InputError(name, f"there is no tensor `{wanted}` in `{path}`", f"it holds {', '.join(sorted(arrays)[:8])}; write {path}:NAME")
    return arrays[wanted]


def _lines(name: str, text: str) -> list[str]:
    if not text.startswith("@"):
        return [text]
    try:
        return Path(text[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(name, f"`{text[1:]}` can't be read as text: {error}") from None


def _picture_shape(declared: InputDecl) -> tuple[int, int | None, int | None]:
    """Return channels, height and width of a picture input; None for a size that is open."""
    shape = [extent(axis) for axis in declared.type.shape]
    if len(shape) != 4 or shape[1] not in (1, 3, 4):
        raise InputError(declared.key, f"`{declared.type}` is no batch of pictures", "a picture is `float[B, 3, H, W]` (or 1 or 4 channels)")
    channels, height, width = (size if isinstance(size, int) else None for size in shape[1:])
    return channels or 3, height, width


def _per_channel(declared: InputDecl, key: str, default: float, channels: int) -> Array:
    value = declared.role.arguments.get(key, default) if declared.role is not None else default
    numbers = np.asarray(value, dtype=np.float32).reshape(-1)
    if numbers.size not in (1, channels):
        raise InputError(declared.key, f"`{key}` has {numbers.size} numbers for {channels} channels")
    return numbers.reshape(-1, 1, 1)


def _needs(module: str, package: str, name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise InputError(name, f"needs {package}, which is not installed", 'pip install "archloom[run]"') from None

"""One random case for each seed: files, and a command line that reads them."""

from __future__ import annotations

import json
import os
import random
import string
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import archloom

from .grammar import NUMBERS, texts

ROOT = Path(archloom.__file__).parent
PIECES = [
    *"{}[]()=:;,.\n\t\"'#*&|@~<>_-\\", "**", "..", "...", "<-", "->", " in ", " for ", " if ", " else ", " repeat ", '"""',
    "import .a.B\n", "none", "true", "\x00", "\x1b[2J", "\u202e", "\r", "é", "\U0001f600",
    "0", "-1", "1e999", "9" * 5000, "0..100_000", " ** 999999", " // 0", " % 0", "S * ",
    "(S + B) ** 16", "**.**.", "{a, b}.",
]  # fmt: skip
"""What is put into texts."""

OPTIONS = [
    ["--json"], ["--check"], ["--entries"], ["--zzz"], ["-h"], ["-"], ["--preset", "x"], ["--preset", ""], ["--model", "M"],
    ["--model", "\x1b[2J"],
    ["--param", "dim=0"], ["--param", "dim=9**9**9"], ["--param", "="], ["--param", "x=[[["], ["--limit", "steps=50"], ["--limit", "operations=3"],
    ["--limit", "x=1"], ["--limit", "nesting=4"], ["--task", "a"], ["--task", "\udcff"], ["--stage", "a"], ["--width", "0"], ["--depth", "1"],
    ["--top", "3"],
    ["--size", "B=2"], ["--size", "B=99999999999999999999999"], ["--theme", "dark"], ["--folder", "/"], ["--extern", "os:system"],
]  # fmt: skip
"""What is put behind commands, whether they take it or not."""


@cache
def corpus() -> list[str]:
    """Return texts to change: the library and the examples."""
    files = sorted((ROOT / "blocks").glob("*.arch")) + sorted((ROOT / "examples").rglob("*.arch"))
    return [text for file in files if len(text := file.read_text("utf-8")) < 12_000]


def mutated(text: str, chance: random.Random) -> str:
    """Return a text with a few changes: pieces put in, cut out, moved, numbers made hostile, lines repeated."""
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.choice((0, 1, 4, 30, 200)))
        way = chance.choice((0, 1, 2, 3, 4, 4, 4, 5, 5, 5))
        if way == 0:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif way == 1:
            text = text[:at] + text[end:]
        elif way == 2:
            text = text[:at] + text[at:end] * chance.choice((2, 3, 50)) + text[end:]
        elif way == 3:
            other = chance.randrange(len(text) + 1)
            text = text[:other] + text[at:end] + text[other:]
        elif way == 4:
            numbers = [i for i, char in enumerate(text) if char.isdigit()] or [0]
            place = chance.choice(numbers)
            text = text[:place] + chance.choice([*NUMBERS, "-3", "0..9", "S"]) + text[place + 1 :]
        else:
            words = text.split(" ")
            words[chance.randrange(len(words))] = chance.choice(words)
            text = " ".join(words)
    return text


def _file(folder: Path, text: str) -> str:
    path = folder / "a.arch"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return str(path)


HEAD = """block Own(dim: int, n: int = 2) { in x: float[B, dim]; f = Linear(dim, dim); out y = f(x) * n }
fn twist(x: float[B, D]) { out y = x * 2.0 }
model M(dim: int = 4, words: list[int] = [1, 2], table: map[tasks, int] = {a: 1, b: 2}) {
  index tasks = {a, b}
  index s = 0..3
  in x: float[B, 4]
  in q: float[B, S, 4]
  in ids: int[B, S]
  n, h, k = 3, relu(x), S + 1
  f = Own(4)
  for t in tasks { g = Linear(4, 4); z = g(x) }
"""


def derived(chance: random.Random, folder: Path) -> list[str]:
    """A text of the grammar: a whole one, or statements and expressions in a model that binds most of their names."""
    way = chance.randrange(4)
    if way == 0:
        return _asked(chance, _file(folder, texts().text(chance, "file", chance.choice((12, 20, 30, 60)))))
    lines = list[str]()
    for i in range(chance.randrange(1, 4)):
        words = texts().text(chance, "_statement" if way == 1 else "expr", chance.choice((6, 9, 12, 20)))
        lines.append(words if way == 1 else f"v{i} = {words}")
    return _asked(chance, _file(folder, HEAD + "\n".join(lines) + "\nout y = f(x)\n}"))


def changed(chance: random.Random, folder: Path) -> list[str]:
    """A file of ours with mistakes in it."""
    return _asked(chance, _file(folder, mutated(chance.choice(corpus()), chance)))


def spoiled(chance: random.Random, folder: Path) -> list[str]:
    """Bytes that were text once."""
    data = bytearray(chance.choice(corpus()).encode())
    for _ in range(chance.randrange(1, 20)):
        data[chance.randrange(len(data))] = chance.randrange(32, 127) if chance.random() < 0.95 else chance.randrange(256)
    path = folder / "a.arch"
    path.write_bytes(bytes(data) if chance.random() < 0.7 else chance.randbytes(chance.randrange(300)))
    return _asked(chance, str(path))


def _asked(chance: random.Random, path: str) -> list[str]:
    return [chance.choice(("check", "check", "fmt", "summary", "draw", "emit")), path, *(chance.choice(OPTIONS) if chance.random() < 0.15 else [])]


def called(chance: random.Random, folder: Path) -> list[str]:
    """A command line of random words over sound files, and files that are none."""
    path = _file(folder, chance.choice(corpus()))
    strange = chance.choice(
        (path, str(folder), str(folder / "none"), "/dev/null", "/dev/zero", "", "\x1b[2J", "a\nb", "\udcff", "-", "a" * 5000, _odd(chance, folder))
    )
    command = chance.choice(("check", "fmt", "summary", "draw", "emit", "explain", "new", "completion", "chek", "visualize", "validate"))
    words = [command, chance.choice((strange, path, "A301", "softmax", "".join(chance.choices(string.printable, k=5))))]
    if command == "new":
        words[1] = str(folder / words[1][-20:]) if "\0" not in words[1] else str(folder)
    for _ in range(chance.randrange(4)):
        words += chance.choice(OPTIONS)
    return words


def _odd(chance: random.Random, folder: Path) -> str:
    path = folder / "odd.arch"
    way = chance.randrange(4)
    if way == 0:
        os.mkfifo(path)
    elif way == 1:
        path.symlink_to("odd.arch")
    elif way == 2:
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 30)
    return str(path)


NET = """model M(dim: int = 4) { in x: float[B, dim]; repeat i in 0..2 carry x { f = Linear(dim, dim); x = f(x) }; out y = x }
weights w for M from "w" { f[i] <- "RULE" }
golden g for M { param dim = config.KEY; in x <- "x"; value y -> "y"; weights w }
"""
RULES = [
    "l.{i}",
    "l.{i + 1}",
    "l.{9 ** 9 ** 9}",
    "{i}.**",
    "**",
    "{",
    "}",
    "{i:>9999999999}",
    "{i!r}",
    "{i.x}",
    "{{i}}",
    "l.{i // 0}",
    "{dim}" * 200,
    "\\n",
    "",
]


def loaded(chance: random.Random, folder: Path) -> list[str]:
    """Weights, reference tensors and a configuration that are broken somewhere."""
    text = NET.replace("RULE", chance.choice(RULES)).replace("KEY", chance.choice(("dim", "a.b", "dim.dim", "x")))
    path = _file(folder, text if chance.random() < 0.8 else mutated(text, chance))
    for name in ("weights", "inputs", "outputs", "grads"):
        (folder / f"{name}.safetensors").write_bytes(_tensors(chance, name))
    values: list[object] = [4, 4, "4", -1, 10**18, 1e999, None, [], {"dim": 4}, "x" * 99999, 0, True]
    (folder / "config.json").write_text(json.dumps({"dim": chance.choice(values), "a": {"b": chance.choice(values)}, "x": chance.choice(values)}))
    if chance.random() < 0.2:
        (folder / "config.json").write_bytes(chance.choice([b"", b"[]", b"[" * 99999, b"\xff", b'{"dim":' * 5000, b'{"dim": ' + b"9" * 6000 + b"}"]))
    if chance.random() < 0.5:
        return ["verify", path, "--against", str(folder)]
    return ["run", path, "--example", "--weights", str(folder / chance.choice(("weights.safetensors", "inputs.safetensors", "config.json", ".")))]


def _tensors(chance: random.Random, name: str) -> bytes:
    shapes = {
        "weights": {f"l.{i}.{p}": [4, 4][: 2 if p == "weight" else 1] for i in (0, 1) for p in ("weight", "bias")},
        "inputs": {"x": [2, 4], "cotangent.y": [2, 4]},
        "outputs": {"y": [2, 4]},
    }
    at, header = 0, dict[str, object]()
    for key, shape in shapes.get(name, {"param.l.0.weight": [4, 4]}).items():
        count = 4 * (shape[0] * shape[1] if len(shape) == 2 else shape[0])
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + count]}
        at += count
    text = json.dumps(header)
    if chance.random() < 0.15:
        text = mutated(text, chance)
    data = text.encode("utf-8", "replace")
    length = len(data) if chance.random() < 0.97 else chance.choice((0, 1, 1 << 40, (1 << 64) - 1, len(data) + 1))
    return struct.pack("<Q", length) + data + bytes(at if chance.random() < 0.97 else chance.randrange(200))


KINDS: tuple[Callable[[random.Random, Path], list[str]], ...] = (derived, changed, spoiled, called)
"""The kinds of cases that need no torch; `loaded` does."""

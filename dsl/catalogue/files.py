"""A8xx, files, imports, limits and extern."""

from __future__ import annotations

from typing import Final

from .entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A800",
        "the file can't be read",
        "There is no file of that path, it is a folder, or its permissions don't let it be read.",
        "archloom check modle.arch",
        "archloom check model.arch",
    ),
    Entry(
        "A801",
        "the file is too large",
        "A spec is text that people read; one of over 1 MiB is a mistake, such as the path of a checkpoint. Nothing of it is parsed.",
        "archloom check model.safetensors",
        'archloom check model.arch   # which says: weights start for M from "model.safetensors"',
    ),
    Entry(
        "A802",
        "the file isn't UTF-8 text",
        "Specs are UTF-8. The message names the first byte that is not.",
        "archloom check photo.jpg",
        "archloom check model.arch",
    ),
    Entry(
        "A803",
        "the file is binary",
        "The text holds a zero byte, which no text does.",
        "archloom check model.bin",
        "archloom check model.arch",
    ),
    Entry(
        "A804",
        "the file is empty",
        "Nothing but blank lines and comments. `archloom new NAME` writes a first spec of fifteen lines.",
        "# nothing yet",
        "model Id { in x: float[B]; out y = x }",
    ),
    Entry(
        "A805",
        "nested too deep",
        "Brackets may stand 200 deep in each other, and an expression's tree may be 250 deep. Beyond that a text is no longer written by a "
        "person, and reading it could exhaust the machine.",
        "model M { out y = f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f( ... two hundred more",
        "model M { half = f(x); out y = g(half) }",
    ),
    Entry(
        "A821",
        "an extern block isn't allowed",
        "A text runs no Python of its own accord: whoever compiles it says which classes it may wrap, by name or by handing them in.",
        'archloom.compile("solver.arch")   # which wraps "package.module:Solver"',
        'archloom.compile("solver.arch", extern={"package.module:Solver"})',
    ),
    Entry(
        "A822",
        "an extern class can't be made",
        "The class of an extern block couldn't be imported, refused its arguments, or made something that is no `nn.Module`.",
        'extern block Lin(a: int) from "torch.nn:Linear" { in x: float[B, a]; out y: float[B, 3] }',
        'extern block Lin(in_features: int, out_features: int) from "torch.nn:Linear" { in x: float[B, in_features]; out y: float[B, out_features] }',
    ),
    Entry(
        "A823",
        "an extern class breaks its signature",
        "The module was run on the meta device at two sets of sizes; its results don't have the shapes and dtypes that the `out` lines declare.",
        'extern block Lin(in_features: int, out_features: int) from "torch.nn:Linear" { in x: float[B, in_features]; out y: float[B, in_features] }',
        'extern block Lin(in_features: int, out_features: int) from "torch.nn:Linear" { in x: float[B, in_features]; out y: float[B, out_features] }',
    ),
)

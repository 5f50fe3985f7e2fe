"""Inputs that a command is given: which there are, and the arrays that stand for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ...dsl.diagnostics import closest
from ...dsl.program import EntryPlan, InputDecl, Program
from . import _options as options

if TYPE_CHECKING:
    from ._inputs import Array


def _texts(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, list[str]]:
    written: dict[str, list[str]] = {}
    for value in values:
        for name, text in options.pairs(ctx, parameter, (value,)).items():
            written.setdefault(name, []).append(text)
    return written


option = click.option(
    "--input", "written", multiple=True, metavar="NAME=VALUE", callback=_texts, help="Give an input, as `archloom run --help` shows."
)
tokenizer = click.option("--tokenizer", type=click.Path(), help="A tokenizers file (tokenizer.json) for text.")


def inputs_of(program: Program, entry: str | None = None) -> dict[str, InputDecl]:
    """Return the inputs that the outputs need, and the targets, or the inputs of an entry; ClickException for one that there isn't."""
    from ..slice import Slicer

    if entry is not None:
        return {d.key: d for d in _entry(program, entry).eval.inputs if not d.is_state}
    reached = {declared.key for declared in Slicer().variant(program.eval, range(len(program.eval.outputs)), False).inputs}
    return {d.key: d for d in program.eval.inputs if not d.is_state and (d.key in reached or d.is_target)}


def _entry(program: Program, name: str) -> EntryPlan:
    if name not in program.entries:
        near = closest(name, program.entries)
        meant = f"; did you mean `{near}`?" if near else f": the entries are {', '.join(program.entries) or 'none'}"
        raise click.ClickException(f"there is no entry `{name}`{meant}")
    return program.entries[name]


def read(
    program: Program, declared: Mapping[str, InputDecl], written: Mapping[str, Sequence[str]], sizes: Mapping[str, int], tokenizer: str | None
) -> dict[str, Array]:
    """Return an array for each input that is given, and say on standard error what was done to it; ClickException for one that can't be."""
    from ..optimize.bypass import targets_gone
    from ..optimize.interface import ONLY_EVALUATES
    from ._inputs import InputError, Reader

    gone = targets_gone(program)
    for name in written:
        if name.partition(".")[0] in gone:
            raise InputError(name, f"it is a target, and this model {ONLY_EVALUATES}")
        if name not in declared:
            near = closest(name, declared)
            raise InputError(name, "there is none of that name", f"did you mean `{near}`?" if near else f"the inputs are {', '.join(declared)}")
    reader = Reader(declared, sizes, tokenizer)
    arrays = reader.read(written)
    for note in reader.notes:
        print(note, file=sys.stderr)
    return arrays


def sizes_of(declared: Mapping[str, InputDecl], values: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes that arrays or tensors tell, by name."""
    found: dict[str, int] = {}
    for key, value in values.items():
        for axis, size in zip(declared[key].type.shape, value.shape, strict=False):
            symbol = getattr(axis, "symbol", None)
            if symbol is not None:
                found.setdefault(symbol.name, size)
    return found

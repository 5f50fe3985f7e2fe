"""`archloom.compile`: from the text of a model, or a file, to an `nn.Module`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal, overload

from ..dsl.diagnostics import Diagnostic, Failure
from ..dsl.limits import DEFAULT, Limits, limits_of
from ..dsl.program import Program
from ..dsl.source import NOWHERE, Source
from .optimize.pipelines import Asked

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .runtime.extern import Allowed
    from .runtime.model import Model
    from .runtime.weights import Weights


def load_program(
    path_or_text: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    preset: str | None = None,
    model: str | None = None,
    limits: Mapping[str, int] | None = None,
    folders: Sequence[str | PathLike[str]] = (),
) -> Program:
    """Return the checked program of a file or text, without torch; raises Failure with everything that is wrong.

    `model` chooses one of several; without it the last model of the file is taken.  `limits` replaces some of what a text may take, by name;
    imports stay in the file's folder, the `folders` and the library.  Raises ValueError for a limit that there isn't.
    """
    from .check import check_text

    allowed = limits_of(limits)
    source = read_text(path_or_text, allowed)
    result = check_text(source, params, preset, model, text=False, limits=allowed, folders=folders)
    if not result.ok:
        raise Failure(result.diagnostics)
    if not result.programs:
        raise Failure((Diagnostic("A811", "there is no model here", NOWHERE, help="a file to compile holds `model NAME { ... }`"),))
    return list(result.programs.values())[-1]


@overload
def compile(
    path_or_text: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    weights: Weights | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    extern: Allowed = None,
    optimize: Asked = "none",
    limits: Mapping[str, int] | None = None,
    folders: Sequence[str | PathLike[str]] = (),
    source: Literal[False] = False,
) -> Model: ...
@overload
def compile(
    path_or_text: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    weights: Weights | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    extern: Allowed = None,
    optimize: Asked = "none",
    limits: Mapping[str, int] | None = None,
    folders: Sequence[str | PathLike[str]] = (),
    source: Literal[True],
) -> nn.Module: ...
def compile(
    path_or_text: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    weights: Weights | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    extern: Allowed = None,
    optimize: Asked = "none",
    limits: Mapping[str, int] | None = None,
    folders: Sequence[str | PathLike[str]] = (),
    source: bool = False,
) -> Model | nn.Module:
    """Return the model of a file or text as an `nn.Module`.

    `params` and `preset` set the model's parameters; `tasks` leaves out what other tasks alone need; `weights` is a safetensors file
    or a folder of them, or a model that the text's weights map reads from, or a list of these, read through the map (a dict of these by
    name for several maps); `extern` names the classes and functions that the text may use, or hands them in by name, or is True;
    `optimize` is a pipeline of passes (`none`, `default`, `inference`, `max`) or a list of passes, `"cse, pack"`: see docs/passes.md;
    `limits` and `folders` are those of `load_program`.  On
    `device="meta"` nothing is allocated, and `materialize` gives the model values later.  With `source` the class is that of the
    file that `archloom emit` writes, plain Python to step through, without checks of its inputs.  Raises Failure for what is wrong in
    the text or in the weights, ValueError for wrong arguments.
    """
    from .runtime.compiling import compile_program

    program = load_program(path_or_text, params, preset, model, limits, folders)
    if source:
        from .emit.run import from_source

        return from_source(program, tasks=tasks, weights=weights, dtype=dtype, device=device, optimize=optimize)
    return compile_program(program, tasks=tasks, weights=weights, dtype=dtype, device=device, extern=extern, optimize=optimize)


def read_text(path_or_text: str | PathLike[str], limits: Limits = DEFAULT) -> Source:
    """Read a file, or take a text: what holds a brace or a line end is a text."""
    from .sources import read_source

    given = fspath(path_or_text)
    if isinstance(path_or_text, str) and ("\n" in given or "{" in given):
        return Source("<text>", given)
    source = read_source(given, limits)
    if isinstance(source, Diagnostic):
        raise Failure((source,))
    return source

"""`archloom run`: a model on inputs from the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ...dsl.program import InputDecl, Program
from . import _given as given
from . import _options as options
from ._printing import table
from ._programs import checked, only
from ._progress import busy
from ._writing import write_whole

if TYPE_CHECKING:
    from ._inputs import Array

SHOWN = 6
"""How many numbers of an output the table shows."""


@click.command("run", short_help="Build a model, run it, and print its outputs by task.")
@options.file
@options.limit
@options.folder
@given.option
@click.option("--example", is_flag=True, help="Fill the inputs that are not given with seeded random values.")
@click.option("--weights", type=click.Path(), help="A folder or file of safetensors, read through the file's weights map.")
@given.tokenizer
@options.tasks
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of random weights, draws and examples.")
@options.extern
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Save the outputs to a safetensors file.")
@options.param
@options.preset
@options.model
@options.size
@options.optimize
def command(path: str, written: Mapping[str, Sequence[str]], output: str | None, **choices: Any) -> None:
    """Run the model of FILE once and print its outputs.

    \b
    --input image=cat.png       a picture, for an input `as picture(...)`
    --input ids="some words"    text, for one `as tokens(...)`: bytes, or --tokenizer; ids=@FILE is a row for each line
    --input mask='mask(ids)'    which places of ids are tokens and not padding
    --input x=a.npy             an array; also a.safetensors, or a.safetensors:NAME
    --input x='[[1, 2]]'        numbers; one number fills the shape

    A picture or text given several times makes a batch.  Without --weights the weights are random.
    """
    program = only(path, checked(path, choices["param"], choices["preset"], choices["model"], tasks=choices["tasks"]))
    declared = given.inputs_of(program)
    arrays = _read(program, declared, written, choices)
    flat = _compute(program, declared, arrays, choices)
    print(table([["task", "output", "type", "values"], *(_row(program, key, value) for key, value in flat)]), end="")
    if output is not None:
        from safetensors.numpy import save

        write_whole(output, save({".".join(map(str, key)): value for key, value in flat}))
        print(f"saved {output}", file=sys.stderr)


def _read(program: Program, declared: Mapping[str, InputDecl], written: Mapping[str, Sequence[str]], choices: Mapping[str, Any]) -> dict[str, Array]:
    arrays = given.read(program, declared, written, choices["size"], choices["tokenizer"])
    missing = [d for d in declared.values() if d.key not in arrays and not d.optional and not d.is_target]
    if missing and not choices["example"]:
        lines = [f"{d.key}: {d.type}" for d in missing]
        raise click.ClickException(f"not given: {'; '.join(lines)}\n  = help: --input {missing[0].key}=..., or --example for random values")
    return arrays


def _compute(program: Program, declared: Mapping[str, InputDecl], arrays: Mapping[str, Array], choices: Mapping[str, Any]) -> list[Any]:
    """Build the model, call it, and return its outputs as arrays with their paths."""
    with busy(f"importing torch for {program.name}") as say:
        try:
            torch: Any = import_module("torch")
        except ImportError:
            raise click.ClickException('`run` needs torch, which is not installed\n  = help: pip install "archloom[run]"') from None
        from ..runtime.compiling import compile_program
        from ..runtime.errors import InputError, ModelError
        from ..runtime.outputs import flat

        say(f"building {program.name}")
        torch.manual_seed(choices["seed"])
        model: Any = compile_program(program, weights=choices["weights"], extern=list(choices["extern"]) or None)
        model.eval()
        source = choices["weights"] or f"random, seed {choices['seed']}: the numbers mean nothing"
        say(f"running {program.name}")
        tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
        if choices["example"]:
            tensors = _examples(model, declared, tensors, choices) | tensors
        model.losses_in_eval = any(declared[key].is_target for key in tensors)
        try:
            with torch.no_grad():
                results = model(**_by_name(declared, tensors))
        except (InputError, ModelError) as error:
            raise click.ClickException(str(error)) from None
        found = [(key, value.detach().cpu().numpy()) for key, value in flat(results) if isinstance(value, torch.Tensor)]
    print(f"weights: {source}", file=sys.stderr)
    return found


def _examples(model: Any, declared: Mapping[str, InputDecl], tensors: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's own example values for the inputs that are not given, at the sizes of those that are."""
    from ..runtime.outputs import flat

    sizes = given.sizes_of(declared, tensors) | choices["size"]
    made = {".".join(map(str, key)): value for key, value in flat(model.example_inputs(seed=choices["seed"], **sizes))}
    return {key: value for key, value in made.items() if key in declared and not declared[key].is_target}


def _by_name(declared: Mapping[str, InputDecl], tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Gather families: dicts by member, nested for several sets."""
    named: dict[str, Any] = {}
    for key, value in tensors.items():
        entry = declared[key]
        if not entry.members:
            named[entry.name] = value
            continue
        level: dict[Any, Any] = named.setdefault(entry.name, {})
        for member in entry.members[:-1]:
            level = level.setdefault(member, {})
        level[entry.members[-1]] = value
    return named


def _row(program: Program, path: Sequence[Any], value: Array) -> list[str]:
    task = str(path[0]) if len(path) > 1 and path[0] in program.tasks else ""
    name = ".".join(map(str, path[1:] if task else path))
    return [task, name, f"{value.dtype}[{', '.join(map(str, value.shape))}]", _values(value)]


def _values(value: Array) -> str:
    """Return the first numbers of an array, and the range of all where that is more."""
    numbers = [f"{number:.4g}" for number in value.reshape(-1)[:SHOWN].tolist()]
    if value.size <= SHOWN:
        return " ".join(numbers)
    return f"{' '.join(numbers)} ... from {value.min():.4g} to {value.max():.4g}"

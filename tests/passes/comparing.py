"""Models with and without passes, held against each other: results, gradients, moved buffers, tensors by name."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.optimize.interface import Pass
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.optimize.pipelines import Asked, pipeline

ROOT = Path(__file__).parent.parent.parent
EXACT, NOISE = 1e-10, 1e-12
"""In float64, the error relative to a tensor's largest entry below which two ways of computing it are equal, and the error relative to the
largest gradient of all below which one is noise: that of a bias in front of a norm is nothing else."""


def spec(name: str) -> tuple[Path, str | None]:
    """Return the file and the preset of `unifork` or `unifork:small`, or of a text beside this file."""
    if name.startswith("texts/"):
        return Path(__file__).parent / f"{name}.arch", None
    stem, _, preset = name.partition(":")
    return ROOT / "examples" / f"{stem}.arch", preset or None


def compare(path: Path, preset: str | None, passes: Asked) -> None:
    """Compile a file twice, plainly and with passes, and compare the two in every mode that there is.

    After a pass that leaves out results or parameters, what it has left.
    """
    plain = archloom.compile(path, preset=preset, dtype="float64")
    other = archloom.compile(path, preset=preset, dtype="float64", optimize=passes)
    evaluates = optimize(load_program(path, preset=preset), passes).program.only_evaluates
    stated = max(each.error() for each in pipeline(passes))
    error = stated if stated > Pass.tolerance else EXACT
    part = any(each.leaves_out for each in pipeline(passes))
    assert list(other.state_dict()) == [name for name in plain.state_dict() if name not in other.passes.dropped]
    assert part or not other.passes.dropped
    draw(plain)
    other.load_state_dict(plain.state_dict())
    for training in (False,) if evaluates else (False, True):
        plain.train(training)
        other.train(training)
        if part:
            same_part(plain, other)
        else:
            inputs = (other if evaluates else plain).example_inputs()
            same(run(plain, inputs, not evaluates), run(other, inputs, not evaluates), error)
    state = plain.state_dict()
    same({name: state[name] for name in other.state_dict()}, other.state_dict())


def draw(model: Any) -> None:
    """Give a model values of which none is zero, and no two are alike."""
    with torch.no_grad():
        for number, value in enumerate(model.state_dict().values()):
            if value.is_floating_point():
                drawn = torch.rand(value.shape, generator=torch.Generator().manual_seed(number), dtype=value.dtype)
                value.copy_((drawn - 0.5) * (12 * len(value) / value.numel()) ** 0.5 if value.dim() > 1 else drawn + 0.5)


def same_part(plain: Any, other: Any) -> None:
    """Compare what a part of a model gives with what the whole gives there, from the same inputs and draws."""
    given = plain.example_inputs()
    own = picked(given, other.example_inputs())
    with torch.no_grad():
        names = dict(flat(copy.deepcopy(other)(**own))).keys() - {"loss"}  # which moves no buffer of the model itself
        first = copy.deepcopy(plain)
        with first.draws() as drawn:
            first(**given)
    with plain.draws(drawn):
        whole = run(plain, given, True, names)
    with other.draws({path: values for path, values in drawn.items() if path in other.draw_names()}):
        part = run(other, own, True, names)
    same({name: value for name, value in whole.items() if name in part}, part)


def picked(values: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values by the names of others."""
    return {name: picked(values[name], inner) if isinstance(inner, Mapping) else values[name] for name, inner in like.items()}


def run(model: Any, inputs: Mapping[str, Any], differentiate: bool, names: Collection[str] | None = None) -> dict[str, Tensor]:
    """Return results, all or some by name, and the gradient of a number made of all of these, by name."""
    torch.manual_seed(0)
    model.zero_grad()
    with torch.set_grad_enabled(differentiate):
        found = {name: value for name, value in flat(model(**inputs)) if names is None or name in names}
    if differentiate:
        seeds = [(v * torch.linspace(0.5, 1.5, v.numel(), dtype=v.dtype).reshape(v.shape)).sum() for v in found.values() if v.requires_grad]
        if seeds:
            torch.stack(seeds).sum().backward()
        found |= {f"grad {name}": own.grad for name, own in model.named_parameters() if own.grad is not None}
    return {name: value.detach() for name, value in found.items()}


def flat(found: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested results by dotted name."""
    for name, value in found.items():
        if isinstance(value, Tensor):
            yield f"{above}{name}", value
        else:
            yield from flat(value, f"{above}{name}.")


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor], error: float = EXACT) -> None:
    """Compare tensors by name, with the error that passes state; a difference of gradients that is rounding noise beside the largest of all is
    none."""
    assert left.keys() == right.keys()
    noise = NOISE * max([float(v.abs().max()) for n, v in left.items() if n.startswith("grad ") and v.numel()], default=0.0)
    for name, value in left.items():
        if not value.is_floating_point():
            assert torch.equal(value, right[name]), name
        elif value.numel():
            allowed = error * float(value.abs().nan_to_num(0, 0, 0).max())
            atol = max(allowed, noise) if name.startswith("grad ") else allowed
            torch.testing.assert_close(right[name], value, rtol=0, atol=atol, equal_nan=True, msg=name)

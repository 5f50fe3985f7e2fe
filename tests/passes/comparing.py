"""Models with and without passes, held against each other: results, gradients, moved buffers, tensors by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.optimize.pipelines import Asked

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
    """Compile a file twice, plainly and with passes, and compare the two in every mode that there is."""
    plain = archloom.compile(path, preset=preset, dtype="float64")
    other = archloom.compile(path, preset=preset, dtype="float64", optimize=passes)
    evaluates = optimize(load_program(path, preset=preset), passes).program.only_evaluates
    assert list(other.state_dict()) == list(plain.state_dict())
    with torch.no_grad():
        for number, value in enumerate(plain.state_dict().values()):
            if value.is_floating_point():  # no zero, and no two alike
                drawn = torch.rand(value.shape, generator=torch.Generator().manual_seed(number), dtype=value.dtype)
                value.copy_((drawn - 0.5) * (12 * len(value) / value.numel()) ** 0.5 if value.dim() > 1 else drawn + 0.5)
    other.load_state_dict(plain.state_dict())
    for training in (False,) if evaluates else (False, True):
        plain.train(training)
        other.train(training)
        inputs = (other if evaluates else plain).example_inputs()
        same(run(plain, inputs, not evaluates), run(other, inputs, not evaluates))
    same(plain.state_dict(), other.state_dict())


def run(model: Any, inputs: Mapping[str, Any], differentiate: bool) -> dict[str, Tensor]:
    """Return results, and the gradient of a number made of all of them, by name."""
    torch.manual_seed(0)
    model.zero_grad()
    with torch.set_grad_enabled(differentiate):
        found = dict(flat(model(**inputs)))
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


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    """Compare tensors by name; a difference of gradients that is rounding noise beside the largest of all is none."""
    assert left.keys() == right.keys()
    noise = NOISE * max([float(v.abs().max()) for n, v in left.items() if n.startswith("grad ") and v.numel()], default=0.0)
    for name, value in left.items():
        if not value.is_floating_point():
            assert torch.equal(value, right[name]), name
        elif value.numel():
            allowed = EXACT * float(value.abs().nan_to_num(0, 0, 0).max())
            atol = max(allowed, noise) if name.startswith("grad ") else allowed
            torch.testing.assert_close(right[name], value, rtol=0, atol=atol, equal_nan=True, msg=name)

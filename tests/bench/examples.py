"""Every example after `default` against the same without passes, eager: evaluation and a training step; and what `default` adds to lowering.

Run: python tests/bench/examples.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from given import EXAMPLES, same, step
from pairs import Ratio, compare, show, spent

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.runtime.compiling import compile_program

BOUND = 1.05
SIZES: dict[str, dict[str, Any]] = {
    "minilm": {"vocab": 1000, "depth": 2},
    "minilm_tasks": {"vocab": 1000, "depth": 2},
    "mtlosses": {"void": -1},
}
"""Parameters of examples that have no small preset."""
UNTRAINED = ("mtlosses",)
"""Examples without parameters."""


def texts() -> Iterator[tuple[str, str | None]]:
    """Yield the examples with the small preset of each that has one."""
    for path in sorted(EXAMPLES.glob("**/*.arch")):
        if "sketches" not in path.parts:
            yield str(path.relative_to(EXAMPLES).with_suffix("")), "small" if "preset small " in path.read_text(encoding="utf-8") else None


def measured(name: str, preset: str | None, trains: bool) -> Ratio:
    """Compile an example with and without `default`, and time both."""
    plain, other = (
        archloom.compile(EXAMPLES / f"{name}.arch", SIZES.get(name), preset=preset, optimize=passes).train(trains) for passes in ("none", "default")
    )
    program = load_program(EXAMPLES / f"{name}.arch", SIZES.get(name), preset=preset)
    targets = {declared.name for declared in program.eval.inputs if declared.is_target}
    other.load_state_dict(plain.state_dict())
    inputs = plain.example_inputs()
    if not trains:
        inputs = {name: value for name, value in inputs.items() if name not in targets}
    with torch.set_grad_enabled(trains):
        if not trains:
            same(other(**inputs), plain(**inputs))
        ours, theirs = (step(model, inputs) if trains else partial(model, **inputs) for model in (other, plain))
        suffix = f"{f', {preset}' if preset else ''}, {'forward and backward' if trains else 'inference'}"
        return compare(f"{name}{suffix}", ours, theirs, BOUND, 30, calls=5, clock=spent)


def lowering() -> Ratio:
    """Time what `default` makes of UniFork at full size against its lowering alone, both from the checked text to a module on meta.

    Each time it is a text of which nothing has been found out, as in a process that compiles it once.
    """
    text, pairs = (EXAMPLES / "unifork.arch").read_text(encoding="utf-8"), 10
    programs = iter([load_program(text + "\n" * number) for number in range(2 * (pairs + 1))])

    def compiled(passes: str) -> None:
        compile_program(next(programs), device="meta", optimize=passes)

    ours, theirs = partial(compiled, "default"), partial(compiled, "none")
    return compare("unifork at full size, compiled with `default` / without passes, on meta", ours, theirs, 2.0, pairs, clock=spent)


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield the rows that are asked for, or all."""
    torch.set_num_threads(1)
    if not asked or any(word in "unifork at full size" for word in asked):
        yield lowering()
    for name, preset in texts():
        if not asked or any(word in name for word in asked):
            for trains in (False, True) if name not in UNTRAINED else (False,):
                yield measured(name, preset, trains)


if __name__ == "__main__":
    show(rows(sys.argv[1:]))

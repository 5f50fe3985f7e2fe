"""What passes have quantized in a model: which weights, to what, and how far the whole numbers are from the floats."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...blocks.registry import Entry
from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.program import Body, Node, NodeKind, Operand, Program, Recipe, Ref
from ...dsl.record import record
from ..graph import Graph, recipe_text
from ..optimize.instances import instances
from ..passes.quantize import KINDS as QUANTIZED
from ..tables import table
from .composites import behind
from .derived import Derived
from .eager import Eager
from .quantized import INSTEAD, int4_restored, no_int4

LACKING = "A842"
KINDS = {operation: name for name, kind in QUANTIZED.items() for operation in (kind.linear, kind.conv) if operation}
"""What operations that compute in whole numbers are called as an option of the pass."""


@record
class Rounded:
    """Weights that are one matrix of whole numbers: their paths, what they were quantized to, how many numbers, the names in the state dict
    once the floats are dropped, and the error, relative to all of the floats (None on the meta device)."""

    weights: tuple[str, ...]
    to: str
    numbers: int
    stored: tuple[str, ...]
    error: float | None


@record
class Quantized:
    """Everything in a model that is quantized, in order; printed, a table of it."""

    rows: tuple[Rounded, ...] = ()

    def __iter__(self) -> Iterator[Rounded]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __deepcopy__(self, memo: dict[int, Any]) -> Quantized:
        return self

    def __str__(self) -> str:
        if not self.rows:
            return "nothing is quantized"
        rows = [[braced(row.weights), row.to, f"{row.numbers:,}", _percent(row.error)] for row in self.rows]
        return table([["weights", "to", "numbers", "error"], *rows], (2, 3)).rstrip("\n")

    def json(self) -> str:
        """Return the rows as JSON: a list of objects, by the names of the fields of `Rounded`."""
        names = Rounded.__annotations__
        return json.dumps([{name: getattr(row, name) for name in names} for row in self.rows], indent=2)


def braced(paths: Sequence[str]) -> str:
    """Return several paths as one selector.

    >>> braced(["a.q.weight", "a.k.weight"])
    'a.{q, k}.weight'
    """
    words = [path.split(".") for path in paths]
    apart = [i for i, same in enumerate(zip(*words, strict=False)) if len(set(same)) > 1]
    if len({len(each) for each in words}) > 1 or len(apart) > 1:
        return ", ".join(paths)
    return ".".join(f"{{{', '.join(each[i] for each in words)}}}" if i in apart else word for i, word in enumerate(words[0]))


def _percent(error: float | None) -> str:
    return f"{100 * error:.2f} %" if error is not None else "not known"


def quantized(model: nn.Module, program: Program) -> Quantized:
    """Return what is quantized in a model that still has the floats."""
    named: list[tuple[str, nn.Module]] = [*model.named_modules()]
    derived = [(path, each.recipe.text) for path, each in named if isinstance(each, Derived)]
    tensors: dict[str, Tensor] = dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])
    found: dict[tuple[tuple[str, ...], str], Rounded] = {}
    for body, absolute in instances(program):
        for node in body.nodes:
            if node.kind is NodeKind.OPERATION and node.target in KINDS:
                recipes = [_recipe(body.nodes[cast(Ref, node.inputs[name]).node]) for name in ("weight", "scale")]
                holder = absolute("x").removesuffix("x")
                texts = [recipe_text(recipe) for recipe in recipes]
                stored = tuple(f"{path}.value" for path, text in derived if path.rpartition(".")[0] == holder[:-1] and text in texts)
                read = [holder + path for path in recipes[0].paths]
                weights = tuple([path for path in read if tensors[path].dim() > 1] or read)
                numbers, error = _error(recipes[0], {path: tensors[holder + path].detach() for path in recipes[0].paths})
                found.setdefault((weights, node.target), Rounded(weights, KINDS[node.target], numbers, stored, error))
    order = list(tensors)
    return Quantized(tuple(sorted(found.values(), key=lambda row: order.index(row.weights[0]))))


def check_kernels(program: Program, device: torch.device) -> None:
    """Raise Failure where a program computes in numbers of so few bits that nothing on the device does."""
    for body in Graph(program).bodies:
        for node in body.nodes:
            lacking = no_int4(device) if node.kind is NodeKind.OPERATION and node.target == "int4_linear" else None
            if lacking is not None:
                raise Failure((Diagnostic(LACKING, lacking, node.span, help=INSTEAD),))


def _recipe(node: Node) -> Recipe:
    return node.attributes["recipe"]


def _error(recipe: Recipe, tensors: Mapping[str, Tensor]) -> tuple[int, float | None]:
    """Return how many numbers a recipe rounds, and how far they are from its floats, relative to these."""
    values: list[Any] = []
    for node in recipe.body.nodes:
        values.append(tensors[node.target] if node.kind is NodeKind.PARAMETER else _run(recipe.body, node, values))
    end = recipe.body.outputs[0].ref.node
    inputs = recipe.body.nodes[end].inputs
    whole, scale, floats = values[end], _at(inputs["scale"], values), _at(inputs["x"], values).to(torch.float32)
    if whole.is_meta:
        return floats.numel(), None
    last = recipe.body.nodes[end].target
    missed = (int4_restored(whole, scale) if last == "int4_quantize" else whole * behind(scale, whole.dim() - 1)).sub(floats)
    return floats.numel(), float(missed.square().sum() / floats.square().sum().clamp(min=torch.finfo(torch.float32).tiny)) ** 0.5


def _run(body: Body, node: Node, values: list[Any]) -> Any:
    """Compute a node of a recipe from the values before it."""
    given = {name: _at(operand, values) for name, operand in node.inputs.items()}
    types = {name: _at(operand, [each.outputs[0] for each in body.nodes]) for name, operand in node.inputs.items()}
    return cast(Entry, node.primitive).lower(Eager(), {**node.attributes, **given}, {**node.attributes, **types}, node.outputs)


def _at(operand: Operand, values: list[Any]) -> Any:
    if operand is None:
        return None
    return values[operand.node] if isinstance(operand, Ref) else tuple(values[ref.node] for ref in operand)

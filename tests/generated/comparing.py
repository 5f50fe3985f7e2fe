"""What `check` says of a text against the module that is built of it: shapes, dtypes, parameters, multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from archloom.compiler.cost import model_expense
from archloom.compiler.graph import Graph
from archloom.compiler.lower.builder import TORCH_DTYPES
from archloom.compiler.runtime.border import holds
from archloom.compiler.runtime.compiling import compile_program
from archloom.compiler.runtime.example import Examples, find_sizes
from archloom.compiler.runtime.outputs import nested
from archloom.compiler.slice import Slicer
from archloom.dsl.dims import Dim, Symbol
from archloom.dsl.program import Body, Program
from archloom.dsl.types import DType, TensorType, extent

from ..counting import counter

MOST = 2_000_000
"""Numbers in one tensor, beyond which nothing is computed: the meta device tells shapes without it."""


def sizes_for(program: Program, wanted: Mapping[str, int], first: int) -> dict[str, int]:
    """Return sizes that meet the conditions: the wanted ones, or the first that are found; raises ValueError where none are."""
    body = program.eval
    names = sorted({s.name for declared in body.inputs for axis in declared.type.shape if isinstance(axis, Dim) for s in axis.symbols()})
    tries = [{name: wanted[name] for name in names}, {}, *({name: size} for name in names for size in range(1, 70))]
    for given in tries:
        try:
            found = find_sizes(body.inputs, body.conditions, given, first)
        except ValueError:
            continue
        return {symbol.name: size for symbol, size in found.items()}
    raise ValueError(f"no sizes meet {[c.text for c in body.conditions]}")


class Comparison:
    """The module of a checked program, at some sizes, with floats of some dtype: first on the meta device, then with real tensors."""

    def __init__(self, program: Program, sizes: Mapping[str, int], dtype: torch.dtype) -> None:
        self.program = program
        self.sizes = sizes
        self.dtype = dtype
        self.model = compile_program(program, dtype=dtype, device="meta").requires_grad_(False)

    def parameters(self) -> None:
        """Compare every parameter and buffer by its name, and how many numbers they are; the state dict has tied ones once."""
        graph = Graph(self.program)
        stated = {t.path: (t.shape, self._torch(t.dtype), t.buffer) for t in graph.parameters()}
        owned = {name: (tuple(p.shape), p.dtype, False) for name, p in self.model.named_parameters(remove_duplicate=False)}
        saved = self.model.state_dict()
        owned |= {name: (tuple(b.shape), b.dtype, True) for name, b in self.model.named_buffers(remove_duplicate=False) if name in saved}
        assert stated == owned
        assert saved.keys() == stated.keys() - {path for _, *others in graph.census.tie_groups for path in others}
        assert graph.count().parameters == sum(p.numel() for p in self.model.parameters())
        assert graph.count().buffers == sum(b.numel() for b in self.model.buffers())  # an anchor, which is not saved, is empty

    def allows(self, training: bool) -> bool:
        """Tell whether the sizes meet the conditions of a mode; training may ask for more."""
        body = self._body(training)
        return all(
            holds(c, {s: self.sizes[s.name] for side in (c.left, c.right) if isinstance(side, Dim) for s in side.symbols()}) for c in body.conditions
        )

    def _body(self, training: bool) -> Body:
        return self.program.training if training else self.program.eval

    def shapes(self, training: bool) -> None:
        """Compare the shapes and dtypes of all outputs, and the multiply-adds, in one mode."""
        body = self._body(training)
        self.model.train(training)
        with counter() as counting:
            self._outputs(body, "meta")
        if not (training and body.losses):  # in training the module computes them, too
            variant = Slicer().variant(body, range(len(body.outputs)), training)
            stated, counted = 2 * model_expense(variant, self.sizes).multiply_adds, counting.get_total_flops()
            assert stated == counted, f"{stated} FLOPs are stated and {counted} counted"

    def values(self) -> None:
        """Compare the shapes and dtypes of all outputs when they are computed."""
        self.model.materialize("cpu").eval()
        self._outputs(self.program.eval, "cpu")

    def _outputs(self, body: Body, device: str) -> None:
        results = dict(_flat((), self.model(**self._inputs(body, device))))
        for declared in body.outputs:
            made = results[".".join([declared.name, *map(str, declared.members)])]
            type_ = body.type(declared.ref)
            stated, found = (self._shape(body, type_), self._torch(type_.dtype)), (list(made.shape), made.dtype)
            assert stated == found, f"{declared.name} is stated as {stated} and is {found}"

    def _inputs(self, body: Body, device: str) -> dict[str, Any]:
        known = self._symbols(body)
        makers = Examples(body, known, self.dtype, torch.device(device), torch.Generator().manual_seed(0))
        made = {d: makers.value(d) for d in body.inputs if not d.optional and not d.is_state}
        values = {d: v.sigmoid() if v.is_floating_point() else v for d, v in made.items()}  # some inputs are chances
        return dict(nested(((d.name, *d.members), value) for d, value in values.items()))

    def _symbols(self, body: Body) -> dict[Symbol, int]:
        symbols = {s for declared in body.inputs for axis in declared.type.shape if isinstance(axis, Dim) for s in axis.symbols()}
        return {symbol: self.sizes[symbol.name] for symbol in symbols}

    def _shape(self, body: Body, type_: TensorType) -> list[int]:
        known = self._symbols(body)
        sizes = [extent(axis) for axis in type_.shape]
        return [int(size.value(known)) if isinstance(size, Dim) else size for size in sizes]

    def _torch(self, dtype: DType) -> torch.dtype:
        return TORCH_DTYPES.get(dtype, self.dtype)


def fits(program: Program, sizes: Mapping[str, int]) -> bool:
    """Tell whether every value of a model is small enough to compute."""
    variant = Slicer().variant(program.eval, range(len(program.eval.outputs)), False)
    return model_expense(variant, sizes).activations < 4 * MOST


def _flat(path: tuple[str, ...], value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield ".".join(path), value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat((*path, str(key)), item)

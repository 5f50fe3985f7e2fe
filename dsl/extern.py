"""A Python function as an operation: `extern fn match(cost: float[B, L, M]) -> int[B, M] from "package.module:function"`."""

from __future__ import annotations

from typing import Any

from .primitive import Argument, Cost, Inputs, ParameterSpec, Rule
from .program import Condition, InputDecl
from .record import entity
from .source import Span
from .types import TensorType


@entity
class ExternFunction:
    """A function with what it takes and gives in one kind of call, in symbols of its own; implements `Primitive`.

    Every parameter goes by name: tensors, statics as plain Python values, None for one that is absent.  What it costs is not known.
    """

    name: str
    origin: str  # "package.module:function"
    arguments: tuple[Argument, ...]
    statics: tuple[tuple[str, Any], ...]  # plain Python values by name, those of absent tensors too
    takes: tuple[InputDecl, ...]
    gives: TensorType
    conditions: tuple[Condition, ...]
    span: Span

    call: tuple[Argument, ...] = ()
    results: tuple[str, ...] = ()
    is_leaf: bool = False
    is_random: bool = True  # nothing is known of it: never merged or folded
    values: None = None
    exact: None = None

    def infer(self, rule: Rule, inputs: Inputs) -> TensorType:
        """Return the result's type in the function's own symbols, which a call binds."""
        return self.gives

    def parameters(self, inputs: Inputs) -> tuple[ParameterSpec, ...]:
        """Return nothing: a function owns no tensors."""
        return ()

    def cost(self, inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
        """Return nothing: the cost is not known, and is not counted."""
        return Cost()

"""A model as one configuration makes it, and the call of it that is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import field
from itertools import starmap, zip_longest
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...dsl.program import InputDecl, Program
from ...dsl.record import record
from ..cost import Expense, model_expense
from ..optimize.manager import optimize
from ..runtime.border import bind_sizes
from ..runtime.compiling import compile_program, compute_dtype
from ..runtime.entry import EVERYTHING, Entry
from ..runtime.model import Model
from ..runtime.outputs import flat, nested
from ..slice import Slicer
from .configuration import INT8, Configuration
from .difference import GRADIENTS, Values

if TYPE_CHECKING:
    from ..runtime.extern import Allowed
    from ..runtime.weights import Weights

Given = Mapping[str, Any]
State = Mapping[str, Tensor]
Call = Callable[[], Any]
Draws = Mapping[str, list[Tensor]]
"""What a call draws, by path, in order."""


@record
class Task:
    """What is measured: a call of a program's model, or of one of its `entry`s, in evaluation, or forward and backward to `train` it."""

    program: Program
    tasks: tuple[str, ...] = ()  # which the program was cut to, for the report
    entry: str | None = None
    train: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    given: Given = field(default_factory=dict[str, Any])  # inputs by key, the others are examples
    weights: Weights | None = None
    extern: Allowed = None
    device: str = "cpu"
    seed: int = 0


class Subject:
    """A model with passes, in a dtype, with its inputs; it is called eagerly or compiled."""

    def __init__(self, task: Task, configuration: Configuration, state: State | None = None) -> None:
        """Build the model with the parameters of `state`, or with those of the task: its weights, or random ones.

        Of a quantized one the floats that nothing reads any more are gone, as they are from one that is saved.

        Raises Failure and ValueError for what is wrong with weights, externs, tasks, sizes or inputs.
        """
        _seed(task.seed)
        weights = task.weights if state is None else None
        self.task = task
        passes, dtype = configuration.built
        self.dtype = compute_dtype(dtype)
        done = optimize(task.program, passes)
        self.program, self.steps = done.program, done.steps
        self.model = compile_program(self.program, weights=weights, dtype=dtype, device=task.device, extern=task.extern)
        self.state = state if state is not None else {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.state)
        self.model.train(task.train)
        if configuration.dtype == INT8:
            self.model.drop_folded()
        self.target: Model | Entry = self.model if task.entry is None else self.model.entry(task.entry)
        self.inputs = self._inputs()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return torch.device(self.task.device)

    @property
    def declared(self) -> tuple[InputDecl, ...]:
        """The inputs of what is called, caches too."""
        bodies = (self.program.eval, self.program.train)
        return self.target.signature.inputs if isinstance(self.target, Entry) else tuple(d for body in bodies if body for d in body.inputs)

    def _inputs(self) -> dict[str, Any]:
        """Return the example inputs with the given ones in their places, floats in the dtype of the examples; targets only for training."""
        made = self.target.example_inputs(seed=self.task.seed, **self.task.sizes)
        states = {"states": made.pop("states")} if isinstance(self.target, Entry) and "states" in made else {}
        targets = {declared.key for declared in self.declared if declared.is_target}
        pairs = {path: value for path, value in flat(made) if self.task.train or ".".join(map(str, path)) not in targets}
        for path, value in pairs.items():
            given = self.task.given.get(".".join(map(str, path)))
            if given is not None:
                pairs[path] = given.to(device=self.device, dtype=value.dtype)
        return dict(nested(pairs.items())) | states

    # ------------------------------------------------------------------------------------------------------ calling

    def eager(self) -> Call:
        """Return one call as it is."""
        return self._step(self.target)

    def compiled(self) -> Call:
        """Return one call by way of `torch.compile`, which compiles at the first one."""
        untyped: Any = torch
        return self._step(untyped.compile(_apart(self.target)))

    def _step(self, target: Callable[..., Any]) -> Call:
        def evaluate() -> Any:
            with torch.no_grad():
                return target(**self.inputs)

        def train() -> Any:
            self.forget()
            result = target(**self.inputs)
            loss: Any = _objective(result)
            loss.backward()
            return result

        return train if self.task.train else evaluate

    def forget(self) -> None:
        """Let go of gradients."""
        self.model.zero_grad(set_to_none=True)

    def values(self, step: Call, seed: int = 0, draws: Draws | None = None) -> Values:
        """Return what one call gives by path, and the gradients that it leaves, with parameters and buffers as they were in the beginning.

        With `draws` it draws these, in the dtypes that the model draws in; InputError where it draws others.
        """
        if self.task.train:  # which moves buffers
            self.model.load_state_dict(self.state)
        _seed(seed)
        with self.model.draws(self._cast(draws)) if draws is not None else nullcontext():
            result = step()
        found = {".".join(map(str, path)): value for path, value in flat(result) if isinstance(value, Tensor)}
        if self.task.train:
            found |= {f"{GRADIENTS}.{name}": value.grad for name, value in self.model.named_parameters() if value.grad is not None}
        return {name: value.detach().cpu() for name, value in found.items()}

    def drawn(self, step: Call) -> tuple[Values, Draws]:
        """Return what one eager call gives, and what it draws for that."""
        with self.model.draws() as drawn:
            found = self.values(step)
        return found, {path: [value.clone() for value in values] for path, values in drawn.items()}

    def _cast(self, draws: Draws) -> Draws:
        """Return draws in the dtype of this model, those that are `float` in the text."""
        floats = {path: [type_.startswith("float[") for type_ in types] for path, types in self.model.draw_names().items()}
        return {path: list(starmap(self._as_drawn, zip_longest(values, floats.get(path, ())[: len(values)]))) for path, values in draws.items()}

    def _as_drawn(self, value: Tensor, floats: bool | None) -> Tensor:
        return value.to(self.dtype) if floats else value

    # ----------------------------------------------------------------------------------------------------- counting

    def sizes(self) -> dict[str, int]:
        """Return the sizes of the inputs by name."""
        values = {".".join(map(str, path)): value for path, value in flat(self.inputs)}
        values |= self.inputs.get("states", {})
        return {symbol.name: size for symbol, (size, _) in bind_sizes([(d, values[d.key]) for d in self.declared if d.key in values])[0].items()}

    def expense(self) -> Expense:
        """Count one evaluation, statically, of the program after its passes."""
        if isinstance(self.target, Entry):
            body = self.target.signature.pair(EVERYTHING)[0]
        else:
            body = Slicer().variant(self.program.eval, range(len(self.program.eval.outputs)), False)
        return model_expense(body, self.sizes())


def _seed(seed: int) -> None:
    untyped: Any = torch
    untyped.manual_seed(seed)


def _apart(target: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function around a model with code of its own: compiled code is kept by code, and models of one class would share a place."""

    def call(**inputs: Any) -> Any:
        return target(**inputs)

    return FunctionType(call.__code__.replace(), globals(), "call", None, call.__closure__)


def _objective(result: Mapping[str, Any]) -> Tensor:
    """Return the loss, or the sum of all outputs where there is none; ValueError where it has no gradient."""
    loss = result.get("loss")
    if loss is None:
        loss = torch.stack([value.sum().float() for value in _differentiable(flat(result))] or [torch.zeros(())]).sum()
    if not loss.requires_grad:
        raise ValueError("there is nothing to train: no output or loss depends on a parameter that isn't frozen")
    return loss


def _differentiable(values: Iterable[tuple[Any, Any]]) -> Iterator[Tensor]:
    return (value for _, value in values if isinstance(value, Tensor) and value.requires_grad)

# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle: a text's meaning by docs/language.md, interpreted with real tensors at given sizes.

It reads the syntax tree alone: no shape rule, no graph and no elaborator of ours has a part in what it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from archloom.blocks.initialisers import INITIALISERS
from archloom.blocks.registry import primitives
from archloom.dsl import ast
from archloom.dsl.parse.pythonisms import walk
from archloom.dsl.primitive import MISSING as NO_DEFAULT

from .alone import mark, stretches_alone
from .arithmetic import FUNCTIONS, truth
from .calling import Calling, owned
from .calls import SPECIAL
from .checks import need
from .conversions import DTYPES, convert
from .entries import run_entries
from .expressions import evaluate
from .making import Making
from .parameters import typed
from .reading import _bound_in, _words, library_file, read
from .scopes import MISSING, Body, Frame, sets
from .statements import RUNNERS, path_of, run
from .tables import TABLE
from .torch_shapes import cast
from .values import Family, File, Made, Maker, Outside, Result, Set, Unknown, Whole, Wrong

TABLE |= {name: cast(dtype) for name, dtype in DTYPES.items() if name not in ("complex", "float64")}
CONSTANTS = {"pi": 3.141592653589793, "inf": float("inf")}
STEPS = 60_000
OUTSIDE_TABLE = re.compile(
    r"indexing axis dim should be positive|out of range in self|out of bounds|Class values must be|index out of range|Target \S+ is out",
    re.IGNORECASE,
)


def size_in(sizes: Mapping[str, int], name: str) -> int:
    """Return the size of a name: `B[t]` has a size of its own, near that of `B`, and so has a longer name, near that of its first letter."""
    if name in sizes:
        return sizes[name]
    head, _, member = name.partition("[")
    return sizes.get(head, sizes.get(head[0], 3)) + sum(map(ord, member or name)) % 5


@dataclass(slots=True)
class Ran:
    """What came of one run: outputs' shapes, the losses, and every parameter's path with its shape."""

    outputs: dict[str, tuple[int, ...]]
    losses: dict[str, Tensor]
    owned: dict[str, tuple[int, ...]]
    modal: bool
    doubts: set[str]


@dataclass(slots=True, eq=False, repr=False)
class World(Whole, Making, Calling):
    """One run of a model at some sizes, in training or not."""

    sizes: Mapping[str, int]
    training: bool
    modal: bool = False
    spans: set[tuple[str, int, int]] | None = None
    steps: int = 0
    links: dict[int, tuple[Any, tuple[Any, ...]]] = field(default_factory=dict[int, tuple[Any, tuple[Any, ...]]])
    depth: int = 0
    active: list[Any] = field(default_factory=list[Any])
    used: dict[str, int] = field(default_factory=dict[str, int])
    tied: set[int] = field(default_factory=set[int])
    pairs: dict[frozenset[int], Any] = field(default_factory=dict[frozenset[int], Any])  # what is tied, and where the text says so
    frozen: set[int] = field(default_factory=set[int])
    borders: dict[tuple[str | None, str], Tensor] = field(default_factory=dict[tuple[str | None, str], Tensor])
    starved: list[Any] = field(default_factory=list[Any])
    run_items: list[Any] = field(default_factory=list[Any])
    alone: bool = False
    whole: Made | None = None  # in an entry: the model's own run
    cached: bool = False  # in an entry: its caches hold something, and it has no losses
    doubts: set[str] = field(default_factory=set[str])
    apart: int = 0

    # ------------------------------------------------------------------------------------------------ bookkeeping

    def begin(self, item: Any, params: Mapping[str, Any], frame: Frame) -> None:
        """Bind a model's parameters."""
        types = {p.name: p.type for p in item.parameters}
        need(params.keys() <= types.keys(), "the model takes no such argument")
        given = {k: typed(types[k], v, frame) if isinstance(v, ast.Node) else v for k, v in params.items()}
        for parameter in item.parameters:
            need(parameter.name in given or parameter.default is not None, f"the model's {parameter.name} is missing")
            self._static(parameter, given, frame)

    def touch(self, span: Any) -> None:
        if self.spans is not None:
            self.spans.add((span.source.name, span.start, span.end))

    def step(self, statement: Any) -> None:
        self.touch(statement.span)
        self.steps += 1
        if self.steps > STEPS:
            raise Unknown("too many steps for the oracle")

    def link(self, made: Tensor, *sources: Any) -> Tensor:
        flat = [s for value in sources for s in (value if isinstance(value, (list, tuple)) else [value])]
        made = made.view_as(made) if any(made is s for s in flat) else made
        self.links[id(made)] = (made, tuple(s for s in flat if isinstance(s, (Tensor, Made))))
        return made

    def outs(self, frame: Frame) -> dict[str, Any]:
        return frame.body.results.setdefault(frame.task if frame.body.kind == "model" else None, {})

    def moves(self, length: int) -> bool:
        return length in self.used.values()

    def size_of(self, name: str) -> int:
        self.used[name] = found = size_in(self.sizes, name)
        return found

    def guarded(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call torch; what it refuses is what the text does wrong."""
        try:
            return function(*arguments, **options)
        except MemoryError:
            raise Unknown("a tensor too large to try") from None
        except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError, ZeroDivisionError, OverflowError, KeyError) as error:
            text = str(error)
            if "allocate" in text:
                raise Unknown("a tensor too large to try") from None
            values = bool(OUTSIDE_TABLE.search(text)) or "ZeroDivision" in text
            raise Wrong(text.splitlines()[0] if text else type(error).__name__, "values" if values else "run") from error

    # ----------------------------------------------------------------------------------------------------- names

    def item(self, file: File, name: str) -> Any:
        """Return what an item, import, operation, function or word of a file stands for."""
        if name in file.items:
            return self.of_item(file, file.items[name])
        if name in file.imports:
            module, original, local = file.imports[name]
            if local:
                raise Unknown("an import of a file beside this one")
            other = library_file(module)
            if other is not None and (original in other.items or original in other.imports):
                return self.item(other, original)
            need(other is not None and original in primitives(), f"an import of nothing, {name}")
            return Maker(original, leaf=primitives()[original].is_leaf)
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in primitives():
            return Maker(name, leaf=primitives()[name].is_leaf)
        if name in FUNCTIONS or name in SPECIAL or name in DTYPES or name in INITIALISERS:
            return Maker(name)
        return MISSING

    def of_item(self, file: File, item: Any) -> Any:
        if isinstance(item, ast.Definition):
            key = (item.name, self.training)
            if key not in file.definitions:
                need(len(self.active) < 60 and not any(a is item for a in self.active), "a definition of itself")
                self.active.append(item)
                made = Made(Maker("definition"), {})
                file.definitions[key] = evaluate(item.value, Frame("block", Body(self, made, file)))
                self.active.pop()
            return file.definitions[key]
        if isinstance(item, (ast.Block, ast.Model, ast.Fn, ast.ExternBlock, ast.ExternFn)):
            return Maker(item.name, file, item)
        raise Unknown(f"a {type(item).__name__}")

    def names(self, operation: str) -> list[str]:
        return [a.name for a in primitives()[operation].arguments]

    def apply(self, name: str, values: Mapping[str, Any], frame: Frame) -> Any:
        """Apply an operation by argument name."""
        entry = primitives()[name]
        bound: dict[str, Any] = {}
        for argument in entry.arguments:
            if argument.name in values:
                bound[argument.name] = convert(argument, values[argument.name])
            else:
                need(argument.default is not NO_DEFAULT, f"{name} needs {argument.name}")
                bound[argument.name] = _default(argument.default)
        if name not in TABLE:
            raise Unknown(f"the operation {name}")
        if name in ("cross_entropy", "nll") and bound["dim"] is None and _either_axis(bound["logits"], bound["target"]):
            self.doubts.add("two axes could be that of the classes")
        found = self.guarded(TABLE[name], **bound)
        sources = list(bound.values())
        mark(found, name, values)
        if stretches_alone(sources, found, self.links):
            self.doubts.add("an axis over a set of one member stretches")
        if isinstance(found, (tuple, list)):
            linked = [self.link(t, *sources) for t in found]
            return Result(dict(zip(entry.results, linked, strict=True))) if entry.results else linked
        return self.link(found, *sources)

    def untaken(self, node: Any, frame: Frame) -> None:
        """Look at the names of an arm that is not taken: each must stand for something."""
        item = self.active[-1] if self.active else None
        bound = _bound_in(item) if item is not None else set()
        words = _words(node)
        for name in walk(node):
            if not isinstance(name, ast.Name) or id(name) in words or name.id in bound or frame.owner(name.id) is not None:
                continue
            if name.id == "training" or any(name.id in s.members for s in sets(frame)) or name.id in frame.body.tasks:
                continue
            if not self.stands(frame.body.file, name.id):
                raise Wrong(f"{name.id} is not defined, in an arm that is not taken")

    def stands(self, file: File, name: str) -> bool:
        known = name in file.items or name in file.imports or name in CONSTANTS or name in primitives()
        return known or name in FUNCTIONS or name in SPECIAL or name in DTYPES or name in INITIALISERS


def _either_axis(logits: Any, target: Any) -> bool:
    """Tell whether two axes could be that of the classes."""
    if not isinstance(logits, Tensor) or not isinstance(target, Tensor):
        return False
    if target.dim() == logits.dim() > 2:  # likelihoods
        return True
    if target.dim() != logits.dim() - 1:
        return False
    return sum(tuple(logits.shape[:i] + logits.shape[i + 1 :]) == tuple(target.shape) for i in range(logits.dim())) > 1


def _default(value: Any) -> Any:
    from archloom.dsl.types import DType

    return DTYPES[value.value] if isinstance(value, DType) else value


# ------------------------------------------------------------------------------------------------------------- running


@torch.no_grad()
def run_model(
    file: File, name: str, sizes: Mapping[str, int], training: bool, params: Mapping[str, Any], spans: Any = None, alone: bool = False
) -> tuple[Ran, Body, Frame]:
    """Run a model once; raises Wrong, Unknown or Outside."""
    torch.manual_seed(sum(sizes.values()))
    item: Any = file.items[name]
    file.definitions.clear()
    made = Made(Maker(name, file, item), {}, ())
    world = World(sizes, training, spans=spans, alone=alone)
    body = Body(world, made, file, "model")
    frame = Frame("block", body)
    world.active.append(item)
    world.begin(item, params, frame)
    run(item.body, frame)
    outs = body.results
    entries = any(isinstance(s, ast.Entry) for s, _ in body.claims)
    need(bool(body.losses or body.tasks or entries) or any(map(_gives, outs.values())), "nothing comes out")
    for task in body.tasks:
        need(_gives(outs.get(task, {})) or any(t == task for _, t in body.losses.values()), f"the task {task} gives nothing")
        need(task not in outs.get(None, {}), f"{task} is a task and an output")
    _shared_names(body)
    world.finish(body, frame)
    if not training and not alone:
        run_entries(file, name, lambda: World(sizes, training, whole=made, cached=True), params)
    for module in world.starved:
        need(all(id(t) in world.frozen for t in module.state_dict(keep_vars=True).values()), "a batch norm of one value in training", "run")
    for other in file.items.values():
        if not any(other is run_item for run_item in (item, *world.run_items)) and not isinstance(other, (ast.Definition, ast.ModelAlias)):
            world.active.append(other)
            plain = [p.default for p in other.parameters if p.default is not None and not isinstance(p.type, (ast.EnumType, ast.TypeChoice))]
            unset = [d.name for s in walk(other) if isinstance(s, ast.Out) and s.value is None and s.type is None for d in s.names]
            need(set(unset) <= _bound_in(other), "an output is not defined")
            for part in (*getattr(other, "body", ()), *plain):
                world.untaken(part, Frame("block", Body(world, made, file)))
            world.active.pop()
    shapes = {
        ".".join(filter(None, [task, key])): tuple(t.shape) for task, values in outs.items() for n, v in values.items() for key, t in _flat(n, v)
    }
    made.last = frame.names
    return (
        Ran(shapes, {p: v for p, (v, _) in body.losses.items()}, {p: tuple(t.shape) for p, t in owned(made)}, world.modal, world.doubts),
        body,
        frame,
    )


def _gives(values: Mapping[str, Any]) -> bool:
    """Tell whether there is a tensor among outputs."""
    return any(_flat(name, value) for name, value in values.items())


def _flat(name: str, value: Any) -> list[tuple[str, Tensor]]:
    if isinstance(value, Family):
        return [f for m, v in value.members.items() for f in _flat(f"{name}.{m}", v)]
    return [(name, value)]


def _shared_names(body: Body) -> None:
    own = {n for n, task in body.inputs if task is None}
    for name, task in body.inputs:
        need(task is None or name not in own, f"{name} is an input of the model and of a task")


__all__ = ["RUNNERS", "Outside", "Set", "Unknown", "Wrong", "path_of", "read", "run_model", "truth"]

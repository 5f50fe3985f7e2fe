"""Programs made by hand, to test the compiler without the language above it."""

from __future__ import annotations

from typing import Any, cast

from archloom.blocks.registry import primitives
from archloom.dsl.dims import Dim, Symbol
from archloom.dsl.primitive import Initialiser
from archloom.dsl.program import (
    Body,
    InputDecl,
    LossDecl,
    ModuleDecl,
    Node,
    NodeKind,
    Operand,
    OutputDecl,
    ParameterDecl,
    Program,
    Ref,
    UpdateDecl,
)
from archloom.dsl.source import Source, Span
from archloom.dsl.types import Axis, DType, TensorType, extent


class Rule:
    """The elaborator's rule of shapes for tests: everything agrees, exact quotients are exact."""

    def same(self, left: Axis, right: Axis, what: str) -> Axis:
        assert extent(left) == extent(right), what
        return left

    def broadcast(self, shapes: Any, what: str = "") -> tuple[Axis, ...]:
        rank = max(map(len, shapes))
        padded = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
        return tuple(next((a for a in axes if a != 1), 1) for axes in zip(*padded, strict=True))

    def divide(self, size: Any, by: Any, what: str) -> Any:
        return size // by if isinstance(size, int) and isinstance(by, int) else size / by

    def at_least(self, size: Any, least: Any, what: str) -> None: ...

    def axis(self, index: int, rank: int, what: str = "dim") -> int:
        return index % rank

    def fail(self, message: str, help: str | None = None, code: str = "") -> Exception:
        return AssertionError(message)

    def dtype(self, value: TensorType, allowed: Any, what: str) -> DType:
        return value.dtype


class Build:
    """One body, statement by statement; each statement is one line of a made-up source."""

    def __init__(self, name: str, training: bool = False) -> None:
        self.lines: list[str] = []
        self.source = Source("test.arch", "")
        self.body = Body(name, self.span(f"block {name}"), training)
        self.symbols: dict[str, Symbol] = {}

    def span(self, text: str) -> Span:
        self.lines.append(text)
        start = len(self.source.text)
        self.source = Source("test.arch", self.source.text + text + "\n")
        return Span(self.source, start, start + len(text))

    def dim(self, name: str) -> Dim:
        symbol = self.symbols.setdefault(name, Symbol(name))
        self.body.symbols[name] = symbol
        return Dim.of(symbol)

    def shape(self, *axes: Any) -> tuple[Axis, ...]:
        return tuple(self.dim(a) if isinstance(a, str) else a for a in axes)

    def node(self, kind: NodeKind, target: str, inputs: dict[str, Operand], outputs: Any, name: str = "", **more: Any) -> int:
        attributes = more.pop("attributes", {})
        self.body.nodes.append(Node(kind, target, inputs, attributes, outputs, self.span(f"{name} = {target}"), name, **more))
        return len(self.body.nodes) - 1

    def input(self, name: str, *axes: Any, dtype: DType = DType.FLOAT, members: tuple[Any, ...] = (), **more: Any) -> Ref:
        key = ".".join([name, *map(str, members)])
        type_ = TensorType(dtype, self.shape(*axes))
        number = self.node(NodeKind.INPUT, key, {}, (type_,))
        self.body.inputs.append(InputDecl(name, members, type_, number, self.body.nodes[number].span, **more))
        return Ref(number)

    def target(self, name: str, *axes: Any, dtype: DType = DType.FLOAT, task: str | None = None) -> Ref:
        return self.input(name, *axes, dtype=dtype, task=task, is_target=True)

    def parameter(self, path: str, *shape: Any, init: Initialiser | None = None, buffer: bool = False, dtype: DType = DType.FLOAT) -> Ref:
        if path not in self.body.parameters:
            self.body.parameters[path] = ParameterDecl(path, shape, dtype, init, buffer, self.span(path))
        return Ref(self.node(NodeKind.PARAMETER, path, {}, (TensorType(dtype, shape),)))

    def leaf(self, path: str, kind: str, **arguments: Any) -> str:
        primitive = primitives()[kind]
        bound = {a.name: arguments.get(a.name, a.default) for a in primitive.arguments}
        self.body.modules[path] = ModuleDecl(path, path.split(".")[0], (), self.span(f"{path} = {kind}"), kind, bound, primitive)
        return path

    def block(self, path: str, kind: str, modules: dict[str, str] | None = None) -> str:
        self.body.modules[path] = ModuleDecl(path, path.split(".")[0], (), self.span(f"{path} = {kind}"), kind, {}, modules=modules or {})
        return path

    def apply(self, kind: NodeKind, target: str, primitive: Any, made: dict[str, Any], given: dict[str, Any], name: str) -> Any:
        inputs: dict[str, Operand] = {}
        attributes: dict[str, Any] = {}
        types: dict[str, Any] = dict(made)
        for key, value in given.items():
            if isinstance(value, Ref):
                inputs[key], types[key] = value, self.body.type(value)
            elif isinstance(value, tuple):
                refs = cast("tuple[Ref, ...]", value)
                inputs[key], types[key] = refs, tuple(map(self.body.type, refs))
            else:
                attributes[key] = types[key] = value
        found = primitive.infer(Rule(), types)
        outputs = cast("tuple[TensorType, ...]", found if isinstance(found, tuple) else (found,))
        number = self.node(kind, target, inputs, outputs, name, attributes=attributes, primitive=primitive)
        return Ref(number) if len(outputs) == 1 else tuple(Ref(number, i) for i in range(len(outputs)))

    def op(self, operation: str, *, name: str = "", **given: Any) -> Any:
        return self.apply(NodeKind.OPERATION, operation, primitives()[operation], {}, given, name)

    def call(self, path: str, name: str = "", **given: Any) -> Any:
        declared = self.body.modules[path]
        return self.apply(NodeKind.LEAF, path, declared.primitive, dict(declared.arguments), given, name)

    def use(self, path: str, callee: Body, outputs: Any, name: str = "", **given: Ref) -> Any:
        """Call a block; `outputs` are the types as the caller sees them."""
        if path in self.body.modules and callee not in self.body.modules[path].bodies:
            self.body.modules[path].bodies.append(callee)
        number = self.node(NodeKind.CALL, path, dict(given), tuple(outputs), name, body=callee)
        return Ref(number) if len(outputs) == 1 else tuple(Ref(number, i) for i in range(len(outputs)))

    def out(self, name: str, ref: Ref, members: tuple[Any, ...] = (), task: str | None = None) -> None:
        self.body.outputs.append(OutputDecl(name, members, ref, self.span(f"out {name}"), task))

    def loss(self, path: str, ref: Ref, task: str | None = None, weight: float = 1.0) -> None:
        self.body.losses.append(LossDecl(path, ref, weight, self.span(f"loss {path}"), task))

    def update(self, path: str, ref: Ref) -> None:
        self.body.updates.append(UpdateDecl(path, ref, self.span(f"update {path}")))

    def types(self, *refs: Ref) -> tuple[TensorType, ...]:
        return tuple(self.body.type(ref) for ref in refs)


def program(build: Build, train: Build | None = None, tasks: tuple[str, ...] = (), **more: Any) -> Program:
    """Return a program whose root is a hand-made body."""
    fields: dict[str, Any] = {"stages": {}, "weights": {}, "entries": {}, "arguments": {}, "presets": (), "goldens": (), "renamed": (), "files": ()}
    return Program(build.body.name, build.body, train.body if train else None, tasks, **{**fields, **more})

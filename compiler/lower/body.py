"""One body as one fx graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from torch import fx

from ...blocks.lowering import LeafModule
from ...blocks.registry import Entry
from ...dsl.dims import Dim
from ...dsl.extern import ExternFunction
from ...dsl.members import member_text
from ...dsl.program import Body, Node, NodeKind, Operand, Recipe, Ref
from ...dsl.types import DType, TensorType
from ..graph import recipe_text, result_names, results
from ..paths import join
from .builder import Frame, GraphBuilder, Handle, Surroundings
from .code import Place, Written, generate
from .keywords import guard
from .names import identifier, imported
from .outlining import Outlined, outlined
from .sizes import Sizes


class BodyLowering(GraphBuilder):
    """Builds the graph of one body."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._together: list[tuple[fx.Node, str, list[str]]] = []  # calls that give derived values, not named yet: where, and which

    # -------------------------------------------------------------------------------------------------- whole graphs

    def write(self, body: Body, inputs: tuple[str, ...]) -> fx.Graph:
        """Write `body` with the parameters `inputs` (flat names; those that it doesn't have are accepted and unused)."""
        frame = self._open(body, "", {})
        self._place = Place(body.span, body.name, "")
        declared = {d.key: d for d in body.inputs}
        for key in inputs:
            known = declared.get(key)
            drawn = known is not None and body.nodes[known.node].kind is NodeKind.DRAW
            handle = self._placeholder(key, default=None) if drawn else self._placeholder(key)
            if known is not None:
                self._input(frame, known.node, handle, known.type, drawn)
        self._nodes(frame)
        found = [frame.value(ref) for ref in results(body)]
        output = self.graph.output(found[0] if len(found) == 1 else tuple(found))
        output.meta["place"] = Place(body.span, body.name, "")
        for call in self._together:
            self._finish(*call)
        self.graph = outlined(self.graph, body.name, self._outline)
        guard(self.graph, self.graph.nodes)
        return self.graph

    def _outline(self, steps: Outlined) -> str:
        return self.around.child("", RECORDED, {"steps": steps}, steps.recording.value)

    def _placeholder(self, key: str, **default: None) -> Handle:
        name = self._unique(identifier(key))
        return self._mark(self.graph.create_node("placeholder", name, tuple(default.values()), name=name))

    def _input(self, frame: Frame, number: int, handle: Handle, type_: TensorType, drawn: bool = False) -> None:
        frame.values[number, 0] = handle
        if drawn or handle is None:
            return
        handle.meta["type"] = type_
        frame.sizes.offer(handle, type_, is_input=True)
        if frame.any_input is None:
            frame.any_input = handle
        if frame.float_input is None and type_.dtype is DType.FLOAT:
            frame.float_input = handle

    def _open(self, body: Body, prefix: str, handed: Mapping[str, str]) -> Frame:
        return Frame(body, prefix, handed, Sizes(self._reckon, self._size), {})

    def _nodes(self, frame: Frame) -> None:
        """Write the nodes of a body, then the updates of its buffers."""
        place, region = self._place, self._region
        watched = self.around.watched(frame.body)
        self._frames.append(frame)
        for number, node in enumerate(frame.body.nodes):
            if node.kind not in (NodeKind.INPUT, NodeKind.STATE):
                self._place = Place(node.span, frame.body.name, node.name)
                self._region = region or ((id(frame), node.region) if node.region is not None else None)
                handles = _WRITERS[node.kind](self, frame, number, node)
                if len(handles) == 1 and node.name:
                    self._rename(handles[0], node.name)
                for index, (handle, type_) in enumerate(zip(handles, node.outputs, strict=True)):
                    frame.values[number, index] = handle
                    frame.sizes.offer(handle, type_)
                    if isinstance(handle, fx.Node):
                        handle.meta["type"] = type_
            if watched:
                self._watch(frame, number, watched)
        self._region = region
        for update in frame.body.updates:
            self._place = Place(update.span, frame.body.name, update.path)
            module = self.around.child(frame.prefix, UPDATE, {"name": update.path})
            self._create("call_module", module, (self._attribute(join(frame.prefix, update.path)), frame.value(update.ref)))
        self._frames.pop()
        self._place = place

    def _watch(self, frame: Frame, number: int, watched: Mapping[tuple[int, int], str]) -> None:
        """Hand what a node gives through `watch` where a test of claims wants it."""
        for index in range(len(frame.body.nodes[number].outputs)):
            name, handle = watched.get((number, index)), frame.values.get((number, index))
            if name is not None and handle is not None:
                frame.values[number, index] = self.call(WATCH, handle, name)

    # ----------------------------------------------------------------------------------------------- kinds of nodes

    def write_parameter(self, frame: Frame, number: int, node: Node) -> tuple[Handle, ...]:
        """Read a parameter or buffer; one that this body also updates is copied, as the update comes before the backward pass."""
        value = self._attribute(frame.path(node.target))
        if any(update.path == node.target for update in frame.body.updates):
            value = self.method(value, "clone")
        return (value,)

    def write_derived(self, frame: Frame, number: int, node: Node) -> tuple[Handle, ...]:
        """Call the module that keeps what is computed from parameters alone; several of a body by one call, at the first of them."""
        if frame.derived is None:
            numbers = [at for at, each in enumerate(frame.body.nodes) if each.kind is NodeKind.DERIVED]
            paths = [self._derived(frame, frame.body.nodes[at]) for at in numbers]
            if len(paths) == 1:
                return (self._aside(self._create("call_module", paths[0])),)
            called = self._aside(self._create("call_module", TOGETHER, name="together"))
            self._together.append((called, frame.prefix, paths))
            frame.derived = {at: (called, place) for place, at in enumerate(numbers)}
        return (self._aside(self.item(*frame.derived[number])),)

    def _finish(self, called: fx.Node, prefix: str, paths: list[str]) -> None:
        """Name the module that hands out derived values, and let it keep those views of them that alone are read."""
        views: list[tuple[Any, ...]] = []
        for item in list(called.users):  # in the order of their places
            reader = next(iter(item.users)) if len(item.users) == 1 else None
            if reader is not None and reader.op == "call_method" and reader.target in VIEWS and all(isinstance(arg, int) for arg in reader.args[1:]):
                views.append((reader.target, *reader.args[1:]))
                reader.replace_all_uses_with(item)
                self.graph.erase_node(reader)
            else:
                views.append(())
        names = tuple(path.removeprefix(f"{prefix}.") for path in paths)
        called.target = self.around.child(prefix, TOGETHER, {"names": names, "views": tuple(views)})

    def _derived(self, frame: Frame, node: Node) -> str:
        recipe: Recipe = node.attributes["recipe"]
        code = generate(node.target, BodyLowering(self.around).write(recipe.body, ()), (), (node.target,))
        written = Written(recipe_text(recipe), code, recipe.paths, recipe.packed, _is_still(recipe))
        return self.around.child(frame.prefix, DERIVED, {"recipe": written}, node.target)

    def write_constant(self, frame: Frame, number: int, node: Node) -> tuple[Handle, ...]:
        """Make a tensor without dimensions."""
        value = node.attributes["value"]
        filled = self.dim(value) if isinstance(value, Dim) else value
        dtype, device = self.dtype(node.outputs[0].dtype), self.device()
        return (self.call("torch.full", (), filled, dtype=dtype, device=device),)

    def write_draw(self, frame: Frame, number: int, node: Node) -> tuple[Handle, ...]:
        """Draw a tensor, unless the caller gave it."""
        distribution, type_ = node.attributes["distribution"], node.outputs[0]
        given = frame.values.get((number, 0))
        shape = [self.dim(axis if isinstance(axis, (int, Dim)) else axis.size) for axis in type_.shape]
        declared = next(declared for declared in frame.body.inputs if declared.node == number)
        name = ".".join([declared.name, *map(member_text, declared.members)])
        sizes = {key: self.dim(value) for key, value in distribution.arguments.items() if isinstance(value, Dim)}
        numbers = {key: value if isinstance(value, int) else float(value) for key, value in distribution.arguments.items() if key not in sizes}
        path = self.around.child(frame.prefix, DRAW, {"distribution": distribution.name, **numbers}, name)
        drawn = self._create("call_module", path, (given, shape), {**sizes, "dtype": self.dtype(type_.dtype), "device": self.device()})
        drawn.meta["types"] = (type_,)
        return (drawn,)

    def write_operation(self, frame: Frame, number: int, node: Node) -> tuple[Handle, ...]:
        """Write an operation through its lowering, or the call of an extern function."""
        handles = {name: frame.operand(operand) for name, operand in node.inputs.items()}
        if isinstance(node.primitive, ExternFunction):
            return (self._create("call_function", self.around.function(node.primitive), (), {**node.attributes, **handles}, node.target),)
        entry = _entry(node)
        types = {name: _types(frame.body, operand) for name, operand in node.inputs.items()}
        self._given, self._made = tuple(types.values()), node.outputs
        made = entry.lower(self, {**node.attributes, **handles}, {**node.attributes, **types}, node.outputs)
        return cast("tuple[Handle, ...]", made) if isinstance(made, tuple) else (made,)

    def write_leaf(self, frame: Frame, number: int, node: Node) -> tuple[Handle, ...]:
        """Call a leaf module at its path."""
        given: dict[str, Any] = {**node.attributes, **{name: frame.operand(operand) for name, operand in node.inputs.items()}}
        if node.primitive is None:
            args = [given[name] for name in node.inputs]
        else:
            lowering = _entry(node).lowering
            names = lowering.inputs if isinstance(lowering, LeafModule) else tuple(given)
            args = [given.get(name) for name in names]
            while args and args[-1] is None:
                args.pop()
        called = self._create("call_module", frame.path(node.target), tuple(args))
        called.meta["types"] = tuple(_types(frame.body, operand) for operand in node.inputs.values())
        if len(node.outputs) == 1:
            return (called,)
        return tuple(self.item(called, i) for i in range(len(node.outputs)))

    def write_norms(self, frame: Frame, number: int, node: Node) -> tuple[Handle, ...]:
        """Call batch norms side by side as one, which asks each of them whether it trains."""
        modules = tuple(self._attribute(frame.path(path)) for path in node.attributes["modules"])
        given = (frame.operand(node.inputs.get(name)) for name in ("x", "weight", "bias"))
        return (self.call(NORMS, *given, modules),)

    def write_call(self, frame: Frame, number: int, node: Node) -> tuple[Handle, ...]:
        """Call a block instance at its path, or write it out in place."""
        body, path = node.body, frame.path(node.target)
        if body is None:
            raise ValueError(f"the call of `{node.target}` has no body")
        found = self.around.callee(path, body)
        if found is None:
            return self._in_place(frame, node, body, path)
        view, names = found
        args = tuple(frame.operand(node.inputs.get(name)) for name in names)
        if self.around.watched(body) and is_extern(body):
            return self._watched_extern(node, body, path, args)
        called = self._create("call_module", path, args, {"view": view} if view else {})
        return self._parts(node, body, called)

    def _parts(self, node: Node, body: Body, called: Handle) -> tuple[Handle, ...]:
        """Return the several results of a call."""
        if len(node.outputs) == 1:
            return (called,)
        parts = (join(node.name, name) if node.name else name for name in result_names(body))
        return tuple(self._create("call_function", imported("operator.getitem"), (called, i), name=identifier(part)) for i, part in enumerate(parts))

    def _watched_extern(self, node: Node, body: Body, path: str, args: tuple[Handle, ...]) -> tuple[Handle, ...]:
        """Call a module that has no graph of its own, with what goes in and comes out watched."""
        watched = self.around.watched(body)
        inner = self._open(body, path, {})
        for declared, arg in zip(body.inputs, args, strict=True):
            inner.values[declared.node, 0] = arg
            self._watch(inner, declared.node, watched)
        called = self._create("call_module", path, tuple(inner.values[declared.node, 0] for declared in body.inputs))
        for output, part in zip(body.outputs, self._parts(node, body, called), strict=True):
            inner.values[output.ref.node, 0] = part
            self._watch(inner, output.ref.node, watched)
        return tuple(inner.values[ref.node, ref.index] for ref in results(body))

    def _in_place(self, frame: Frame, node: Node, body: Body, path: str) -> tuple[Handle, ...]:
        inner = self._open(body, path, self.around.handed(path))
        for declared in body.inputs:
            drawn = body.nodes[declared.node].kind is NodeKind.DRAW
            self._input(inner, declared.node, frame.operand(node.inputs.get(declared.key)), declared.type, drawn)
        self._nodes(inner)
        return tuple(inner.values[ref.node, ref.index] for ref in results(body))


DERIVED = "archloom.compiler.runtime.derived.Derived"
TOGETHER = "archloom.compiler.runtime.derived.Together"
DRAW = "archloom.compiler.runtime.draws.Draw"
RECORDED = "archloom.compiler.runtime.recording.Recorded"
NORMS = "archloom.compiler.runtime.norms.batch_norms"
UPDATE = "archloom.compiler.runtime.parts.BufferUpdate"
WATCH = "archloom.compiler.runtime.watching.watch"
VIEWS = ("transpose", "unsqueeze", "movedim", "permute")
"""Methods that give a view of a tensor."""
Writer = Callable[[BodyLowering, Frame, int, Node], tuple[Handle, ...]]

_WRITERS: dict[NodeKind, Writer] = {
    NodeKind.PARAMETER: BodyLowering.write_parameter,
    NodeKind.DERIVED: BodyLowering.write_derived,
    NodeKind.CONSTANT: BodyLowering.write_constant,
    NodeKind.DRAW: BodyLowering.write_draw,
    NodeKind.OPERATION: BodyLowering.write_operation,
    NodeKind.LEAF: BodyLowering.write_leaf,
    NodeKind.NORMS: BodyLowering.write_norms,
    NodeKind.CALL: BodyLowering.write_call,
}


def is_extern(body: Body) -> bool:
    """Tell whether a body says what a wrapped module takes and gives."""
    return any(node.kind is NodeKind.EXTERN for node in body.nodes)


def _is_still(recipe: Recipe) -> bool:
    """Tell whether the last operation of a recipe gives no gradient to anything."""
    last = recipe.body.nodes[recipe.body.outputs[0].ref.node]
    given = {name: _types(recipe.body, operand) for name, operand in last.inputs.items()}
    arguments = {argument.name: argument for argument in _entry(last).all_arguments}
    return all(arguments[name].is_flat({**last.attributes, **given}) for name in given)


def _entry(node: Node) -> Entry:
    if not isinstance(node.primitive, Entry):
        raise TypeError(f"`{node.target}` can't be lowered: it isn't a primitive of the library")
    return node.primitive


def _types(body: Body, operand: Operand) -> Any:
    if operand is None:
        return None
    return body.type(operand) if isinstance(operand, Ref) else tuple(body.type(ref) for ref in operand)

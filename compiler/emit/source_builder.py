"""One body as steps: primitives through the same lowerings that the graph of torch.fx is made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from ...blocks.lowering import Expansion, LeafModule
from ...blocks.registry import Entry
from ...dsl.dims import Dim
from ...dsl.program import Body, InputDecl, Node, NodeKind, Operand, Ref
from ...dsl.types import DType, extent
from ..graph import result_names, results
from ..lower.body import TORCH_DTYPES
from ..lower.names import identifier
from ..lower.sizes import Sizes
from ..paths import HANDED, is_handed, join
from .families import Family, parameters, returned
from .idioms import idiomatic
from .marking import statics
from .plan import Instance
from .sequences import continued, operand_of
from .steps import Access, Hole, Member, Step, Store, Text
from .tables import Tables, bearers_of_size
from .terms import NOTHING, Wording, wording
from .variants import Told

ATTENTION = "archloom.compiler.runtime.modes.Attention"
SIZED = ("torch.unflatten", "torch.split", "view", "reshape", "unflatten", "expand", "split")
"""What takes sizes in a list; others take numbers of axes."""

VIEWS = ("torch.unflatten", "view", "reshape", "unflatten")

PARTS = {"rope_table": ("cos", "sin"), "rope_table_interleaved": ("cos", "sin")}
"""What the results of a function are called."""

DRAWS = "archloom.compiler.runtime.draws."


class Modules(Protocol):
    """What a class keeps for its functions: modules without parameters, and a tensor that tells dtype and device."""

    def operation(self, target: str, arguments: Mapping[str, Any]) -> str: ...
    def anchor(self) -> Access: ...


class SourceBuilder:
    """Implements `LoweringBuilder` by writing steps."""

    def __init__(
        self, instance: Instance, modules: Modules, body: Body, families: Sequence[Family], told: Told | None = None, is_root: bool = False
    ) -> None:
        self.told = told
        self._is_root = is_root
        self.families = families
        self.instance = instance
        self.modules = modules
        self.body = body
        self.steps: list[Step | Store] = []
        self.values: dict[tuple[int, int], Any] = {}
        self.parameters: dict[str, Step] = {}
        self._kinds: dict[int, Family] = {}
        self._sizes = Sizes(self._operator, self._size)
        self._float: Any = None
        self._any: Any = None
        self._near: Any = None
        self._tables = Tables()
        self._words: Wording = NOTHING
        self._line = 0

    # ------------------------------------------------------------------------------------------------- whole bodies

    def write(self) -> list[Any]:
        """Write the nodes of the body and return its results."""
        for declared in sorted(self.body.inputs, key=lambda d: (d.is_state, d.is_target, d.optional)):  # sizes are read from what is always there
            self._input(declared)
        for key, place in {key: place for family in self.families for key, place in family.places_of()}.items():
            if key in self.parameters:
                self.parameters[key].name = place
        inner = continued(self.body, self.instance.sequences)
        for number, node in enumerate(self.body.nodes):
            if number in inner:
                self.values[number, 0] = self._operand(operand_of(node))
            elif node.kind not in (NodeKind.INPUT, NodeKind.STATE):
                self._node(number, node)
        self.steps = self._tables.first(self.steps)
        for update in self.body.updates:
            access = self.instance.access(update.path)
            self.steps.append(Store((), (access, self.values[update.ref.node, update.ref.index]), "update"))
        made = [self.values[ref.node, ref.index] for ref in results(self.body)]
        names = [*(output.name for output in self.body.outputs), *(loss.path.rpartition(".")[2] for loss in self.body.losses)]
        for value, name in zip(made, names, strict=False):
            if isinstance(value, Step) and not value.name:
                value.label = identifier(name)
        return made if self._is_root else self._packed(made)

    def _packed(self, made: Sequence[Any]) -> list[Any]:
        """Return the results of a block with each family of outputs as one."""
        groups = [(family, [made[place] for place in family.places]) for family in returned(self.body, self.told)]
        return [self._together(family, values) if family.members else values[0] for family, values in groups]

    def _input(self, declared: InputDecl) -> None:
        step = self.parameters[declared.key] = Step("input", declared.key, name=identifier(declared.key))
        self.values[declared.node, 0] = step
        if self.body.nodes[declared.node].kind is NodeKind.DRAW:
            return
        self._sizes.offer(step, declared.type, is_input=True)
        if declared.is_state and self._is_root:
            return  # it may be absent, and is then made here
        self._any = self._any or step
        if declared.type.dtype is DType.FLOAT:
            self._float = self._float or step

    def _node(self, number: int, node: Node) -> None:
        self._words, self._line, self._near = wording(node.span), node.span.line, None
        self._sizes.forget()
        first = len(self.steps)
        made = self._write(number, node)
        handles: tuple[Any, ...] = cast("tuple[Any, ...]", made) if isinstance(made, tuple) else (made,)
        last = handles[0]
        if len(handles) == 1 and node.name and isinstance(last, Step) and any(last is step for step in self.steps[first:]) and not last.name:
            last.name = identifier(node.name.rpartition(".")[2])
        for index, (handle, type_) in enumerate(zip(handles, node.outputs, strict=True)):
            self.values[number, index] = handle
            if isinstance(handle, Step):
                self._sizes.offer(handle, type_)

    def _write(self, number: int, node: Node) -> Any:
        if node.part is not None and node.part.path in self.instance.sequences:
            return self._sequence(node, node.part.path)
        if node.kind is NodeKind.PARAMETER:
            return self._parameter(node)
        if node.kind is NodeKind.CONSTANT:
            value = node.attributes["value"]
            filled = self.dim(value) if isinstance(value, Dim) else value
            return self.call("torch.full", (), filled, dtype=self.dtype(node.outputs[0].dtype), device=self.device())
        if node.kind is NodeKind.DRAW:
            return self._draw(number, node)
        if node.kind is NodeKind.OPERATION:
            return self._operation(node)
        return self._leaf(node) if node.kind is NodeKind.LEAF else self._call(node)

    # ------------------------------------------------------------------------------------------------------- nodes

    def _operand(self, operand: Operand) -> Any:
        if operand is None:
            return None
        return self.values[operand.node, operand.index] if isinstance(operand, Ref) else [self.values[r.node, r.index] for r in operand]

    def _types(self, operand: Operand) -> Any:
        if operand is None:
            return None
        return self.body.type(operand) if isinstance(operand, Ref) else tuple(map(self.body.type, operand))

    def access(self, target: str) -> Access:
        """Return how a path of the body is reached; below a module that was handed in by that one's own structure."""
        if not is_handed(target):
            found = self.instance.access(target)
            if self.told is None or target not in self.told.places:
                return found
            word = Member(Text(self.instance.planner.word(self.told)))
            return Access(tuple(word if isinstance(p, Member) and p.value == self.told.member else p for p in found.parts), found.base)
        name, *rest = target.removeprefix(HANDED).split(".")
        return Access(tuple(Member(int(word)) if word.isdigit() else word for word in rest), identifier(name))

    def _parameter(self, node: Node) -> Any:
        value = self._step("value", self.access(node.target))
        return self.method(value, "clone") if any(update.path == node.target for update in self.body.updates) else value

    def _draw(self, number: int, node: Node) -> Any:
        """Draw a tensor unless it was given: `noise if noise is not None else torch.randn(...)`."""
        distribution, type_ = node.attributes["distribution"], node.outputs[0]
        shape = [self.dim(extent(axis)) for axis in type_.shape]
        given = self.values.get((number, 0))
        numbers = {name: self.dim(value) if isinstance(value, Dim) else value for name, value in distribution.arguments.items()}
        keywords = {**numbers, "dtype": self.dtype(type_.dtype), "device": self.device()}
        return self._step("call", DRAWS + distribution.name, (given, shape), keywords, effect=True, label=_label(node.target))

    def _operation(self, node: Node) -> Any:
        entry = _entry(node)
        known = statics(node.attributes, entry.all_arguments, self._words, composed=isinstance(entry.lowering, Expansion))
        handles = {name: self._operand(operand) for name, operand in node.inputs.items()}
        types = {name: self._types(operand) for name, operand in node.inputs.items()}
        before = len(self.steps)
        made: Any = entry.lower(self, {**known, **handles}, {**node.attributes, **types}, node.outputs)
        if entry.is_random:
            for step in self.steps[before:]:
                if isinstance(step, Step) and step.kind in ("call", "method"):
                    step.effect = True
        parts = cast("tuple[Step, ...]", made) if isinstance(made, tuple) else ()
        for part, label in zip(parts, entry.results, strict=False):
            part.label = part.label or label
        return parts or cast("Any", made)

    def _sequence(self, node: Node, path: str) -> Step:
        """Call the whole of which a node is the last part: what the parts before it take has been handed on to it."""
        return self._step("module", (self.access(path), "forward"), (self._operand(operand_of(node)),), effect=True, label=self._label(path))

    def _leaf(self, node: Node) -> Any:
        given = {**node.attributes, **{name: self._operand(operand) for name, operand in node.inputs.items()}}
        args = [given[name] for name in node.inputs]
        if node.primitive is not None:
            lowering = _entry(node).lowering
            args = [given.get(name) for name in (lowering.inputs if isinstance(lowering, LeafModule) else tuple(given))]
            while args and args[-1] is None:
                args.pop()
        random = node.primitive is not None and _entry(node).is_random
        called = self._step("module", (self.access(node.target), "forward"), tuple(args), effect=random, label=self._label(node.target))
        return self._results(node, called, ())

    def _call(self, node: Node) -> Any:
        body = node.body
        if body is None:
            raise ValueError(f"the call of `{node.target}` has no body")
        child = None if is_handed(node.target) else self.instance.find(node.target)
        child = child or self.instance.planner.called[id(body)]
        way = child.way(body)
        families = parameters(child.pairs[way.number])
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for place, family in enumerate(families):
            values = [self._operand(node.inputs.get(key)) for key in family.keys]
            given = self._together(family, values) if family.members else values[0]
            if given is None:
                continue
            if len(args) == place and not family.optional:
                args.append(given)
            else:
                kwargs[family.name] = given
        declared = self.body.modules.get(node.target)
        for name in sorted(self.instance.planner.handed(body)):
            if declared is None:
                raise ValueError(f"`{node.target}` was handed in, and needs modules itself")
            kwargs[identifier(name)] = self._step("value", self.access(declared.modules[name]))
        if way.told is not None:
            kwargs[self.instance.planner.word(way.told)] = Member(way.member or "")
        called = self._step("module", (self.access(node.target), "forward"), tuple(args), kwargs, effect=True, label=self._label(node.target))
        called.target = (called.target[0], method_name(child.aliases.get(way.number, way.number)))
        made = self._returned(node, called, returned(way.body, way.told))
        return (
            tuple(made[way.names.index(name)] for name in result_names(body))
            if len(node.outputs) > 1
            else made[way.names.index(result_names(body)[0])]
        )

    def _label(self, target: str) -> str:
        """Return the name of a module as a name for what it gives."""
        declared = self.body.modules.get(target)
        return identifier(declared.name) if declared is not None and target not in self.instance.renamed else _label(target)

    def _together(self, family: Family, values: Sequence[Any]) -> Any:
        """Return values as one: what holds just these, or a dict or list that is made of them."""
        first = values[0]
        if isinstance(first, Step) and first.kind == "element":
            whole = first.args[0]
            if self._holds(whole).members == family.members and all(
                isinstance(v, Step) and v.kind == "element" and v.args[0] is whole and v.args[1] == family.member(i) for i, v in enumerate(values)
            ):
                return whole
        for own in self.families:
            same = own.members == family.members and own.is_list == family.is_list
            if same and all(self.parameters.get(key) is value for key, value in zip(own.keys, values, strict=True)):
                return Step("whole", own.name, tuple(values))
        step = self._step("family", family, tuple(values), label=family.name)
        self._kinds[id(step)] = family
        return step

    def _holds(self, step: Step) -> Family:
        return self._kinds[id(step)]

    def _returned(self, node: Node, called: Step, families: Sequence[Family]) -> list[Any]:
        """Return the results of a block one by one: each the call itself, an item of it, or an element of either."""
        found: dict[int, Any] = {}
        word = node.name.rpartition(".")[2]
        for number, family in enumerate(families):
            part = called if len(families) == 1 else self.item(called, number)
            if len(families) > 1:
                part.label = family.name
            elif family.members:
                part.name, part.label = identifier(word) if word else "", family.name
            self._kinds[id(part)] = family
            for place, at in enumerate(family.places):
                found[at] = Step("element", None, (part, family.member(place))) if family.members else part
        return [found[at] for at in range(len(found))]

    def _results(self, node: Node, called: Step, names: tuple[str, ...]) -> Any:
        if len(node.outputs) == 1:
            return called
        labels = names or tuple(f"{node.name or 'part'}_{i}" for i in range(len(node.outputs)))
        parts = [self.item(called, i) for i in range(len(node.outputs))]
        for part, label in zip(parts, labels, strict=True):
            part.label = identifier(join(node.name, label) if node.name else label)
        return tuple(parts)

    # --------------------------------------------------------------------------------------------- the builder protocol

    def _step(
        self, kind: str, target: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, *, effect: bool = False, label: str = ""
    ) -> Step:
        if target in SIZED:
            args = tuple(self._sized(cast("Sequence[Any]", arg), target) if isinstance(arg, (list, tuple)) else arg for arg in args)
        step = idiomatic(Step(kind, target, args, kwargs or {}, effect=effect, line=self._line, label=label))
        known = self._tables.once(step)
        if kind != "value" and known is step:
            self.steps.append(step)
        return known

    def _sized(self, sizes: Sequence[Any], target: str) -> list[Any]:
        """Mark sizes; torch finds one of those of a view by itself, unless another is -1 or known at run time alone."""
        free = target in VIEWS and all(isinstance(size, int) and size >= 0 for size in sizes)
        group = object() if free else None
        return [Hole(size, getattr(size, "words", self._words), group=group) if isinstance(size, int) else size for size in sizes]

    def _operator(self, target: str, *args: Any) -> Step:
        return self.call(target, *args)

    def _size(self, handle: Any, axis: int, name: str) -> Step:
        step = self._step("method", "size", (handle, axis))
        step.label = identifier(name.partition("[")[0]).strip("_")
        return step

    def call(self, target: str, *args: Any, **kwargs: Any) -> Step:
        """Call a function, or write an operator."""
        if target == "torch.cat" and len(args[0]) == 1:
            return args[0][0]
        if target == "operator.getitem":
            return self._step("index", None, args)
        module, _, name = target.rpartition(".")
        return self._step("operator" if module == "operator" else "call", name if module == "operator" else target, args, kwargs)

    def method(self, handle: Any, name: str, *args: Any, **kwargs: Any) -> Step:
        """Call a method of a value."""
        return self._step("method", name, (handle, *args), kwargs)

    def item(self, handle: Any, index: int) -> Step:
        """Return one of several results."""
        parts = PARTS.get(str(handle.target).rpartition(".")[2], ()) if isinstance(handle, Step) else ()
        return self._step("item", None, (handle, index), label=parts[index] if index < len(parts) else "")

    def dim(self, extent: int | Dim) -> Any:
        """Return a size: a number that may become a parameter, or what tells it at run time."""
        if isinstance(extent, int):
            return Hole(extent, getattr(extent, "words", self._words))
        size = self._sizes.value(extent)
        self._near = self._near or next(bearers_of_size(size), None)
        return size

    def dtype(self, dtype: DType) -> Any:
        """Return a dtype; `float` is that of the first float input or parameter."""
        if dtype is not DType.FLOAT:
            return Text(str(TORCH_DTYPES[dtype]))
        return self._trait(self._float, "dtype")

    def device(self) -> Any:
        """Return the device of a tensor that told a size here, of the first input, or of the parameters."""
        return self._trait(self._near or self._any, "device")

    def _trait(self, bearer: Any, trait: str) -> Step:
        found = bearer if bearer is not None else self._step("value", self.modules.anchor())
        return Step("trait", trait, (found,))

    def child(self, target: str, arguments: Mapping[str, Any], *inputs: Any) -> Step:
        """Call a module without parameters; attention that drops weights is written out."""
        if target == ATTENTION:
            options = {name: value for name, value in arguments.items() if name != "drop"}
            mask = {"attn_mask": inputs[3]} if len(inputs) > 3 else {}
            drop = Text(f"{arguments['drop']!r} if self.training else 0.0")
            function = "torch.nn.functional.scaled_dot_product_attention"
            return self._step("call", function, inputs[:3], {**mask, "dropout_p": drop, **options}, effect=True)
        name = self.modules.operation(target, arguments)
        return self._step("module", (Access((name,)), "forward"), inputs, effect=True, label=name)


def method_name(number: int) -> str:
    """Return the name of the function for one way of being called."""
    return "forward" if number == 0 else f"forward_{number + 1}"


def _label(target: str) -> str:
    words = [word for word in target.removeprefix(HANDED).split(".") if not word.isdigit()]
    return identifier(words[-1]) if words else "h"


def _entry(node: Node) -> Entry:
    if not isinstance(node.primitive, Entry):
        raise TypeError(f"`{node.target}` isn't a primitive of the library")
    return node.primitive

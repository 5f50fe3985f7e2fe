"""One body as steps: primitives through the same lowerings that the graph of torch.fx is made with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ...blocks.lowering import Expansion, LeafModule
from ...blocks.registry import Entry
from ...dsl.dims import Dim, Symbol
from ...dsl.program import Body, InputDecl, Node, NodeKind, Operand, Recipe, Ref
from ...dsl.types import DType, extent
from ..graph import result_names, results
from ..lower.names import identifier
from ..paths import HANDED, is_handed, join
from .expressions import Expressions
from .families import Family, parameters, returned
from .functions import TAKEN
from .marking import statics
from .plan import Instance
from .reading import bound_names
from .sequences import continued, operand_of
from .step_builder import Modules, StepBuilder
from .steps import Access, Member, Step, Store, Text, inputs_of
from .terms import wording
from .variants import Told

DRAWS = "archloom.compiler.runtime.draws."


class SourceBuilder(StepBuilder):
    """Writes one body."""

    def __init__(
        self, instance: Instance, modules: Modules, body: Body, families: Sequence[Family], told: Told | None = None, is_root: bool = False
    ) -> None:
        super().__init__(modules)
        self.told = told
        self._is_root = is_root
        self.families = families
        self.instance = instance
        self.body = body
        self.values: dict[tuple[int, int], Any] = {}
        self.parameters: dict[str, Step] = {}
        self._kinds: dict[int, Family] = {}
        self.bound: tuple[str, ...] = ()
        """The names that the text gives what is written."""
        self._told: set[Symbol] = set()
        """The sizes that inputs tell."""

    # ------------------------------------------------------------------------------------------------- whole bodies

    def write(self) -> list[Any]:
        """Write the nodes of the body and return its results."""
        self._inputs()
        inner = continued(self.body, self.instance.sequences)
        for number, node in enumerate(self.body.nodes):
            if number in inner:
                self.values[number, 0] = self._operand(operand_of(node))
            elif node.kind not in (NodeKind.INPUT, NodeKind.STATE):
                self._node(number, node)
        self.steps = self.tables.first(self.steps)
        for update in self.body.updates:
            access = self.instance.access(update.path)
            self.steps.append(Store((), (access, self.values[update.ref.node, update.ref.index]), "update"))
        self._remember()
        made = [self.values[ref.node, ref.index] for ref in results(self.body)][: len(self.body.outputs) + len(self.body.losses)]
        names = [*(output.name for output in self.body.outputs), *(loss.path.rpartition(".")[2] for loss in self.body.losses)]
        for value, name in zip(made, names, strict=False):
            if isinstance(value, Step) and not value.name:
                value.label = identifier(name)
        return made if self._is_root else self._packed(made)

    def _remember(self) -> None:
        """Keep what the body remembers itself, as soon as nothing reads what it was; a call leaves the caches of its module as they are then."""
        for state in self.body.states:
            if self.body.nodes[state.result.node].kind is not NodeKind.CALL:
                value, old = self.values[state.result.node, state.result.index], self.parameters[state.key]
                last = max((i for i, step in enumerate(self.steps) if step is value or any(read is old for read in inputs_of(step))), default=-1)
                self.steps.insert(last + 1, Store((Expressions(repr, str).access(self._cache(state.key)), " = "), value, "state"))

    def _packed(self, made: Sequence[Any]) -> list[Any]:
        """Return the results of a block with each family of outputs as one."""
        groups = [(family, [made[place] for place in family.places]) for family in returned(self.body, self.told)]
        return [self._together(family, values) if family.members else values[0] for family, values in groups]

    def _cache(self, key: str) -> Access:
        """Return how a cache, or all below a module, is reached."""
        words = key.split(".") if key else []
        told = self.told if self.told is not None and key in self.told.places else None
        parts = (Member(Text(self.instance.planner.word(told)) if told is not None and word == told.member else word) for word in words)
        return Access(tuple(parts), "caches" if self._is_root else "states")

    def _inputs(self) -> None:
        for declared in sorted(self.body.inputs, key=lambda d: (d.is_state, d.is_target, d.optional)):  # sizes are read from what is always there
            self._input(declared)
        for key, place in (pair for family in self.families for pair in family.places_of()):
            if key in self.parameters:
                self.parameters[key].name = place

    def _input(self, declared: InputDecl) -> None:
        step = self.parameters[declared.key] = Step("input", declared.key, name=identifier(declared.key))
        if declared.is_state:
            step.name = Expressions(repr, str).access(self._cache(declared.key))
        self.values[declared.node, 0] = step
        if self.body.nodes[declared.node].kind is NodeKind.DRAW:
            return
        self.sizes.offer(step, declared.type, is_input=True)
        if declared.is_state:  # it may be absent, and is not the same after a call: its own sizes are read before all else
            sizes = {axis.symbol for axis in declared.type.shape if isinstance(axis, Dim) and axis.symbol is not None}
            for symbol in sorted(sizes - self._told, key=str):
                self.sizes.value(Dim.of(symbol))
            self._told |= sizes
            return
        self._told |= {symbol for axis in declared.type.shape if isinstance(axis, Dim) for symbol in axis.symbols()}
        self.any_ = self.any_ or step
        if declared.type.dtype is DType.FLOAT:
            self.float_ = self.float_ or step

    def _node(self, number: int, node: Node) -> None:
        names = tuple(argument.name for argument in node.primitive.arguments) if node.primitive is not None else ()
        self.words, self.line, self.near = wording(node.span, node.target, names), node.span.line, None
        self.bound = tuple(map(identifier, bound_names(node.span)))
        self.sizes.forget()
        first = len(self.steps)
        made = self._write(number, node)
        handles: tuple[Any, ...] = cast("tuple[Any, ...]", made) if isinstance(made, tuple) else (made,)
        if len(self.bound) == len(handles) > 1:
            for handle, name in zip(handles, self.bound, strict=True):
                if isinstance(handle, Step) and handle.kind == "item":
                    handle.name = handle.name or name
        elif len(self.bound) == 1 < len(handles) and node.kind is not NodeKind.CALL:
            for handle in handles:
                handle.label = self.bound[0]
        last = handles[0]
        if len(handles) == 1 and node.name and isinstance(last, Step) and any(last is step for step in self.steps[first:]) and not last.name:
            last.name = identifier(node.name.rpartition(".")[2])
        for index, (handle, type_) in enumerate(zip(handles, node.outputs, strict=True)):
            self.values[number, index] = handle
            if isinstance(handle, Step):
                self.sizes.offer(handle, type_)

    def _write(self, number: int, node: Node) -> Any:
        if node.part is not None and node.part.path in self.instance.sequences:
            return self._sequence(node, node.part.path)
        if node.kind is NodeKind.PARAMETER:
            return self._parameter(node)
        if node.kind is NodeKind.DERIVED:
            return self._derived(node.attributes["recipe"])
        if node.kind is NodeKind.CONSTANT:
            value = node.attributes["value"]
            filled = self.dim(value) if isinstance(value, Dim) else value
            return self.call("torch.full", (), filled, dtype=self.dtype(node.outputs[0].dtype), device=self.device())
        if node.kind is NodeKind.DRAW:
            return self._draw(number, node)
        if node.kind is NodeKind.OPERATION:
            return self._operation(node)
        if node.kind is NodeKind.NORMS:
            return self._norms(node)
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
        value = self.step("value", self.access(node.target))
        return self.method(value, "clone") if any(update.path == node.target for update in self.body.updates) else value

    def _derived(self, recipe: Recipe) -> Any:
        """Compute what passes derived from parameters, each time: emitted code keeps nothing between calls."""
        around = self.body, self.values
        self.body, self.values = recipe.body, {}
        for number, node in enumerate(recipe.body.nodes):
            self._node(number, node)
        found = self._operand(recipe.body.outputs[0].ref)
        self.body, self.values = around
        return found

    def _draw(self, number: int, node: Node) -> Any:
        """Draw a tensor unless it was given: `noise if noise is not None else torch.randn(...)`."""
        distribution, type_ = node.attributes["distribution"], node.outputs[0]
        shape = [self.dim(extent(axis)) for axis in type_.shape]
        given = self.values.get((number, 0))
        numbers = {name: self.dim(value) if isinstance(value, Dim) else value for name, value in distribution.arguments.items()}
        keywords = {**numbers, "dtype": self.dtype(type_.dtype), "device": self.device()}
        return self.step("call", DRAWS + distribution.name, (given, shape), keywords, effect=True, label=_label(node.target))

    def _operation(self, node: Node) -> Any:
        entry = _entry(node)
        known = statics(node.attributes, entry.all_arguments, self.words, composed=isinstance(entry.lowering, Expansion))
        handles = {name: self._operand(operand) for name, operand in node.inputs.items()}
        types = {name: self._types(operand) for name, operand in node.inputs.items()}
        before = len(self.steps)
        self.live = node.span in self.instance.planner.live
        made: Any = entry.lower(self, {**known, **handles}, {**node.attributes, **types}, node.outputs)
        if entry.is_random:
            for step in self.steps[before:]:
                if isinstance(step, Step) and step.kind in ("call", "method"):
                    step.effect = True
        if isinstance(made, Step) and len(self.steps) - before > 1 and any(made is step for step in self.steps[before:]):
            own = str(made.target).rpartition(".")[2] == node.target or node.target in TAKEN
            made.label = made.label or ("" if own else node.target)
        parts = cast("tuple[Step, ...]", made) if isinstance(made, tuple) else ()
        for part, label in zip(parts, entry.results, strict=False):
            part.label = part.label or label
        return parts or cast("Any", made)

    def _sequence(self, node: Node, path: str) -> Step:
        """Call the whole of which a node is the last part: what the parts before it take has been handed on to it."""
        return self.step("module", (self.access(path), "forward"), (self._operand(operand_of(node)),), effect=True, label=self._label(path))

    def _leaf(self, node: Node) -> Any:
        given = {**node.attributes, **{name: self._operand(operand) for name, operand in node.inputs.items()}}
        args = [given[name] for name in node.inputs]
        if node.primitive is not None:
            lowering = _entry(node).lowering
            args = [given.get(name) for name in (lowering.inputs if isinstance(lowering, LeafModule) else tuple(given))]
            while args and args[-1] is None:
                args.pop()
        random = node.primitive is not None and _entry(node).is_random
        called = self.step("module", (self.access(node.target), "forward"), tuple(args), effect=random, label=self._label(node.target))
        return self._results(node, called, ())

    def _norms(self, node: Node) -> Any:
        """Call each norm on its part of the channels."""
        modules: tuple[str, ...] = node.attributes["modules"]
        parts = self.method(self._operand(node.inputs["x"]), "chunk", len(modules), 1)
        made = [self.step("module", (self.access(path), "forward"), (self.item(parts, i),), effect=True) for i, path in enumerate(modules)]
        return self.call("torch.cat", made, 1)

    def _call(self, node: Node) -> Any:
        body = node.body
        if body is None:
            raise ValueError(f"the call of `{node.target}` has no body")
        child = None if is_handed(node.target) else self.instance.find(node.target)
        child = child or self.instance.planner.called[id(body)]
        way = child.way(body)
        method = child.written.get(way.number)
        families = method.families if method is not None else parameters(child.pairs[way.number])
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for place, family in enumerate(families):
            if not family.keys:
                caches = self._handed_caches(node, body)
                kwargs.update({family.name: caches} if caches is not None else {})
                continue
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
            kwargs[identifier(name)] = self.step("value", self.access(declared.modules[name]))
        if way.told is not None:
            kwargs[self.instance.planner.word(way.told)] = Member(way.member or "")
        called = self.step("module", (self.access(node.target), "forward"), tuple(args), kwargs, effect=True, label=self._label(node.target))
        called.target = (called.target[0], method.name if method is not None else method_name(way.number))
        made = self._returned(node, called, returned(way.body, way.told))
        names = result_names(body)[: len(body.outputs) + len(body.losses)]
        wanted = [made[way.names.index(name)] for name in names] + [called] * len(body.states)  # nothing reads those here
        return tuple(wanted) if len(wanted) > 1 else wanted[0] if wanted else called

    def _handed_caches(self, node: Node, body: Body) -> Step | None:
        """Return the caches of a module that is called, if it has any."""
        key, given = next(((d.key, node.inputs[d.key]) for d in body.inputs if d.is_state), ("", None))
        if not key:
            return None
        if not isinstance(given, Ref):
            raise TypeError(f"the cache `{key}` of `{node.target}` is not one of this body")
        return self.step("value", self._cache(self.body.nodes[given.node].target.removesuffix(key).removesuffix(".")))

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
        names = {value.name for value in values if isinstance(value, Step) and value.kind != "input"}
        label = names.pop() if len(names) == 1 and len({id(value) for value in values}) == len(values) else ""
        step = self.step("family", family, tuple(values), label=label or family.name)
        self._kinds[id(step)] = family
        return step

    def _holds(self, step: Step) -> Family:
        return self._kinds[id(step)]

    def _returned(self, node: Node, called: Step, families: Sequence[Family]) -> list[Any]:
        """Return the results of a block one by one: each the call itself, an item of it, or an element of either."""
        found: dict[int, Any] = {}
        words = self.bound or (identifier(node.name.rpartition(".")[2]),)
        for number, family in enumerate(families):
            part = called if len(families) == 1 else self.item(called, number)
            if len(families) > 1:
                part.label = family.name
            if len(words) == len(families) and (family.members or len(families) > 1):
                part.name, part.label = words[number] if words[number] != "_" else "", family.name
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

"""Which module needs which code: instances that own the same and are called in the same ways share one unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...dsl.elaborate.births import MODEL_NAMES, UNBEARABLE
from ...dsl.extern import ExternFunction
from ...dsl.program import Body, ModuleDecl, NodeKind
from ...dsl.types import DType
from ..census import Bodies, Owned, Tensor, distinct, owned
from ..graph import result_names
from ..paths import covers, is_handed, join, resolve
from .block import Block, View, block_class, install
from .body import BodyLowering
from .code import Code, generate
from .names import identifier

Pair = tuple[Body, Body]
"""The same call in evaluation and in training; the same body twice where the mode makes no difference."""

Watched = Callable[[Body], Mapping[tuple[int, int], str]]
"""Names of the values of a body (number of the node, of its output) that are handed through `watch`."""

ANCHOR = "archloom.compiler.runtime.parts.Anchor"


class Lowerer:
    """Makes units and remembers them: a thousand equal layers are one unit."""

    def __init__(self, function: Callable[[ExternFunction], Callable[..., Any]], watched: Watched | None = None) -> None:
        """Take how to get at an extern function, and which values to watch."""
        self.function = function
        self.watched: Watched = watched or (lambda body: {})
        self._units: dict[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], Unit] = {}
        self._hands: dict[int, bool] = {}
        self._owned: dict[tuple[int, ...], Owned] = {}
        self.ops = 0
        """How many modules without parameters there are in all units: instances made before the last one lack some."""

    def unit(self, name: str, registered: Bodies, pairs: Sequence[Pair]) -> Unit:
        """Return the unit of instances that own what `registered` bodies own and are called as `pairs`."""
        key = (tuple(map(id, registered)), tuple((id(a), id(b)) for a, b in pairs))
        found = self._units.get(key)
        if found is None:
            found = self._units[key] = Unit(self, name, registered, pairs)
        return found

    def owned(self, bodies: Bodies) -> Owned:
        """Return what an instance holds directly."""
        key = tuple(map(id, bodies))
        found = self._owned.get(key)
        if found is None:
            found = self._owned[key] = owned(bodies)
        return found

    def is_in_place(self, body: Body) -> bool:
        """Tell whether a body uses modules that it was handed, so that its calls are written out where those modules live."""
        found = self._hands.get(id(body))
        if found is None:
            own = any(is_handed(node.target) for node in body.nodes)
            passed = any(is_handed(path) for declared in body.modules.values() for path in declared.modules.values())
            found = self._hands[id(body)] = own or passed
        return found


class Unit:
    """The plan of a block: what it holds, and the views by which it is called."""

    def __init__(self, lowerer: Lowerer, name: str, registered: Bodies, pairs: Sequence[Pair]) -> None:
        self.lowerer = lowerer
        self.name = name
        self.registered = registered
        self.views: list[View] = []
        self.tensors: dict[str, Tensor] = {}
        self.leaves: dict[str, ModuleDecl] = {}
        self.children: dict[str, Unit] = {}
        self.in_place: dict[str, ModuleDecl] = {}
        self.ops: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self.order: list[str] = []
        self._handed: dict[str, Mapping[str, str]] = {}
        self._blocks: dict[str, tuple[ModuleDecl, Bodies]] = {}
        self._index: dict[int, int] = {}
        self._kept: list[Pair] = list(pairs)  # bodies are known by identity, so they must live
        self._op_names: dict[tuple[str, str, str, int], str] = {}
        self._flatten("", registered, {})
        calls = self._calls(pairs)
        for path, (declared, bodies) in self._blocks.items():
            self.children[path] = lowerer.unit(declared.kind, bodies, calls.get(path, []))
        for pair in pairs:
            self._lower(pair)
        self.type: type[Block] = block_class(identifier(name), self.views)

    def _flatten(self, prefix: str, bodies: Bodies, handed: Mapping[str, str]) -> None:
        """Collect what the instance holds; blocks whose calls are written out in place are looked into."""
        owned = self.lowerer.owned(bodies)
        self.tensors.update((join(prefix, tensor.path), tensor) for tensor in owned.own)
        self.order.extend(join(prefix, tensor.path) for tensor in owned.own)
        for path, declared in owned.declared.items():
            absolute = join(prefix, path)
            self.order.append(absolute)
            made = {name: resolve(other, handed) if is_handed(other) else join(prefix, other) for name, other in declared.modules.items()}
            self._handed[absolute] = made
            block = owned.blocks.get(path)
            if block is None:
                self.leaves[absolute] = declared
            elif any(self.lowerer.is_in_place(body) for body in block[1]):
                self.in_place[absolute] = declared
                self._flatten(absolute, block[1], made)
            else:
                self._blocks[absolute] = block

    # ------------------------------------------------------------------------------------------------------ calls

    def _calls(self, pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
        """Return how each child block is called, over all the given ways in which this one is."""
        found: dict[str, list[Pair]] = {}
        for evaluate, train in pairs:
            left, right = self._called(evaluate), self._called(train)
            for path in {**left, **right}:
                known = found.setdefault(path, [])
                known.extend(pair for pair in match(left.get(path, ()), right.get(path, ())) if pair not in known)
        return found

    def _called(self, body: Body) -> dict[str, Bodies]:
        found: dict[str, list[Body]] = {}
        for path, callee in self._walk(body, "", {}):
            found.setdefault(path, []).append(callee)
        return {path: distinct(bodies) for path, bodies in found.items()}

    def _walk(self, body: Body, prefix: str, handed: Mapping[str, str]) -> Iterator[tuple[str, Body]]:
        for node in body.nodes:
            if node.kind is NodeKind.CALL and node.body is not None:
                path = resolve(node.target, handed) if is_handed(node.target) else join(prefix, node.target)
                if path in self.in_place:
                    yield from self._walk(node.body, path, self._handed[path])
                elif path not in self.leaves:
                    yield path, node.body

    def add(self, pair: Pair) -> int:
        """Make one more way of being called, or find it; the number of its view."""
        if id(pair[0]) in self._index and id(pair[1]) in self._index:
            return self._index[id(pair[0])]
        self._kept.append(pair)
        for path, pairs in self._calls([pair]).items():
            for inner in pairs:
                self.children[path].add(inner)
        number = self._lower(pair)
        install(self.type)
        return number

    def view(self, body: Body) -> int:
        """Return the number of the view that a body of this unit has become."""
        return self._index[id(body)]

    # --------------------------------------------------------------------------------------------------- lowering

    def _lower(self, pair: Pair) -> int:
        evaluate, train = pair
        inputs = _inputs(evaluate, train)
        first = self._code(evaluate, inputs)
        second = first if train is evaluate else self._code(train, inputs)
        if first.same_as(second):
            second = first
        number = next((i for i, view in enumerate(self.views) if view.eval.same_as(first) and view.train.same_as(second)), None)
        if number is None:
            number = len(self.views)
            self.views.append(View(inputs, first, second))
        self._index[id(evaluate)] = self._index[id(train)] = number
        return number

    def _code(self, body: Body, inputs: tuple[str, ...]) -> Code:
        graph = BodyLowering(_Surroundings(self)).write(body, inputs)
        return generate(self.name, graph, inputs, result_names(body))

    # ------------------------------------------------------------------------------------------- what graphs ask for

    def callee(self, path: str, body: Body) -> tuple[int, tuple[str, ...]] | None:
        """Return the view of a child and its inputs; None for one that is written out in place."""
        if path in self.in_place:
            return None
        if path in self.leaves:
            return 0, tuple(declared.key for declared in body.inputs)
        child = self.children[path]
        number = child.view(body)
        return number, child.views[number].inputs

    def handed(self, path: str) -> Mapping[str, str]:
        """Return the modules that the module at `path` was handed."""
        return self._handed.get(path, {})

    def op(self, prefix: str, target: str, arguments: Mapping[str, Any], occurrence: int, wanted: str = "") -> str:
        """Return the path of an own module without parameters; the same one in every view for the same occurrence."""
        key = (prefix, wanted or target, repr(sorted(arguments.items())), occurrence)
        found = self._op_names.get(key)
        if found is None:
            base, dot, members = (wanted or _snake(target.rpartition(".")[2])).partition(".")
            name, number = f"{base}{dot}{members}", 0
            while self._taken(join(prefix, name)) or name.partition(".")[0] in UNBEARABLE | MODEL_NAMES:
                number += 1
                name = f"{base}_{number}{dot}{members}"
            found = self._op_names[key] = join(prefix, name)
            self.ops[found] = (target, arguments)
            self.lowerer.ops += 1
        return found

    def _taken(self, path: str) -> bool:
        known = [*(name for name in self.order if name not in self.in_place), *self.ops]
        return any(covers(path, other) for other in known) or any(covers(other, path) for other in known)

    def anchor(self) -> str | None:
        """Return the path of some `float` parameter, without making one."""
        own = (path for path, tensor in self.tensors.items() if tensor.dtype is DType.FLOAT)
        for path in own:
            return path
        for path, declared in self.leaves.items():
            if declared.primitive is not None:
                for spec in declared.primitive.parameters(declared.arguments):
                    if spec.dtype is DType.FLOAT:
                        return f"{path}.{spec.name}"
        for path, child in self.children.items():
            inner = child.anchor()
            if inner is not None:
                return join(path, inner)
        return None


class _Surroundings:
    """What one graph asks its unit; counts the uses of equal operations in it."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._counts: dict[tuple[str, str, str], int] = {}

    def callee(self, path: str, body: Body) -> tuple[int, tuple[str, ...]] | None:
        return self.unit.callee(path, body)

    def handed(self, path: str) -> Mapping[str, str]:
        return self.unit.handed(path)

    def watched(self, body: Body) -> Mapping[tuple[int, int], str]:
        return self.unit.lowerer.watched(body)

    def function(self, declared: ExternFunction) -> Callable[..., Any]:
        return self.unit.lowerer.function(declared)

    def child(self, prefix: str, target: str, arguments: Mapping[str, Any], name: str = "") -> str:
        if name:
            return self.unit.op(prefix, target, arguments, 0, name)
        key = (prefix, target, repr(sorted(arguments.items())))
        occurrence = self._counts.get(key, 0)
        self._counts[key] = occurrence + 1
        return self.unit.op(prefix, target, arguments, occurrence)

    def anchor(self) -> str:
        return self.unit.anchor() or f"{self.unit.op('', ANCHOR, {}, 0)}.value"


def _inputs(evaluate: Body, train: Body) -> tuple[str, ...]:
    """Return the parameters of a function for both modes, those that may be left out last."""
    declared = {d.key: d for body in (train, evaluate) for d in body.inputs}
    return tuple(sorted(declared, key=lambda key: declared[key].optional))


def match(evaluate: Sequence[Body], train: Sequence[Body]) -> list[Pair]:
    """Pair the calls of one module in the two modes: equal bodies with themselves, others by name and results, in order."""
    pairs = [(body, body) for body in evaluate if any(body is other for other in train)]
    same = {id(body) for body, _ in pairs}
    waiting: dict[tuple[Any, ...], list[Body]] = {}
    for body in train:
        if id(body) not in same:
            waiting.setdefault((body.name, result_names(body)), []).append(body)
    for body in evaluate:
        if id(body) not in same:
            others = waiting.get((body.name, result_names(body)))
            pairs.append((body, others.pop(0) if others else body))
    pairs.extend((body, body) for others in waiting.values() for body in others)
    return pairs


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() and i and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name))

"""What results come from: the parameters and inputs that they depend on, or those that get a gradient from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from ..dsl.primitive import Argument, Primitive
from ..dsl.program import Body, ModuleDecl, Node, NodeKind, Ref
from ..dsl.record import entity
from ..dsl.types import DType, TensorType
from .census import leaf_specs
from .graph import operands, results
from .paths import is_handed, join, resolve


@entity
class Origins:
    """Where values of a body come from: what it reads itself by path (tensors, or modules around them), what the calls of its modules
    read below theirs, and the names of its inputs.  Equal calls share what they read."""

    own: frozenset[str]
    calls: Mapping[str, tuple[Origins, ...]]
    inputs: frozenset[str]
    spelt: list[frozenset[str]] = field(default_factory=list[frozenset[str]])  # all paths, once they were asked for
    around: list[frozenset[str]] = field(default_factory=list[frozenset[str]])  # the paths of `own` and `calls` and all around these, likewise
    met: dict[str, bool] = field(default_factory=dict[str, bool])  # paths that were asked for below a call: equal calls share them

    def holds(self, path: str) -> bool:
        """Tell whether a tensor is among what is read."""
        read = self.paths()
        return path in read or "" in read or any(stem in read for stem in stems(path))

    def meets(self, path: str) -> bool:
        """Tell whether anything at, below or around a path is read; a module that is called is, whatever it holds."""
        if not self.around:
            self.around.append(frozenset(stem for read in (*self.own, *self.calls) for stem in stems(read)))
        own, calls = self.own, self.calls
        if path in self.around[0] or "" in own:
            return True
        at = path.find(".")
        while at >= 0:
            stem = path[:at]
            if stem in own:
                return True
            for origins in calls.get(stem, ()):
                found = origins.met.get(path[at + 1 :])
                if found is None:
                    found = origins.met[path[at + 1 :]] = origins.meets(path[at + 1 :])
                if found:
                    return True
            at = path.find(".", at + 1)
        return False

    def holds_all(self, body: Body) -> bool:
        """Tell whether every parameter below a body is seen to be among what is read, call by call: equal calls are looked at once."""
        found = body.found.get(("held", id(self)))
        if found is None:
            own = all(own.buffer or path in self.own for path, own in body.parameters.items())
            found = body.found["held", id(self)] = (self, own and self._holds_modules(body))
        return found[1]

    def _holds_modules(self, body: Body) -> bool:
        held: set[tuple[int, int]] = set()
        for path, declared in body.modules.items():
            if declared.primitive is not None or declared.extern is not None:
                if not self._holds_leaf(declared):
                    return False
                continue
            read = self.calls.get(path, ())
            for inner in declared.bodies:
                for origins in read:
                    key = (id(origins), id(inner))
                    if key in held:
                        break
                    if origins.holds_all(inner):
                        held.add(key)
                        break
                else:
                    return False
        return True

    def _holds_leaf(self, declared: ModuleDecl) -> bool:
        path = declared.path
        return path in self.own or (declared.extern is None and all(s.buffer or join(path, s.name) in self.own for s in leaf_specs(declared)))

    def each(self) -> Iterator[str]:
        """Yield the paths that are read one by one, for who needs a few; some more than once."""
        yield from self.own
        for target, read in self.calls.items():
            yield from (join(target, path) for o in read for path in o.each())

    def paths(self) -> frozenset[str]:
        """Return every path that is read."""
        if not self.spelt:
            below = (f"{target}.{path}" if path else target for target, read in self.calls.items() for o in read for path in o.paths())
            self.spelt.append(self.own.union(below))
        return self.spelt[0]


def together(found: Iterable[Origins]) -> Origins:
    """Return what any of several reads."""
    own, calls, inputs = set[str](), dict[str, dict[int, Origins]](), set[str]()
    for origins in found:
        own |= origins.own
        inputs |= origins.inputs
        for target, read in origins.calls.items():
            calls.setdefault(target, {}).update((id(o), o) for o in read)
    return Origins(frozenset(own), {target: tuple(read.values()) for target, read in calls.items()}, frozenset(inputs))


class Flow:
    """Follows results back to parameters and inputs, once for each body and set of results.

    With `gradient` only by what passes a gradient on: not by whole numbers and truths, nor to arguments in which an operation is flat.
    """

    def __init__(self, gradient: bool) -> None:
        self.gradient = gradient
        self._flats: dict[int, tuple[Primitive, frozenset[str], tuple[Argument, ...]]] = {}

    def of(self, body: Body, refs: frozenset[Ref]) -> Origins:
        """Return where values of a body come from."""
        key = ("flow", self.gradient, refs)
        found = body.found.get(key)
        if found is None:
            found = body.found[key] = self._follow(body, refs)
        return found

    def parts(self, body: Body, refs: frozenset[Ref]) -> Iterator[Origins]:
        """Yield where values of a body come from bit by bit, the nearest first, for who stops at what is enough."""
        own, calls, inputs = set[str](), dict[str, tuple[Origins, ...]](), set[str]()
        for _ in self._steps(body, refs, own, calls, inputs):
            yield Origins(frozenset(own), dict(calls), frozenset(inputs))
            own.clear()
            calls.clear()
            inputs.clear()

    def _follow(self, body: Body, refs: frozenset[Ref]) -> Origins:
        own, calls, inputs = set[str](), dict[str, tuple[Origins, ...]](), set[str]()
        for _ in self._steps(body, refs, own, calls, inputs):
            pass
        return Origins(frozenset(own), calls, frozenset(inputs))

    def _steps(self, body: Body, refs: frozenset[Ref], own: set[str], calls: dict[str, tuple[Origins, ...]], inputs: set[str]) -> Iterator[None]:
        """Put what values come from into `own`, `calls` and `inputs`, a node at each step."""
        wanted: dict[int, set[int]] = {}
        for ref in refs:
            wanted.setdefault(ref.node, set()).add(ref.index)
        alike: dict[tuple[int, tuple[int, ...]], Origins | None] = {}  # calls of one body for the same results read the same
        for number in range(max(wanted, default=-1), -1, -1):  # what a node reads stands before it
            if number not in wanted:
                continue
            node = body.nodes[number]
            if node.is_handed_in:
                inputs.add(node.target)
            if node.body is None:
                read = self._operation(body, node, wanted[number], own)
            else:
                key = (id(node.body), tuple(wanted[number]))
                if key not in alike:
                    alike[key] = self._called(node, node.body, key[1])
                inner = alike[key]
                if inner is None:
                    continue
                _add(calls, node.target, inner)
                _keep_handed(body, node, inner, own, calls)
                read = _read(node, inner.inputs)
            for ref in read:
                if not self.gradient or carries(body.nodes[ref.node].outputs[ref.index]):
                    wanted.setdefault(ref.node, set()).add(ref.index)
            yield

    def _operation(self, body: Body, node: Node, indices: Iterable[int], own: set[str]) -> list[Ref]:
        """Keep the tensors that a node reads by itself, and return the values that it reads."""
        if self.gradient and not any(carries(node.outputs[index]) for index in indices):
            return []
        own.update(_tensors(body, node, self.gradient))
        if not self.gradient:
            return [ref for _, ref in operands(node)]
        still = self._flat(body, node)
        return [ref for name, ref in operands(node) if name not in still]

    def _flat(self, body: Body, node: Node) -> frozenset[str]:
        """Return the arguments of an operation that get no gradient."""
        if node.primitive is None:
            return frozenset()
        known = self._flats.get(id(node.primitive))
        if known is None:
            arguments = (*node.primitive.arguments, *node.primitive.call)
            always, perhaps = frozenset(a.name for a in arguments if a.flat is True), tuple(a for a in arguments if not isinstance(a.flat, bool))
            known = self._flats[id(node.primitive)] = (node.primitive, always, perhaps)
        _, always, perhaps = known
        if not perhaps:
            return always
        given = {**node.attributes, **{name: body.type(ref) for name, ref in operands(node)}}
        return always.union(a.name for a in perhaps if a.is_flat(given))

    def _called(self, node: Node, body: Body, indices: Iterable[int]) -> Origins | None:
        """Follow results of a call; None where they pass no gradient on."""
        if self.gradient and not any(carries(node.outputs[index]) for index in indices):
            return None
        ends = results(body)
        return self.of(body, frozenset(ends[index] for index in indices))


def _read(node: Node, names: Iterable[str]) -> list[Ref]:
    """Return the values that a call hands to some inputs."""
    found: list[Ref] = []
    for name in names:
        operand = node.inputs.get(name)
        if isinstance(operand, Ref):
            found.append(operand)
        elif operand is not None:
            found.extend(operand)
    return found


def _keep_handed(body: Body, node: Node, inner: Origins, own: set[str], calls: dict[str, tuple[Origins, ...]]) -> None:
    """Keep what a call reads of modules that it was handed."""
    declared = body.modules.get(node.target)
    if declared is not None and declared.modules:
        own.update(resolve(path, declared.modules) for path in inner.own if is_handed(path))
        for target, read in inner.calls.items():
            if is_handed(target):
                for origins in read:
                    _add(calls, resolve(target, declared.modules), origins)


def _add(calls: dict[str, tuple[Origins, ...]], target: str, origins: Origins) -> None:
    known = calls.get(target)
    if known is None:
        calls[target] = (origins,)
    elif origins not in known:
        calls[target] = (*known, origins)


_STILL = frozenset(id(dtype) for dtype in DType if dtype is DType.BOOL or dtype.is_int)  # by identity: an enum's own hash is slow


def carries(type_: TensorType) -> bool:
    """Tell whether values of a type can pass a gradient on."""
    return id(type_.dtype) not in _STILL


def stems(path: str) -> Iterator[str]:
    """Yield the paths around a path and itself, the widest first: `a`, `a.b`, `a.b.c`."""
    at = path.find(".")
    while at >= 0:
        yield path[:at]
        at = path.find(".", at + 1)
    yield path


def _tensors(body: Body, node: Node, gradient: bool) -> Iterator[str]:
    """Yield the paths of what a node reads by itself: tensors, or the module that holds them.

    No gradient goes to buffers, so there it is the tensors of a leaf module, where its maker knows them; a handed module keeps its mark.
    """
    if node.kind is NodeKind.PARAMETER:
        own = body.parameters.get(node.target)
        if own is None or not (gradient and own.buffer):
            yield node.target
    elif node.kind is NodeKind.EXTERN:
        yield ""  # the instance itself
    elif node.kind is NodeKind.LEAF:
        declared = body.modules.get(node.target)
        if not gradient or declared is None or declared.extern is not None:
            yield node.target
        else:
            yield from (join(node.target, spec.name) for spec in leaf_specs(declared) if not (gradient and spec.buffer))

"""What results come from: the parameters and inputs that they depend on, or those that get a gradient from them."""

from __future__ import annotations

from collections.abc import Iterator

from ..dsl.program import Body, Node, NodeKind, Ref
from ..dsl.record import record
from ..dsl.types import DType, TensorType
from .census import leaf_specs
from .graph import operand_refs, operands, results
from .paths import HANDED, is_handed, join, resolve


@record
class Origins:
    """Paths of parameters, or of modules around them, and names of inputs."""

    paths: frozenset[str]
    inputs: frozenset[str]


class Flow:
    """Follows results back to parameters and inputs, once for each body and set of results.

    With `gradient` only by what passes a gradient on: not by whole numbers and truths, nor to arguments in which an operation is flat.
    """

    def __init__(self, gradient: bool) -> None:
        self.gradient = gradient

    def of(self, body: Body, refs: frozenset[Ref]) -> Origins:
        """Return where values of a body come from."""
        key = ("flow", self.gradient, refs)
        found = body.found.get(key)
        if found is None:
            found = body.found[key] = self._follow(body, refs)
        return found

    def read(self, body: Body, number: int, indices: frozenset[int]) -> tuple[frozenset[str], list[Ref]]:
        """Return the parameters that a node itself brings in for some of its results, and the values that it reads for them."""
        node = body.nodes[number]
        if self.gradient and not any(carries(node.outputs[index]) for index in indices):
            return frozenset(), []
        if node.body is not None:
            ends = results(node.body)
            inner = self.of(node.body, frozenset(ends[index] for index in indices))
            paths = frozenset(f"{node.target}.{path}" if path and path[0] != HANDED else _outside(body, node, path) for path in inner.paths) - {""}
            read = [ref for name in inner.inputs for ref in operand_refs(node.inputs.get(name))]
        else:
            paths = frozenset(_tensors(body, node, self.gradient))
            still = flat(node) if self.gradient else frozenset[str]()
            read = [ref for name, ref in operands(node) if name not in still]
        return paths, [ref for ref in read if not self.gradient or carries(body.type(ref))]

    def _follow(self, body: Body, refs: frozenset[Ref]) -> Origins:
        wanted: dict[int, set[int]] = {}
        paths: set[str] = set()
        inputs: set[str] = set()
        for ref in refs:
            wanted.setdefault(ref.node, set()).add(ref.index)
        for number in range(max(wanted, default=-1), -1, -1):  # what a node reads stands before it
            if number not in wanted:
                continue
            own, read = self.read(body, number, frozenset(wanted[number]))
            paths |= own
            node = body.nodes[number]
            inputs.update([node.target] if node.kind in (NodeKind.INPUT, NodeKind.STATE) else ())
            for ref in read:
                wanted.setdefault(ref.node, set()).add(ref.index)
        return Origins(frozenset(paths), frozenset(inputs))


def carries(type_: TensorType) -> bool:
    """Tell whether values of a type can pass a gradient on."""
    return type_.dtype is not DType.BOOL and not type_.dtype.is_int


def flat(node: Node) -> frozenset[str]:
    """Return the arguments of an operation that get no gradient."""
    primitive = node.primitive
    return frozenset(a.name for a in (*primitive.arguments, *primitive.call) if a.flat) if primitive is not None else frozenset()


def _tensors(body: Body, node: Node, gradient: bool) -> Iterator[str]:
    """Yield the paths of what a node reads by itself, the module's own where its maker knows the tensors; a handed one keeps its mark.

    No gradient goes to buffers.
    """
    if node.kind is NodeKind.PARAMETER:
        own = body.parameters.get(node.target)
        if own is None or not (gradient and own.buffer):
            yield node.target
    elif node.kind is NodeKind.EXTERN:
        yield ""  # the instance itself
    elif node.kind is NodeKind.LEAF:
        declared = body.modules.get(node.target)
        if declared is None or declared.extern is not None:
            yield node.target
        else:
            yield from (join(node.target, spec.name) for spec in leaf_specs(declared) if not (gradient and spec.buffer))


def _outside(body: Body, node: Node, path: str) -> str:
    """Return a path of a called body as the caller sees it; nothing for a handed module that the caller doesn't know."""
    if not is_handed(path):
        return join(node.target, path)
    declared = body.modules.get(node.target)
    return resolve(path, declared.modules) if declared is not None else ""

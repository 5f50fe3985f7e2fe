"""A group of nodes that are computed as one, while it is being written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ...dsl.program import Body, Node, Ref
from ...dsl.types import Axis, TensorType
from ..graph import module_at
from .writing import Writer


def arguments(body: Body, node: Node) -> Mapping[str, Any]:
    """Return what a leaf module was made with."""
    declared = module_at(body, node.target)
    return declared.arguments if declared is not None else node.attributes


class Batch:
    """One group being written: its nodes, and its operands in the new body, with the lanes along axis 0 or shared."""

    def __init__(self, writer: Writer, nodes: Sequence[Node], operands: Mapping[str, Ref | None], shared: frozenset[str], evaluates: bool) -> None:
        self.writer, self.nodes, self.operands, self.shared, self.evaluates = writer, nodes, operands, shared, evaluates
        self.node, self.count = nodes[0], len(nodes)
        self.made = arguments(writer.old, self.node)

    def op(self, name: str, **given: Any) -> Ref:
        """Add an operation at the place of the first lane."""
        return self.writer.operation(name, self.node, self.node.name, **given)

    def get(self, name: str = "x") -> Ref:
        """Return an operand."""
        found = self.operands[name]
        assert found is not None
        return found

    def rank(self, ref: Ref) -> int:
        """Return the rank of a new value."""
        return self.writer.type(ref).rank

    def statics(self) -> dict[str, Any]:
        """Return the static arguments of an operation."""
        return dict(self.node.attributes)

    def stacked(self, name: str) -> Ref:
        """Return a tensor of the leaf modules, all members along a new axis 0."""
        return self.op("stack", tensors=tuple(self._own(name)), dim=0)

    def wide(self, name: str) -> Ref:
        """Return a tensor of the leaf modules, all members one after another along axis 0."""
        return self.op("concat", tensors=tuple(self._own(name)), dim=0)

    def has(self, name: str) -> bool:
        """Tell whether the leaf modules own a tensor of this name."""
        return any(spec.name == name for spec in self._specs())

    def _specs(self) -> Any:
        primitive = cast(Any, self.node.primitive)
        return primitive.parameters(self.made)

    def _own(self, name: str) -> list[Ref]:
        spec = next(spec for spec in self._specs() if spec.name == name)
        return [self.writer.parameter(f"{node.target}.{name}", TensorType(spec.dtype, spec.shape), node.span) for node in self.nodes]

    def once(self) -> bool:
        """Tell whether all lanes call one module."""
        return all(node.target == self.node.target for node in self.nodes)

    def folded(self, ref: Ref) -> Ref:
        """Join the lanes with the batch: [k, B, ...] to [k B, ...]."""
        return self.op("flatten", x=ref, start=0, end=1)

    def unfolded(self, ref: Ref, batch: Axis) -> Ref:
        """Part the lanes from the batch again."""
        return self.op("unflatten", x=ref, dim=0, shape=(self.count, batch))

    def beside(self, ref: Ref) -> Ref:
        """Put the channels of all lanes side by side: [k, B, C, ...] to [B, k C, ...], or find them where `apart` has parted them."""
        found = self._parted(ref)
        if found is not None:
            return found
        return self.op("flatten", x=self.op("movedim", x=ref, source=0, to=1), start=1, end=2)

    def _parted(self, ref: Ref) -> Ref | None:
        last = self.writer.nodes[ref.node]
        if last.target == "movedim" and (last.attributes["source"], last.attributes["to"]) == (1, 0):
            first = self.writer.nodes[cast(Ref, last.inputs["x"]).node]
            if first.target == "unflatten" and first.attributes["dim"] == 1 and len(first.attributes["shape"]) == 2:
                return cast(Ref, first.inputs["x"])
        return None

    def apart(self, ref: Ref, channels: int) -> Ref:
        """Part the lanes from the channels again."""
        return self.op("movedim", x=self.op("unflatten", x=ref, dim=1, shape=(self.count, channels)), source=1, to=0)

    def repeated(self, name: str) -> Ref:
        """Return an operand with the lanes along axis 0, also one that all share."""
        x = self.get(name)
        if name not in self.shared:
            return x
        return self.op("expand", x=self.op("unsqueeze", x=x, dim=0), shape=(self.count, *self.writer.type(x).shape))

    def behind(self, ref: Ref, rank: int) -> Ref:
        """Put axes of size 1 between the lanes and the rest, up to a rank."""
        lacking = rank - self.rank(ref)
        return self.op("index", x=ref, items=(slice(None), *(None,) * lacking)) if lacking else ref


Rule = Callable[[Batch], Ref]

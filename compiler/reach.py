"""What depends on what, across calls: the ground of `ignores` and `uses`, proved node by node.

An occurrence is a node of a body seen through the calls that lead to it.  Inside a call, only the inputs that an output really
needs are followed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from ..dsl.program import Body, Node, NodeKind, Ref
from ..dsl.record import record
from .graph import operand_refs, operands, results
from .paths import covers, is_handed, join, resolve

CallPath = tuple[int, ...]
"""Numbers of CALL nodes, from the model's body down."""


@record
class Occurrence:
    """Output `index` (all of them, if None) of a node, below the calls that lead to it."""

    calls: CallPath
    node: int
    index: int | None = None


@record
class _Frame:
    """One call on the way down: its body, the path of the instance, and the modules handed to it by absolute path (at the top, None:
    what came from its caller keeps its mark)."""

    body: Body
    prefix: str
    handed: dict[str, str] | None

    def absolute(self, target: str) -> str:
        if is_handed(target):
            return resolve(target, self.handed) if self.handed is not None else target
        return join(self.prefix, target)


class Reach:
    """Answers questions of dependence about one body and what it calls."""

    def __init__(self, root: Body) -> None:
        self.root = root
        self._handed: dict[str, dict[str, str]] = {}
        self._used: dict[str, tuple[Occurrence, ...]] = {}

    # ------------------------------------------------------------------------------------------- within one body

    def needs(self, body: Body, result: int) -> frozenset[str]:
        """Return the inputs of a body (flat names) that one of its results depends on."""
        key = ("needs", result)
        found = body.found.get(key)
        if found is None:
            before = self.ancestors(body, [results(body)[result]])
            targets = {body.nodes[ref.node].target for ref in before if body.nodes[ref.node].is_handed_in}
            found = body.found[key] = frozenset(targets)
        return found

    def ancestors(self, body: Body, refs: Iterable[Ref]) -> frozenset[Ref]:
        """Return all values of a body that the given ones depend on, themselves included."""
        key = ("ancestors", frozenset(refs))
        found = body.found.get(key)
        if found is None:
            seen: set[Ref] = set()
            stack = list(key[1])
            while stack:
                ref = stack.pop()
                if ref not in seen:
                    seen.add(ref)
                    stack.extend(self._read(body.nodes[ref.node], ref.index))
            found = body.found[key] = frozenset(seen)
        return found

    def marks(self, body: Body, ends: Iterable[tuple[str | None, Ref]]) -> dict[Ref, str | None]:
        """Return the values that marked ones depend on, themselves included, each with the mark that all of these have, or None."""
        found: dict[Ref, str | None] = {}

        def mark(ref: Ref, own: str | None) -> None:
            found[ref] = own if found.get(ref, own) == own else None

        for own, ref in ends:
            mark(ref, own)
        for number in range(len(body.nodes) - 1, -1, -1):  # what a node reads stands before it
            node = body.nodes[number]
            for ref in (Ref(number, index) for index in range(len(node.outputs))):
                if ref in found:
                    for read in self._read(node, ref.index):
                        mark(read, found[ref])
        return found

    def _read(self, node: Node, index: int) -> Iterator[Ref]:
        """Yield what output `index` of a node depends on directly."""
        if node.body is None:
            yield from (ref for _, ref in operands(node))
            return
        for name in self.needs(node.body, index):
            yield from operand_refs(node.inputs.get(name))

    # ------------------------------------------------------------------------------------------------ across calls

    def depends(self, value: Occurrence, source: Occurrence) -> bool:
        """Tell whether there is a path from `source` to `value`."""
        return self.trail(value, source) is not None

    def trail(self, value: Occurrence, source: Occurrence) -> tuple[CallPath, list[Ref]] | None:
        """Return the values on a path from `source` to `value`, in the innermost body that holds both ends; None if there is no path."""
        shared = 0
        while shared < min(len(value.calls), len(source.calls)) and value.calls[shared] == source.calls[shared]:
            shared += 1
        body, ends = self._body(value.calls), self._refs(value)
        for call in reversed(value.calls[shared:]):
            inputs = {body.nodes[ref.node].target for ref in self.ancestors(body, ends) if body.nodes[ref.node].is_handed_in}
            value = Occurrence(value.calls[:-1], call)
            body = self._body(value.calls)
            ends = {ref for name in inputs for ref in operand_refs(body.nodes[call].inputs.get(name))}
        body, starts = self._body(source.calls), self._refs(source)
        for call in reversed(source.calls[shared:]):
            starts = {Ref(call, i) for i, result in enumerate(results(body)) if starts & self.ancestors(body, [result])}
            source = Occurrence(source.calls[:-1], call)
            body = self._body(source.calls)
        steps = self._steps(body, starts, ends)
        return (value.calls, steps) if steps else None

    def _steps(self, body: Body, starts: set[Ref], ends: set[Ref]) -> list[Ref]:
        """Return a shortest path from one of `starts` to one of `ends`, by breadth-first search backwards; nothing where there is none."""
        if starts.isdisjoint(self.ancestors(body, ends)):
            return []
        after: dict[Ref, Ref | None] = dict.fromkeys(ends)
        queue = deque(ends)
        while queue:
            ref = queue.popleft()
            if ref in starts:
                steps, at = list[Ref](), ref
                while at is not None:
                    steps.append(at)
                    at = after[at]
                return steps
            for earlier in self._read(body.nodes[ref.node], ref.index):
                if earlier not in after:
                    after[earlier] = ref
                    queue.append(earlier)
        return []

    def mixed(self, body: Body, trail: Sequence[Ref]) -> Sequence[Ref]:
        """Return the end of a path, from the last value on it that reads a value which doesn't depend on the path's start."""
        for place in range(len(trail) - 1, 0, -1):
            for read in self._read(body.nodes[trail[place].node], trail[place].index):
                if body.nodes[read.node].kind is not NodeKind.PARAMETER and trail[0] not in self.ancestors(body, [read]):
                    return trail[place:]
        return ()

    def _refs(self, at: Occurrence) -> set[Ref]:
        count = len(self._body(at.calls).nodes[at.node].outputs)
        return {Ref(at.node, i) for i in range(count) if at.index is None or i == at.index}

    def _body(self, calls: CallPath) -> Body:
        body = self.root
        for call in calls:
            inner = body.nodes[call].body
            if inner is None:
                raise ValueError(f"node {call} of `{body.name}` is no call")
            body = inner
        return body

    # ------------------------------------------------------------------------------------------------- by module

    def occurrences(self, path: str) -> Sequence[Occurrence]:
        """Return every use of the module or parameter at or below an absolute path."""
        found = self._used.get(path)
        if found is None:
            found = self._used[path] = tuple(self._uses(path, (), _Frame(self.root, "", None)))
        return found

    def _uses(self, path: str, calls: CallPath, frame: _Frame) -> Iterator[Occurrence]:
        for declared in frame.body.modules.values():
            if declared.modules:
                self._handed[join(frame.prefix, declared.path)] = {name: frame.absolute(made) for name, made in declared.modules.items()}
        for number, node in enumerate(frame.body.nodes):
            if node.kind not in (NodeKind.LEAF, NodeKind.CALL, NodeKind.PARAMETER):
                continue
            target = frame.absolute(node.target)
            if covers(path, target) or (node.kind is NodeKind.LEAF and covers(target, path)):
                yield Occurrence(calls, number)
            elif node.body is not None:
                handed = self._handed.get(target, {})
                if handed or covers(target, path):
                    yield from self._uses(path, (*calls, number), _Frame(node.body, target, handed))

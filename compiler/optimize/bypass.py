"""What a program has no longer though its text does: modules that passes compute without calling them, targets of losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...dsl.program import Body, NodeKind, Program
from ..graph import read_paths
from ..paths import is_handed, join, resolve
from .manager import evaluation
from .rebuilding import roots

Modules = dict[str, str]
"""Handed modules: the name that they have inside, and their absolute path."""
Called = tuple[str, Body | None, Mapping[str, str]]
"""A module that a body calls, the body of the call unless it is a leaf, and the modules that it is handed."""


def bypassed(program: Program) -> tuple[str, ...]:
    """Return the absolute paths of the modules that the text calls, and that passes now compute without a call, whole or in part."""
    if program.original is None:
        return ()
    text = evaluation(program.original) if program.only_evaluates else program.original
    before, after = Uses(roots(text)), Uses(roots(program))
    found = before.called - after.called
    for path in after.read.keys() - before.read.keys():
        above = path.rpartition(".")[0]
        while above and above != after.read[path]:
            found.add(above)
            above = above.rpartition(".")[0]
    return tuple(sorted(found & before.called))


def targets_gone(program: Program) -> frozenset[str]:
    """Return the names of the targets that the text has, where passes have left no losses."""
    text = program.original
    return frozenset(d.name for d in text.training.inputs if d.is_target) if text is not None and program.only_evaluates else frozenset()


class Uses:
    """What bodies call and read, by absolute path: `called` modules, and `read` tensors with the module whose body reads them."""

    def __init__(self, tops: tuple[Body, ...]) -> None:
        self.called: set[str] = set()
        self.read: dict[str, str] = {}
        seen: set[tuple[int, str]] = set()
        stack: list[tuple[Body, str, Modules]] = [(body, "", {}) for body in tops]
        while stack:
            body, prefix, handed = stack.pop()
            if (id(body), prefix) not in seen:
                seen.add((id(body), prefix))
                stack.extend(self._body(body, prefix, handed))

    def _body(self, body: Body, prefix: str, handed: Modules) -> list[tuple[Body, str, Modules]]:
        """Note what one body calls and reads; return the calls in it."""

        def absolute(target: str) -> str:
            return resolve(target, handed) if is_handed(target) else join(prefix, target)

        calls, read = _own(body)
        self.called.update(absolute(target) for target, _, _ in calls)
        for target in read:
            self.read.setdefault(absolute(target), prefix if not is_handed(target) else "")
        below = ((inner, absolute(target), given) for target, inner, given in calls if inner is not None)
        return [(inner, path, {name: absolute(other) for name, other in given.items()}) for inner, path, given in below]


def _own(body: Body) -> tuple[Sequence[Called], Sequence[str]]:
    """Return what a body calls, each once, and which tensors it reads, by the paths that it has for them: kept with the body."""
    found: tuple[Sequence[Called], Sequence[str]] | None = body.found.get("uses")
    if found is None:
        steps = [node for node in body.nodes if node.kind is NodeKind.LEAF or node.kind is NodeKind.CALL]
        made = ((node, body.modules.get(node.target)) for node in {(node.target, id(node.body)): node for node in steps}.values())
        calls: list[Called] = [(node.target, node.body, declared.modules if declared is not None else {}) for node, declared in made]
        found = body.found["uses"] = (calls, list(dict.fromkeys(path for node in body.nodes for path in read_paths(node))))
    return found

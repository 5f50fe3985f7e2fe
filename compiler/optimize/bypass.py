"""What a program has no longer though its text does: modules that passes compute without calling them, targets of losses."""

from __future__ import annotations

from ...dsl.program import Body, NodeKind, Program
from ..graph import read_paths
from ..paths import is_handed, join, resolve
from .manager import evaluation
from .rebuilding import roots

Modules = dict[str, str]
"""Handed modules: the name that they have inside, and their absolute path."""


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

        below: list[tuple[Body, str, Modules]] = []
        for node in body.nodes:
            if node.kind in (NodeKind.LEAF, NodeKind.CALL):
                path = absolute(node.target)
                self.called.add(path)
                if node.body is not None:
                    declared = body.modules.get(node.target)
                    made = {name: absolute(other) for name, other in declared.modules.items()} if declared is not None else {}
                    below.append((node.body, path, made))
            for target in read_paths(node):
                self.read.setdefault(absolute(target), prefix if not is_handed(target) else "")
        return below

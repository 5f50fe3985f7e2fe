"""What becomes a class: instances that own the same and are called in the same ways."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from ...dsl.program import Body, ModuleDecl
from ..census import Bodies, Owned, Tensor, distinct, owned
from ..lower.unit import Pair, match
from ..paths import is_handed, resolve
from .sequences import level_at, sequences
from .steps import Access, Member, Text

Tree = dict[str, "Tree | str"]
"""What an instance holds by the words of its paths; a path at each end."""


class Unnested(Exception):
    """A block was handed a module that was itself handed modules; `declared` is where."""

    def __init__(self, declared: ModuleDecl) -> None:
        super().__init__(declared.path)
        self.declared = declared


class Planner:
    """Makes instances and remembers them."""

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], Instance] = {}
        self._uses: dict[int, tuple[tuple[str, Body], ...]] = {}
        self._reads: dict[int, frozenset[str]] = {}
        self.called: dict[int, tuple[Instance, int]] = {}
        """The instance and the number of the pair that a body is called by."""

    def instance(self, name: str, bodies: Bodies, pairs: Sequence[Pair]) -> Instance:
        """Return the instance that owns what `bodies` own and is called as `pairs`."""
        key = (tuple(map(id, bodies)), tuple((id(a), id(b)) for a, b in pairs))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = Instance(self, name, bodies, pairs)
        return found

    def uses(self, body: Body) -> tuple[tuple[str, Body], ...]:
        """Return the modules that a call of a body calls, by the paths that the body knows, with the called bodies."""
        found = self._uses.get(id(body))
        if found is None:
            calls = [(node.target, node.body) for node in body.nodes if node.body is not None]
            found = self._uses[id(body)] = tuple(pair for path, callee in calls for pair in self._use(body, path, callee))
        return found

    def _use(self, body: Body, path: str, callee: Body) -> Iterator[tuple[str, Body]]:
        yield path, callee
        declared = body.modules.get(path)
        for inner, called in self.uses(callee):
            if is_handed(inner):
                if declared is None:
                    raise Unnested(ModuleDecl(path, path, (), body.span, callee.name, {}))
                yield from self._use(body, resolve(inner, declared.modules), called)

    def handed(self, body: Body) -> frozenset[str]:
        """Return the names of the modules handed in that a body needs, to use or to hand on."""
        found = self._reads.get(id(body))
        if found is None:
            targets = [node.target for node in body.nodes if is_handed(node.target)]
            for node in body.nodes:
                declared = body.modules.get(node.target)
                if node.body is not None and declared is not None:
                    targets += [declared.modules[name] for name in self.handed(node.body) if is_handed(declared.modules[name])]
            found = self._reads[id(body)] = frozenset(target.removeprefix("@").split(".")[0] for target in targets)
        return found


class Instance:
    """What a module holds, and the pairs of bodies by which it is called."""

    def __init__(self, planner: Planner, name: str, bodies: Bodies, pairs: Sequence[Pair]) -> None:
        self.planner = planner
        self.name = name
        self.bodies = bodies
        self.pairs = list(pairs)
        self.aliases: dict[int, int] = {}
        """Which function does what another does, by their numbers, once the class is written."""
        self.owned: Owned = owned(bodies)
        for number, pair in enumerate(pairs):
            planner.called.update((id(body), (self, number)) for body in pair)
        self.tensors: dict[str, Tensor] = {tensor.path: tensor for tensor in self.owned.own}
        self.leaves: Mapping[str, ModuleDecl] = self.owned.leaves
        calls: dict[str, list[Pair]] = {}
        for evaluate, train in pairs:
            left, right = self._called(evaluate), self._called(train)
            for path in {**left, **right}:
                known = calls.setdefault(path, [])
                known += [pair for pair in match(left.get(path, ()), right.get(path, ())) if pair not in known]
        self.children = {path: planner.instance(declared.kind, called, calls.get(path, [])) for path, (declared, called) in self.owned.blocks.items()}
        self.tree: Tree = {}
        for path in [*self.tensors, *self.owned.declared]:
            self._plant(path)
        self.sequences = sequences(self)
        """What is written as `nn.Sequential`, by its path."""
        self.sequential = {id(level_at(self.tree, path)): parts for path, parts in self.sequences.items()}
        """The same by the levels of the tree."""

    def _called(self, body: Body) -> dict[str, Bodies]:
        found: dict[str, list[Body]] = {}
        for path, callee in self.planner.uses(body):
            if not is_handed(path):
                found.setdefault(path, []).append(callee)
        return {path: distinct(bodies) for path, bodies in found.items()}

    def _plant(self, path: str) -> None:
        level: Tree = self.tree
        *above, last = path.split(".")
        for word in above:
            below = level.setdefault(word, {})
            if isinstance(below, str):
                raise ValueError(f"`{path}` lies below a module of the same block")
            level = below
        level[last] = path

    def method(self, body: Body) -> int:
        """Return the number of the pair that a body is in."""
        return next(i for i, pair in enumerate(self.pairs) if any(body is one for one in pair))

    def find(self, path: str) -> Instance | None:
        """Return the block instance at a path, which may lie in a child."""
        for name, child in self.children.items():
            if path == name:
                return child
            if path.startswith(name + "."):
                return child.find(path[len(name) + 1 :])
        return None

    def access(self, path: str) -> Access:
        """Return how Python reaches a module or tensor below this instance."""
        return Access(tuple(self._steps(path.split("."), "self")))

    def _steps(self, words: list[str], before: str) -> Iterator[str | Member | Text]:
        level: Tree | str = self.tree
        loose = False
        while words and isinstance(level, dict):
            word, *words = words
            style = "attribute" if level is self.tree else holder(level, self)
            loose = loose or style in ("ModuleList", "ModuleDict", "Sequential")
            if style == "attribute":
                yield word
            elif style == "Module":
                yield Text(f"{_getter(level[word], self)}({json.dumps(word)})")
            elif style == "Sequential":
                yield Member(int(word))
            else:
                place = -1 if style == "ParameterDict" else list(level).index(word)  # that one sorts its members
                yield Member(int(word) if style.endswith("List") else word, len(level), place)
            level = level[word]
        if words and isinstance(level, str):
            child = self.children.get(level)
            if child is not None:
                inner = list(child._steps(words, ""))
                yield from inner
            elif loose:
                yield Text(f'get_parameter("{words[0]}")')
            else:
                yield from words


def _getter(held: Tree | str, instance: Instance) -> str:
    tensor = instance.tensors.get(held) if isinstance(held, str) else None
    return "get_submodule" if tensor is None else "get_buffer" if tensor.buffer else "get_parameter"


def holder(level: Tree, instance: Instance) -> str:
    """Return the class of torch that holds a family, or the parts of a Sequential."""
    if id(level) in instance.sequential:
        return "Sequential"
    numbered = list(level) == [str(i) for i in range(len(level))]
    ends = [path for path in level.values() if isinstance(path, str)]
    tensors = [instance.tensors[path] for path in ends if path in instance.tensors]
    if any(holder(below, instance) == "Module" for below in level.values() if isinstance(below, dict)):
        return "Module"
    if not tensors:
        return "ModuleList" if numbered else "Module" if any(hasattr(nn.ModuleDict, word) for word in level) else "ModuleDict"
    if len(tensors) == len(level) and not any(tensor.buffer for tensor in tensors):
        return "ParameterList" if numbered else "ParameterDict"
    return "Module"

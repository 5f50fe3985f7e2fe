"""What becomes a class: instances that own the same and are called in the same ways."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from ...dsl.program import Body, ModuleDecl
from ...dsl.source import Span
from ..census import Bodies, Owned, Tensor, distinct, leaf_specs, owned
from ..graph import result_names
from ..lower.names import identifier
from ..lower.unit import Pair, match
from ..paths import is_handed, resolve
from .index_sets import Sets
from .joining import Method
from .sequences import level_at, sequences
from .steps import Access, Member, Text
from .variants import Told, Way, distinct_pairs, told_pairs

Tree = dict[str, "Tree | str"]
"""What an instance holds by the words of its paths; a path at each end."""


class Unnested(Exception):
    """A block was handed a module that was itself handed modules; `declared` is where."""

    def __init__(self, declared: ModuleDecl) -> None:
        super().__init__(declared.path)
        self.declared = declared


class Planner:
    """Makes instances and remembers them."""

    def __init__(self, sets: Sets, bodies: Iterable[Body]) -> None:
        """Take the index sets of the program: a function that is told a task calls it `task`; and its bodies."""
        self.sets = sets
        self.live = frozenset(node.span for body in bodies for node in body.nodes if node.attributes.get("p"))
        """The places of operations that drop something in one of these bodies."""
        self._made: dict[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], Instance] = {}
        self._uses: dict[int, tuple[tuple[str, Body], ...]] = {}
        self._reads: dict[int, frozenset[str]] = {}
        self.called: dict[int, Instance] = {}
        """The instance that a body is called of."""

    def word(self, told: Told) -> str:
        """Return the name under which a function is told a member."""
        return "task" if told.member in self.sets.tasks else "name"

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
        self.written: dict[int, Method] = {}
        """The functions by the numbers of the ways of calling them, once the class is written."""
        self.owned: Owned = owned(bodies)
        planner.called.update((id(body), self) for pair in pairs for body in pair)
        self.tensors: dict[str, Tensor] = {tensor.path: tensor for tensor in self.owned.own}
        self.leaves: Mapping[str, ModuleDecl] = self.owned.leaves
        kept, self._served = distinct_pairs(pairs)
        self.pairs, self._others, self.told = told_pairs(kept)
        self._kept = kept
        self.children = self._children()
        if any(self._child(path, told.member) is not self._child(path, word) for path, word, told in self._swapped()):
            self.pairs, self._others, self.told = kept, {}, {}
            self.children = self._children()
        self.renamed = nameless(self.owned)
        """Where blocks without parameters stand that the text gives no name."""
        self.tree: Tree = {}
        for path in [*self.tensors, *self.owned.declared]:
            self._plant(path)
        self.sequences = sequences(self)
        """What is written as `nn.Sequential`, by its path."""
        self.sequential = {id(level_at(self.tree, path)): parts for path, parts in self.sequences.items()}
        """The same by the levels of the tree."""

    def _children(self) -> dict[str, Instance]:
        calls: dict[str, list[Pair]] = {}
        for evaluate, train in self.pairs:
            left, right = self._called(evaluate), self._called(train)
            for path in {**left, **right}:
                for one in (path, *(_renamed(path, told, word) for word, told in self._words(evaluate) if path in told.places)):
                    known = calls.setdefault(one, [])
                    known += [pair for pair in match(left.get(path, ()), right.get(path, ())) if pair not in known]
        blocks = self.owned.blocks.items()
        return {path: self.planner.instance(declared.kind, called, calls.get(path, [])) for path, (declared, called) in blocks}

    def _words(self, body: Body) -> list[tuple[str, Told]]:
        """Return the members that the function of a body may be told, beside its own."""
        told = self.told.get(id(body))
        return [] if told is None else [(word, told) for pair, word in self._others.values() if pair[0] is body]

    def _swapped(self) -> Iterator[tuple[str, str, Told]]:
        for pair, word in self._others.values():
            told = self.told[id(pair[0])]
            yield from ((path, word, told) for path in told.places)

    def _child(self, path: str, word: str) -> Any:
        told = next(told for told in self.told.values() if path in told.places)
        found = _renamed(path, told, word)
        return self.children.get(found, self.owned.leaves[found].kind if found in self.owned.leaves else None)

    def way(self, body: Body) -> Way:
        """Return how a body is called."""
        while id(body) in self._served:
            body = self._served[id(body)]
        at = next(i for i, pair in enumerate(self._kept) if any(body is one for one in pair))
        pair, member = self._others.get(at, (self._kept[at], None))
        told = self.told.get(id(pair[0]))
        written = pair[0] if body is self._kept[at][0] else pair[1]
        return Way(self._number(pair), written, result_names(body), told, told.member if told is not None and member is None else member)

    def _number(self, pair: Pair) -> int:
        return next(i for i, one in enumerate(self.pairs) if one is pair)

    def _called(self, body: Body) -> dict[str, Bodies]:
        found: dict[str, list[Body]] = {}
        for path, callee in self.planner.uses(body):
            if not is_handed(path):
                found.setdefault(path, []).append(callee)
        return {path: distinct(bodies) for path, bodies in found.items()}

    def _plant(self, path: str) -> None:
        level: Tree = self.tree
        *above, last = self.renamed.get(path, path).split(".")
        for word in above:
            below = level.setdefault(word, {})
            if isinstance(below, str):
                raise ValueError(f"`{path}` lies below a module of the same block")
            level = below
        level[last] = path

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
        return Access(tuple(self._steps(self.renamed.get(path, path).split("."), "self")))

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
                yield Text(f'{self._leaf_getter(level, words[0])}("{words[0]}")')
            else:
                yield from words

    def _leaf_getter(self, path: str, name: str) -> str:
        """Return how a tensor of a leaf module is taken where type checkers don't know the module."""
        specs = leaf_specs(self.leaves[path]) if path in self.leaves else ()
        return "get_buffer" if any(spec.name == name and spec.buffer for spec in specs) else "get_parameter"


def nameless(held: Owned) -> dict[str, str]:
    """Return other paths for blocks without parameters that are called where they are made: `criterion.depth` for `Depth_1.depth`."""
    found: dict[str, str] = {}
    taken: dict[str, Span] = {}
    for path, (declared, _) in held.blocks.items():
        first, *members = path.split(".")
        kind, _, number = first.rpartition("_")
        if kind != declared.kind.rpartition(".")[2] or not number.isdecimal():
            continue
        written = re.match(r"[a-z]\w*(?=\[)", declared.span.text)
        word = identifier(written[0]) if written is not None else re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
        own = {p.split(".")[0] for p in (*held.declared, *(tensor.path for tensor in held.own))}
        name = next(
            n for n in (word, *(f"{word}_{i}" for i in range(2, 1000))) if n not in own and taken.setdefault(n, declared.span) == declared.span
        )
        found[path] = ".".join([name, *members])
        if not members:
            taken[name] = Span(declared.span.source, -1, len(taken))
    return found


def _renamed(path: str, told: Told, word: str) -> str:
    return ".".join(word if part == told.member else part for part in path.split("."))


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

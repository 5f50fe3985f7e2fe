"""What a model owns as a tree, and what a selector matches in it.

What is nowhere is a `Miss`, which names the place where matching stopped and the names that exist there.  What the text makes, but not
with these arguments, is matched by nothing: an index set that is empty, a loop without steps, an arm that isn't taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property, partial

from .branches import Branch, covering
from .diagnostics import closest
from .holdings import Holding, Place, Stem
from .inspector import Owned
from .members import member_text
from .program import Body
from .selector_members import listed
from .selector_steps import Known, Match, descend, follow, holding
from .selectors import Anchor, Deep, Either, Exactly, Except, Miss, OfKind, Part, Path, Selector, Word
from .unborn import has_unborn, is_unborn, is_unborn_kind


class Tree:
    """What a model owns (or its losses), by path; `noun` says what the entries are, for messages, `bodies` the text that makes them."""

    def __init__(self, holding: Holding, noun: str = "parameter", tasks: Iterable[str] = (), bodies: Sequence[Body] = ()) -> None:
        self.bodies = bodies
        self.holding = holding
        self.noun = noun
        whole = Stem("", (), (), ())
        whole.items.append((Place("", (), (), (), (), inside=holding), 0, 0))
        self.root = Branch("", whole, 0)
        self.tasks = tuple(dict.fromkeys([*tasks, *holding.tasks]))
        self._first: dict[int, int] = {}
        self._tied: dict[int, list[int]] = {}
        self._named: dict[tuple[int, Selector], tuple[str, ...]] = {}

    def named_by(self, selector: Selector) -> tuple[str, ...] | Miss:
        """Return the shortest paths that name just what a selector matches, or why there are none."""
        key = (selector.span.start, selector)  # 1 and 1.0 are equal, and what stands in two places may mean either
        found = self._named.get(key)
        if found is None:
            chosen = select(selector, self)
            if isinstance(chosen, Miss):
                return chosen
            found = self._named[key] = tuple(self.covers(chosen))
        return found

    def unite(self, first: str, second: str) -> None:
        """Make two paths one entry: `tie first, second`."""
        one, other = sorted(self.one(self._number(path)) for path in (first, second))
        group = [*self._tied.get(one, [one]), *self._tied.pop(other, [other])]
        self._tied[one] = group
        self._first.update((number, one) for number in group)
        self._named = {}

    def _number(self, path: str) -> int:
        """Return the number of the entry at a path, without a look at all of them."""
        branch = self.root
        while branch.path != path:
            below = (child for named in branch.children.values() for child in named)
            branch = next(child for child in below if f"{path}.".startswith(f"{child.path}."))
        return branch.leaves[0]

    def __len__(self) -> int:
        return len(self.holding.sizes)

    @property
    def entries(self) -> Sequence[Owned]:
        """Every entry by number."""
        return self.holding.entries

    @cached_property
    def by_path(self) -> Mapping[str, int]:
        """The number of every entry."""
        return {entry.path: number for number, entry in enumerate(self.entries)}

    def size(self, numbers: Iterable[int]) -> int:
        """Return how many numbers the parameters among some entries hold."""
        return sum(map(self.holding.sizes.__getitem__, numbers))

    def one(self, number: int) -> int:
        """Return the number that stands for a tied entry."""
        return self._first.get(number, number)

    def ones(self, numbers: Iterable[int]) -> frozenset[int]:
        """Return the numbers, of what is tied those that stand for it."""
        found = frozenset(numbers)
        return found if found.isdisjoint(self._first) else frozenset(map(self.one, found))

    @property
    def ties(self) -> tuple[Sequence[int], ...]:
        """The tensors that have several entries, the one that stands for it first."""
        return tuple(self._tied.values())

    def apart(self) -> Tree:
        """Return the same tree with each path an entry of its own."""
        other = copy(self)
        other._first, other._tied, other._named = {}, {}, {}
        return other

    def spread(self, numbers: Iterable[int]) -> list[int]:
        """Return the numbers with every path of what is tied, in order of birth."""
        return sorted({m for n in numbers for m in self._tied.get(n, (n,))} if self._tied else {*numbers})

    def alike(self, number: int) -> Sequence[int]:
        """Return the entries that are one tensor, for the number that stands for it."""
        return self._tied.get(number, (number,))

    @property
    def everything(self) -> frozenset[int]:
        """All entries, tied ones once."""
        return self.ones(range(len(self)))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of all modules."""
        return tuple(dict.fromkeys(b.kind for b in self.root.below() if b.kind is not None))

    def covers(self, selected: Iterable[int]) -> list[str]:
        """Return the shortest paths that name just the selected tensors: a module's where all of its tensors are selected."""
        return list(covering(self.root, self.spread(selected)))


# --------------------------------------------------------------------------------------------------------- matching


Heads = dict[tuple[object, ...], list[Match]]
"""What the first parts of paths match, by the task and the identity of these parts: braces make many paths that begin alike."""


def select(selector: Selector, tree: Tree, heads: Heads | None = None) -> frozenset[int] | Miss:
    """Return the numbers of the entries that a selector matches, or why there are none."""
    if isinstance(selector, Path):
        found = matches(selector, tree, captures=False, heads=heads)
        return found if isinstance(found, Miss) else tree.ones(frozenset[int]().union(*(_held(match, tree) for match in found)))
    if isinstance(selector, Either):
        heads = {} if heads is None else heads
        options = [select(option, tree, heads) for option in selector.options]
        miss = next((o for o in options if isinstance(o, Miss)), None)
        return miss or frozenset[int]().union(*(o for o in options if not isinstance(o, Miss)))
    if isinstance(selector, Except):
        left, right = select(selector.left, tree), select(selector.right, tree)
        if isinstance(left, Miss) or isinstance(right, Miss):
            return left if isinstance(left, Miss) else right
        if left and not left - right:
            return Miss(
                f"`{selector.span.text}` matches nothing: `except` takes away all of it", selector.span, "leave the `except` out, or make it smaller"
            )
        return left - right
    return _of_kind(selector, tree)


def _held(match: Match, tree: Tree) -> Iterable[int]:
    """Return what a match selects: everything below its branch, of its task."""
    if match.task is None:
        return match.branch.leaves
    return (number for number in match.branch.leaves if match.task in tree.holding.makers[number])


def _of_kind(selector: OfKind, tree: Tree) -> frozenset[int] | Miss:
    known = tree.kinds
    for name, span in selector.kinds:
        if name not in known and not is_unborn_kind(name, tree.bodies):
            near = closest(name, known)
            return Miss(f"the model holds no `{name}`", span, f"did you mean `{near}`?" if near else f"it is made of {listed(known)}")
    ties, tree = tree, tree.apart()  # what is tied lies in modules of several kinds
    base = select(selector.selector, tree)
    if isinstance(base, Miss):
        return base
    kinds = {name for name, _ in selector.kinds}
    depths = _depths(selector.selector, tree)
    found = frozenset(n for n in base if kinds & set(tree.entries[n].kinds[max(depths.get(n, 0) - 1, 0) :]))
    if base and not found and not kinds.isdisjoint(known):
        wanted = " or ".join(f"`{name}`" for name, _ in selector.kinds)
        return Miss(f"`{selector.span.text}` matches nothing: there is no {wanted} in it", selector.span, "select by name, or from further up")
    return ties.ones(found)


def _depths(selector: Selector, tree: Tree) -> dict[int, int]:
    """Return how many parts of each entry's path the selector itself matches, at least."""
    depths: dict[int, int] = {}
    if isinstance(selector, Path):
        found = matches(selector, tree, captures=False)
        for match in () if isinstance(found, Miss) else found:
            depth = _depth(match.branch, tree)
            for number in match.branch.leaves:
                depths[number] = min(depths.get(number, depth), depth)
    elif isinstance(selector, Either):
        for option in selector.options:
            for number, depth in _depths(option, tree).items():
                depths[number] = min(depths.get(number, depth), depth)
    elif isinstance(selector, Except):
        return _depths(selector.left, tree)
    return depths


def _depth(branch: Branch, tree: Tree) -> int:
    leaf = next(iter(branch.leaves), None)
    if leaf is None or branch is tree.root:
        return 0
    path = ""
    for depth, (name, members) in enumerate(tree.entries[leaf].parts, 1):
        own = ".".join((name, *map(member_text, members)))
        path = f"{path}.{own}" if path else own
        if path == branch.path:
            return depth
    return 0


MOST_WAYS = 1_000_000
"""How many ways to match one part of a path are looked at."""


def matches(path: Path, tree: Tree, captures: bool = True, heads: Heads | None = None) -> list[Match] | Miss:
    """Return every branch that a path matches, each way once (without `captures`, each branch and what its variables are bound to), or why there
    can be none; `heads` keeps what its first parts match."""
    parts = path.parts
    task: str | None = None
    first = parts[0] if parts else None
    if isinstance(first, Word) and first.name is not None and not first.items:
        name = first.name
        if name not in tree.root.level.named and name in tree.tasks:
            task, parts = name, parts[1:]
    if task is not None and not parts and not _of_task(tree.root, task, tree):
        return Miss(f"`{path.span.text}` matches nothing: no {tree.noun} is made in the task `{task}`", path.span, "name the module")
    heads = {} if heads is None else heads
    frontier = [Match(tree.root, task=task)]
    for place, part in enumerate(parts):
        head = (task, *map(id, parts[: place + 1]), place == len(parts) - 1)
        following = heads.get(head) or _advance(frontier, parts, place, tree, captures)
        if task is not None and following and not isinstance(following, Miss):
            following = [m for m in following if _of_task(m.branch, task, tree)] or _other_task(task, part, frontier, tree)
        if isinstance(following, Miss):
            if is_unborn(parts, tree.bodies, tree.noun):
                return []
            return Miss(f"`{path.span.text}` matches nothing: {following.message}", following.span, following.help)
        if not following:
            return []
        frontier = heads[head] = following
    if not len(tree) and not has_unborn(tree.bodies, tree.noun):
        return Miss(f"`{path.span.text}` matches nothing: there is no {tree.noun}", path.span, "leave it out")
    return frontier


def _advance(frontier: list[Match], parts: Sequence[Part], place: int, tree: Tree, captures: bool) -> list[Match] | Miss:
    part, last = parts[place], place == len(parts) - 1
    if isinstance(part, Anchor):
        return _anchored(part, tree)
    if isinstance(part, Word) and part.name is not None and not part.items:
        plain = [Match(b, m.bindings, m.captures, m.task) for m in frontier for b in m.branch.named(part.name)]
        if 0 < len(plain) <= MOST_WAYS:
            return plain  # each another one, as those of the frontier are
    step: Callable[[Match], Iterator[Match]]
    misses: list[Miss] = []
    if isinstance(part, Deep):
        step = partial(holding, part=part, last=last) if part.items else partial(descend, last=last)
    else:
        known = Known()
        step = partial(follow, part=part, misses=misses, known=known)
    seen: dict[object, Match] = {}
    for ways, found in enumerate(found for match in frontier for found in step(match)):
        if ways >= MOST_WAYS:
            return Miss(f"`{part.span.text}` can be met in more than {MOST_WAYS:,} ways", part.span, "write fewer `**`")
        seen.setdefault(_way(found, captures) if isinstance(part, Deep) else ways, found)  # a word leads to each match once
    if seen:
        return list(seen.values())
    if misses:
        return misses[0]
    return [] if _chooses_none(frontier, part) or is_unborn(parts, tree.bodies, tree.noun) else _nowhere(frontier, part, tree)


def _way(match: Match, captures: bool) -> tuple[object, ...]:
    """Return what tells one way to match a path from another."""
    bound = tuple([(k, member_text(v[0])) for k, v in match.bindings.items()]) if match.bindings else ()
    return id(match.branch), bound, match.captures if captures else ()


def _chooses_none(frontier: list[Match], part: Word | Deep) -> bool:
    """Tell whether the members of an index set or of a range are asked for, and there are none."""
    if isinstance(part, Deep):
        return any(isinstance(item, Exactly) and not item.values for item in part.items)
    return bool(part.items) and any(part.name in (None, name) for match in frontier for name in match.branch.level.named)


def _nowhere(frontier: list[Match], part: Part, tree: Tree) -> Miss:
    """Say that no branch goes on with a part, and how it may have been meant."""
    if not isinstance(part, Word) or part.name is None:
        if isinstance(part, Deep) and part.items:
            return Miss(f"no path holds the member `{part.items[0].span.text}`", part.span, "name the family: `lm.fork[generate]`")
        return Miss("nothing lies below a tensor", part.span, "leave the last part out")
    named = {name: branches for match in frontier for name, branches in match.branch.children.items()}
    missing = f"there is no `{part.name}`{_where(frontier)}"
    near = closest(part.name, named)
    if near is not None:
        return Miss(missing, part.span, f"did you mean `{near}`?")
    families = [name for name, branches in named.items() if any(part.name in branch.stem.key for branch in branches)]
    if families:
        return Miss(missing, part.span, f"`{part.name}` is a member of {listed(families)}: write `{families[0]}[{part.name}]`")
    if not named:
        return Miss(
            missing, part.span, "nothing lies below it: it is a tensor" if any(m.branch.path for m in frontier) else f"no {tree.noun} is made here"
        )
    if any(branch.name == part.name for match in frontier for branch in match.branch.below()):
        return Miss(missing, part.span, f"there is one further down: write `**.{part.name}`")
    return Miss(missing, part.span, f"there {'is' if len(named) == 1 else 'are'} {listed(list(named))}")


def _where(frontier: list[Match]) -> str:
    names = dict.fromkeys(match.branch.name for match in frontier)
    if len(frontier) == 1 or len(names) == 1:
        branch = frontier[0].branch
        return f" in `{branch.path if len(frontier) == 1 else branch.name}`" if branch.path else ""
    return ""


def _other_task(task: str, part: Part, frontier: list[Match], tree: Tree) -> Miss:
    """Say that what a part matches belongs to another task, and what the task has there."""
    names = [name for m in frontier for name, branches in m.branch.children.items() for b in branches if _of_task(b, task, tree)]
    word = part.name if isinstance(part, Word) and part.name is not None else part.span.text
    near = closest(word, names)
    there = f"it has {listed(list(dict.fromkeys(names)))}" if names else f"no {tree.noun} is made in it"
    return Miss(f"the task `{task}` has no `{word}`", part.span, f"did you mean `{near}`?" if near and near != word else there)


def _of_task(branch: Branch, task: str, tree: Tree) -> bool:
    return any(task in tree.holding.makers[number] for number in branch.leaves)


def _anchored(part: Anchor, tree: Tree) -> list[Match] | Miss:
    by_path = {branch.path: branch for branch in tree.root.below()}
    found = [Match(branch) for branch in dict.fromkeys(branch for path in part.paths for branch in _under(path, by_path))]
    return found or Miss(f"`{part.span.text}` holds no {tree.noun}", part.span, "select something that has parameters")


def _under(path: str, by_path: Mapping[str, Branch]) -> list[Branch]:
    if path in by_path:
        return [by_path[path]]
    shortest: list[Branch] = []
    for name, branch in by_path.items():
        if name.startswith(f"{path}.") and not any(name.startswith(f"{b.path}.") for b in shortest):
            shortest.append(branch)
    return shortest

"""Selectors: index sets of paths, as data, and what they match.

`lm.fork[generate].**.{q, v} except lm.fork[generate, 0]` is matched on the tree of what a model owns.  A module that is selected selects
everything below it.  What matches nothing is a `Miss`, which names the place where matching stopped and the names that exist there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .diagnostics import closest
from .inspector import Owned
from .members import member_text
from .source import Span
from .types import SetAxis

# ------------------------------------------------------------------------------------------------------ index items


@dataclass(frozen=True, slots=True)
class Exactly:
    """One member, or several; `literal` is the word as it is written, which means the member of that name if the family has one.

    A negative number counts from the end.  `set` is the index set that the members are of: `**[chains[1..]]` means its members alone.
    """

    values: tuple[object, ...]
    span: Span
    literal: str | None = None
    set: SetAxis | None = None


@dataclass(frozen=True, slots=True)
class Between:
    """`a..b` by member; an open end is None."""

    start: object | None
    stop: object | None
    inclusive: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Every:
    """`*` or `..`."""

    span: Span


@dataclass(frozen=True, slots=True)
class Variable:
    """An index variable of a weights map: every member in turn."""

    name: str
    span: Span


Item = Exactly | Between | Every | Variable

# ------------------------------------------------------------------------------------------------------------ parts


@dataclass(frozen=True, slots=True)
class Word:
    """One name, alternatives `{q, v}`, or any name (`*`, None), with index items."""

    names: tuple[str, ...] | None
    span: Span
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Deep:
    """`**`: any path, an empty one too; with items, a path that holds the member at any of its parts."""

    span: Span
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Anchor:
    """Paths that are known: what a name stands for that is not the first word of a path (`scale = one if shared else ...`)."""

    paths: tuple[str, ...]
    span: Span


Part = Word | Deep | Anchor


@dataclass(frozen=True, slots=True)
class Path:
    """Parts from the root; without any, everything (`all`)."""

    parts: tuple[Part, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Either:
    """What any of several selectors matches; each must match something."""

    options: tuple[Selector, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Except:
    """`left except right`."""

    left: Selector
    right: Selector
    span: Span


@dataclass(frozen=True, slots=True)
class OfKind:
    """`selector: Linear | Conv2d`: what modules of these kinds hold, at or below what the selector matches."""

    selector: Selector
    kinds: tuple[tuple[str, Span], ...]
    span: Span


Selector = Path | Either | Except | OfKind


@dataclass(frozen=True, slots=True)
class Miss:
    """Why nothing is matched: a message, the place, and what to write."""

    message: str
    span: Span
    help: str | None = None


# ------------------------------------------------------------------------------------------------------------- tree


@dataclass(slots=True, eq=False)
class Branch:
    """A module (with one member of each index) or a tensor; `children` by name, each name's in order of birth."""

    name: str
    members: tuple[object, ...]
    sets: tuple[SetAxis, ...]
    path: str
    kind: str | None = None
    children: dict[str, dict[tuple[str, ...], Branch]] = field(default_factory=dict[str, "dict[tuple[str, ...], Branch]"])
    leaf: int | None = None

    def below(self) -> Iterator[Branch]:
        """Yield every branch below this one, a module before what it holds."""
        for named in self.children.values():
            for branch in named.values():
                yield branch
                yield from branch.below()

    def leaves(self) -> Iterator[int]:
        """Yield the numbers of the tensors at or below this branch."""
        if self.leaf is not None:
            yield self.leaf
        for named in self.children.values():
            for branch in named.values():
                yield from branch.leaves()


class Tree:
    """What a model owns (or its losses), by path; `noun` says what the entries are, for messages."""

    def __init__(self, entries: Iterable[Owned], noun: str = "parameter") -> None:
        self.entries: Sequence[Owned] = tuple(entries)
        self.noun = noun
        self.root = Branch("", (), (), "")
        self.tasks = tuple(dict.fromkeys(task for entry in self.entries for task in entry.tasks))
        self.by_path = {entry.path: number for number, entry in enumerate(self.entries)}
        for number, entry in enumerate(self.entries):
            self._plant(number, entry)

    def _plant(self, number: int, entry: Owned) -> None:
        branch = self.root
        for place, (name, members) in enumerate(entry.parts):
            key = tuple(map(member_text, members))
            named = branch.children.setdefault(name, {})
            found = named.get(key)
            if found is None:
                own = ".".join((name, *key))
                sets = entry.sets[place] if place < len(entry.sets) else ()
                found = named[key] = Branch(name, members, sets, f"{branch.path}.{own}" if branch.path else own)
            if found.kind is None and place < len(entry.kinds):
                found.kind = entry.kinds[place]
            branch = found
        branch.leaf = number

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of all modules."""
        return tuple(dict.fromkeys(b.kind for b in self.root.below() if b.kind is not None))

    def covers(self, selected: Iterable[int]) -> list[str]:
        """Return the shortest paths that name just the selected tensors: a module's where all of its tensors are selected."""
        chosen = frozenset(selected)
        found: list[str] = []

        def visit(branch: Branch) -> None:
            leaves = list(branch.leaves())
            if branch is not self.root and all(leaf in chosen for leaf in leaves):
                found.append(branch.path)
            elif any(leaf in chosen for leaf in leaves):
                for named in branch.children.values():
                    for child in named.values():
                        visit(child)

        visit(self.root)
        return found


# --------------------------------------------------------------------------------------------------------- matching


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A branch that a path matches, the members that its variables stand for, and what `*` and `**` stand for."""

    branch: Branch
    bindings: Mapping[str, tuple[object, SetAxis | None]] = field(default_factory=dict[str, "tuple[object, SetAxis | None]"])
    captures: tuple[str, ...] = ()
    task: str | None = None


def select(selector: Selector, tree: Tree) -> frozenset[int] | Miss:
    """Return the numbers of the entries that a selector matches, or why there are none."""
    if isinstance(selector, Path):
        found = matches(selector, tree)
        return found if isinstance(found, Miss) else frozenset(n for match in found for n in _held(match, tree))
    if isinstance(selector, Either):
        options = [select(option, tree) for option in selector.options]
        miss = next((o for o in options if isinstance(o, Miss)), None)
        return miss or frozenset[int]().union(*(o for o in options if not isinstance(o, Miss)))
    if isinstance(selector, Except):
        left, right = select(selector.left, tree), select(selector.right, tree)
        if isinstance(left, Miss) or isinstance(right, Miss):
            return left if isinstance(left, Miss) else right
        if not left - right:
            return Miss(f"`{selector.span.text}` matches nothing: `except` takes away all of it", selector.span, "leave the `except` out, or make it smaller")
        return left - right
    return _of_kind(selector, tree)


def _held(match: Match, tree: Tree) -> Iterator[int]:
    for number in match.branch.leaves():
        if match.task is None or match.task in tree.entries[number].tasks:
            yield number


def _of_kind(selector: OfKind, tree: Tree) -> frozenset[int] | Miss:
    known = tree.kinds
    for name, span in selector.kinds:
        if name not in known:
            near = closest(name, known)
            return Miss(f"the model holds no `{name}`", span, f"did you mean `{near}`?" if near else f"it is made of {_listed(known)}")
    base = select(selector.selector, tree)
    if isinstance(base, Miss):
        return base
    kinds = {name for name, _ in selector.kinds}
    depths = _depths(selector.selector, tree)
    found = frozenset(n for n in base if kinds & set(tree.entries[n].kinds[max(depths.get(n, 0) - 1, 0) :]))
    if not found:
        wanted = " or ".join(f"`{name}`" for name, _ in selector.kinds)
        return Miss(f"`{selector.span.text}` matches nothing: there is no {wanted} in it", selector.span, "select by name, or from further up")
    return found


def _depths(selector: Selector, tree: Tree) -> dict[int, int]:
    """Return how many parts of each entry's path the selector itself matches, at least."""
    depths: dict[int, int] = {}
    if isinstance(selector, Path):
        found = matches(selector, tree)
        for match in () if isinstance(found, Miss) else found:
            depth = _depth(match.branch, tree)
            for number in match.branch.leaves():
                depths[number] = min(depths.get(number, depth), depth)
    elif isinstance(selector, Either):
        for option in selector.options:
            for number, depth in _depths(option, tree).items():
                depths[number] = min(depths.get(number, depth), depth)
    elif isinstance(selector, Except):
        return _depths(selector.left, tree)
    return depths


def _depth(branch: Branch, tree: Tree) -> int:
    leaf = next(branch.leaves(), None)
    if leaf is None or branch is tree.root:
        return 0
    path = ""
    for depth, (name, members) in enumerate(tree.entries[leaf].parts, 1):
        own = ".".join((name, *map(member_text, members)))
        path = f"{path}.{own}" if path else own
        if path == branch.path:
            return depth
    return 0


def matches(path: Path, tree: Tree) -> list[Match] | Miss:
    """Return every branch that a path matches, each way once, or why there is none."""
    parts = path.parts
    task: str | None = None
    first = parts[0] if parts else None
    if isinstance(first, Word) and first.names is not None and len(first.names) == 1 and not first.items:
        name = first.names[0]
        if name not in tree.root.children and name in tree.tasks:
            task, parts = name, parts[1:]
    frontier = [Match(tree.root, task=task)]
    for place, part in enumerate(parts):
        following = _advance(frontier, part, tree, last=place == len(parts) - 1)
        if task is not None and not isinstance(following, Miss):
            following = [m for m in following if next(_held(m, tree), None) is not None]
            if not following:
                return Miss(f"`{path.span.text}` matches nothing that was made in the task `{task}`", part.span, f"select it without `{task}.`")
        if isinstance(following, Miss):
            return Miss(f"`{path.span.text}` matches nothing: {following.message}", following.span, following.help)
        frontier = following
    return frontier


def _advance(frontier: list[Match], part: Part, tree: Tree, last: bool) -> list[Match] | Miss:
    if isinstance(part, Anchor):
        return _anchored(part, tree)
    step: Callable[[Match], Iterator[Match]]
    misses: list[Miss] = []
    if isinstance(part, Deep):
        deep = part
        step = (lambda m: _holding(m, deep, last)) if part.items else (lambda m: _descend(m, last))
    else:
        word = part
        step = lambda m: _named(m, word, misses)  # noqa: E731  # the three ways to go on side by side
    seen: dict[object, Match] = {}
    for match in frontier:
        for found in step(match):
            key = (id(found.branch), tuple((k, member_text(v[0])) for k, v in found.bindings.items()), found.captures)
            seen.setdefault(key, found)
    if seen:
        return list(seen.values())
    if misses:
        return misses[0]
    return _nowhere(frontier, part, tree)


def _nowhere(frontier: list[Match], part: Part, tree: Tree) -> Miss:
    if isinstance(part, Deep):
        return Miss(f"no path holds the member `{part.items[0].span.text if part.items else ''}`", part.span, "select by name: `lm.fork[generate]`")
    names = list(dict.fromkeys(name for match in frontier for name in match.branch.children))
    wanted = part.names if isinstance(part, Word) and part.names is not None else ("*",)
    where = f" in `{frontier[0].branch.path}`" if len(frontier) == 1 and frontier[0].branch.path else ""
    near = closest(wanted[0], names)
    if near is None:
        family = next((n for m in frontier for n in [m.branch.name] if any(member_text(k) == wanted[0] for k in m.branch.members)), None)
        if family is not None:
            return Miss(f"`{wanted[0]}` is a member of `{family}`", part.span, f"write `{family}[{wanted[0]}]`")
    there = f"there {'is' if len(names) == 1 else 'are'} {_listed(names)}" if names else "nothing lies below it: it is a tensor"
    return Miss(f"there is no `{wanted[0]}`{where}", part.span, f"did you mean `{near}`?" if near else there)


def _listed(names: Sequence[object], most: int = 12) -> str:
    texts = [f"`{name}`" for name in names]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "") or "nothing"


def _anchored(part: Anchor, tree: Tree) -> list[Match] | Miss:
    by_path = {branch.path: branch for branch in tree.root.below()}
    found = [Match(branch) for path in part.paths for branch in _under(path, by_path)]
    return found or Miss(f"`{part.span.text}` holds no {tree.noun}", part.span, "select something that has parameters")


def _under(path: str, by_path: Mapping[str, Branch]) -> list[Branch]:
    if path in by_path:
        return [by_path[path]]
    shortest: list[Branch] = []
    for name, branch in by_path.items():
        if name.startswith(f"{path}.") and not any(name.startswith(f"{b.path}.") for b in shortest):
            shortest.append(branch)
    return shortest


def _descend(match: Match, last: bool) -> Iterator[Match]:
    """Go down `**`: to every branch at or below, or, at the end of a path, nowhere: what is selected selects all below."""
    if last:
        yield match
        return
    start = len(match.branch.path) + 1 if match.branch.path else 0
    yield Match(match.branch, match.bindings, (*match.captures, ""), match.task)
    for branch in match.branch.below():
        yield Match(branch, match.bindings, (*match.captures, branch.path[start:]), match.task)


def _holding(match: Match, part: Deep, last: bool) -> Iterator[Match]:
    """Go down `**[items]`: to the branches that hold the members, and, if more parts follow, to all below them."""
    start = len(match.branch.path) + 1 if match.branch.path else 0
    for named in match.branch.children.values():
        for branch in named.values():
            if _holds(branch, part.items):
                inner = [branch] if last else [branch, *branch.below()]
                for found in inner:
                    yield Match(found, match.bindings, match.captures if last else (*match.captures, found.path[start:]), match.task)
            else:
                below = _holding(Match(branch, match.bindings, (), match.task), part, last)
                for found in below:
                    yield Match(found.branch, match.bindings, match.captures if last else (*match.captures, found.branch.path[start:]), match.task)


def _holds(branch: Branch, items: Sequence[Item]) -> bool:
    for offset in range(len(branch.members) - len(items) + 1):
        if all(_is(item, branch.members[offset + i], _set_at(branch, offset + i)) for i, item in enumerate(items)):
            return True
    return False


def _set_at(branch: Branch, place: int) -> SetAxis | None:
    return branch.sets[place] if place < len(branch.sets) else None


def _is(item: Item, member: object, set_: SetAxis | None) -> bool:
    text = member_text(member)
    if isinstance(item, Exactly):
        if not isinstance(member, str) and item.set is not None and set_ is not None and not _same(item.set, set_):
            return False
        return text == item.literal or any(member_text(value) == text for value in item.values)
    if isinstance(item, Between):
        if not isinstance(member, int):
            return False
        after = item.start is None or (isinstance(item.start, int) and member >= item.start)
        return after and (item.stop is None or (isinstance(item.stop, int) and (member <= item.stop if item.inclusive else member < item.stop)))
    return True


def _same(one: SetAxis, other: SetAxis) -> bool:
    """Tell whether two index sets are one: the very same members, not only equal ones."""
    return one.members is other.members or (one.name.split("[")[0] == other.name.split("[")[0] and one.members == other.members)


def _named(match: Match, part: Word, misses: list[Miss]) -> Iterator[Match]:
    for name, named in match.branch.children.items():
        if part.names is None or name in part.names:
            for found in _chosen(list(named.values()), part.items, 0, match, misses, part):
                captures = match.captures
                if part.names is None:
                    captures = (*captures, ".".join((name, *map(member_text, found.branch.members))))
                yield Match(found.branch, found.bindings, captures, match.task)


def _chosen(branches: list[Branch], items: Sequence[Item], depth: int, match: Match, misses: list[Miss], part: Word) -> Iterator[Match]:
    """Yield the branches of one name whose members the items choose, level by level."""
    if depth == len(items):
        yield from (Match(branch, match.bindings) for branch in branches)
        return
    groups: dict[str, list[Branch]] = {}
    for branch in branches:
        if depth < len(branch.members):
            groups.setdefault(member_text(branch.members[depth]), []).append(branch)
    item = items[depth]
    name = branches[0].name
    if not groups:
        misses.append(Miss(f"`{name}` has no member here: {'it is no family' if depth == 0 else f'it has {depth} indices'}", item.span, f"write `{name}` alone"))
        return
    picked = _pick(item, {text: group[0].members[depth] for text, group in groups.items()}, name, match)
    if isinstance(picked, Miss):
        misses.append(picked)
        return
    for text in picked:
        group = groups[text]
        bindings = match.bindings
        if isinstance(item, Variable):
            bindings = {**bindings, item.name: (group[0].members[depth], _set_at(group[0], depth))}
        yield from _chosen(group, items, depth + 1, Match(match.branch, bindings), misses, part)


def _pick(item: Item, present: Mapping[str, object], name: str, match: Match) -> list[str] | Miss:
    """Return which of the members present (by text) an item means."""
    if isinstance(item, Every):
        return list(present)
    if isinstance(item, Variable):
        bound = match.bindings.get(item.name)
        if bound is None:
            return list(present)
        text = member_text(bound[0])
        return [text] if text in present else _absent(item.span, text, present, name)
    if isinstance(item, Exactly):
        return _exactly(item, present, name)
    return _between(item, present, name)


def _exactly(item: Exactly, present: Mapping[str, object], name: str) -> list[str] | Miss:
    if item.literal is not None and item.literal in present:
        return [item.literal]
    texts: list[str] = []
    for value in item.values:
        text = member_text(value)
        if text not in present and isinstance(value, int) and -len(present) <= value < 0:
            text = list(present)[value]
        if text not in present:
            return _absent(item.span, str(value), present, name)
        texts.append(text)
    return texts or _absent(item.span, item.literal or item.span.text, present, name)


def _absent(span: Span, word: str, present: Mapping[str, object], name: str) -> Miss:
    near = closest(word, present)
    return Miss(f"`{name}` has no member `{word}`", span, f"did you mean `{near}`?" if near else f"its members are {_listed(list(present))}")


def _between(item: Between, present: Mapping[str, object], name: str) -> list[str] | Miss:
    texts = list(present)
    edges: list[int] = []
    for value, default in ((item.start, 0), (item.stop, len(texts))):
        if value is None:
            edges.append(default)
            continue
        place = _edge(value, present)
        if place is None:
            return _absent(item.span, str(value), present, name)
        edges.append(place + (1 if default and item.inclusive else 0))
    if edges[1] < edges[0]:
        return Miss(f"the range `{item.span.text}` runs backwards", item.span, "write the earlier member first")
    if edges[0] == edges[1]:
        return Miss(f"the range `{item.span.text}` of `{name}` is empty", item.span, f"its members are {_listed(texts)}")
    return texts[edges[0] : edges[1]]


def _edge(value: object, present: Mapping[str, object]) -> int | None:
    """Return the place of a range's end among the members; one past the last number is a place too."""
    texts = list(present)
    text = member_text(value)
    if text in present:
        return texts.index(text)
    numbers = [m for m in present.values() if isinstance(m, int)]
    if isinstance(value, int) and len(numbers) == len(texts):
        if value == max(numbers) + 1:
            return len(texts)
        if -len(texts) <= value < 0:
            return len(texts) + value
    return None

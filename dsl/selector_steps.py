"""One part of a path: where it leads from a branch of what a model owns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from .branches import Branch
from .holdings import Family, Level, Stem
from .record import entity
from .selector_members import holds, pick
from .selectors import Deep, Item, Miss, Variable, Word
from .types import SetAxis

Bindings = Mapping[str, tuple[object, SetAxis | None]]
"""The members that variables stand for, each with its declared set."""


@entity
class Match:
    """A branch that a path matches, the members that its variables stand for, and what `*` and `**` stand for."""

    branch: Branch
    bindings: Bindings = field(default_factory=dict[str, "tuple[object, SetAxis | None]"])
    captures: tuple[str, ...] = ()
    task: str | None = None


def descend(match: Match, last: bool) -> Iterator[Match]:
    """Go down `**`: to every branch at or below, or, at the end of a path, nowhere: what is selected selects all below."""
    start = len(match.branch.path) + 1 if match.branch.path else 0
    yield Match(match.branch, match.bindings, (*match.captures, ""), match.task)
    if last:
        return
    for branch in match.branch.below():
        yield Match(branch, match.bindings, (*match.captures, branch.path[start:]), match.task)


def holding(match: Match, part: Deep, last: bool) -> Iterator[Match]:
    """Go down `**[items]`: to the branches that hold the members, and, if more parts follow, to all below them."""
    start = len(match.branch.path) + 1 if match.branch.path else 0
    for found in _down(match.branch, part.items, last):
        yield Match(found, match.bindings, (*match.captures, found.path[start:]), match.task)


def _down(branch: Branch, items: Sequence[Item], last: bool) -> Iterator[Branch]:
    for stem in (stem for stems in branch.level.named.values() for stem in stems):
        if stem.members and holds(stem.members, stem.sets, items):
            yield branch.grown(stem)
            if not last:
                yield from branch.grown(stem).below()
        elif not stem.is_plain:
            yield from _down(branch.grown(stem), items, last)


Known = dict[tuple[Level, str], list[tuple[Stem, ...]]]
"""The ways down by a name that items choose, where no variable is among them: all instances of one body share them."""


def follow(match: Match, part: Word, misses: list[Miss], known: Known) -> Iterator[Match]:
    """Go down by a name, or by any, to the members that its items choose; why an item chooses none goes to `misses`."""
    level = match.branch.level
    for name in level.named if part.name is None else [part.name] if part.name in level.named else []:
        for way, bindings in _ways(level, name, part, match.bindings, misses, known):
            captures = match.captures if part.name is not None else (*match.captures, way[-1].text)
            yield Match(match.branch.grown(*way), bindings, captures, match.task)


def _ways(level: Level, name: str, part: Word, bindings: Bindings, misses: list[Miss], known: Known) -> Iterable[tuple[tuple[Stem, ...], Bindings]]:
    """Return the ways down by a name that the items of a part choose, and what its variables stand for then."""
    if any([isinstance(item, Variable) for item in part.items]):
        return _chosen(level.family(name), part.items, bindings, misses)
    found = known.get((level, name))
    if found is None:
        found = known[level, name] = [way for way, _ in _chosen(level.family(name), part.items, bindings, misses)]
    return [(way, bindings) for way in found]


def _chosen(
    family: Family, items: Sequence[Item], bindings: Bindings, misses: list[Miss], depth: int = 0
) -> Iterator[tuple[tuple[Stem, ...], Bindings]]:
    """Yield the ways down by one name whose members the items choose, level by level; then those that they choose of a Sequential's parts."""
    if depth == len(items):
        for way in family.ways:
            yield way, bindings
        return
    item, name, groups = items[depth], family.ways[0][-1].name, family.groups
    if not family.present:
        what = f"`{name}` is no family" if depth == 0 else f"`{name}` has {depth} {'index' if depth == 1 else 'indices'}, not {len(items)}"
        misses.append(Miss(what, item.span, f"write `{name}` alone" if depth == 0 else "leave the last one out"))
        return
    variable = item.name if isinstance(item, Variable) else None
    picked = pick(item, family.present, name, bindings.get(variable) if variable is not None else None, whole=bool(groups))
    if isinstance(picked, Miss):
        misses.append(picked)
        return
    for text in picked:
        inner = bindings
        if variable is not None:
            sets = groups[text].ways[0][-1].sets if groups else ()
            inner = {**bindings, variable: (family.present[text], sets[depth] if depth < len(sets) else None)}
        if groups:
            yield from _chosen(groups[text], items, inner, misses, depth + 1)
        else:
            yield from _chosen(family.parts[text], items[depth + 1 :], inner, misses)

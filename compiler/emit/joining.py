"""Several ways of calling a block as one function: what some calls leave out may be None, and what differs stands under a condition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from ...dsl.record import record
from .families import Family
from .layout import signature
from .merging import Merging, alike
from .units import Line

MOST = 4
"""How many ways are tried in every order."""


@record
class Method:
    """One function of a class: its parameters, and the lines of its body.

    `told` is the name of the member that it is told, `ways` are the numbers of the ways of calling that it serves.
    """

    name: str
    families: tuple[Family, ...]
    told: str
    handed: tuple[str, ...]
    result: str
    lines: tuple[Line, ...]
    ways: tuple[int, ...]

    @property
    def always(self) -> frozenset[str]:
        """The names of the parameters that all calls give."""
        return frozenset(family.name for family in self.families if not family.optional)

    def head(self) -> list[str]:
        """Return the head of the function."""
        names = ["self", *(f"{family.name}: {family.annotation}" for family in self.families if not family.optional)]
        names += [f"{self.told}: str"] if self.told else []
        names += [f"{family.name}: {family.annotation}" for family in self.families if family.optional]
        names += ["*", *(f"{name}: Any" for name in self.handed)] if self.handed else []
        return signature(self.name, names, self.result, 4)


def joined(methods: Sequence[Method]) -> list[Method]:
    """Return as few functions as there can be: the first is `forward`, others are named by what they give."""
    found: list[Method] = []
    for method in methods:
        same = next((i for i, one in enumerate(found) if _form(one) == _form(method)), None)
        if same is None:
            found.append(method)
        else:
            found[same] = replace(found[same], ways=(*found[same].ways, *method.ways))
    groups: dict[tuple[object, ...], list[Method]] = {}
    for method in found:
        groups.setdefault((method.told, method.handed, method.result), []).append(method)
    return _named([one for group in groups.values() for one in _folded(group)])


def _form(method: Method) -> tuple[object, ...]:
    return (method.families, method.told, method.handed, method.result, method.lines)


def _folded(group: Sequence[Method]) -> list[Method]:
    """Return functions with the same result as one, in the order that makes it shortest; as they are where arguments don't tell them apart."""
    if len(group) < 2 or len(group) > MOST:
        return list(group)
    folds = [fold for order in permutations(group) if (fold := _fold(order)) is not None]
    return [min(folds, key=lambda fold: len(fold.lines))] if folds else list(group)


def _fold(order: Iterable[Method]) -> Method | None:
    first, *rest = order
    for method in rest:
        both = _both(first, method)
        if both is None:
            return None
        first = both
    optional = [family.name for family in first.families if family.optional]
    return replace(first, lines=tuple(_asserted(first.lines, optional)))


def _both(first: Method, second: Method) -> Method | None:
    """Return one function for two, told apart by a parameter that only one of them has."""
    known = {family.name: family for family in first.families}
    if any(known[family.name].keys != family.keys for family in second.families if family.name in known):
        return None
    more = [family.name for family in second.families if not family.optional and family.name not in known]
    fewer = [name for name in first.always if name not in {family.name for family in second.families}]
    if more:
        tests = (f"{more[-1]} is not None", f"{more[-1]} is None")
    elif fewer:
        name = next(family.name for family in first.families[::-1] if family.name in fewer)
        tests = (f"{name} is None", f"{name} is not None")
    else:
        return None
    always = first.always & second.always
    families = {family.name: family for family in (*first.families, *second.families)}
    ordered = sorted(families.values(), key=lambda family: family.name not in always)
    single = [name for name in families if name not in always]
    lines = Merging(*tests, single).merged(alike(first.lines, second.lines), alike(second.lines, first.lines))
    found = tuple(family if family.name in always else replace(family, optional=True) for family in ordered)
    return replace(first, families=found, lines=tuple(lines), ways=(*first.ways, *second.ways))


def _named(methods: Sequence[Method]) -> list[Method]:
    found: list[Method] = []
    for number, method in enumerate(sorted(methods, key=lambda method: min(method.ways))):
        name = "forward" if number == 0 else method.name
        taken = {one.name for one in found}
        found.append(replace(method, name=next(one for one in (name, *(f"{name}_{i}" for i in range(2, 1000))) if one not in taken)))
    return found


def _asserted(lines: Sequence[Line], names: Iterable[str]) -> list[Line]:
    """Say of a parameter that may be None that it isn't where a condition on another one tells, for type checkers."""
    found = list(lines)
    for name in names:
        mention = re.compile(rf"(?<![.\w\"]){name}\b(?! is )(?!=[^=])(?!\")")
        handed = re.compile(rf"\b{name}={name}(?=[,)])|\b{name} and {name}\b")
        place = 0
        while place < len(found):
            depth, text = found[place]
            start = _start(found, place)
            known = any(name in _narrowed(found, at) for at in _heads(found, place))
            told = any(other == f"assert {name} is not None" for _, other in found[start:place])
            if depth and mention.search(handed.sub("", text)) and not known and not told:
                found.insert(start, (depth, f"assert {name} is not None"))
                place += 1
            place += 1
    return found


def _start(lines: Sequence[Line], place: int) -> int:
    """Return where the block of a line begins."""
    depth = lines[place][0]
    while place and lines[place - 1][0] >= depth:
        place -= 1
    return place


def _heads(lines: Sequence[Line], place: int) -> Iterator[int]:
    """Yield the heads of the blocks that a line stands in."""
    depth = lines[place][0]
    for at in range(place - 1, -1, -1):
        if lines[at][0] < depth:
            depth = lines[at][0]
            yield at


def _narrowed(lines: Sequence[Line], head: int) -> list[str]:
    """Return the parameters that aren't None below a head: by its own condition, or by those before it."""
    depth, text = lines[head]
    found = re.findall(r"if (\w+) is not None:", text)
    while text.startswith(("else:", "elif ")):
        head = next(at for at in range(head - 1, -1, -1) if lines[at][0] == depth and lines[at][1].startswith(("if ", "elif ")))
        text = lines[head][1]
        found += re.findall(r"if (\w+) is None:", text)
    return found

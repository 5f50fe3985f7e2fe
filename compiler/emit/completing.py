"""The last turn of a loop lacks what only a further turn would read: it is put there, so that all turns are one loop."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .expressions import LOCAL, local_mark, plain
from .layout import split
from .units import Token, Unit

MOVING = re.compile(r"\bself\.|\brand|\bdropout|\bnormal|\bbernoulli|\bmultinomial|\bshuffle")
"""What is not computed once more for nothing: modules, and draws."""


def completed(units: Sequence[Unit], at: int, period: int, times: int, names: dict[str, str]) -> list[Unit]:
    """Return what the last turn lacks behind `times` whole ones; nothing where the turns can't go on."""
    end = at + times * period
    if times < 2 or end >= len(units) or units[end].skeleton() != units[at].skeleton():
        return []
    shapes = [unit.skeleton() for unit in units[at : end + period]]
    part = next((k for k in range(period) if shapes[times * period + k : times * period + k + 1] != [shapes[k]]), 0)
    turns = [list(units[at + k * period : at + (k + 1) * period]) for k in range(times)]
    lacking = turns[-1][part:]
    if not part or not all(map(_plain, lacking)):
        return []
    new = _matched(_tokens(turns[-1][:part]), _tokens(units[end : end + part]))
    binds = [[key for unit in turn for key in unit.defines()] for turn in turns]
    for before, key in zip(binds[-2], binds[-1], strict=True):
        new.setdefault(before, key)  # what a turn takes from the one before it
    made = {key: f"{key}+" for unit in lacking for key in unit.defines()}
    names.update((one, names[key]) for key, one in made.items())
    return _copied(lacking, turns[-2][part:], {**new, **made}, units[end + part - 1].number)


def read_there(units: Sequence[Unit], made: Sequence[Unit]) -> list[Unit]:
    """Return later statements that read what a list holds now, in the place of making it once more."""
    known: dict[str, str] = {}
    for unit in made:
        mark, _, value = unit.lines[0][1].partition(" = ")
        items = split(value[1:-1]) if value.startswith("[") and value.endswith("]") else []
        known.update((item, f"{mark}[{place}]") for place, item in enumerate(items) if "(" in item)
    found: list[Unit] = []
    for unit in units:
        copy = Unit(list(unit.lines), unit.guard, unit.enters, unit.loop)
        copy.number = unit.number
        for item, place in known.items():
            copy.change([text.replace(item, place) for text in copy.rows])
        found.append(copy)
    return found


def _plain(unit: Unit) -> bool:
    return len(unit.lines) == 1 and len(unit.defines()) == 1 and not unit.guard and not unit.loop and not MOVING.search(plain(unit.lines[0][1]))


def _tokens(units: Sequence[Unit]) -> list[Token]:
    return [token for unit in units for token in unit.tokens()]


def _matched(last: Sequence[Token], partial: Sequence[Token]) -> dict[str, str]:
    pairs = zip(last, partial, strict=True)
    return {one.value: other.value for one, other in pairs if one.kind == "local" and one.value != other.value}


def _copied(lacking: Sequence[Unit], earlier: Sequence[Unit], new: Mapping[str, str], number: int) -> list[Unit]:
    """Return statements with the values of the next turn; nothing where one varies otherwise."""
    for one, other in zip(_tokens(lacking), _tokens(earlier), strict=True):
        if one.value != other.value and (one.kind != "local" or one.value not in new):
            return []
    found: list[Unit] = []
    for unit in lacking:
        depth, text = unit.lines[0]
        text = LOCAL.sub(lambda mark: local_mark(new.get(mark["key"], mark["key"]), mark["name"]), text)
        found.append(Unit([(depth, text)]))
        found[-1].number = number
    return found

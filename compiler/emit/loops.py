"""Equal statements over the members of a family become one loop."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence

from .expressions import KEYED, MARKED
from .functions import Line

LONGEST = 24
"""How many statements one turn of a loop may have."""

MARK = re.compile(f"{MARKED.pattern}|{KEYED.pattern}")
Unit = tuple[Line, ...]


def rolled(lines: Sequence[Line], tasks: Collection[str] = ()) -> list[Line]:
    """Return lines with loops over `name`, over `task` where all members are `tasks`, or over `i`."""
    units = _carried(_units(lines))
    found: list[Line] = []
    at = 0
    while at < len(units):
        period, times = _repeat(units, at)
        if times > 1:
            turns = [tuple(line for unit in units[at + k * period : at + (k + 1) * period] for line in unit) for k in range(times)]
            found += _loop(turns, tasks)
            at += period * times
        else:
            found += units[at]
            at += 1
    return found


def _carried(units: list[Unit]) -> list[Unit]:
    """Give the first turn the names of the others: `z = a(x)`, `z = b(z)` becomes `z = x`, `z = a(z)`, `z = b(z)`."""
    found: list[Unit] = []
    for at, unit in enumerate(units):
        follows = units[at + 1 : at + 3]
        first = re.match(r"(\w+) = ", unit[0][1])
        if first is not None and len(unit) == 1 and len(follows) == 2 and _shape(follows[0]) == _shape(follows[1]) != _shape(unit):
            target = first[1]
            pattern = re.escape(unit[0][1])
            names = dict.fromkeys(re.findall(r"(?<![.\w\"])[A-Za-z_]\w*(?![\w(=\"])", MARK.sub("", pattern)))
            swapped = ((name, re.sub(rf"(?<![.\w]){name}(?![\w(=])", target, unit[0][1])) for name in names if name not in (target, "self"))
            hit = next(((name, text) for name, text in swapped if _shape(((0, text),)) == _shape(follows[0])), None)
            if hit is not None:
                found += [((0, f"{target} = {hit[0]}"),), ((0, hit[1]),)]
                continue
        found.append(unit)
    return found


def consecutive(members: Sequence[int | str]) -> str | None:
    """Return the range that two or more numbers are, also where they are written as text."""
    if len(members) < 2 or not all(str(member).isdecimal() for member in members):
        return None
    first, last = int(members[0]), int(members[-1])
    if [str(member) for member in members] != [str(i) for i in range(first, last + 1)]:
        return None
    return f"range({last + 1})" if first == 0 else f"range({first}, {last + 1})"


def _units(lines: Sequence[Line]) -> list[Unit]:
    """Cut into statements, each with what is indented below it."""
    found: list[list[Line]] = []
    for line in lines:
        if line[0] == 0 and not line[1].startswith(("else:", "elif ")):
            found.append([])
        found[-1].append(line)
    return [tuple(unit) for unit in found]


def _shape(unit: Unit) -> tuple[Line, ...]:
    return tuple((depth, MARKED.sub("\ue015", KEYED.sub(lambda m: f"\ue015{m[2]}\ue015", text))) for depth, text in unit)


def _marks(units: Sequence[Unit]) -> list[str]:
    return [m[1].rpartition("#")[0] if m[1] is not None else m[2] for unit in units for _, text in unit for m in MARK.finditer(text)]


def _repeat(units: list[Unit], at: int) -> tuple[int, int]:
    """Return how many statements make a turn, and how many turns follow each other."""
    best = (1, 1)
    for period in range(1, min(LONGEST, (len(units) - at) // 2) + 1):
        first = [_shape(unit) for unit in units[at : at + period]]
        times = 1
        while [_shape(unit) for unit in units[at + times * period : at + (times + 1) * period]] == first:
            times += 1
        while times > 1 and not _sound([_marks(units[at + k * period : at + (k + 1) * period]) for k in range(times)]):
            times -= 1
        size = sum(len(unit) for unit in units[at : at + period])
        if times > 1 and (times * size > 2 or _whole(units[at : at + times])) and times * period > best[0] * best[1]:
            best = (period, times)
    return best


def _whole(units: list[Unit]) -> bool:
    """Tell whether statements go through all members of one list."""
    columns = list(zip(*[_marks([unit]) for unit in units], strict=True))
    members = next(column for column in columns if len(set(column)) > 1)
    return _family(units[0], [len(set(column)) > 1 for column in columns], members) is not None


def _sound(turns: list[list[str]]) -> bool:
    """Tell whether all marks that change change alike."""
    changing = {column for column in zip(*turns, strict=True) if len(set(column)) > 1}
    return len(changing) == 1 and len(set(next(iter(changing)))) == len(turns)


def _loop(turns: list[Unit], tasks: Collection[str]) -> list[Line]:
    columns = list(zip(*[_marks([turn]) for turn in turns], strict=True))
    members = next(column for column in columns if len(set(column)) > 1)
    varying = [len(set(column)) > 1 for column in columns]
    family = _family(turns[0], varying, members)
    if family is not None:
        word = family.rpartition(".")[2]
        variable = word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word
        if any(re.search(rf"(?<![.\w]){variable}\b", text) for _, text in turns[0]):
            variable = "module"
        head = f"for {variable} in {family}:"
        body = [(depth, MARKED.sub(lambda m: m[0], text).replace(f"{family}[{_mark(text, members[0])}]", variable)) for depth, text in turns[0]]
        return [(0, head), *((depth + 1, text) for depth, text in body)]
    values = [json.loads(member) for member in members]
    over = consecutive(values)
    if over is not None:
        variable, shown = "i", "i" if isinstance(values[0], int) else "str(i)"
    else:
        variable = "task" if all(value in tasks for value in values) else "name"
        shown, over = variable, f"({', '.join(members)})"
    place = iter(varying)
    body = [(depth + 1, MARK.sub(lambda m: _variable(m, shown, variable) if next(place) else m[0], text)) for depth, text in turns[0]]
    return [(0, f"for {variable} in {over}:"), *body]


def _variable(mark: re.Match[str], shown: str, variable: str) -> str:
    return shown if mark[1] is not None else f'f"{{{variable}}}{mark[3]}"'


def _mark(text: str, member: str) -> str:
    """Return the mark of a member as it stands in a text."""
    return next((m[0] for m in MARKED.finditer(text) if m[1].rpartition("#")[0] == member), "\ue010\ue011")


def _family(turn: Unit, varying: list[bool], members: Sequence[str]) -> str | None:
    """Return the list of modules that a loop goes through whole, if its members are all that changes."""
    if list(members) != [str(i) for i in range(len(members))]:
        return None
    bases: set[str] = set()
    place = iter(varying)
    for _, text in turn:
        for mark in MARK.finditer(text):
            if next(place):
                base = re.search(r"self(\.\w+)+\[$", text[: mark.start()])
                if mark[1] is None or base is None or mark[1].rpartition("#")[2] != str(len(members)):
                    return None
                bases.add(base[0][:-1])
    return bases.pop() if len(bases) == 1 else None

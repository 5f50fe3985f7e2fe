"""Equal statements over the members of a family, or over the steps of a repeat, become one loop."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from .expressions import KEYED, local_mark, plain
from .units import Enter, Line, Token, Unit, lines_of

if TYPE_CHECKING:
    from .rolling import Roller

LONGEST = 24
"""How many statements one turn of a loop may have."""

FAMILY = re.compile(r"self(\.\w+)+(\[[^\[\]]*\])*\[$")
"""What stands before the member of a family of modules."""

MOST = 3
"""How many columns of numbers a loop may go through."""


def consecutive(members: Sequence[int | str]) -> str | None:
    """Return the range that two or more numbers are, also where they are written as text."""
    if len(members) < 2 or not all(str(member).isdecimal() for member in members):
        return None
    first, last = int(members[0]), int(members[-1])
    if [str(member) for member in members] != [str(i) for i in range(first, last + 1)]:
        return None
    return f"range({last + 1})" if first == 0 else f"range({first}, {last + 1})"


class Unlike(Exception):
    """Turns can't be one loop."""


@dataclass(slots=True)
class _Turns:
    """Statements that repeat: what varies in them, column by column, and what each turn binds."""

    units: list[list[Unit]]
    columns: list[tuple[Token, ...]] = field(default_factory=list[tuple[Token, ...]])
    binds: list[list[str]] = field(default_factory=list[list[str]])

    def __post_init__(self) -> None:
        tokens = [[token for unit in turn for token in unit.tokens()] for turn in self.units]
        self.columns = list(zip(*tokens, strict=True))
        self.binds = [list(dict.fromkeys(key for unit in turn for key in unit.defines())) for turn in self.units]


class Loop:
    """One loop in the place of turns; raises Unlike where they can't be one."""

    def __init__(self, roller: Roller, at: int, period: int, times: int) -> None:
        self.roller = roller
        self.times = times
        self.turns = _Turns([roller.units[at + k * period : at + (k + 1) * period] for k in range(times)])
        self.before, self.after = roller.units[:at], roller.units[at + period * times :]
        self.end = self.turns.units[-1][-1].number
        self.bound = {key: (turn, place) for turn, keys in enumerate(self.turns.binds) for place, key in enumerate(keys)}
        self.own = [f"{key}'" for key in self.turns.binds[1]]
        """The keys of what the loop binds, by place."""
        self.starts: dict[int, str] = {}
        """What a carried value starts as, by its place among what a turn binds."""
        self.variables: dict[tuple[str, ...], str] = {}
        """The text that stands for each column that varies."""
        self.family = False
        """Whether the loop goes through the members of one family whole."""
        self.over: list[tuple[str, str]] = []
        """The variables of the loop, with what they go through."""

    def units(self) -> list[Unit]:
        """Return the loop with what stands before it."""
        plan = [self._column(column) for column in self.turns.columns]
        collected = self._collected()
        self._worth(plan, collected)
        self._variables(plan)
        body = self._body(plan)
        names = self._named(body)
        return self._written(body, collected, names)

    # ----------------------------------------------------------------------------------------------------- what varies

    def _column(self, column: tuple[Token, ...]) -> tuple[str, ...] | None:
        """Return the values of a column that needs a variable; None where it has the same text in each turn."""
        values = tuple(token.value for token in column)
        if column[0].kind == "local":
            return self._local(values)
        if len(set(values)) == 1:
            return None
        if column[0].kind != "number" and len(set(values)) < self.times:
            raise Unlike
        return (column[0].kind, *values)

    def _local(self, keys: tuple[str, ...]) -> tuple[str, ...] | None:
        places = [self.bound.get(key) for key in keys]
        if not any(places):
            if len(set(keys)) == 1:
                return None
            lists = [self.roller.lists.get(key) for key in keys]
            if lists[0] is not None and lists == [(lists[0][0], lists[0][1] + k, lists[0][2]) for k in range(self.times)]:
                return ("list", lists[0][0], _slice(lists[0][1], lists[0][1] + self.times, lists[0][2]))
            if any(tuple(unit.defines()) == keys and len(unit.lines) == 1 for unit in self.before):
                return ("parts", *keys)
            raise Unlike
        _, place = next(found for found in places if found is not None)
        if places == [(k, place) for k in range(self.times)]:
            return None
        if places[1:] == [(k, place) for k in range(self.times - 1)] and places[0] is None and self.starts.setdefault(place, keys[0]) == keys[0]:
            return None
        raise Unlike

    def _collected(self) -> list[int]:
        """Return what a turn binds and later statements read of all turns, by its place."""
        found: list[int] = []
        for place, keys in enumerate(zip(*self.turns.binds, strict=True)):
            used = [key for key in keys if self._read_later(key)]
            if used and used != [keys[-1]]:
                unit = [unit for unit in self.turns.units[0] if keys[0] in unit.defines()][-1]
                if len(unit.lines) > 1 and not unit.loop or keys[0].startswith("list "):
                    raise Unlike
                found.append(place)
        return found

    def _read_later(self, key: str) -> bool:
        return self.roller.last.get(key, -1) > self.end

    def _worth(self, plan: list[tuple[str, ...] | None], collected: list[int]) -> None:
        """Refuse loops that are no shorter or go through too many numbers."""
        columns = set(plan) - {None}
        numbers = [column for column in columns if column is not None and column[0] == "number"]
        size = sum(len(unit.lines) for unit in self.turns.units[0])
        whole = self._family(plan)
        few = self.times * size <= 2 and whole is None or not columns and not self.starts
        if few or len(numbers) > MOST or (len(columns) == len(numbers) and self.times < 3) or (collected and self.times < 3 and whole is None):
            raise Unlike

    def _family(self, plan: list[tuple[str, ...] | None]) -> str | None:
        """Return the family that the turns go through whole, if its members are all that varies of members."""
        bases: set[str] = set()
        first = [(unit.rows[token.line], token) for unit in self.turns.units[0] for token in unit.tokens()]
        listed = False
        for column, (text, token) in zip(plan, first, strict=True):
            if column is None or column[0] not in ("member", "key"):
                continue
            base = FAMILY.search(text[: token.start])
            members = [value.split("#") for value in column[1:]]
            if column[0] == "key" or base is None or [m[1:] for m in members] != [[str(self.times), str(k)] for k in range(self.times)]:
                return None
            listed = not members[0][0].startswith('"')
            bases.add(base[0][:-1])
        return None if len(bases) != 1 else bases.pop() + ("" if listed else ".values()")

    # ------------------------------------------------------------------------------------------------------- variables

    def _variables(self, plan: list[tuple[str, ...] | None]) -> None:
        columns = [column for column in dict.fromkeys(plan) if column is not None]
        members = [column for column in columns if column[0] in ("member", "key")]
        named_ = {tuple(str(json.loads(value.split("#")[0])) for value in column[1:]) for column in members}
        if len(named_) > 1:
            raise Unlike
        family = self._family(plan)
        if family is not None:
            word = self._variable(_singular(re.findall(r"\.(\w+)", family.removesuffix(".values()"))[-1]))
            self.variables.update((column, word) for column in members)
            self.over.append((word, family))
            self.family = True
        elif members:
            self._values(members, [column for column in columns if column[0] == "number"], self._counted(plan))
        for column in columns:
            if column[0] in ("list", "parts"):
                base = self.roller.names[column[1]]
                word = self.variables[column] = self._variable("part" if column[0] == "parts" else _singular(base))
                key = column[1] if column[0] == "list" else self._whole(column[1:])
                self.over.append((word, local_mark(key, self.roller.names[key]) + (column[2] if column[0] == "list" else "")))
            elif column[0] == "number" and column not in self.variables:
                word = self.variables[column] = self._variable(next(w for w in "abc" if w not in [v for v, _ in self.over]))
                self.over.append((word, f"({', '.join(column[1:])})"))
        if not self.over:
            self.over.append(("_", f"range({self.times})"))

    def _whole(self, keys: tuple[str, ...]) -> str:
        """Keep the results of a call, which were taken apart, in one list; they are so from the next attempt on."""
        unit = next(unit for unit in self.before if tuple(unit.defines()) == keys)
        key = self._new_list(keys, "parts")
        unit.change(["" if not unit.guard else unit.guard, f"{local_mark(key, self.roller.names[key])} = {unit.lines[0][1].partition(' = ')[2]}"])
        return key

    def _counted(self, plan: list[tuple[str, ...] | None]) -> str:
        """Return how many turns there are, by a list of modules that they go through whole where there is one."""
        first = [(unit.rows[token.line], token) for unit in self.turns.units[0] for token in unit.tokens()]
        whole = ("member", *(f"{k}#{self.times}#{k}" for k in range(self.times)))
        for column, (text, token) in zip(plan, first, strict=True):
            base = FAMILY.search(text[: token.start])
            if column == whole and base is not None:
                return f"len({base[0][:-1]})"
        return str(self.times)

    def _values(self, members: list[tuple[str, ...]], numbers: list[tuple[str, ...]], turns: str) -> None:
        """Go through the members themselves: numbers, or names."""
        values = [json.loads(value.split("#")[0]) for value in members[0][1:]]
        over = consecutive(values)
        if over is None:
            word = self._variable("task" if all(value in self.roller.tasks for value in values) else "name")
            over = f"({', '.join(map(json.dumps, values))})"
            self.variables.update((column, word) for column in members)
        else:
            word = self._variable("i")
            for column in members:
                self.variables[column] = f"str({word})" if column[1].startswith('"') and column[0] == "member" else word
            for column in numbers:
                if (offset := _offset(column[1:], [int(value) for value in values])) is not None:
                    self.variables[column] = word if offset == 0 else f"{word} {'+' if offset > 0 else '-'} {abs(offset)}"
        self.over.append((word, f"range({turns})" if over == f"range({self.times})" else over))

    def _variable(self, word: str) -> str:
        """Return a name that nothing in the loop, and no value of the function, has."""
        texts = " ".join(plain(text) for turn in self.turns.units for unit in turn for text in unit.rows)
        taken = {*self.roller.words, *self.roller.names.values(), *(name for name, _ in self.over)}
        for candidate in (word, *(["j", "k"] if word == "i" else []), "module" if self.family else "item", *(f"{word}_{n}" for n in range(1, 100))):
            if candidate not in taken and not re.search(rf"(?<![.\w]){candidate}\b", texts):
                return candidate
        raise Unlike

    # ------------------------------------------------------------------------------------------------------------ body

    def _body(self, plan: list[tuple[str, ...] | None]) -> list[Unit]:
        """Return the second turn, which is as all later ones are, with variables in place."""
        body: list[Unit] = []
        columns = iter(plan)
        for unit in self.turns.units[1]:
            rows = unit.rows
            edits = [(token, column) for token, column in zip(unit.tokens(), columns, strict=False) if column is not None]
            for token, column in reversed(edits):
                rows[token.line] = self._replaced(rows[token.line], token, column)
            body.append(Unit(list(unit.lines), unit.guard, unit.enters, unit.loop))
            body[-1].change(rows)
        for keys in self.turns.binds[:2]:
            for place, key in enumerate(keys):
                for unit in body:
                    unit.rename(key, self.own[place], self.roller.names[self.turns.binds[1][place]])
        return body

    def _replaced(self, text: str, token: Token, column: tuple[str, ...]) -> str:
        before, after = text[: token.start], text[token.end :]
        word = self.variables[column]
        if token.kind == "key":
            rest = KEYED.fullmatch(text[token.start : token.end])
            first, last = (rest["before"], rest["rest"]) if rest is not None else ("", "")
            return f'{before}f"{first}{{{word}}}{last}"{after}'
        base = FAMILY.search(before) if token.kind == "member" and self.family else None
        if base is not None:
            return before[: base.start()] + word + after[1:]
        whole = token.kind != "number" or " " not in word or (before[-1:] in "([" or before.endswith((", ", "= "))) and after[:1] in ")],"
        return before + (word if whole else f"({word})") + after

    # ----------------------------------------------------------------------------------------------------------- names

    def _named(self, body: list[Unit]) -> dict[str, str]:
        """Return names for what the loop binds under which every reader finds what it reads."""
        first, second = self.turns.binds[0], self.turns.binds[1]
        taken = {*self.roller.names.values(), *self.roller.words}
        fresh: dict[str, str] = {}
        for own, key in zip(self.own, second, strict=True):
            base = self.roller.names[key].rstrip("_0123456789") or "h"
            fresh[own] = next(name for i in count(1) if (name := f"{base}_{i}") not in taken)
            taken.add(fresh[own])
        usual = [{own: self.roller.names[key] for own, key in zip(self.own, keys, strict=True)} for keys in (first, second)]
        for names in (*usual, fresh):
            if self._sound(body, names):
                return names
        raise Unlike

    def _sound(self, body: list[Unit], names: dict[str, str]) -> bool:
        """Tell whether every value is still there under its name where it is read, in the loop and after it."""
        known = {**self.roller.names, **names}
        carried = {self.own[place]: start for place, start in self.starts.items()}
        outside = ({key for unit in self.after for key in unit.reads()} - set(self.bound)) | {key for unit in body for key in unit.reads()} - set(
            names
        )
        if {known[self.roller.lists.get(key, (key,))[0]] for key in outside} & set(names.values()):
            return False
        scope = {known[key]: key for key in carried}
        if len(scope) < len(carried) or any(known[start] in scope and known[key] != known[start] for key, start in carried.items()):
            return False
        for _ in range(2):
            for unit in body:
                defined = unit.defines()
                wanted = {key for key in unit.reads() if key in names} - (set(defined) if unit.loop else set[str]())
                if any(scope.get(known[key]) != key for key in wanted) or any(known[e.carried] != known[e.start] for e in unit.enters):
                    return False
                scope.update((known[key], key) for key in defined)
        return all(scope.get(known[key]) == key for key, last in zip(self.own, self.turns.binds[-1], strict=True) if self._read_later(last))

    # --------------------------------------------------------------------------------------------------------- writing

    def _written(self, body: list[Unit], collected: list[int], names: dict[str, str]) -> list[Unit]:
        roller = self.roller
        roller.names.update(names)
        second = self.own
        for unit in body:
            for key in [*unit.defines(), *sorted(unit.reads())]:
                unit.rename(key, key, roller.names[key])
        guards = {plain(unit.guard) for unit in body}
        guard = body[0].guard if guards == {plain(self.turns.units[0][0].guard)} else ""
        found: list[Unit] = []
        enters: list[Enter] = []
        for place, start in self.starts.items():
            key = second[place]
            if roller.names[start] == names[key]:
                enters.append(Enter(key, start))
            else:
                found.append(Unit([(0, f"{local_mark(key, names[key])} = {local_mark(start, roller.names[start])}")], guard))
        lists = {second[place]: self._list(place) for place in collected}
        head = self._head()
        alone = len(body) == 1 and len(body[0].lines) == 1 and len(lists) == 1 and list(lists) == body[0].defines() and not self.starts
        if alone and guard == body[0].guard:
            value = body[0].lines[0][1].partition(" = ")[2]
            lines = [(0, f"{next(iter(lists.values()))} = [{value} {head}]")]
        else:
            found += [Unit([(0, f"{mark} = []")], guard) for mark in lists.values()]
            binder = {key: unit for unit in body for key in unit.defines()}
            kept = {key: mark for key, mark in lists.items() if key in binder}
            inside = [Unit(self._kept(unit, {k: m for k, m in kept.items() if binder[k] is unit}), "" if guard else unit.guard) for unit in body]
            lines = [(0, f"{head}:"), *((depth + 1, text) for depth, text in lines_of(inside))]
        self._hand_on(collected)
        made = [*found, Unit(lines, guard, enters, loop=not alone)]
        for unit in made:
            unit.number = self.end
        return made

    def _kept(self, unit: Unit, lists: dict[str, str]) -> list[Line]:
        """Return the lines of a statement, with those that put what it binds into lists."""
        return [*unit.lines, *((0, f"{lists[key]}.append({local_mark(key, self.roller.names[key])})") for key in unit.defines() if key in lists)]

    def _head(self) -> str:
        if len(self.over) == 2 and self.over[0][1].startswith("range(") and "," not in self.over[0][1]:
            return f"for {self.over[0][0]}, {self.over[1][0]} in enumerate({self.over[1][1]})"
        if len(self.over) == 1:
            return f"for {self.over[0][0]} in {self.over[0][1]}"
        return f"for {', '.join(word for word, _ in self.over)} in zip({', '.join(over for _, over in self.over)}, strict=True)"

    def _list(self, place: int) -> str:
        """Return a list for what all turns bind at a place, and remember what it holds."""
        base = self.roller.names[self.turns.binds[1][place]].split("_")[0]
        key = self._new_list(tuple(keys[place] for keys in self.turns.binds), base if base.endswith("s") else f"{base}s")
        return local_mark(key, self.roller.names[key])

    def _new_list(self, keys: tuple[str, ...], word: str) -> str:
        roller = self.roller
        taken = {*roller.names.values(), *roller.words, *keyword.kwlist}
        name = next(n for n in _numbered(word) if n not in taken and not self._read_as(n))
        key = f"list {len(roller.lists)} {name}"
        roller.names[key] = name
        roller.lists.update((one, (key, number, len(keys))) for number, one in enumerate(keys))
        roller.last[key] = max(roller.last.get(one, -1) for one in keys)
        return key

    def _read_as(self, name: str) -> bool:
        return any(re.search(rf"(?<![.\w]){name}\b", plain(text)) for unit in self.roller.units for text in unit.rows)

    def _hand_on(self, collected: list[int]) -> None:
        """Let later statements read the last turn's values under the names of the loop."""
        for place, key in enumerate(self.turns.binds[-1]):
            if place not in collected and self._read_later(key):
                new = self.own[place]
                self.roller.last[new] = self.roller.last[key]
                for unit in self.after:
                    unit.rename(key, new, self.roller.names[new])


def _numbered(word: str) -> Iterator[str]:
    yield word
    yield from (f"{word}_{i}" for i in count(1))


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


def _slice(first: int, last: int, count: int) -> str:
    """Return the part of a list."""
    return "" if (first, last) == (0, count) else f"[{first or ''}:{last if last < count else ''}]"


def _offset(numbers: Sequence[str], values: Sequence[int]) -> int | None:
    """Return the number that values and numbers differ by."""
    if not all(number.lstrip("-").isdecimal() for number in numbers):
        return None
    offsets = {int(number) - value for number, value in zip(numbers, values, strict=True)}
    return offsets.pop() if len(offsets) == 1 else None

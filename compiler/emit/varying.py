"""What varies in statements that repeat, and the variables of a loop that stand for it."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING

from .expressions import APART, LOCAL, local_mark, plain
from .units import Token, Unit

if TYPE_CHECKING:
    from .rolling import Roller

LONGEST = 24
"""How many statements one turn of a loop may have."""

FAMILY = re.compile(rf"(?:self(\.\w+)+(\[[^\[\]]*\])*|{LOCAL.pattern})\[$")
"""What stands before the member of a family of modules, or of values."""

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


class Varying:
    """Turns that may become one loop: what varies in them; raises Unlike where they can't be one."""

    def __init__(self, roller: Roller, at: int, period: int, times: int) -> None:
        self.roller = roller
        self.times = times
        self.turns = _Turns([roller.units[at + k * period : at + (k + 1) * period] for k in range(times)])
        self.before: list[Unit] = roller.units[:at]
        self.after: list[Unit] = roller.units[at + period * times :]
        self.end = self.turns.units[-1][-1].number
        self.bound = {key: (turn, place) for turn, keys in enumerate(self.turns.binds) for place, key in enumerate(keys)}
        self.own = [f"{key}'" for key in self.turns.binds[1]]
        """The keys of what the loop binds, by place."""
        self.dropped: list[Unit] = []
        """Statements that the loop makes needless."""
        self.starts: dict[int, str] = {}
        """What a carried value starts as, by its place among what a turn binds."""
        self.variables: dict[tuple[str, ...], str] = {}
        """The text that stands for each column that varies."""
        self.family = False
        """Whether the loop goes through the members of one family whole."""
        self.over: list[tuple[str, str]] = []
        """The variables of the loop, with what they go through."""
        self.collected: list[int] = []
        """The places of what later statements read of all turns."""
        self.body: list[Unit] = []
        """One turn with variables in place."""
        self.elements: dict[str, tuple[int, int, int]] = {}
        """What is read of the lists that the second turn makes: their place, that of the element, and how many there are."""
        self.keys: tuple[str, ...] = ()
        """The members that the loop goes through, where they aren't numbers from 0 on."""

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
            if all(lists) and (own := self._element(keys, lists)):
                return own if own != ("",) else None
            if lists[0] is not None and lists == [(lists[0][0], lists[0][1] + k, lists[0][2]) for k in range(self.times)]:
                whole, first, length = lists[0]
                if whole in self.roller.dicts:
                    members = self.roller.dicts[whole]
                    return ("dict", whole, *(f"{json.dumps(members[first + k])}{APART}{length}{APART}{first + k}" for k in range(self.times)))
                return ("list", whole, _slice(first, first + self.times, length))
            if any(tuple(unit.defines()) == keys and len(unit.lines) == 1 for unit in self.before):
                return ("parts", *keys)
            raise Unlike
        _, place = next(found for found in places if found is not None)
        if places == [(k, place) for k in range(self.times)]:
            return None
        if places[1:] == [(k, place) for k in range(self.times - 1)] and places[0] is None and self.starts.setdefault(place, keys[0]) == keys[0]:
            return None
        raise Unlike

    def _entered(self) -> None:
        """Carry what a loop in each turn starts from by its name: what the turn before has left there."""
        for units in zip(*self.turns.units, strict=True):
            if len({len(unit.enters) for unit in units}) > 1:
                raise Unlike
            for enters in zip(*(unit.enters for unit in units), strict=True):
                starts = [enter.start for enter in enters]
                places = [self.bound.get(start) for start in starts]
                _, place = next((found for found in places if found is not None), (0, -1))
                if places == [(k, place) for k in range(self.times)] or place < 0 and len(set(starts)) == 1:
                    continue
                if places != [None, *((k, place) for k in range(self.times - 1))]:
                    raise Unlike
                if self.starts.setdefault(place, starts[0]) != starts[0]:
                    raise Unlike

    def _element(self, keys: tuple[str, ...], lists: list[tuple[str, int, int] | None]) -> tuple[str, ...]:
        """Return a mark where each turn reads the same element of a list that it has made itself."""
        found = [(self.bound.get(one[0]), one[1]) for one in lists if one is not None]
        place = found[0][0][1] if found[0][0] is not None else -1
        if found != [((k, place), found[0][1]) for k in range(self.times)] or lists[0] is None:
            return ()
        self.elements[keys[1]] = (place, lists[0][1], lists[0][2])
        return ("",)

    def _collected(self, plan: list[tuple[str, ...] | None]) -> list[int]:
        """Return what a turn binds and later statements read of all turns, or by the name of the last one, by its place."""
        found: list[int] = []
        named = any(column is not None and column[0] == "member" and not _member_of(column[1]).isdecimal() for column in plan)
        for place, keys in enumerate(zip(*self.turns.binds, strict=True)):
            used = [key for key in keys if self._read_later(key)]
            if used and (used != [keys[-1]] or named and place not in self.starts):
                unit = [unit for unit in self.turns.units[0] if keys[0] in unit.defines()][-1]
                begun = any(enter.start in keys for later in self.after for enter in later.enters)  # a loop goes on from them, by their names
                if len(unit.lines) > 1 and not unit.loop or begun:
                    raise Unlike
                found.append(place)
        return found

    def _read_later(self, key: str) -> bool:
        return self.roller.last.get(key, -1) > self.end

    def _worth(self, plan: list[tuple[str, ...] | None]) -> None:
        """Refuse loops that are no shorter or go through too many numbers."""
        columns = set(plan) - {None}
        numbers = [column for column in columns if column is not None and column[0] == "number"]
        size = sum(len(unit.lines) for unit in self.turns.units[0])
        whole = self._family(plan) or self._complete(plan)
        few = self.times * size <= 2 and whole is None or not columns and not self.starts
        if few or len(numbers) > MOST or (len(columns) == len(numbers) and self.times < 3) or (self.collected and self.times < 3 and whole is None):
            raise Unlike

    def _complete(self, plan: list[tuple[str, ...] | None]) -> str | None:
        """Tell whether all that varies are members of families, each gone through whole."""
        members = [column for column in plan if column is not None and column[0] == "member"]
        ends = [value.split(APART)[1:] for column in members for value in column[1:] if value.split(APART)[1] != "0"]
        wanted = [[str(self.times), str(k)] for k in range(self.times)]
        alike = all(column is None or column[0] in ("member", "dict", "list") for column in plan)
        return "complete" if alike and ends and ends == wanted * (len(ends) // self.times) else None

    def _family(self, plan: list[tuple[str, ...] | None]) -> str | None:
        """Return the family that the turns go through whole, if its members are all that varies of members."""
        bases: set[str] = set()
        first = [(unit.rows[token.line], token) for unit in self.turns.units[0] for token in unit.tokens()]
        listed = False
        for column, (text, token) in zip(plan, first, strict=True):
            if column is not None and column[0] == "dict":
                members = [value.split(APART) for value in column[2:]]
                if [m[1:] for m in members] != [[str(self.times), str(k)] for k in range(self.times)]:
                    return None
                bases.add(local_mark(column[1], self.roller.names[column[1]]))
            if column is None or column[0] not in ("member", "key"):
                continue
            base = FAMILY.search(text[: token.start])
            members = [value.split(APART) for value in column[1:]]
            if column[0] == "key" or base is None or [m[1:] for m in members] != [[str(self.times), str(k)] for k in range(self.times)]:
                return None
            listed = not members[0][0].startswith('"')
            if not listed and "of " in base[0]:
                return None  # the order of a dict that is handed in is its giver's
            bases.add(base[0][:-1])
        if len(bases) != 1:
            return None
        base = bases.pop()
        return base + (".children()" if base.endswith("]") else "" if listed else ".values()")  # a checker knows a member as a module

    # ------------------------------------------------------------------------------------------------------- variables

    def _variables(self, plan: list[tuple[str, ...] | None]) -> None:
        columns = [column for column in dict.fromkeys(plan) if column is not None]
        members = [column for column in columns if column[0] in ("member", "key", "dict")]
        named_ = {tuple(_member_of(value) for value in column[2 if column[0] == "dict" else 1 :]) for column in members}
        if len(named_) > 1:
            raise Unlike
        family = self._family(plan)
        words = next(iter(named_), ())
        self.keys = words if consecutive(words) is None else ()
        keyed = any(self._is_keyed(place) for place in self.collected)
        if family is not None and not keyed:
            base = re.sub(r"\[.*?\]|\.(values|children)\(\)", "", plain(family))
            word = self._variable(singular(base.rpartition(".")[2]), base.startswith("self."))
            self.variables.update((column, word) for column in members)
            self.over.append((word, family))
            self.family = True
        elif not keyed and len(columns) == len(members) and (base := self._named_children(plan)):
            word = self._variable("name"), self._variable(singular(re.sub(r"\[.*?\]", "", base).rpartition(".")[2]), True)
            self.variables.update((column, word[column[1].split(APART)[1] != "0"]) for column in members)
            self.over.append((", ".join(word), f"{base}.named_children()"))
            self.family = True
        elif members:
            self._values(members, [column for column in columns if column[0] == "number"], self._counted(plan))
        for column in columns:
            if column[0] in ("list", "parts"):
                base = self.roller.names[column[1]]
                word = self.variables[column] = self._variable("part" if column[0] == "parts" else singular(base))
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

    def _named_children(self, plan: list[tuple[str, ...] | None]) -> str:
        """Return the family of modules that the turns go through whole, where they go through other things by the same names."""
        base = self._family([column if column is None or column[0] != "member" or column[1].split(APART)[1] != "0" else None for column in plan])
        names = [column for column in plan if column is not None and column[0] == "member" and column[1].split(APART)[1] == "0"]
        written = all(column[1].startswith('"') for column in names)
        base = re.sub(r"\.(values|children)\(\)$", "", base or "")
        return base if written and names and base.startswith("self.") else ""

    def _counted(self, plan: list[tuple[str, ...] | None]) -> str:
        """Return how many turns there are, by a list of modules that they go through whole where there is one."""
        first = [(unit.rows[token.line], token) for unit in self.turns.units[0] for token in unit.tokens()]
        whole = ("member", *(f"{k}{APART}{self.times}{APART}{k}" for k in range(self.times)))
        for column, (text, token) in zip(plan, first, strict=True):
            base = FAMILY.search(text[: token.start])
            if column == whole and base is not None:
                return f"len({base[0][:-1]})"
        return str(self.times)

    def _values(self, members: list[tuple[str, ...]], numbers: list[tuple[str, ...]], turns: str) -> None:
        """Go through the members themselves: numbers, or names."""
        values = [json.loads(value.split(APART)[0]) for value in members[0][2 if members[0][0] == "dict" else 1 :]]
        over = consecutive(values)
        if over is None:
            word = self._variable("task" if all(value in self.roller.sets.tasks for value in values) else "name")
            over = self.roller.sets.text(values)
            self.variables.update((column, self._indexed(column, word)) for column in members)
        else:
            word = self._variable("i")
            for column in members:
                self.variables[column] = self._indexed(column, f"str({word})" if column[-1].startswith('"') and column[0] != "key" else word)
            for column in numbers:
                if (offset := _offset(column[1:], [int(value) for value in values])) is not None:
                    self.variables[column] = word if offset == 0 else f"{word} {'+' if offset > 0 else '-'} {abs(offset)}"
        self.over.append((word, f"range({turns})" if over == f"range({self.times})" else over))

    def _indexed(self, column: tuple[str, ...], word: str) -> str:
        """Return what stands for a column: the variable, or what a dict holds at it."""
        return f"{local_mark(column[1], self.roller.names[column[1]])}[{word}]" if column[0] == "dict" else word

    def _is_keyed(self, place: int) -> bool:
        """Tell whether what a loop over names collects is read by name later."""
        keys = [keys[place] for keys in self.turns.binds]
        return bool(self.keys) and any(self.roller.reads_apart(text, keys, self.keys) for unit in self.after for text in unit.rows)

    def _variable(self, word: str, module: bool = False) -> str:
        """Return a name that nothing in the loop, and no value of the function, has."""
        texts = " ".join(re.sub(r'"[^"]*"', "", plain(text)) for turn in self.turns.units for unit in turn for text in unit.rows)
        taken = {*self.roller.words, *self.roller.alive([*self.before, *self.after]), *(name for name, _ in self.over), *keyword.kwlist}
        others = ("j", "k") if word == "i" else ("module",) if module else ("part", "item")
        for candidate in chain((word, *others), numbered(word)):
            if candidate not in taken and not re.search(rf"(?<![.\w]){candidate}\b(?!=[^=])", texts):
                return candidate
        raise Unlike

    def _new_list(self, keys: tuple[str, ...], *words: str) -> str:
        """Name a new list; the last word is tried with numbers, too."""
        roller = self.roller
        read = {key for unit in self.body for key in unit.reads()}
        inside = {roller.names[key] for key in self.own if key in roller.names and (key in read or not self.keys)}
        roller.lists.update((one, ("", 0, 0)) for one in keys)
        taken = {*roller.alive([*self.before, *self.after]), *inside, *(name for name, _ in self.over), *roller.words, *keyword.kwlist}
        name = next(n for n in chain(words, numbered(words[-1])) if n not in taken)
        key = f"list {len(roller.lists)} {name}"
        roller.names[key] = name
        return self._remember(key, keys)

    def _remember(self, key: str, keys: tuple[str, ...]) -> str:
        roller = self.roller
        roller.lists.update((one, (key, number, len(keys))) for number, one in enumerate(keys))
        roller.last[key] = max(roller.last.get(one, -1) for one in (key, *keys))
        return key


def _member_of(value: str) -> str:
    return str(json.loads(value.split(APART)[0]))


def numbered(word: str) -> Iterator[str]:
    """Yield a name with numbers."""
    return (f"{word}_{i}" for i in count(1))


def singular(word: str) -> str:
    """Return the name for one of several."""
    word = re.sub(r"_\d+$", "", word)
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


def plural(word: str) -> str:
    """Return the name for several."""
    if word.endswith("s") or not word[-1].isalpha():
        return word
    return f"{word[:-1]}ies" if len(word) > 2 and word.endswith("y") and word[-2] not in "aeiou" else f"{word}s"


def _slice(first: int, last: int, count: int) -> str:
    """Return the part of a list."""
    return "" if (first, last) == (0, count) else f"[{first or ''}:{last if last < count else ''}]"


def _offset(numbers: Sequence[str], values: Sequence[int]) -> int | None:
    """Return the number that values and numbers differ by."""
    if not all(number.lstrip("-").isdecimal() for number in numbers):
        return None
    offsets = {int(number) - value for number, value in zip(numbers, values, strict=True)}
    return offsets.pop() if len(offsets) == 1 else None

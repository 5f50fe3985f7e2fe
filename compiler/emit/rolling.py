"""Finding what repeats among the statements of a function."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from .completing import completed, read_there
from .expressions import LOCAL, local_mark, named, plain
from .index_sets import Sets
from .loops import Loop
from .units import Line, Unit, keys_of, lines_of, units_of
from .varying import LONGEST, Unlike


def rolled(lines: Sequence[tuple[str, Line]], sets: Sets) -> list[Line]:
    """Return lines with loops over `name`, over `task` where all members are tasks, over `i`, or over modules and values."""
    return [(depth, named(text)) for depth, text in lines_of(Roller(units_of(lines), sets).units)]


class Roller:
    """Finds loops, the shortest turns first, until there are no more."""

    def __init__(self, units: list[Unit], sets: Sets) -> None:
        self.units: list[Unit] = units
        self.sets = sets
        self.names = {found["key"]: found["name"] for unit in units for text in unit.rows for found in LOCAL.finditer(text)}
        bare = (re.sub(r'"[^"]*"|\[(\w+)\] for \1 in', "", plain(LOCAL.sub("", text))) for unit in units for text in unit.rows)
        self.words = {word for text in bare for word in re.findall(r"(?<![.\w])[A-Za-z_]\w*\b(?!=[^=])", text)}
        """The names that are no local values: no variable of a loop hides one."""
        self.last: dict[str, int] = {}
        """Which statement is the last to read a value, as they were numbered first."""
        for number, unit in enumerate(units):
            unit.number = number
            self.last.update(dict.fromkeys(unit.reads(), number))
        self.lists: dict[str, tuple[str, int, int]] = {}
        """The values that a loop has put into a list, by their keys: the key of the list, their place and how many there are."""
        self.dicts: dict[str, tuple[str, ...]] = {}
        """Which lists are dicts, with their keys."""
        period = 1
        while period <= min(LONGEST, len(self.units) // 2):
            period = 1 if self._pass(period) else period + 1
        self._settle()

    def _pass(self, period: int) -> bool:
        """Make loops of turns of one length, and tell whether there were any."""
        shapes = [unit.skeleton() for unit in self.units]
        at, changed = 0, False
        while at + 2 * period <= len(shapes):
            times = 1
            while shapes[at + times * period : at + (times + 1) * period] == shapes[at : at + period]:
                times += 1
            made = self._turned(at, period, times)
            if made:
                self._settle(at_once=True)
                shapes = [unit.skeleton() for unit in self.units]
                at, changed = at + made - 1, True
            at += 1
        return changed

    def _turned(self, at: int, period: int, times: int) -> int:
        """Put a loop in the place of turns, as many as can be, and return how many statements it is."""
        added = completed(self.units, at, period, times, self.names)
        if added:
            before, end = self.units, at + period * (times + 1) - len(added)
            self.units = [*before[:end], *added, *read_there(before[end:], added)]
            if made := self._replaced(at, period, times + 1):
                return made
            self.units = before
        return next((made for fewer in range(times, max(times - 2, 1), -1) if (made := self._replaced(at, period, fewer))), 0)

    def _replaced(self, at: int, period: int, times: int) -> int:
        found, dropped = self._loop(at, period, times)
        if found:
            self.units[at : at + period * times] = found
            self.units = [unit for unit in self.units if not any(unit is one for one in dropped)]
        return len(found)

    def _loop(self, at: int, period: int, times: int) -> tuple[list[Unit], list[Unit]]:
        """Return the loop in the place of turns, nothing where they can't be one, and the statements that it makes needless."""
        loop = Loop(self, at, period, times)
        try:
            return loop.units(), loop.dropped
        except Unlike:
            for key in loop.elements:  # what its body would have read of lists
                self.lists.pop(f"{key}'", None)
            return [], []

    def alive(self, units: Sequence[Unit]) -> set[str]:
        """Return the names of the local values that statements have; what stands in a list counts by that list's name, which may be in another."""
        keys = {key for unit in units for text in unit.rows for key in keys_of(text)}
        while held := keys & self.lists.keys():
            keys = (keys - held) | {self.lists[key][0] for key in held}
        return {self.names[key] for key in keys if key in self.names}

    @property
    def collections(self) -> set[str]:
        """The keys of the lists and dicts that loops fill."""
        return {list_ for list_, _, _ in self.lists.values()}

    # ------------------------------------------------------------------------------------------------- lists of values

    def _settle(self, at_once: bool = False) -> None:
        """Write what reads the values in a list: the list whole, its sum, or one by its place; `at_once` leaves the last for later."""
        whole: dict[str, list[str]] = {}
        for key, (list_, _, _) in self.lists.items():
            whole.setdefault(list_, []).append(key)
        for unit in self.units:
            rows = unit.rows
            read = [self._read(text, whole, at_once) for text in rows]
            if read != rows:
                unit.change(read)

    def _read(self, text: str, whole: dict[str, list[str]], at_once: bool) -> str:
        text = LOCAL.sub(lambda found: local_mark(found["key"], self.names[found["key"]]), text)
        for list_, keys in whole.items():
            marks = [local_mark(key, self.names[key]) for key in keys]
            if marks[0] in text:
                text = self._at_once(text, marks, local_mark(list_, self.names[list_]), self.dicts.get(list_, ()))
        return text if at_once else LOCAL.sub(lambda found: self._element(found[0], found["key"]), text)

    def _at_once(self, text: str, marks: list[str], mark: str, members: Sequence[str]) -> str:
        """Read values together where they are: as the whole, or as a sum."""
        values, total = f"{mark}.values()" if members else mark, re.escape(" + ".join(marks))
        text = text.replace(self.whole(marks, members), mark) if members else text
        text = text.replace(self.whole(marks, ()), f"list({values})" if members else mark)
        alike = ", ".join([f"{re.escape(marks[0])}(?P<rest>[^,]*)", *(f"{re.escape(one)}(?P=rest)" for one in marks[1:])])
        text = re.sub(rf"\[{alike}\]", lambda found: f"[part{found['rest']} for part in {values}]", text)
        text = re.sub(rf"(?<![\w\])])\({total}\)", f"sum({values})", text)
        bare = re.compile(rf"(^return |(?<! ) = |\(|, |: ){total}(?=$|[),}}]| [+-] )")

        def put(found: re.Match[str]) -> str:
            inside = members or found[1] in ("(", ": ") or text.count("(", 0, found.start()) > text.count(")", 0, found.start())
            return f"{found[1]}sum({values})" if inside else f"{found[1]}reduce(torch.add, {mark})"  # to a checker a sum may be the number 0

        return bare.sub(put, text)

    @staticmethod
    def whole(marks: Sequence[str], members: Sequence[str]) -> str:
        """Return the text of a list, or of a dict, of values."""
        if not members:
            return f"[{', '.join(marks)}]"
        return f"{{{', '.join(f'{json.dumps(member)}: {mark}' for member, mark in zip(members, marks, strict=True))}}}"

    def reads_apart(self, text: str, keys: Sequence[str], members: Sequence[str]) -> bool:
        """Tell whether a text reads some of the values alone, or as a dict."""
        marks = [local_mark(key, self.names[key]) for key in keys]
        text = LOCAL.sub(lambda found: local_mark(found["key"], self.names[found["key"]]), text)
        return self.whole(marks, members) in text or any(mark in self._at_once(text, marks, "", ()) for mark in marks)

    def _element(self, mark: str, key: str) -> str:
        list_, place, _ = self.lists.get(key, ("", 0, 0))
        if not list_:
            return mark
        index = json.dumps(self.dicts[list_][place]) if list_ in self.dicts else place
        return f"{self._element(local_mark(list_, self.names[list_]), list_)}[{index}]"

"""Finding what repeats among the statements of a function."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from .expressions import LOCAL, local_mark, named, plain
from .loops import LONGEST, Loop, Unlike
from .units import Line, Unit, lines_of, units_of


def rolled(lines: Sequence[tuple[str, Line]], tasks: Collection[str] = ()) -> list[Line]:
    """Return lines with loops over `name`, over `task` where all members are `tasks`, over `i`, or over modules and values."""
    return [(depth, named(text)) for depth, text in lines_of(Roller(units_of(lines), tasks).units)]


class Roller:
    """Finds loops, the shortest turns first, until there are no more."""

    def __init__(self, units: list[Unit], tasks: Collection[str]) -> None:
        self.units = units
        self.tasks = tasks
        self.names = {found["key"]: found["name"] for unit in units for text in unit.rows for found in LOCAL.finditer(text)}
        self.words = {word for unit in units for text in unit.rows for word in re.findall(r"(?<![.\w])[A-Za-z_]\w*", plain(text))}
        """The names that the function has before there are loops: no variable of a loop hides one."""
        self.last: dict[str, int] = {}
        """Which statement is the last to read a value, as they were numbered first."""
        for number, unit in enumerate(units):
            unit.number = number
            self.last.update(dict.fromkeys(unit.reads(), number))
        self.lists: dict[str, tuple[str, int, int]] = {}
        """The values that a loop has put into a list, by their keys: the key of the list, their place and how many there are."""
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
            for fewer in range(times, max(times - 2, 1), -1):
                found = self._loop(at, period, fewer)
                if found:
                    end = at + period * fewer
                    self.units[at:end] = found
                    shapes[at:end] = [unit.skeleton() for unit in found]
                    at, changed = at + len(found) - 1, True
                    break
            at += 1
        return changed

    def _loop(self, at: int, period: int, times: int) -> list[Unit]:
        try:
            return Loop(self, at, period, times).units()
        except Unlike:
            return []

    # ------------------------------------------------------------------------------------------------- lists of values

    def _settle(self) -> None:
        """Write what reads the values in a list: the list whole, its sum, or one by its place."""
        whole: dict[str, list[str]] = {}
        for key, (list_, _, _) in self.lists.items():
            whole.setdefault(list_, []).append(key)
        for unit in self.units:
            unit.change([self._read(text, whole) for text in unit.rows])

    def _read(self, text: str, whole: dict[str, list[str]]) -> str:
        text = LOCAL.sub(lambda found: local_mark(found["key"], self.names[found["key"]]), text)
        for list_, keys in whole.items():
            marks = [local_mark(key, self.names[key]) for key in keys]
            if marks[0] in text:
                mark, total = local_mark(list_, self.names[list_]), re.escape(" + ".join(marks))
                text = text.replace(f"[{', '.join(marks)}]", mark)
                text = re.sub(rf"(?<![\w\])])\({total}\)", f"sum({mark})", text)
                text = re.sub(rf"(^return |(?<! ) = |\(|, |: ){total}(?=$|[),}}])", lambda found, mark=mark: f"{found[1]}sum({mark})", text)
        return LOCAL.sub(lambda found: self._element(found[0], found["key"]), text)

    def _element(self, mark: str, key: str) -> str:
        list_, place, _ = self.lists.get(key, ("", 0, 0))
        return f"{local_mark(list_, self.names[list_])}[{place}]" if list_ else mark

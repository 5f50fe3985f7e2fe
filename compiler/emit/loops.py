"""Equal statements over the members of a family, or over the steps of a repeat, become one loop."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from itertools import chain

from .expressions import APART, KEYED, NAMED, local_mark, plain
from .units import Enter, Line, Token, Unit, keys_of, lines_of
from .varying import FAMILY, Unlike, Varying, numbered, plural


class Loop(Varying):
    """One loop in the place of turns; raises Unlike where they can't be one."""

    def units(self) -> list[Unit]:
        """Return the loop with what stands before it."""
        plan = [self._column(column) for column in self.turns.columns]
        self._entered()
        self.collected = self._collected(plan)
        self._worth(plan)
        self._variables(plan)
        body = self.body = self._body(plan)
        names = self._named(body)
        return self._written(body, names)

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
        for key, (place, number, length) in self.elements.items():
            new = f"{key}'"
            self.roller.names[new] = self.roller.names[key]
            self.roller.lists[new] = (self.own[place], number, length)
            for unit in body:
                unit.rename(key, new, self.roller.names[key])
        return body

    def _replaced(self, text: str, token: Token, column: tuple[str, ...]) -> str:
        before, after = text[: token.start], text[token.end :]
        word = self.variables[column]
        if token.kind == "key":
            rest = KEYED.fullmatch(text[token.start : token.end])
            first, last = (rest["before"], rest["rest"]) if rest is not None else ("", "")
            return f'{before}f"{first}{{{word}}}{last}"{after}'
        base = FAMILY.search(before) if token.kind == "member" and self.family and column[1].split(APART)[1] != "0" else None
        if base is not None:
            return before[: base.start()] + word + after[1:]
        whole = token.kind != "number" or " " not in word or (before[-1:] in "([" or before.endswith((", ", "= "))) and after[:1] in ")],"
        return before + (word if whole else f"({word})") + after

    # ----------------------------------------------------------------------------------------------------------- names

    def _named(self, body: list[Unit]) -> dict[str, str]:
        """Return names for what the loop binds under which every reader finds what it reads."""
        first, second = self.turns.binds[0], self.turns.binds[1]
        taken = {*self.roller.names.values(), *self.roller.words}
        outside = self.roller.alive([*self.before, *self.after]) | {key for unit in body for key in unit.reads() if key not in self.own}
        near = {self.roller.names[key] for key in outside if key in self.roller.names} | outside
        fresh, short = (self._fresh(second, known) for known in (taken, near))
        usual = [{own: self.roller.names[key] for own, key in zip(self.own, keys, strict=True)} for keys in (first, second)]
        inputs = {name for key, name in self.roller.names.items() if key.startswith("=")}
        starts = [(place, self.roller.names[start]) for place, start in self.starts.items()]
        carried = {self.own[place]: name for place, name in starts if second[place].startswith("~") or name in inputs}
        for names in ({**usual[0], **carried}, *usual, short, fresh):
            if self._sound(body, names):
                return names
        raise Unlike

    def _fresh(self, keys: Sequence[str], known: set[str]) -> dict[str, str]:
        """Return names for what the loop binds that are not known."""
        found: dict[str, str] = {}
        for own, key in zip(self.own, keys, strict=True):
            base = re.sub(r"_\d+$", "", self.roller.names[key])
            taken = {*known, *found.values(), *keyword.kwlist}
            found[own] = next(name for name in chain([base], numbered(base)) if name not in taken)
        return found

    def _sound(self, body: list[Unit], names: dict[str, str]) -> bool:
        """Tell whether every value is still there under its name where it is read, in the loop and after it."""
        known = {**self.roller.names, **names}
        carried = {self.own[place]: start for place, start in self.starts.items()}
        if self._hidden(body, known, names):
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

    def _hidden(self, body: list[Unit], known: dict[str, str], names: dict[str, str]) -> bool:
        """Tell whether a name of the loop hides another value that is read, or is hidden itself before it is read."""
        later = {key for unit in self.after for key in unit.defines()}
        outside = {key for unit in self.after for key in unit.reads()} - set(self.bound) - later
        outside |= {key for unit in body for key in unit.reads()} - set(names)
        read = {known[self.roller.lists.get(key, (key,))[0]] for key in outside} | self.roller.words
        if read & set(names.values()):
            return True
        ends = enumerate(zip(self.own, self.turns.binds[-1], strict=True))
        waiting = {last: names[own] for place, (own, last) in ends if place not in self.collected}
        for number, unit in enumerate(self.after):
            wanted = {waiting[key] for other in self.after[number + 1 :] for key in other.reads() if key in waiting}
            if any(known.get(key) in wanted for key in unit.defines()):
                return True
        return False

    # --------------------------------------------------------------------------------------------------------- writing

    def _written(self, body: list[Unit], names: dict[str, str]) -> list[Unit]:
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
            if roller.names[start] == names[key] and start not in roller.lists:  # what stands in a list has no name of its own
                enters.append(Enter(key, start))
            else:
                found.append(Unit([(0, f"{local_mark(key, names[key])} = {local_mark(start, roller.names[start])}")], guard))
        lists = {second[place]: self._list(place) for place in self.collected}
        self.key = self.over[0][0] if self.keys else ""
        head = self._head()
        alone = len(body) == 1 and len(body[0].lines) == 1 and len(lists) == 1 and body[0].is_of(*lists) and not self.starts
        if alone and guard == body[0].guard:
            value = body[0].lines[0][1].partition(" = ")[2]
            mark = next(iter(lists.values()))
            made = f"{{{self.key}: {value} {head}}}" if self._is_dict(mark) else f"[{value} {head}]"
            lines = [(0, f"{mark} = {made}")]
        else:
            found += [Unit([(0, f"{mark} = {'{}' if self._is_dict(mark) else '[]'}")], guard) for mark in lists.values()]
            binder = {key: unit for unit in body for key in unit.defines()}
            kept = {key: mark for key, mark in lists.items() if key in binder}
            own = [{key: mark for key, mark in kept.items() if binder[key] is unit} for unit in body]
            inside = [Unit(self._kept(unit, lists, body), "" if guard else unit.guard) for unit, lists in zip(body, own, strict=True)]
            lines = [(0, f"{head}:"), *((depth + 1, text) for depth, text in lines_of(inside))]
        self._hand_on()
        made = [*found, Unit(lines, guard, enters, loop=not alone)]
        for unit in made:
            unit.number = self.end
        return made

    def _is_dict(self, mark: str) -> bool:
        return mark[1:].split(NAMED)[0] in self.roller.dicts

    def _kept(self, unit: Unit, lists: dict[str, str], body: Sequence[Unit]) -> list[Line]:
        """Return the lines of a statement, with those that put what it binds into lists or dicts."""
        if not lists:
            return unit.lines
        found: list[Line] = []
        for key, mark in lists.items():
            value = local_mark(key, self.roller.names[key])
            if len(unit.lines) == 1 and unit.is_of(key) and not any(key in other.reads() for other in body):
                value = unit.lines[0][1].partition(" = ")[2]  # nothing else reads it
                unit = Unit([], unit.guard)
            elif len(unit.lines) == 1 and self._is_dict(mark) and not any(key in other.reads() for other in body):
                targets, sign, made = unit.lines[0][1].partition(" = ")
                unit = Unit([(0, targets.replace(value, f"{mark}[{self.key}]") + sign + made)], unit.guard)
                continue
            found.append((0, f"{mark}[{self.key}] = {value}" if self._is_dict(mark) else f"{mark}.append({value})"))
        return [*unit.lines, *found]

    def _head(self) -> str:
        if len(self.over) == 2 and self.over[0][1].startswith("range(") and "," not in self.over[0][1]:
            return f"for {self.over[0][0]}, {self.over[1][0]} in enumerate({self.over[1][1]})"
        if len(self.over) == 2 and self.over[1][1] == f"({', '.join(map(str, range(self.times)))})":
            return f"for {self.over[1][0]}, {self.over[0][0]} in enumerate({self.over[0][1]})"
        if len(self.over) == 1:
            return f"for {self.over[0][0]} in {self.over[0][1]}"
        return f"for {', '.join(word for word, _ in self.over)} in zip({', '.join(over for _, over in self.over)}, strict=True)"

    def _list(self, place: int) -> str:
        """Return a list or dict for what all turns bind at a place, and remember what it holds."""
        keys = tuple(keys[place] for keys in self.turns.binds)
        keyed = self._is_keyed(place)
        word = re.sub(r"_\d+$", "", self.roller.names[self.turns.binds[1][place]]).strip("_") or "part"
        whole = self._made_of(keys, keyed)
        key = self._new_list(keys, *([word] if keyed else []), plural(word)) if whole is None else self._remember(whole, keys)
        if keyed:
            self.roller.dicts[key] = self.keys
        return local_mark(key, self.roller.names[key])

    def _made_of(self, keys: tuple[str, ...], keyed: bool) -> str | None:
        """Return the value that is later made of all turns' values, which then needs no statement of its own."""
        text = self.roller.whole([local_mark(key, self.roller.names[key]) for key in keys], self.keys if keyed else ())
        for unit in self.after:
            if len(unit.lines) == 1 and len(unit.defines()) == 1 and not unit.guard and unit.lines[0][1].partition(" = ")[2] == text:
                self.dropped.append(unit)
                return self._still(unit.defines()[0], keys)
        return None

    def _still(self, key: str, keys: tuple[str, ...]) -> str:
        """Give a value that is now made earlier a name that no other value has meanwhile."""
        roller = self.roller
        later = {one for unit in self.after for text in unit.rows for one in keys_of(text)} - {key, *keys}
        taken = {roller.names[one] for one in later if one in roller.names} | roller.words
        name = roller.names[key]
        roller.names[key] = next(one for one in chain([name], numbered(name)) if one not in taken)
        return key

    def _hand_on(self) -> None:
        """Let later statements read the last turn's values under the names of the loop."""
        for place, key in enumerate(self.turns.binds[-1]):
            if place not in self.collected and self._read_later(key):
                new = self.own[place]
                self.roller.last[new] = self.roller.last[key]
                for unit in self.after:
                    unit.rename(key, new, self.roller.names[new])

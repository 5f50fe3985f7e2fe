"""Which numbers of a class are parameters: those that the text names, or that differ between its instances."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .reckoning import Table, Value, Values, evaluated, folded, spelled
from .steps import Hole, Listed, Number

NUMBER = re.compile(r"[\d.e+-]+")
WORDS = re.compile(r"([A-Za-z_]\w*)")
Row = Mapping[str, Value]
"""The numbers, and lists of numbers, with which an instance was made, by the names of its block's parameters."""

# marks around what a term of loop variables comes to and what it says, and around a variable and its value
NUMERAL, SAID, END = "\ue021", "\ue022", "\ue023"
VARIABLE, IS, DONE = "\ue024", "\ue025", "\ue026"
LOOPED = re.compile(f"{NUMERAL}([^{SAID}]*){SAID}([^{END}]*){END}")
MEMBER = re.compile(f"{VARIABLE}(\\w+){IS}([^{DONE}]*){DONE}")


class Known:
    """What terms of a class may read, with the values for each instance.

    `columns` are the parameters of the block; `sizes` those of inputs, which functions alone can read, and how; `constants` the sets that the
    file names, and how; `kept` what the block gives a name, and how it is reckoned; `aliases` other names of columns.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        sizes: Mapping[str, tuple[str, Values]],
        constants: Mapping[str, tuple[str, Value]],
        kept: Mapping[str, str],
        aliases: Mapping[str, str],
    ) -> None:
        names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
        self.columns: dict[str, Values] = {name: tuple(row[name] for row in rows) for name in names}
        self.sizes = {name: found for name, found in sizes.items() if name not in self.columns}
        self.constants = {name: text for name, (text, _) in constants.items() if name not in self.columns}
        self.values: dict[str, Values] = {**self.columns, **{name: values for name, (_, values) in self.sizes.items()}}
        self.values.update((name, (constants[name][1],) * max(1, len(rows))) for name in self.constants)
        self.values.update((name, self.columns[known]) for name, known in aliases.items() if known in self.columns)
        self.aliases = aliases
        self.kept: dict[str, str] = {}
        self.sized: dict[str, str] = {}
        for name, text in kept.items():
            text = self.written_out(text)
            values = evaluated(text, self.values) if name not in self.values else None
            if values is not None:
                self.values[name] = values
                (self.sized if self.reads_sizes(text) else self.kept)[name] = text

    def written_out(self, term: str) -> str:
        """Return a term in which what the block reckons from the sizes of inputs is written out: it has no name in `__init__`."""
        return WORDS.sub(lambda found: f"({self.sized[found[0]]})" if found[0] in self.sized else found[0], term)

    def reads_sizes(self, term: str) -> bool:
        """Tell whether a term reads the sizes of inputs."""
        return any(name in self.sizes for name in WORDS.findall(term))

    def are_whole(self, name: str) -> bool:
        """Tell whether what a name stands for are whole numbers."""
        return all(isinstance(value, int) for found in self.values[name] for value in (found if isinstance(found, tuple) else (found,)))


class Numbers:
    """Chooses an expression for each number of a class; the columns of numbers are those of all its instances."""

    def __init__(self, known: Known, taken: frozenset[str]) -> None:
        self.known = known
        self.columns = known.columns
        self.chosen: dict[int, tuple[str, ...]] = {}
        self.used: set[str] = set()
        self.looped: set[str] = set()
        """What terms of loop variables read: where members are not alike, numbers are written instead."""
        self._kept: list[Sequence[Number]] = []
        self._varied: set[int] = set()
        self.stored: set[str] = set()
        self._taken = taken
        self._seen: dict[tuple[int, Values], int] = {}

    def derive(self, defaults: Mapping[str, str]) -> dict[str, str]:
        """Return the used parameters that other parameters tell, where nobody says otherwise, with how: `dim // heads`."""
        found: dict[str, str] = {}
        for name in reversed(self.columns):
            term = defaults.get(name)
            words = term is not None and not NUMBER.fullmatch(term) and WORDS.search(term)
            if name in self.used and term is not None and words and evaluated(term, self.columns) == self.columns[name]:
                found[name] = spelled(term, all(isinstance(value, int) for value in self.columns[name]))
                self.used |= {part for part in WORDS.findall(term) if part in self.columns}
        alias = {name: term for name, term in found.items() if term.isidentifier() and term not in found}
        self.chosen = {key: tuple(alias.get(part, part) for part in parts) for key, parts in self.chosen.items()}
        self.used -= alias.keys()
        return {name: found[name] for name in self.columns if name in found and name not in alias}

    def locals(self) -> dict[str, str]:
        """Return what the block gives a name and is read, with how it is reckoned, those that others need first."""
        texts = {name: spelled(text, self.known.are_whole(name)) for name, text in self.known.kept.items() if name in self.used}
        return {name: WORDS.sub(lambda found: self.known.constants.get(found[0], found[0]), text) for name, text in texts.items()}

    def attribute(self, name: str) -> str:
        """Return the attribute that keeps a parameter."""
        return f"{name}_" if name in self._taken else name

    def choose(self, holes: Sequence[Number], columns: Sequence[Values]) -> list[int]:
        """Choose for numbers, whose values in each instance are given; return the places of those that nothing tells apart."""
        self._kept.append(holes)  # they are known by identity
        open_: dict[int, list[int]] = {}
        for place, (hole, values) in enumerate(zip(holes, columns, strict=True)):
            if id(hole) in self.chosen:
                continue
            found = self._choice(hole, values)
            self.chosen[id(hole)] = found or ()
            if len(set(values)) > 1:
                self._varied.add(id(hole))
            if found is None:
                open_.setdefault(id(hole.group) if isinstance(hole, Hole) and hole.group else -1 - place, []).append(place)
            self._use(found or (), self.looped if any(part in hole.words.variables for part in found or ()) else self.used)
        for places in open_.values():
            if len(places) == 1 and isinstance(hole := holes[places[0]], Hole) and hole.group:
                self.chosen[id(hole)] = ("-1",)
        return [place for places in open_.values() for place in places if not self.chosen[id(holes[place])] and len(set(columns[place])) > 1]

    def _use(self, parts: Iterable[str], used: set[str]) -> None:
        for part in (self.known.aliases.get(part, part) for part in parts):
            if part in self.known.kept and part not in used:
                self._use(WORDS.findall(self.known.kept[part]), used)
            if part in self.columns or part in self.known.kept:
                used.add(part)

    def keep(self, words: Iterable[str]) -> None:
        """Use what terms of loop variables read, where these are among the words that are written after all."""
        self._use((word for word in words if word in self.looped), self.used)

    def _choice(self, hole: Number, values: Values) -> tuple[str, ...] | None:
        """Take the term of the argument; of a number that is none, the term of the statement with this value, if only one has it.

        Where instances differ and no term is found, take what differs alike.
        """
        words = hole.words
        terms = words.of(hole.argument)
        written = map(self.known.written_out, words.terms if terms is None else terms)
        found = dict.fromkeys(term for term in written if self._column(term, hole) == values)
        if terms is not None and hole.argument.partition("[")[0] in words.named and len(found) > 1:
            found = dict.fromkeys([*found][:1]) if "[" in hole.argument else {}
        if words.alike:
            found = dict.fromkeys([*found][:1])
        differ = len(set(values)) > 1
        if len(found) > 1 and not differ:
            return None
        if found:
            key = (id(words), values)
            turn = self._seen.get(key, 0)
            self._seen[key] = turn + 1
            return self._parts([*found][turn % len(found)], hole)
        return next(self._derived(values, hole), None) if differ else None

    def _column(self, term: str, hole: Number) -> Values | None:
        """Return the value of a term in each instance; nothing where it isn't made of known names alone."""
        found = evaluated(term, self.known.values, hole.words.variables)
        fraction = found is not None and isinstance(hole, int) and any(isinstance(value, float) for value in found)  # 1.0 is no size
        return None if fraction or (hole.made and self.known.reads_sizes(term)) else found

    def _parts(self, term: str, hole: Number) -> tuple[str, ...]:
        """Cut a term into names and what is between them."""
        parts = WORDS.split(spelled(term, not isinstance(hole, float)))
        return tuple(self.known.aliases.get(part, part) for part in parts if part)

    def _derived(self, values: Values, hole: Number) -> Iterator[tuple[str, ...]]:
        """Yield parameters and quotients of parameters with these values."""
        known = self.columns if hole.made else {**self.columns, **{name: found for name, (_, found) in self.known.sizes.items()}}
        yield from ((name,) for name, column in known.items() if column == values)
        numbers = {name: column for name, column in self.columns.items() if all(isinstance(value, (int, float)) for value in column)}
        for left, a in numbers.items():
            for right, b in numbers.items():
                if left != right and all(_times(x, y, v) for x, y, v in zip(a, b, values, strict=True)):
                    yield left, " // ", right

    def show(self, hole: Number, making: bool) -> str:
        """Print a number: a parameter in `__init__`, an attribute outside; what a loop's variable tells has marks around it."""
        parts = self.chosen.get(id(hole), ())
        variables = hole.words.variables
        if not making:
            self.stored |= {part for part in parts if part in self.used}
        literal = _literal(hole)
        said = "".join(self._name(part, making, variables) for part in parts)
        return f"{NUMERAL}{'' if id(hole) in self._varied else literal}{SAID}{said}{END}" if VARIABLE in said else said or literal

    def _name(self, part: str, making: bool, variables: Mapping[str, Value]) -> str:
        if part in variables:
            return f"{VARIABLE}{part}{IS}{variables[part]}{DONE}"
        if part in self.known.sizes:
            return self.known.sizes[part][0]
        if part in self.known.constants:
            return self.known.constants[part]
        return part if making or part not in self.used else f"self.{self.attribute(part)}"


def _times(x: Any, y: Any, value: Any) -> bool:
    return isinstance(value, (int, float)) and y > 1 and x == y * value


def _literal(hole: Number) -> str:
    if isinstance(hole, Listed):
        return listed(hole.value)
    return repr(int(hole) if isinstance(hole, int) else float(hole))


def listed(values: tuple[Value, ...] | Table) -> str:
    """Print a list of numbers, a range where it is one, or a map."""
    if isinstance(values, Table):
        return f"{{{', '.join(f'{json.dumps(name)}: {value!r}' for name, value in values)}}}"
    steps = {b - a for a, b in zip(values, values[1:], strict=False) if isinstance(a, int) and isinstance(b, int)}
    if len(values) > 3 and len(steps) == 1 and all(isinstance(value, int) for value in values):
        [step], first, last = steps, values[0], values[-1]
        if isinstance(first, int) and isinstance(last, int) and step:
            bounds = (first, last + step) if step != 1 else (first, last + 1)
            return f"range({', '.join(map(str, (*bounds[0 if first or step != 1 else 1 :], *([step] if step != 1 else []))))})"
    return f"[{', '.join(listed(one) if isinstance(one, tuple) else repr(one) for one in values)}]"


def without_marks(text: str) -> str:
    """Return text with their values in the place of loops' variables; for one entry of a map the number."""

    def put(found: re.Match[str]) -> str:
        if VARIABLE not in found[2]:
            return found[2]
        said = MEMBER.sub(lambda one: one[2] if one[2].lstrip("-").isdecimal() else json.dumps(one[2]), found[2])
        return found[1] if '["' in said and found[1] else folded(said)

    return LOOPED.sub(put, text)


def at_member(text: str, member: str, word: str) -> str:
    """Return text with a word in the place of a loop's variable, where it is at a member, `e=3`; what other variables tell too is left."""

    def put(found: re.Match[str]) -> str:
        said = MEMBER.sub(lambda one: word if f"{one[1]}={one[2]}" == member else one[0], found[2])
        return found[0] if VARIABLE in said else said

    return LOOPED.sub(put, text)

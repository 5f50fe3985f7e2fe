"""Which numbers of a class are parameters: those that the text names, or that differ between its instances."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from .steps import Hole

LEAST = 8
"""A number from which on it is unlikely to equal a parameter by chance."""

OPERATIONS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: int.__add__,
    ast.Sub: int.__sub__,
    ast.Mult: int.__mul__,
    ast.FloorDiv: int.__floordiv__,
}
"""What a term may compute."""

Row = Mapping[str, int]
"""The numbers with which an instance was made, by the names of its block's parameters."""


class Unlike(Exception):
    """Some number differs between instances, and no parameter does so in the same way."""


class Numbers:
    """Chooses an expression for each number of a class; `rows` and the columns of numbers are those of all its instances."""

    def __init__(self, rows: Sequence[Row], taken: frozenset[str]) -> None:
        names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
        self.columns = {name: tuple(row[name] for row in rows) for name in names}
        self.chosen: dict[int, tuple[str, ...]] = {}
        self.used: set[str] = set()
        self.stored: set[str] = set()
        self._taken = taken
        self._seen: dict[tuple[int, tuple[int, ...]], int] = {}
        self._terms: dict[str, tuple[int, ...]] = {}
        self._kept: list[Hole] = []

    def attribute(self, name: str) -> str:
        """Return the attribute that keeps a parameter."""
        return f"{name}_" if name in self._taken else name

    def choose(self, hole: Hole, values: tuple[int, ...]) -> None:
        """Choose for one number, whose value in each instance is given; raises Unlike."""
        found = self._choice(hole, values)
        if found is None and len(set(values)) > 1:
            raise Unlike
        self._kept.append(hole)
        self.chosen[id(hole)] = found or ()
        self.used |= {part for part in found or () if part in self.columns}

    def _choice(self, hole: Hole, values: tuple[int, ...]) -> tuple[str, ...] | None:
        """Take the term of the statement with this value; else, for a number that has to be one, what has it in all instances."""
        named = [term for term in hole.words if self._column(term) == values]
        if named:
            key = (id(hole.words), values)
            turn = self._seen.get(key, 0)
            self._seen[key] = turn + 1
            return self._parts(named[turn % len(named)])
        alike = len(set(values)) == 1
        words = set(hole.words) if alike else set(self.columns)
        return None if alike and values[0] < LEAST else next(self._derived(values, words, hole.made), None)

    def _column(self, term: str) -> tuple[int, ...] | None:
        """Return the value of a term in each instance."""
        found = self._terms.get(term)
        if found is None:
            found = self._terms[term] = evaluated(term, self.columns)
        return found or None

    def _parts(self, term: str) -> tuple[str, ...]:
        """Cut a term into names and what is between them."""
        tree = ast.unparse(ast.parse(term.replace("//", "/").replace("/", "//"), mode="eval"))
        return tuple(part for part in re.split(r"([A-Za-z_]\w*)", tree) if part)

    def _derived(self, values: tuple[int, ...], words: set[str], made: bool) -> Iterator[tuple[str, ...]]:
        """Yield parameters and quotients of parameters with these values; divisors are `words`."""
        if made or words == set(self.columns):
            yield from ((name,) for name, column in self.columns.items() if column == values)
        for left, a in self.columns.items():
            for right, b in self.columns.items():
                if left != right and right in words and all(y > 1 and x == y * v for x, y, v in zip(a, b, values, strict=True)):
                    yield next(((name,) for name, column in self.columns.items() if column == values), (left, " // ", right))

    def show(self, hole: Hole, making: bool) -> str:
        """Print a number: a parameter in `__init__`, an attribute outside."""
        parts = self.chosen.get(id(hole), ())
        if not making:
            self.stored |= {part for part in parts if part in self.columns}
        texts = [part if making or part not in self.columns else f"self.{self.attribute(part)}" for part in parts]
        return "".join(texts) or repr(int(hole))


def evaluated(term: str, columns: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the value of an arithmetic term for each instance; nothing where it isn't made of known names alone."""
    try:
        tree = ast.parse(term.replace("//", "/").replace("/", "//"), mode="eval").body
        rows = len(next(iter(columns.values())))
        return tuple(_value(tree, {name: column[i] for name, column in columns.items()}) for i in range(rows))
    except (SyntaxError, KeyError, StopIteration, ZeroDivisionError):
        return ()


def _value(tree: ast.expr, names: Mapping[str, int]) -> int:
    if isinstance(tree, ast.Name):
        return names[tree.id]
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int):
        return tree.value
    operation = OPERATIONS.get(type(tree.op)) if isinstance(tree, ast.BinOp) else None
    if operation is None or not isinstance(tree, ast.BinOp):
        raise KeyError(ast.dump(tree))
    return operation(_value(tree.left, names), _value(tree.right, names))

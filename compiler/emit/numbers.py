"""Which numbers of a class are parameters: those that the text names, or that differ between its instances."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from .steps import Hole, Number

OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Div: lambda a, b: a // b if isinstance(a, int) and isinstance(b, int) and a % b == 0 else a / b,
}
"""What a term may compute, beside powers: the quotient of the language is exact."""

LARGEST = 2**63
NUMBER = re.compile(r"[\d.e+-]+")
Row = Mapping[str, int | float]
"""The numbers with which an instance was made, by the names of its block's parameters."""

Values = tuple[int | float, ...]


class Numbers:
    """Chooses an expression for each number of a class; `rows` and the columns of numbers are those of all its instances.

    `sizes` are columns that functions alone can read, by name: the text that reads one, and its values.
    """

    def __init__(self, rows: Sequence[Row], taken: frozenset[str], sizes: Mapping[str, tuple[str, Values]]) -> None:
        names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
        self.columns = {name: tuple(row[name] for row in rows) for name in names}
        self.sizes = {name: found for name, found in sizes.items() if name not in self.columns}
        self.chosen: dict[int, tuple[str, ...]] = {}
        self.used: set[str] = set()
        self._kept: list[Sequence[Number]] = []
        self.stored: set[str] = set()
        self._known = {**self.columns, **{name: values for name, (_, values) in self.sizes.items()}}
        self._taken = taken
        self._seen: dict[tuple[int, Values], int] = {}
        self._terms: dict[str, Values | None] = {}

    def derive(self, defaults: Mapping[str, str]) -> dict[str, str]:
        """Return the used parameters that other parameters tell, where nobody says otherwise, with how: `dim // heads`."""
        found: dict[str, str] = {}
        for name in reversed(self.columns):
            term = defaults.get(name)
            if name in self.used and term is not None and not NUMBER.fullmatch(term) and evaluated(term, self.columns) == self.columns[name]:
                found[name] = _written(term, all(isinstance(value, int) for value in self.columns[name]))
                self.used |= {part for part in re.findall(r"[A-Za-z_]\w*", term) if part in self.columns}
        alias = {name: term for name, term in found.items() if term.isidentifier() and term not in found}
        self.chosen = {key: tuple(alias.get(part, part) for part in parts) for key, parts in self.chosen.items()}
        self.used -= alias.keys()
        return {name: found[name] for name in self.columns if name in found and name not in alias}

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
            if found is None:
                open_.setdefault(id(hole.group) if isinstance(hole, Hole) and hole.group else -1 - place, []).append(place)
            self.used |= {part for part in found or () if part in self.columns}
        for places in open_.values():
            if len(places) == 1 and isinstance(hole := holes[places[0]], Hole) and hole.group:
                self.chosen[id(hole)] = ("-1",)
        return [place for places in open_.values() for place in places if not self.chosen[id(holes[place])] and len(set(columns[place])) > 1]

    def _choice(self, hole: Number, values: Values) -> tuple[str, ...] | None:
        """Take the term of the argument or of the statement with this value; else, where instances differ, what differs alike."""
        exact = hole.words.named.get(hole.argument)
        if exact is not None and self._column(exact, hole) == values:
            return self._parts(exact, hole)
        terms = [term for term in hole.words.terms if self._column(term, hole) == values]
        if terms:
            key = (id(hole.words), values)
            turn = self._seen.get(key, 0)
            self._seen[key] = turn + 1
            return self._parts(terms[turn % len(terms)], hole)
        return None if len(set(values)) == 1 else next(self._derived(values, hole), None)

    def _column(self, term: str, hole: Number) -> Values | None:
        """Return the value of a term in each instance; nothing where it isn't made of known names alone."""
        if term not in self._terms:
            self._terms[term] = evaluated(term, self._known)
        found = self._terms[term]
        fraction = found is not None and isinstance(hole, int) and any(isinstance(value, float) for value in found)  # 1.0 is no size
        return None if fraction or (hole.made and self._reads_sizes(term)) else found

    def _reads_sizes(self, term: str) -> bool:
        return any(name in self.sizes for name in re.findall(r"[A-Za-z_]\w*", term))

    def _parts(self, term: str, hole: Number) -> tuple[str, ...]:
        """Cut a term into names and what is between them."""
        return tuple(part for part in re.split(r"([A-Za-z_]\w*)", _written(term, isinstance(hole, int))) if part)

    def _derived(self, values: Values, hole: Number) -> Iterator[tuple[str, ...]]:
        """Yield parameters and quotients of parameters with these values."""
        known = self.columns if hole.made else self._known
        yield from ((name,) for name, column in known.items() if column == values)
        for left, a in self.columns.items():
            for right, b in self.columns.items():
                if left != right and all(y > 1 and x == y * v for x, y, v in zip(a, b, values, strict=True)):
                    yield left, " // ", right

    def show(self, hole: Number, making: bool) -> str:
        """Print a number: a parameter in `__init__`, an attribute outside."""
        parts = self.chosen.get(id(hole), ())
        if not making:
            self.stored |= {part for part in parts if part in self.columns}
        texts = [self.sizes[part][0] if part in self.sizes else self._name(part, making) for part in parts]
        return "".join(texts) or repr(int(hole) if isinstance(hole, int) else float(hole))

    def _name(self, part: str, making: bool) -> str:
        return part if making or part not in self.columns else f"self.{self.attribute(part)}"


def evaluated(term: str, columns: Mapping[str, Values]) -> Values | None:
    """Return the value of an arithmetic term in each row; nothing where it isn't made of known names alone."""
    try:
        tree = _parsed(term)
        rows = len(next(iter(columns.values()), (0,)))
        return tuple(_value(tree, {name: column[i] for name, column in columns.items()}) for i in range(rows))
    except (KeyError, ArithmeticError, ValueError):
        return None


@cache
def _parsed(term: str) -> ast.expr:
    return ast.parse(term, mode="eval").body


def _value(tree: ast.expr, names: Mapping[str, int | float]) -> Any:
    if isinstance(tree, ast.Name):
        return names[tree.id]
    if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)):
        return tree.value
    if isinstance(tree, ast.UnaryOp):
        return -_value(tree.operand, names)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        return (min if tree.func.id == "min" else max)([_value(argument, names) for argument in tree.args])
    if not isinstance(tree, ast.BinOp):
        raise KeyError(ast.dump(tree))
    left, right = _value(tree.left, names), _value(tree.right, names)
    if isinstance(tree.op, ast.Pow):
        if abs(left) > LARGEST or abs(right) > 64:
            raise ValueError("too large for a size")
        return left**right
    return OPERATIONS[type(tree.op)](left, right)


class _Whole(ast.NodeTransformer):
    """Writes exact quotients of ints as Python does."""

    def visit_Div(self, node: ast.Div) -> ast.FloorDiv:
        """Replace one sign."""
        return ast.FloorDiv()


def _written(term: str, whole: bool) -> str:
    tree = ast.parse(term, mode="eval")
    text = ast.unparse(_Whole().visit(tree) if whole else tree)
    return re.sub(r"(?<![\w.)\]])(-?[\w.]+) \*\* (-?[\w.]+)(?![\w.(\[])", r"\1**\2", text)

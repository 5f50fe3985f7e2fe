"""Sizes at run time: a symbol's value is read from the first tensor that has it as a size, once, and only if it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...dsl.dims import Atom, Dim, Extreme, Floor, Monomial, Sum, Symbol, integrality, quotient
from ...dsl.types import TensorType
from ..solve import solve

Handle = Any
Call = Callable[..., Handle]
"""Makes a node: the dotted name of a function and its arguments."""


class Sizes:
    """Turns dimensions of one body into operator nodes."""

    def __init__(self, call: Call, size: Callable[[Handle, int, str], Handle]) -> None:
        """Take how to call a function, and how to read the size of a value along an axis (with a name for it)."""
        self._call = call
        self._size = size
        self._bare: dict[Symbol, tuple[Handle, int]] = {}
        self._inside: list[tuple[Handle, int, Dim]] = []
        self._symbols: dict[Symbol, Handle] = {}
        self._made: dict[Dim, Handle] = {}

    def offer(self, handle: Handle, type_: TensorType, is_input: bool = False) -> None:
        """Make a value known as a bearer of sizes."""
        for axis, extent in enumerate(type_.shape):
            if isinstance(extent, Dim):
                if extent.symbol is not None:
                    self._bare.setdefault(extent.symbol, (handle, axis))
                elif is_input:
                    self._inside.append((handle, axis, extent))

    def forget(self) -> None:
        """Read sizes that belong to a member, `B[depth]`, anew from now on: where they are read again is the business of that member."""
        self._made = {dim: handle for dim, handle in self._made.items() if not any("[" in symbol.name for symbol in dim.symbols())}
        self._symbols = {symbol: handle for symbol, handle in self._symbols.items() if "[" not in symbol.name}

    def value(self, extent: int | Dim) -> Handle:
        """Return an extent as an int or as a node."""
        if isinstance(extent, int):
            return extent
        found = self._made.get(extent)
        if found is None:
            found = self._made[extent] = self._emit(extent)
        return found

    def _emit(self, dim: Dim) -> Handle:
        symbol = dim.symbol
        if symbol is not None:
            return self._symbol(symbol)
        for divisor, numerator in integrality(dim):
            part = self._call("operator.floordiv", self.value(numerator), self.value(divisor))
            rest = dim - quotient(numerator, divisor)
            return part if rest == 0 else self._call("operator.add", self.value(rest), part)
        return self._sum([(monomial, int(coefficient)) for monomial, coefficient in dim.terms])

    def _sum(self, terms: list[tuple[Monomial, int]]) -> Handle:
        """Add whole terms, positive ones first."""
        total: Handle = None
        for monomial, coefficient in sorted(terms, key=lambda term: term[1] < 0):
            term = self._product(monomial, abs(coefficient) if total is not None else coefficient)
            total = term if total is None else self._call("operator.sub" if coefficient < 0 else "operator.add", total, term)
        return total

    def _product(self, monomial: Monomial, coefficient: int) -> Handle:
        factors = [self._atom(atom) for atom, exponent in monomial for _ in range(exponent)]
        if not factors:
            return coefficient
        product = factors[0]
        for factor in factors[1:]:
            product = self._call("operator.mul", product, factor)
        if coefficient == -1:
            return self._call("operator.neg", product)
        return product if coefficient == 1 else self._call("operator.mul", product, coefficient)

    def _atom(self, atom: Atom) -> Handle:
        if isinstance(atom, Symbol):
            return self._symbol(atom)
        if isinstance(atom, Extreme):
            values = [self.value(argument) for argument in atom.arguments]
            least = values[0]
            for value in values[1:]:
                least = self._call(f"torch.sym_{atom.kind}", least, value)
            return least
        if isinstance(atom, Sum):
            return self.value(atom.argument)
        return self._floor(atom)

    def _floor(self, atom: Floor) -> Handle:
        """A floor's argument is a numerator over a divisor, which Python's `//` takes as it is."""
        argument = atom.argument
        for divisor, numerator in integrality(argument):
            part = self._call("operator.floordiv", self.value(numerator), self.value(divisor))
            rest = argument - quotient(numerator, divisor)
            return part if rest == 0 else self._call("operator.add", self.value(rest), part)
        return self.value(argument)

    def _symbol(self, symbol: Symbol) -> Handle:
        found = self._symbols.get(symbol)
        if found is None:
            found = self._symbols[symbol] = self._read(symbol)
        return found

    def _read(self, symbol: Symbol) -> Handle:
        bearer = self._bare.get(symbol)
        if bearer is not None:
            return self._size(*bearer, symbol.name)
        for handle, axis, extent in self._inside:
            solved = solve(extent, symbol)
            if solved is not None and all(other in self._bare for part in solved if isinstance(part, Dim) for other in part.symbols()):
                factor, rest = solved
                size = self._size(handle, axis, f"{symbol.name}_size")
                size = size if rest == 0 else self._call("operator.sub", size, self.value(rest))
                return size if factor == 1 else self._call("operator.floordiv", size, self.value(factor))
        raise LookupError(f"no input tells the size `{symbol}`")

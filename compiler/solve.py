"""Finding a symbol's size from that of an axis it is a part of."""

from __future__ import annotations

from ..dsl.dims import Dim, Symbol


def solve(extent: Dim, symbol: Symbol) -> tuple[int | Dim, int | Dim] | None:
    """Return `(a, b)` with `extent == a * symbol + b`, neither holding the symbol; None where it isn't of that form.

    >>> n = Symbol("N")
    >>> solve(Dim.of(n) * 2 + 1, n)
    (2, 1)
    """
    rest = extent.substitute({symbol: 0})
    factor = extent.substitute({symbol: 1}) - rest
    if factor == 0 or rest + factor * Dim.of(symbol) != extent:
        return None
    return factor, rest

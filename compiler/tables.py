"""Tables of text."""

from __future__ import annotations

from collections.abc import Sequence

from ..dsl.render import printable


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return rows as aligned columns, those numbered in `right` to the right; empty for no rows."""
    if not rows:
        return ""
    rows = [[printable(cell) for cell in row] for row in rows]  # names of tensors come from files
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = ("  ".join(cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"

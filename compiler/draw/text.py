"""How wide text is, without a font at hand, and numbers as a person reads them."""

from __future__ import annotations

TITLE, PLAIN, SMALL = 13.0, 12.0, 11.0
_NARROW = frozenset("iljtfrI.,:;'|!()[]{} ·-")
_WIDE = frozenset("mwMWGOQ@%⋯…—×")


def width(text: str, size: float = PLAIN, bold: bool = False) -> float:
    """Return about how wide a text is, rather too wide than too narrow."""
    ems = sum(0.34 if c in _NARROW else 0.88 if c in _WIDE else 0.7 if c.isupper() else 1.0 if ord(c) > 0x2E80 else 0.575 for c in text)
    return ems * size * (1.06 if bold else 1.0)


def short_count(number: int) -> str:
    """Return a number in three digits: `896`, `18.6 k`, `1.24 G`."""
    for size, prefix in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g} {prefix}" if number < 999.5 * size else f"{number // size} {prefix}"
    return str(number)


def wrapped(parts: list[str], limit: float, size: float = SMALL) -> list[str]:
    """Return parts joined by points, in lines that are no wider than `limit` where the parts allow it."""
    lines: list[str] = []
    for part in parts:
        if lines and width(f"{lines[-1]} · {part}", size) <= limit:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


def clipped(text: str, limit: float, size: float, bold: bool = False) -> str:
    """Return a text cut at `limit`, with an ellipsis where something is gone."""
    if width(text, size, bold) <= limit:
        return text
    while text and width(text + "…", size, bold) > limit:
        text = text[:-1]
    return text + "…"

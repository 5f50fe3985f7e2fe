"""Where spaces and line ends go: statements a line each, what is longer than `WIDTH` broken inside its brackets."""

from __future__ import annotations

from dataclasses import dataclass, field

from .tokens import Kind, Token
from .tree import Body, Entry, Group, Piece, Remark, Statement

WIDTH = 100
STEP = 2
CLOSING = {"(": ")", "[": "]", "{": "}"}
# where a line inside brackets may begin, from the loosest
BREAKS = (
    ("for", "where"),
    ("if", "else"),
    ("or",),
    ("and",),
    ("==", "!=", "<", "<=", ">", ">=", "in", "not in"),
    ("+", "-"),
    ("*", "/", "//", "%", "@"),
)


def layout(entries: list[Entry], indent: int = 0) -> list[str]:
    """Return the lines of a list of entries."""
    lines: list[str] = []
    for entry in entries:
        if entry.blank_before and lines:
            lines.append("")
        if isinstance(entry, Remark):
            lines.append(" " * indent + entry.text)
        else:
            lines.extend(_statement(entry, indent))
    return lines


# ------------------------------------------------------------------------------------------------------------ spaces


def _gap(before: Piece | None, piece: Piece, bracket: str) -> str:
    """Return what stands between two pieces inside `bracket` ("" outside brackets)."""
    if before is None:
        return ""
    if isinstance(piece, Group):
        return "" if piece.follows_operand else _gap_after(before, bracket)
    if isinstance(piece, Token):
        if piece.kind in (Kind.COMMA, Kind.COLON):
            return " " if isinstance(before, Token) and before.kind is Kind.COMMA else ""
        if piece.kind in (Kind.DOT, Kind.RANGE) and not (isinstance(before, Token) and before.kind in (Kind.WORD_OPERATOR, Kind.COMMA)):
            return ""
    return _gap_after(before, bracket)


def _gap_after(before: Piece, bracket: str) -> str:
    if isinstance(before, Token):
        if before.kind in (Kind.DOT, Kind.RANGE, Kind.PREFIX):
            return ""
        if before.kind is Kind.COLON and bracket == "[":
            return ""
    return " "


def _without_last_comma(group: Group) -> list[Piece]:
    """Return the pieces of a group without a comma at the end that means nothing."""
    pieces = group.pieces
    commas = sum(isinstance(p, Token) and p.kind is Kind.COMMA for p in pieces)
    last = pieces[-1] if pieces else None
    is_single_tuple = group.open == "(" and not group.follows_operand and commas == 1
    if isinstance(last, Token) and last.kind is Kind.COMMA and not is_single_tuple:
        return pieces[:-1]
    return pieces


def _flat(pieces: list[Piece], bracket: str = "") -> str | None:
    """Return the pieces on one line, or None if a comment or a body forbids it."""
    parts: list[str] = []
    before: Piece | None = None
    for piece in pieces:
        if isinstance(piece, Token):
            text = None if piece.is_comment else piece.text
        elif isinstance(piece, Group):
            inner = _flat(_without_last_comma(piece), piece.open)
            text = None if inner is None else piece.open + inner + CLOSING[piece.open]
        else:
            is_alone = piece is pieces[-1] and not (isinstance(pieces[0], Token) and pieces[0].kind is Kind.CLOSE)
            text = _flat_body(piece, settings=_text(pieces[0]) == "options") if is_alone else None
        if text is None:
            return None
        parts += (_gap(before, piece, bracket), text)
        before = piece
    return "".join(parts)


def _flat_body(body: Body, settings: bool) -> str | None:
    """Return a body that was written on one line, on one line, if it holds one statement, or `settings` alone."""
    if not body.entries and body.comment is None:
        return "{}"
    if not body.one_line or (len(body.entries) > 1 and not settings):
        return None
    parts: list[str] = []
    for entry in body.entries:
        if isinstance(entry, Remark) or entry.comment is not None or any(isinstance(p, Body) for p in entry.pieces):
            return None
        inner = _flat(entry.pieces)
        if inner is None:
            return None
        parts.append(inner)
    return "{ " + "; ".join(parts) + " }"


# ------------------------------------------------------------------------------------------------------------- lines
# A list of lines below has its indentation on every line but the first.


def _statement(statement: Statement, indent: int) -> list[str]:
    pieces = statement.pieces
    lines = _lines(pieces, indent, 0, "")
    if _width(lines, indent) > WIDTH:
        wrapped = _wrapped(pieces)
        if wrapped is not None:
            other = _lines(wrapped, indent, 0, "")
            lines = other if _width(other, indent) < _width(lines, indent) else lines
    above: list[str] = []
    body = next((p for p in pieces if isinstance(p, Body)), None)
    if body is not None and body.comment is not None:
        at = next(i for i, line in enumerate(lines) if line.endswith(f"{{  {body.comment}"))
        if len(lines[at]) + (indent if at == 0 else 0) > WIDTH:
            above.append(body.comment)
            lines[at] = lines[at].removesuffix(f"  {body.comment}")
    if statement.comment is not None:
        room = WIDTH - len(lines[-1]) - (indent if len(lines) == 1 else 0)
        if body is not None and len(lines) > 1 or len(statement.comment) + 2 <= room:
            lines[-1] += f"  {statement.comment}"
        else:
            above.append(statement.comment)
    return [" " * indent + line for line in (*above, lines[0])] + lines[1:]


def _width(lines: list[str], indent: int) -> int:
    """Return the length of the longest line, strings over several lines apart."""
    return max(max(map(len, line.split("\n"))) + (indent if i == 0 else 0) for i, line in enumerate(lines))


def _wrapped(pieces: list[Piece]) -> list[Piece] | None:
    """Return a statement with its expression in parentheses, where that changes nothing."""
    start = 0
    first = pieces[0]
    if isinstance(first, Token) and first.kind is Kind.WORD_OPERATOR and first.text in ("require", "assert"):
        start = 1
    else:
        equals = next((i for i, p in enumerate(pieces) if isinstance(p, Token) and p.kind is Kind.EQUALS), None)
        if equals is None or _text(pieces[equals]) != "=":
            return None
        start = equals + 1
    rest = pieces[start:]
    if len(rest) < 2 or any(isinstance(p, Body) or _text(p) in (",", ":", "ignores", "uses", "with") for p in rest):
        return None
    return [*pieces[:start], Group("(", rest)]


def _text(piece: Piece) -> str:
    return piece.text if isinstance(piece, Token) else ""


def _lines(pieces: list[Piece], indent: int, suffix: int, bracket: str) -> list[str]:
    """Lay out pieces that begin at column `indent` and are followed by `suffix` more characters."""
    flat = _flat(pieces, bracket)
    if flat is not None and indent + len(flat) + suffix <= WIDTH:
        return [flat]
    for i, piece in enumerate(pieces):
        if isinstance(piece, Body):
            return _around_body(pieces, i, indent, suffix, bracket)
    for i, piece in enumerate(pieces):
        if isinstance(piece, Token) and piece.is_comment:
            return _around_comment(pieces, i, indent, suffix, bracket)
    choices: list[list[str]] = []
    if bracket:
        choices.append(_at_operators(pieces, indent, suffix, bracket))
    if any(isinstance(p, Group) and p.pieces for p in pieces):
        choices.append(_around_group(pieces, indent, suffix, bracket))
    fitting = [lines for lines in choices if lines and _width(lines, indent) <= WIDTH]
    if fitting:
        return fitting[0]
    return min([lines for lines in choices if lines], key=lambda lines: _width(lines, indent), default=[flat or ""])


def _around_body(pieces: list[Piece], at: int, indent: int, suffix: int, bracket: str) -> list[str]:
    body = pieces[at]
    assert isinstance(body, Body)
    lines = _lines(pieces[:at], indent, 2, bracket)
    lines[-1] += " {" + (f"  {body.comment}" if body.comment is not None else "")
    lines += layout(body.entries, indent + STEP)
    rest = _lines([Token(Kind.CLOSE, "}"), *pieces[at + 1 :]], indent, suffix, bracket)
    return [*lines, " " * indent + rest[0], *rest[1:]]


def _around_comment(pieces: list[Piece], at: int, indent: int, suffix: int, bracket: str) -> list[str]:
    """Lay out pieces around a comment between `}` and `else`."""
    comment = pieces[at]
    assert isinstance(comment, Token)
    lines = _lines(pieces[:at], indent, 0, bracket) if at else []
    if comment.kind is Kind.COMMENT and lines:
        lines[-1] += f"  {comment.text}"
    else:
        lines.append((" " * indent if lines else "") + comment.text)
    rest = _lines(pieces[at + 1 :], indent, suffix, bracket)
    return [*lines, " " * indent + rest[0], *rest[1:]]


def _at_operators(pieces: list[Piece], indent: int, suffix: int, bracket: str) -> list[str]:
    """Break before the loosest operators, if every part then fits on a line; else return nothing."""
    for words in BREAKS:
        starts = [i for i, p in enumerate(pieces) if i > 0 and isinstance(p, Token) and _is_operator(p) and p.text in words]
        if not starts:
            continue
        parts = [pieces[a:b] for a, b in zip([0, *starts], [*starts, len(pieces)], strict=True)]
        flat = [_flat(part, bracket) for part in parts]
        if any(text is None or indent + len(text) + suffix > WIDTH for text in flat):
            return []
        texts = [text for text in flat if text is not None]
        return [texts[0], *(" " * indent + text for text in texts[1:])]
    return []


def _is_operator(token: Token) -> bool:
    return token.kind in (Kind.BINARY, Kind.WORD_OPERATOR)


def _around_group(pieces: list[Piece], indent: int, suffix: int, bracket: str) -> list[str]:
    """Break one group, one that holds a comment, else the longest: its items on one line, or one a line."""
    sizes: dict[int, float] = {}
    for i, piece in enumerate(pieces):
        if isinstance(piece, Group) and piece.pieces:
            flat = _flat([piece])
            sizes[i] = float("inf") if flat is None else len(flat)
    at = max(sizes, key=lambda i: (sizes[i], -abs(2 * i - len(pieces))))
    group = pieces[at]
    assert isinstance(group, Group)
    lines = _lines(pieces[:at], indent, 1, bracket) if at else [""]
    lines[-1] += _gap(pieces[at - 1] if at else None, group, bracket) + group.open
    inner = _flat(_without_last_comma(group), group.open)
    if inner is not None and indent + STEP + len(inner) <= WIDTH:
        lines.append(" " * (indent + STEP) + inner)
    else:
        lines += _items(group, indent + STEP)
    rest = _lines([Token(Kind.CLOSE, CLOSING[group.open]), *pieces[at + 1 :]], indent, suffix, bracket)
    return [*lines, " " * indent + rest[0], *rest[1:]]


@dataclass(slots=True)
class _Item:
    pieces: list[Piece] = field(default_factory=list[Piece])
    above: list[str] = field(default_factory=list[str])
    behind: str | None = None
    comma: bool = False

    def add_comment(self, token: Token) -> None:
        if token.kind is Kind.COMMENT and self.pieces and self.behind is None:
            self.behind = token.text
        else:
            self.above.append(token.text)


def _split(group: Group) -> list[_Item]:
    """Return what the commas of a group separate, each with its comments; the last may hold comments alone."""
    items = [_Item()]
    pieces = _without_last_comma(group)
    end = len(pieces)
    while end and isinstance(last := pieces[end - 1], Token) and last.kind is Kind.REMARK:
        end -= 1
    for piece in pieces[:end]:
        if isinstance(piece, Token) and piece.kind is Kind.COMMA:
            items[-1].comma = True
            items.append(_Item())
        elif isinstance(piece, Token) and piece.is_comment:
            follows = piece.kind is Kind.COMMENT and not items[-1].pieces and not items[-1].above and len(items) > 1
            (items[-2] if follows else items[-1]).add_comment(piece)
        else:
            items[-1].pieces.append(piece)
    if items[-1].pieces:
        items.append(_Item())
    items[-1].above += [piece.text for piece in pieces[end:] if isinstance(piece, Token)]
    return items


def _items(group: Group, indent: int) -> list[str]:
    lines: list[str] = []
    for item in _split(group):
        lines += [" " * indent + text for text in item.above]
        if not item.pieces:
            continue
        found = _lines(item.pieces, indent, 1 if item.comma else 0, group.open)
        found[0] = " " * indent + found[0]
        found[-1] += ("," if item.comma else "") + (f"  {item.behind}" if item.behind is not None else "")
        lines += found
    return lines

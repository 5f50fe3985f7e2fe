"""Tokens as statements, bodies and bracket groups: as much structure as the layout needs, found without the grammar.

Operands and operators alternate, so what `{`, `-`, `*` and a soft word mean follows from whether an operand stands before them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice

from .tokens import Kind, Token, tokens

HARD_WORDS = frozenset({"and", "or", "not", "not in", "if", "else", "for", "in"})
# words that start a statement also before something that is no word
BEFORE_SYMBOLS = frozenset({"from", "tune", "freeze", "require", "assert", "losses", "weight", "renamed", "value"})
OPERANDS = frozenset({Kind.WORD, Kind.MEMBER, Kind.NUMBER, Kind.STRING, Kind.ATOM, Kind.CLOSE})


@dataclass(slots=True)
class Group:
    """Brackets inside which newlines don't count: ( ), [ ] and the braces of a literal."""

    open: str
    pieces: list[Piece]
    follows_operand: bool = False  # a call or an index


@dataclass(slots=True)
class Statement:
    """Tokens, groups and bodies up to the end of the statement; `comment` stands behind it."""

    pieces: list[Piece]
    comment: str | None = None
    blank_before: bool = False


@dataclass(slots=True)
class Remark:
    """A comment on a line of its own."""

    text: str
    blank_before: bool = False


@dataclass(slots=True)
class Body:
    """The braces of a block: `comment` follows the opening brace, `one_line` says that all of it was written on one line."""

    entries: list[Statement | Remark] = field(default_factory=list["Statement | Remark"])
    comment: str | None = None
    one_line: bool = True


Piece = Token | Group | Body
Entry = Statement | Remark


def build(text: str) -> list[Entry]:
    """Return the entries of a text whose brackets are balanced."""
    return _Builder(text).entries(top=True)[0]


def last_code(pieces: list[Piece], skip: int = 0) -> Piece | None:
    """Return the last piece that is no comment, or the one `skip` before it."""
    code = (p for p in reversed(pieces) if not (isinstance(p, Token) and p.is_comment))
    return next(islice(code, skip, None), None)


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(tokens(text))
        self.at = 0

    def peek(self, ahead: int = 0) -> Token | None:
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def entries(self, *, top: bool) -> tuple[list[Entry], bool]:
        """Read entries up to the closing brace or the end; also say whether they were on one line."""
        found: list[Entry] = []
        newlines, one_line = 0, True
        while (token := self.peek()) is not None and (top or token.kind is not Kind.CLOSE):
            if token.kind in (Kind.NEWLINE, Kind.SEMICOLON):
                newlines += token.kind is Kind.NEWLINE
                self.at += 1
                one_line = one_line and token.kind is Kind.SEMICOLON
                continue
            if token.is_comment:
                self.at += 1
                found.append(Remark(token.text))
                one_line = False
            else:
                found.append(self.statement())
            found[-1].blank_before = newlines > 1 and len(found) > 1
            newlines = 0
        return found, one_line

    def statement(self) -> Statement:
        pieces: list[Piece] = []
        while (token := self.peek()) is not None and token.kind is not Kind.CLOSE:
            ends = token.kind in (Kind.NEWLINE, Kind.SEMICOLON) or token.is_comment
            if ends and not (isinstance(last_code(pieces), Body) and self.else_follows()):
                break
            if token.kind is Kind.NEWLINE:
                self.at += 1
            elif token.is_comment:
                pieces.append(token)
                self.at += 1
            else:
                self.piece(pieces, is_start=not pieces)
        return Statement(pieces, self.end_comment())

    def end_comment(self) -> str | None:
        """Take the comment behind the statement, past a `;` that nothing follows."""
        ahead = 0
        while (token := self.peek(ahead)) is not None and token.kind is Kind.SEMICOLON:
            ahead += 1
        if token is None or token.kind is not Kind.COMMENT:
            return None
        self.at += ahead + 1
        return token.text

    def else_follows(self) -> bool:
        """Say whether only newlines and comments stand before the `else` of an `if` statement."""
        ahead = 0
        while (token := self.peek(ahead)) is not None and (token.kind is Kind.NEWLINE or token.is_comment):
            ahead += 1
        after = self.peek(ahead + 1)
        return token is not None and token.text == "else" and after is not None and after.text in ("{", "if")

    def piece(self, pieces: list[Piece], *, is_start: bool = False) -> None:
        """Append the next token, group or body; `is_start` says that a statement begins with it."""
        token = self.tokens[self.at]
        before = last_code(pieces)
        operand = isinstance(before, Group | Body) or (before is not None and before.kind in OPERANDS)
        if token.kind is not Kind.OPEN:
            self.at += 1
            pieces.append(self.classified(token, before, operand, is_start=is_start))
        elif token.text == "{" and (operand or self.body_follows(pieces)):
            pieces.append(self.body(is_transform=isinstance(pieces[0], Token) and pieces[0].text == "transform"))
        else:
            pieces.append(Group(token.text, self.group(), operand))

    @staticmethod
    def body_follows(pieces: list[Piece]) -> bool:
        """Say whether `{` opens a body although no operand stands before it: after `with`, `complete`, and the `else` of a statement."""
        before = last_code(pieces)
        if not isinstance(before, Token):
            return False
        return before.text in ("with", "complete") or (before.text == "else" and isinstance(last_code(pieces, 1), Body))

    def body(self, *, is_transform: bool) -> Body | Token:
        start = self.tokens[self.at].start
        first = self.at + 1
        self.at = first
        token = self.peek()
        comment = token.text if token is not None and token.kind is Kind.COMMENT else None
        self.at += comment is not None
        entries, one_line = self.entries(top=False)
        end = self.tokens[self.at]
        self.at += 1
        if is_transform and any(t.kind is Kind.UNKNOWN for t in self.tokens[first : self.at]):
            return Token(Kind.WORD, self.text[start : end.start + 1])  # unread by the language: left as it is
        return Body(entries, comment, one_line and comment is None)

    def group(self) -> list[Piece]:
        self.at += 1
        pieces: list[Piece] = []
        while (token := self.tokens[self.at]).kind is not Kind.CLOSE:
            if token.kind is Kind.NEWLINE:
                self.at += 1
            elif token.is_comment:
                pieces.append(token)
                self.at += 1
            else:
                self.piece(pieces)
        self.at += 1
        return pieces

    def classified(self, token: Token, before: Piece | None, operand: bool, *, is_start: bool) -> Token:
        """Decide what a symbol or a word is from what stands before it."""
        if token.kind is Kind.WORD and (token.text in HARD_WORDS or operand or self.is_keyword(token, before, is_start=is_start)):
            return replace(token, kind=Kind.WORD_OPERATOR)
        if token.kind is Kind.PREFIX and operand:
            return replace(token, kind=Kind.BINARY)
        if token.text in ("*", "**") and not operand and token.kind is Kind.BINARY:
            return replace(token, kind=Kind.ATOM)
        return token

    def is_keyword(self, token: Token, before: Piece | None, *, is_start: bool) -> bool:
        """Say whether a word, no operand before it, is a keyword at the start of a statement."""
        after = self.peek()
        if after is None or after.text == "except":
            return False
        if not is_start:
            return isinstance(before, Token) and before.text == "extern" and before.kind is Kind.WORD_OPERATOR
        if after.kind in (Kind.WORD, Kind.STRING, Kind.NUMBER) or (token.text == "import" and after.kind is Kind.DOT):
            return True
        return token.text in BEFORE_SYMBOLS and after.text in ("(", "{", "*", "**", "-")

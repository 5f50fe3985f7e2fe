"""Tokens as statements, bodies and bracket groups: as much structure as the layout needs, found without the grammar.

An operand and an operator alternate, so what `{`, `-`, `*` and a soft word mean follows from whether an operand stands before them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .tokens import Kind, Token

HARD_WORDS = frozenset({"and", "or", "not", "if", "else", "for", "in"})
# words that start a statement also before something that is no word
WORDS_BEFORE_SYMBOLS = frozenset({"from", "tune", "freeze", "require", "assert", "losses", "weight", "renamed", "value"})
CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(slots=True)
class Group:
    """Brackets inside which newlines don't count: ( ), [ ] and the braces of a literal."""

    open: str
    pieces: list[Piece]
    is_call: bool = False  # the brackets follow an operand


@dataclass(slots=True)
class Statement:
    """Tokens, groups and bodies up to the end of the statement; `comment` stands behind it."""

    pieces: list[Piece]
    comment: Token | None = None
    blank_before: bool = False


@dataclass(slots=True)
class Remark:
    """A comment on a line of its own."""

    text: str
    blank_before: bool = False


Entry = Statement | Remark


@dataclass(slots=True)
class Body:
    """The braces of a block: `comment` follows its opening brace, `one_line` says that it was written on one line."""

    entries: list[Entry] = field(default_factory=list[Entry])
    comment: Token | None = None
    one_line: bool = True


Piece = Token | Group | Body


def build(tokens: Iterable[Token]) -> list[Entry]:
    """Return the entries of a file whose brackets are balanced."""
    return _Builder(list(tokens)).entries(top=True)[0]


class _Builder:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self, ahead: int = 0) -> Token | None:
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def entries(self, *, top: bool) -> tuple[list[Entry], bool]:
        """Read entries up to the closing brace, or to the end; also say whether they were on one line."""
        found: list[Entry] = []
        newlines, one_line = 0, True
        while (token := self.peek()) is not None:
            if token.kind is Kind.NEWLINE:
                newlines += 1
                one_line = False
                self.at += 1
            elif token.kind is Kind.SEMICOLON:
                self.at += 1
            elif token.kind is Kind.CLOSE and not top:
                break
            elif token.is_comment:
                found.append(Remark(token.text, newlines > 1 and bool(found)))
                newlines, one_line = 0, False
                self.at += 1
            else:
                statement = self.statement()
                statement.blank_before = newlines > 1 and bool(found)
                found.append(statement)
                newlines = 0
        return found, one_line

    def statement(self) -> Statement:
        pieces: list[Piece] = []
        operand = False
        while (token := self.peek()) is not None:
            if token.kind in (Kind.NEWLINE, Kind.SEMICOLON):
                if token.kind is Kind.NEWLINE and pieces and isinstance(pieces[-1], Body) and self.else_follows():
                    self.skip_to_else(pieces)
                    operand = False
                    continue
                break
            if token.is_comment and self.else_follows():
                self.skip_to_else(pieces)
                continue
            if token.kind is Kind.CLOSE or token.is_comment:
                break
            operand = self.piece(pieces, operand)
        return Statement(pieces, self.end_comment())

    def end_comment(self) -> Token | None:
        """Take the comment at the end of the statement's line, past a `;` that nothing follows."""
        ahead = 0
        while (token := self.peek(ahead)) is not None and token.kind is Kind.SEMICOLON:
            ahead += 1
        if token is None or token.kind is not Kind.COMMENT:
            return None
        self.at += ahead + 1
        return token

    def else_follows(self) -> bool:
        """Say whether only newlines and comments stand before an `else` that continues an `if`."""
        ahead = 0
        while (token := self.peek(ahead)) is not None and (token.kind is Kind.NEWLINE or token.is_comment):
            ahead += 1
        after = self.peek(ahead + 1)
        return token is not None and token.text == "else" and token.kind is Kind.WORD and after is not None and after.text in ("{", "if")

    def skip_to_else(self, pieces: list[Piece]) -> None:
        while (token := self.peek()) is not None and token.text != "else":
            if token.is_comment:
                pieces.append(token)
            self.at += 1

    def piece(self, pieces: list[Piece], operand: bool) -> bool:
        """Append the next token, group or body, and say whether an operand then stands at the end."""
        token = self.tokens[self.at]
        before = next((p for p in reversed(pieces) if not (isinstance(p, Token) and p.is_comment)), None)
        if token.kind is Kind.OPEN:
            self.bracket(pieces, before, operand)
            return True
        self.at += 1
        token = self.classify(token, before, operand, first=before is None)
        pieces.append(token)
        return token.kind in (Kind.WORD, Kind.MEMBER, Kind.NUMBER, Kind.STRING, Kind.ATOM)

    def bracket(self, pieces: list[Piece], before: Piece | None, operand: bool) -> None:
        """Read a group or a body."""
        open_ = self.tokens[self.at]
        if open_.text == "{" and self.opens_body(before, operand):
            self.at += 1
            token = self.peek()
            comment = token if token is not None and token.kind is Kind.COMMENT else None
            self.at += comment is not None
            entries, one_line = self.entries(top=False)
            self.at += 1
            pieces.append(Body(entries, comment, one_line and comment is None))
            return
        pieces.append(Group(open_.text, self.group(), is_call=operand))

    @staticmethod
    def opens_body(before: Piece | None, operand: bool) -> bool:
        if operand:
            return True
        return isinstance(before, Token) and before.kind is Kind.WORD_OPERATOR and before.text in ("else block", "options", "with")

    def group(self) -> list[Piece]:
        self.at += 1
        pieces: list[Piece] = []
        operand = False
        while (token := self.tokens[self.at]).kind is not Kind.CLOSE:
            if token.kind is Kind.NEWLINE:
                self.at += 1
            elif token.is_comment:
                pieces.append(token)
                self.at += 1
            else:
                operand = self.piece(pieces, operand)
        self.at += 1
        return pieces

    def classify(self, token: Token, before: Piece | None, operand: bool, *, first: bool) -> Token:
        """Decide what a symbol or word is from what stands before it."""
        if token.kind is Kind.WORD:
            return self.classify_word(token, before, operand, first=first)
        if token.kind is Kind.PREFIX and operand:
            return Token(Kind.BINARY, token.text)
        if token.text in ("*", "**") and not operand and token.kind is Kind.BINARY:
            return Token(Kind.ATOM, token.text)
        return token

    def classify_word(self, token: Token, before: Piece | None, operand: bool, *, first: bool) -> Token:
        if token.text in HARD_WORDS or operand:
            return Token(Kind.WORD_OPERATOR, token.text)
        return token

"""The formatter's own tokens: unlike the parser's they include comments and newlines, and keep every text as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from ..record import record


class Kind(Enum):
    """What a token is, as far as spaces and lines are concerned."""

    WORD = "word"
    MEMBER = "member"  # what follows a dot: a word, a number, `*` or `**`
    NUMBER = "number"
    STRING = "string"
    ATOM = "atom"  # `*` and `**` where an operand stands, `...`
    WORD_OPERATOR = "word operator"  # `and`, `in`, `for`, and a word that starts a statement
    BINARY = "binary"
    PREFIX = "prefix"  # `-` and `~` before an operand
    RANGE = "range"
    DOT = "dot"
    COLON = "colon"
    EQUALS = "equals"  # `=`, `->`, `<-`
    COMMA = "comma"
    OPEN = "open"
    CLOSE = "close"
    SEMICOLON = "semicolon"
    NEWLINE = "newline"
    COMMENT = "comment"  # at the end of a line that holds something else
    REMARK = "remark"  # a comment on its own line
    UNKNOWN = "unknown"


@record
class Token:
    """One piece of text."""

    kind: Kind
    text: str
    start: int = 0

    @property
    def is_comment(self) -> bool:
        return self.kind in (Kind.COMMENT, Kind.REMARK)


PATTERN = re.compile(
    r'(?P<string>"""(?:[^"]|"[^"]|""[^"])*"""|"(?:[^"\\\n]|\\[^\n])*")'
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<newline>\n)"
    r"|(?P<blank>[ \t\r\f]+)"
    r"|(?P<number>[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?!\w))"
    r"|(?P<not_in>not[ \t]+in(?!\w))"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<ellipsis>\.\.\.)|(?P<range>\.\.=?)|(?P<dot>\.)"
    r"|(?P<equals>->|<-|=(?!=))"
    r"|(?P<star>\*\*|\*(?!\*))|(?P<prefix>-|~)"
    r"|(?P<binary>//|/|%|@|\+|&|\||==|!=|<=|>=|<|>)"
    r"|(?P<colon>:)|(?P<comma>,)|(?P<semicolon>;)"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])"
    r"|(?P<unknown>.)"
)  # fmt: skip
AFTER_DOT = re.compile(r"[A-Za-z0-9_]+|\*\*|\*")

KINDS = {
    "string": Kind.STRING,
    "newline": Kind.NEWLINE,
    "number": Kind.NUMBER,
    "not_in": Kind.WORD,
    "word": Kind.WORD,
    "ellipsis": Kind.ATOM,
    "range": Kind.RANGE,
    "dot": Kind.DOT,
    "equals": Kind.EQUALS,
    "star": Kind.BINARY,
    "prefix": Kind.PREFIX,
    "binary": Kind.BINARY,
    "colon": Kind.COLON,
    "comma": Kind.COMMA,
    "semicolon": Kind.SEMICOLON,
    "open": Kind.OPEN,
    "close": Kind.CLOSE,
    "unknown": Kind.UNKNOWN,
}


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text; blanks are dropped, a newline is a token each."""
    at = 0
    after_dot = False
    line_is_empty = True
    while at < len(text):
        match = AFTER_DOT.match(text, at) if after_dot else None
        if match is not None:
            at, after_dot, line_is_empty = match.end(), False, False
            yield Token(Kind.MEMBER, match.group(), match.start())
            continue
        match = PATTERN.match(text, at)
        assert match is not None and match.lastgroup is not None
        at = match.end()
        group, found = match.lastgroup, match.group()
        if group == "blank":
            continue
        after_dot = group == "dot"
        if group == "comment":
            yield Token(Kind.REMARK if line_is_empty else Kind.COMMENT, found.rstrip(), match.start())
        else:
            yield Token(KINDS[group], "not in" if group == "not_in" else found, match.start())
        line_is_empty = group == "newline"

"""Cuts a file into its top-level items in one linear pass that knows strings, comments and brackets, before anything is lexed.

A file whose brackets don't match is walked a second time, more slowly, to find which item is to blame and to save the others.
"""

from __future__ import annotations

import re
from typing import Final

from ..diagnostics import Diagnostic, Label
from ..record import record
from ..source import Source, Span

PIECE: Final = re.compile(r'"""(?:[^"]|"[^"]|""[^"])*"""|"""|"(?:[^"\\\n]|\\[^\n])*"|"|#[^\n]*|[()\[\]{}\n;]')
ITEM_START: Final = re.compile(r"(?:arch|import|block|model|fn|extern|weights|train|golden|preset|transform)[ \t]+[\w.]")
HEADER: Final = re.compile(
    r"(?:(?P<word>block|model|fn|extern[ \t]+block|extern[ \t]+fn|weights|train|golden|preset|transform)[ \t]+(?P<name>[A-Za-z_]\w*)"
    r"|(?P<plain>arch|import)[ \t]+[\w.]|(?P<defined>[A-Za-z_]\w*)[ \t]*=(?!=)|(?P<doc>\"))"
)
CLOSES: Final = {")": "(", "]": "[", "}": "{"}
ENDS: Final = {"(": ")", "[": "]", "{": "}"}


@record
class Piece:
    """The text of one item, and what the cutting found wrong with it."""

    start: int
    end: int
    fault: Diagnostic | None = None


@record
class Cut:
    """A file in pieces, with its comments; `fault` is set when the file as a whole is refused."""

    pieces: tuple[Piece, ...] = ()
    comments: tuple[Span, ...] = ()
    fault: Diagnostic | None = None


def header(text: str, piece: Piece) -> tuple[str, str | None]:
    """Return the word that makes an item what it is, and its name.

    >>> header("extern block A() {}", Piece(0, 19))
    ('extern block', 'A')
    """
    match = HEADER.match(text, piece.start, piece.end)
    if match is None:
        return "", None
    if match["word"]:
        return " ".join(match["word"].split()), match["name"]
    if match["defined"]:
        return "definition", match["defined"]
    return match["plain"] or "doc", None


class Cutter:
    """Walks one text; `nesting` is how deep brackets may go."""

    def __init__(self, source: Source, nesting: int) -> None:
        self.source, self.text, self.nesting = source, source.text, nesting
        self.pieces: list[Piece] = []
        self.comments: list[Span] = []
        self.begin = 0
        self.tail = -1
        self.stack: list[int] = []
        self.fault: Diagnostic | None = None
        self.suspect: tuple[int, int] | None = None

    def span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)

    def cut(self, at: int, after: int) -> None:
        """End the running piece at `at` (or at its trailing comment); the next one begins at `after`."""
        end = at if self.tail < 0 else self.tail
        written = self.text[self.begin : end]
        body = written.strip()
        if body:
            start = self.begin + written.index(body[0])
            self.pieces.append(Piece(start, start + len(body), self.fault))
        self.begin, self.tail, self.fault, self.suspect = after, -1, None, None

    def result(self) -> Cut:
        self.cut(len(self.text), len(self.text))
        return Cut(tuple(self.pieces), tuple(self.comments))

    # ------------------------------------------------------------------------------------------------------ sound files

    def sound(self) -> Cut | None:
        """Return the pieces of a file whose brackets and strings match, else None."""
        for match in PIECE.finditer(self.text):
            at = match.start()
            char = self.text[at]
            if char in "\n;":
                if not self.stack:
                    self.cut(at, at + 1)
            elif char == "#":
                self.comment(match)
            elif char == '"':
                if match.end() - at in (1, 3) and match[0] in ('"', '"""'):
                    return None
            elif char in "([{":
                self.stack.append(at)
                if len(self.stack) > self.nesting:
                    return self.deep(at)
            elif not self.stack or self.text[self.stack.pop()] != CLOSES[char]:
                return None
        return None if self.stack else self.result()

    def comment(self, match: re.Match[str]) -> None:
        self.comments.append(self.span(*match.span()))
        if not self.stack and self.tail < 0:
            self.tail = match.start()

    def deep(self, at: int) -> Cut:
        message = f"brackets nest deeper than {self.nesting}"
        return Cut(fault=Diagnostic("A805", message, self.span(at, at + 1), help="give inner parts names of their own"))

    # ----------------------------------------------------------------------------------------------------- broken files

    def broken(self) -> Cut:
        """Return the pieces of a file with unmatched brackets or strings, each fault with the item it belongs to."""
        at = 0
        while match := PIECE.search(self.text, at):
            start, at = match.span()
            char = self.text[start]
            if char == "#":
                self.comment(match)
            elif char in "\n;":
                self.line(start)
            elif char == '"':
                if match[0] in ('"', '"""'):
                    at = self.unclosed_string(start, at)
            elif char in "([{":
                self.stack.append(start)
                if len(self.stack) > self.nesting:
                    return self.deep(start)
            else:
                self.close(start, char)
        if self.stack:
            self.unclosed()
        return self.result()

    def line(self, at: int) -> None:
        """Cut at the end of a line, also inside brackets when an item plainly starts at the margin below."""
        if self.stack:
            if self.text[at] == ";" or not ITEM_START.match(self.text, at + 1):
                return
            self.unclosed()
            self.stack.clear()
        self.cut(at, at + 1)

    def blame(self, fault: Diagnostic) -> None:
        self.fault = self.fault or fault

    def unclosed_string(self, start: int, end: int) -> int:
        """Note a string without its end; return where to go on."""
        if end - start == 1:
            stop = self.text.find("\n", start)
            stop = len(self.text) if stop < 0 else stop
            help = 'write `"` at its end; a string over several lines stands between `"""`'
            self.blame(Diagnostic("A004", "the string isn't closed on its line", self.span(start, stop), help=help))
            return stop
        self.blame(Diagnostic("A004", "the string is never closed", self.span(start, end), help='write `"""` at its end'))
        later = re.compile(r"\n(?=" + ITEM_START.pattern + ")").search(self.text, end)
        return later.start() if later else len(self.text)

    def close(self, at: int, char: str) -> None:
        """Match a closing bracket with what is open."""
        opener = CLOSES[char]
        if not any(self.text[open] == opener for open in self.stack):
            help = "delete it, or open it where the block begins"
            self.blame(Diagnostic("A003", f"`{char}` closes nothing", self.span(at, at + 1), help=help))
            return
        top = self.stack[-1]
        if self.text[top] == opener:
            self.stack.pop()
            if char == "}" and self.suspect is None and self.odd(top, at):
                self.suspect = (top, at)
            return
        found = self.text[top]
        label = Label(self.span(top, top + 1), f"`{found}` opened here")
        help = f"write `{ENDS[found]}` before `{char}`"
        self.blame(Diagnostic("A003", f"`{found}` is closed by `{char}`", self.span(at, at + 1), (label,), help))
        while self.text[self.stack.pop()] != opener:
            pass

    def odd(self, opened: int, closed: int) -> bool:
        """Return whether a `}` alone on its line stands at another depth than the line of its `{`."""
        margins: list[int] = []
        for at in (opened, closed):
            first = self.text.rfind("\n", 0, at) + 1
            margins.append(len(self.text[first:at]) - len(self.text[first:at].lstrip()))
            alone = not self.text[first:at].strip()
        return alone and "\n" in self.text[opened:closed] and margins[0] != margins[1]

    def unclosed(self) -> None:
        """Note the bracket that has no end; where indentation tells a better one, that one."""
        at = self.stack[-1]
        labels: tuple[Label, ...] = ()
        if self.suspect and self.text[at] == "{":
            at, closed = self.suspect
            labels = (Label(self.span(closed, closed + 1), "this closes it, though it stands under another line"),)
        char = self.text[at]
        help = f"write `{ENDS[char]}` where it ends"
        self.blame(Diagnostic("A002", f"`{char}` is never closed", self.span(at, at + 1), labels, help))


def cut(source: Source, nesting: int) -> Cut:
    """Cut a text into items, in time linear in its length."""
    return Cutter(source, nesting).sound() or Cutter(source, nesting).broken()

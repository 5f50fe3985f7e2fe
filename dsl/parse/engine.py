"""Runs the LALR tables: the only file that knows Lark.

Tables are built from `grammar.lark` by `python -m archloom.dsl.tables` and read here from `grammar.json`, which takes a twentieth of
the time.  Nodes are made while rules are reduced; no parse tree is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final, cast

from lark import Lark, Token
from lark.exceptions import UnexpectedInput, UnexpectedToken
from lark.grammar import Rule
from lark.lexer import TerminalDef
from lark.utils import TextSlice

from ..record import record
from ..source import Source
from .items import Builder
from .straight import STUCK, Straight

ROOT: Final = Path(__file__).parents[2]
GRAMMAR: Final = ROOT / "grammar.lark"
TABLES: Final = ROOT / "grammar.json"
STARTS: Final = ["item", "expr"]

HARD_WORDS: Final = frozenset(("and", "or", "not", "if", "else", "for", "in", "true", "false", "none", "_"))
"""Words that name nothing, wherever they stand."""

OPERAND_ENDS: Final = frozenset(
    ("NAME", "MEMBER", "NUMBER", "STRING", "CONSTANT", "RPAR", "RSQB", "RBRACE", "STAR", "STARSTAR", "ELSE_BLOCK", "WITH", "OPTIONS", "COMPLETE")
)
"""After these a `{` opens the braces of a block; elsewhere those of a literal."""


class Newlines:
    """Stands between lexer and parser: drops newlines inside ( ), [ ] and the braces of literals, and marks hard words."""

    always_accept = ("_NL",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Pass the tokens on.  It never looks ahead: the contextual lexer needs the parser's state of that moment."""
        counts = [True]
        last = ""
        for token in stream:
            kind = token.type
            if kind == "_NL":
                if not counts[-1] and not separates(token):
                    continue
            elif kind == "NAME":
                if token.value in HARD_WORDS:
                    token.type = "HARD_WORD"
            elif kind == "LPAR" or kind == "LSQB":
                counts.append(False)
            elif kind == "LBRACE":
                counts.append(last in OPERAND_ENDS)
            elif (kind == "RPAR" or kind == "RSQB" or kind == "RBRACE") and len(counts) > 1:
                counts.pop()
            last = kind
            yield token


def separates(token: str) -> bool:
    """Return whether a run of newlines and comments holds a `;`."""
    return ";" in token and ";" in re.sub(r"#[^\n]*", "", token)


@record
class Fault:
    """Where the parser could not go on: what it met, and which terminals would have fit (`$END` is the end of the item)."""

    start: int
    end: int
    kind: str
    expected: frozenset[str]


def build(start: list[str], strict: bool = True) -> Lark:
    """Return a parser built from the grammar's text.  Raises Lark's GrammarError or LexError on any conflict when strict."""
    return Lark(
        GRAMMAR.read_text("utf-8"), parser="lalr", lexer="contextual", strict=strict, start=start, keep_all_tokens=True,
        maybe_placeholders=False, postlex=Newlines(),
    )  # fmt: skip


def serialize(parser: Any) -> dict[str, Any]:
    """Return the tables of a built parser as plain data, `data` and `memo`."""
    parser.options.options["postlex"] = None
    parser.lexer_conf.postlex = None
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    return {"data": data, "memo": memo}


class Engine:
    """The parser, loaded once for the process."""

    def __init__(self) -> None:
        tables = json.loads(TABLES.read_text("utf-8"))
        table = tables["data"]["parser"]["parser"]
        table["tokens"] = numbered(table["tokens"])
        table["states"] = {int(state): numbered(actions) for state, actions in table["states"].items()}
        self.builder = Builder()
        self.lock = Lock()
        # Lark's one way to load tables without pickle has a leading underscore; its standalone parsers stand on it.
        self.lark: Any = cast(Any, Lark)._load_from_dict(tables["data"], numbered(tables["memo"]), transformer=self.builder, postlex=Newlines())
        self.straight = Straight(self.lark, Newlines().process)

    def parse(self, source: Source, start: int, end: int, rule: str, written: Source | None = None) -> Any:
        """Return the node that `rule` makes of source[start:end], at the places of the text as `written`, or the Fault that stopped it.

        Raises BuildError for what a reduction refuses.
        """
        with self.lock:
            self.builder.source = written or source
            node = self.straight.parse(source.text, start, end, rule)
            if node is not STUCK:
                return node
            try:
                return self.lark.parse(TextSlice(source.text, start, end), start=rule)
            except UnexpectedInput as problem:
                return fault(problem, end)


def fault(problem: Any, end: int) -> Fault:
    """Return Lark's UnexpectedToken or UnexpectedCharacters as plain data."""
    if not isinstance(problem, UnexpectedToken):
        at: int = getattr(problem, "pos_in_stream", end)
        return Fault(at, at + 1, "", frozenset(getattr(problem, "allowed", None) or ()))
    met: Any = cast(Any, problem)
    expected = frozenset(met.accepts or met.expected)
    if met.token.type == "$END":
        return Fault(end, end, "$END", expected)
    start: int = met.token.start_pos
    return Fault(start, start + len(met.token), met.token.type, expected)


def numbered(table: dict[str, Any]) -> dict[int, Any]:
    """Give a table back the integer keys that JSON made strings."""
    return {int(key): value for key, value in table.items()}


@cache
def engine() -> Engine:
    """Return the process's parser; the first call loads the tables."""
    return Engine()

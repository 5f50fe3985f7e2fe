"""What terminals are called when one speaks to a writer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

STAGE_WORDS: Final = ("from", "tune", "tasks", "losses", "weight", "set", "emit", "use", "options")
VALUES: Final = frozenset((
    "NAME", "NUMBER", "STRING", "CONSTANT", "LPAR", "LSQB", "LBRACE", "STAR", "STARSTAR", "PREFIX", "OPEN", "RANGE", "ELLIPSIS",
))  # fmt: skip
AFTER_VALUES: Final = frozenset(("BINARY", "RANGE", "DOT", "LPAR", "LSQB", "WITH", "IF"))
STATEMENTS: Final = frozenset((
    "IN", "TARGET", "DRAW", "STATE", "OUT", "INDEX", "FOR", "REPEAT", "IF", "TASK", "ENTRY", "LOSS", "REQUIRE", "ASSERT", "FREEZE", "TIE", "UPDATE",
    "RENAMED", "CONST", "CHOICE", "SCAN",
))  # fmt: skip
ITEMS: Final = frozenset((
    "ARCH", "IMPORT", "BLOCK", "MODEL", "FN", "EXTERN", "WEIGHTS", "TRAIN", "GOLDEN", "PRESET", "TRANSFORM",
))  # fmt: skip

STATEMENT_WORDS: Final = tuple(sorted(word.lower() for word in STATEMENTS))
ITEM_WORDS: Final = tuple(sorted(word.lower() for word in ITEMS))

SPELLED: Final = {
    "NAME": "a name", "MEMBER": "a name", "NUMBER": "a number", "STRING": "a string", "CONSTANT": "`true`, `false` or `none`", "OPEN": "`_`",
    "BINARY": "an operator", "PREFIX": "`-`, `~` or `not`", "RANGE": "`..`", "ELLIPSIS": "`...`", "STAR": "`*`", "STARSTAR": "`**`", "LPAR": "`(`",
    "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`", "LBRACE": "`{`", "RBRACE": "`}`", "COMMA": "`,`", "COLON": "`:`", "EQUAL": "`=`", "DOT": "`.`",
    "VBAR": "`|`", "TILDE": "`~`", "LEFT_ARROW": "`<-`", "RIGHT_ARROW": "`->`", "_NL": "a new line", "$END": "the end", "ELSE_BLOCK": "`else`",
    "REST_IN_EVAL": "`rest in eval`", "GRAFT": "`module`, `param` or `value`",
}  # fmt: skip
"""Terminals whose name isn't their word in capitals."""


def starts_statement(expected: Collection[str]) -> bool:
    """Return whether a statement or an item may start here."""
    return {"FREEZE", "TIE"} <= set(expected) or {"BLOCK", "MODEL"} <= set(expected)


def spelled(terminal: str) -> str:
    """Return how a terminal is written.

    >>> spelled("CARRY"), spelled("COMMA")
    ('`carry`', '`,`')
    """
    return SPELLED.get(terminal) or f"`{terminal.lower()}`"


def words(expected: Collection[str]) -> list[str]:
    """Return what may stand at a place, in the language's words, the likeliest first."""
    left = set(expected) - {"<END-OF-FILE>", "COMMENT", "BLANK"}
    said: list[str] = []
    for group, name in ((ITEMS, "a top-level item"), (STATEMENTS, "a statement")):
        if {"BLOCK", "MODEL"} <= left & group or {"FREEZE", "TIE"} <= left & group:
            said.append(name)
            left -= group | VALUES
    if {"NAME", "NUMBER", "STRING"} <= left:
        said.append("a value")
        left -= VALUES
    if "BINARY" in left:
        said.append("an operator")
        left -= AFTER_VALUES
    return said + sorted(spelled(terminal) for terminal in left)


def expectation(expected: Collection[str]) -> str | None:
    """Return the sentence that says what would fit, or None when too much would."""
    said = words(expected)
    if not said or len(said) > 8:
        return None
    listed = said[0] if len(said) == 1 else ", ".join(said[:-1]) + " or " + said[-1]
    return f"here may stand {listed}"

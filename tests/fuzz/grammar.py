"""Random texts of the grammar: every rule and terminal of `grammar.lark` is used because it is there."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

from lark import Lark
from lark.grammar import NonTerminal, Rule, Symbol

import archloom

GRAMMAR = Path(archloom.__file__).parent / "grammar.lark"
NAMES: list[str] = [
    "x", "q", "h", "f", "g", "z", "i", "t", "n", "k", "s", "ids", "dim", "tasks", "words", "table", "a", "B", "S", "M", "Own",
    "Linear", "float", "int", "map", "list", "relu", "twist", "mean", "sum",
    "concat", "split", "einsum", "reshape", "zeros", "take", "all", "len", "min", "max", "ceil", "losses",
]  # fmt: skip
NUMBERS = ["0", "1", "2", "4", "8", "0.5", "1e3", "1_000", "99999999", "1e999", "9" * 400]
WORDS: dict[str, list[str]] = {
    "NAME": NAMES,
    "MEMBER": [*NAMES, "0", "3"],
    "NUMBER": NUMBERS,
    "STRING": ['"a b -> b a"', '"x"', '"{i}"', '"**"', '"\\n"', '"""two\nlines"""'],
    "CONSTANT": ["true", "false", "none"],
    "BINARY": ["**", "*", "//", "/", "%", "@", "+", "-", "&", "|", "==", "!=", "<=", ">", "and", "or", "in", "except", "not in"],
    "PREFIX": ["-", "~", "not"],
    "RANGE": ["..", "..="],
    "GRAFT": ["module", "param", "value"],
    "_NL": ["\n", "; "],
    "ELSE_BLOCK": ["else"],
    "REST_IN_EVAL": ["rest in eval"],
}
"""Texts of the terminals that are no one word."""


def words(name: str, pattern: str) -> list[str]:
    """Return texts of a terminal: those listed, or the one word that its pattern is but for what may stand around it."""
    if name in WORDS:
        return WORDS[name]
    plain = re.sub(r"\(\?[=!](?:[^()\[\]]|\[[^\]]*\])*\)", "", pattern)
    plain = re.sub(r"^\(\?:\[.*?\)\*", "", plain).replace("[ \\t]+", " ").replace("\\", "")
    if re.search(r"[\[\]()+?]", plain) and len(plain) > 3:
        raise ValueError(f"the terminal {name} is more than a word: give it texts in WORDS")
    return [plain]


class Texts:
    """Derives texts from the rules of a grammar."""

    def __init__(self) -> None:
        lark = Lark(GRAMMAR.read_text("utf-8"), parser="lalr", start=["file", "item", "expr"], keep_all_tokens=True)
        self.rules: dict[str, list[Rule]] = {}
        for rule in lark.rules:
            self.rules.setdefault(str(rule.origin.name), []).append(rule)
        self.words = {t.name: words(t.name, t.pattern.value) for t in lark.terminals if t.name not in ("COMMENT", "BLANK")}
        self.depths = self._depths()

    def _depths(self) -> dict[str, int]:
        """Return how many rules within each other the shortest text of each rule takes."""
        depths: dict[str, int] = {}
        while len(depths) < len(self.rules):
            for name, rules in self.rules.items():
                known = [max((self._depth(s, depths) for s in r.expansion), default=0) for r in rules if self._known(r, depths)]
                if known and name not in depths:
                    depths[name] = 1 + min(known)
        return depths

    @staticmethod
    def _known(rule: Rule, depths: dict[str, int]) -> bool:
        return all(not isinstance(symbol, NonTerminal) or str(symbol.name) in depths for symbol in rule.expansion)

    @staticmethod
    def _depth(symbol: Symbol, depths: dict[str, int]) -> int:
        return depths[str(symbol.name)] if isinstance(symbol, NonTerminal) else 0

    def text(self, chance: random.Random, start: str = "file", room: int = 40) -> str:
        """Return a random text of a rule; with no room left the shortest ways are taken."""
        return " ".join(self._tokens(chance, start, room))

    def _tokens(self, chance: random.Random, name: str, room: int) -> list[str]:
        rules = self.rules[name]
        deep = [max((self._depth(s, self.depths) for s in rule.expansion), default=0) for rule in rules]
        fitting = [rule for rule, depth in zip(rules, deep, strict=True) if depth < room] or [rules[deep.index(min(deep))]]
        found: list[str] = []
        for symbol in chance.choice(fitting).expansion:
            if isinstance(symbol, NonTerminal):
                found += self._tokens(chance, str(symbol.name), room - 1 - chance.randrange(3))
            else:
                found.append(chance.choice(self.words[str(symbol.name)]))
        return found


@cache
def texts() -> Texts:
    """Return the one set of rules, read when it is first asked for."""
    return Texts()

"""Words a syntax error: what was met, what would have fit, and where a habit from Python shows, what is written here instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ..diagnostics import Diagnostic, closest
from ..record import record
from ..source import Span
from .engine import HARD_WORDS, Fault
from .habits import MARK, Recogniser, recognisers
from .operators import LEVELS
from .vocabulary import ITEM_WORDS, STAGE_WORDS, STATEMENT_WORDS, expectation, starts_statement

OPERATORS: Final = frozenset((*LEVELS, "not", "~"))


BEFORE: Final = re.compile(r"(\w+|\"|\.\.=?|\*\*|//|[<>=!]=|<-|->|.)\s*(?:#[^\n]*\n\s*)*$", re.S)


COMMENT: Final = re.compile(r"#[^\n\"]*\Z")
"""A comment at the end of the text before a fault; a `#` in a string has a quote behind it."""


@record
class Scene:
    """One fault with what the rules below ask about it."""

    item: Span
    fault: Fault
    found: str
    before: str
    before_start: int
    line: str

    @property
    def expected(self) -> frozenset[str]:
        return self.fault.expected

    @property
    def at_end(self) -> bool:
        return self.fault.kind == "$END" or (self.fault.kind == "_NL" and not self.found.startswith(";"))

    @property
    def leads(self) -> bool:
        """Whether the met text is the first on its line."""
        text = self.item.source.text
        return not text[text.rfind("\n", 0, self.fault.start) + 1 : self.fault.start].strip()

    @property
    def named(self) -> bool:
        """Whether the met text is to be given a value."""
        return re.match(r"[ \t]*=(?!=)", self.item.source.text[self.fault.end : self.fault.end + 40]) is not None

    @property
    def word(self) -> str:
        """The first word of the statement."""
        match = re.match(r"\s*(\w+)", self.line)
        return match[1] if match else ""

    def says(self, code: str, message: str, help: str | None = None, whole: bool = False) -> Diagnostic:
        """Return the diagnostic at the met text, or at the text before it and at it."""
        start = self.before_start if whole else self.fault.start
        return Diagnostic(code, message, Span(self.item.source, start, max(self.fault.end, start)), help=help)


def scene(item: Span, fault: Fault) -> Scene:
    """Collect what stands around a fault."""
    text = item.source.text
    offset = max(item.start, fault.start - 200)
    before = BEFORE.search(COMMENT.sub("", text[offset : fault.start]))
    begin = max(text.rfind(mark, 0, fault.start) for mark in "\n;{") + 1
    return Scene(
        item, fault, text[fault.start : fault.end], before[1] if before else "", offset + before.start(1) if before else fault.start,
        text[begin : fault.start],
    )  # fmt: skip


# --------------------------------------------------------------------------------------------- characters and strings


def character(s: Scene) -> Diagnostic | None:
    """Explain a character that no token starts with."""
    char = s.found
    if s.fault.kind or not char:
        return None
    if char in "'\u2018\u2019\u201c\u201d\u00ab\u00bb`":
        return s.says("A007", f"strings stand between double quotes, not {char}", 'write `"..."`')
    if char in CHARACTERS:
        return s.says("A007", f"`{char}` is not in the language", CHARACTERS[char])
    if char.isalpha():
        return s.says("A007", f"the letter `{char}` can't stand in a name", "names are made of a-z, A-Z, 0-9 and `_`")
    if char.isspace():
        name = "no-break space" if char == "\u00a0" else f"space of another kind, U+{ord(char):04X},"
        return s.says("A007", f"a {name} stands here", "write a plain space")
    if not char.isprintable():
        return s.says("A007", f"a character that isn't shown stands here, U+{ord(char):04X}", "delete it")
    return s.says("A007", f"unexpected character `{char}`", expectation(s.expected))


CHARACTERS: Final = {
    "\\": "put an expression over several lines in parentheses",
    "^": "a power is `a ** b`",
    "!": "negation is `not x`",
    "?": "a choice is `a if c else b`",
    "$": "delete it",
    "\u2212": "write a plain `-`",
    "\u00d7": "write `*`",
    "\u2192": "write `->`",
    "\u2190": "write `<-`",
    "\u2264": "write `<=`",
    "\u2265": "write `>=`",
    "\u2260": "write `!=`",
    "\u2026": "write `...`",
    "\u2013": "write a plain `-`",
    "\u2014": "write a plain `-`",
    "\u2011": "write a plain `-`",
    "\u00b7": "write `*`",
    "\u00f7": "write `/`",
    "\u00b2": "write `** 2`",
}


def number_point(s: Scene) -> Diagnostic | None:
    """Explain `.5` and `5.`."""
    text = s.item.source.text
    if s.found == "." and "NAME" in s.expected and text[s.fault.end : s.fault.end + 1].isdigit():
        return s.says("A015", "a number needs a digit before its point", "write for instance `0.5`")
    if s.before == "." and re.search(r"\d\.$", text[max(0, s.before_start - 1) : s.before_start + 1]):
        return s.says("A015", "a number needs a digit after its point", "write for instance `5.0`", whole=True)
    return None


# -------------------------------------------------------------------------------------------------------------- Python


def python_words(s: Scene) -> Diagnostic | None:
    """Explain statements and expressions of Python."""
    if s.before in PYTHON and s.fault.kind in ("NAME", "HARD_WORD", "STRING", "NUMBER", "LBRACE", "COLON", "CONSTANT") and s.found != "=":
        code, message, help = PYTHON[s.before]
        return s.says(code, message, help, whole=True)
    if s.found in PYTHON and "NAME" not in s.expected:
        code, message, help = PYTHON[s.found]
        return s.says(code, message, help)
    return None


BLOCK: Final = "write `block Name(size: int) { in x: float[B, size]; ... out y = e }`"
REPEAT: Final = "repeat a known number of times: `repeat i in 0..n carry x { ... }`"
PYTHON: Final = {
    "def": ("A023", "`def` is not in the language", f"{BLOCK}; without modules, `fn name(x: float[B]) {{ ... }}`"),
    "class": ("A023", "`class` is not in the language", BLOCK),
    "lambda": ("A024", "`lambda` is not in the language", "write a named `fn`, or a comprehension: `sum(f(x) for x in s)`"),
    "elif": ("A023", "`elif` is not in the language", "write `else if ... { }`"),
    "return": ("A023", "`return` is not in the language", "write `out y = e`"),
    "from": ("A020", "`from ... import` is not in the language", "write `import norm.RMSNorm`; PyTorch's layers are always there"),
    "with": ("A023", "`with` doesn't open a statement", "write `base with { ... }`"),
    "try": ("A023", "`try` is not in the language", "leave it out: what a caller must ensure is `require c`"),
    "async": ("A023", "`async` is not in the language", "leave it out"),
    "pass": ("A023", "`pass` is not in the language", "leave the braces empty: `{ }`"),
    "input": ("A023", "`input` is not in the language", "write `in x: float[B, dim]`"),
    "inputs": ("A023", "`inputs` is not in the language", "write `in x: float[B, dim]`"),
    "output": ("A023", "`output` is not in the language", "write `out y = e`"),
    "outputs": ("A023", "`outputs` is not in the language", "write `out y = e`"),
    "param": ("A023", "`param` stands only in a `golden`", "write `w = Parameter([dim])`, or give the block a parameter: `block F(dim: int)`"),
    "let": ("A023", "`let` is not in the language", "write `x = e`"),
    "var": ("A023", "`var` is not in the language", "write `x = e`"),
    "while": ("A030", "`while` is not in the language: elaboration ends", REPEAT),
    "loop": ("A030", "`loop` is not in the language: elaboration ends", f"{REPEAT}; sampling loops are host code over entries"),
    "match": ("A030", "`match` is not in the language", "write `if mode == a { ... } else if mode == b { ... }`"),
    "frozen": ("A018", "`frozen` is not a statement", "write `freeze X`"),
    "minimise": ("A018", "`minimise` is not a clause", "write `losses a, b` and `weight a = 0.5`"),
}  # fmt: skip


def in_place(s: Scene) -> Diagnostic | None:
    """Explain `x += 1` and its kin."""
    if s.found == "=" and s.before in ("+", "-", "*", "/", "//", "%", "@", "&", "|", "**") and s.before_start + len(s.before) == s.fault.start:
        target = s.line.strip()[: -len(s.before)].strip() or "x"
        help = "losses add up by themselves: write `loss more = ...`" if target == "loss" else f"write `{target} = {target} {s.before} ...`"
        return s.says("A029", f"`{s.before}=` is not in the language", help, whole=True)
    if s.found.startswith(("+", "-")) and s.before == s.found[:1] and s.at_end:
        return s.says("A029", f"`{s.before}{s.found}` is not in the language", "write `x = x + 1`", whole=True)
    return None


def splat(s: Scene) -> Diagnostic | None:
    """Explain `f(*args)` and `f(**options)`."""
    text = s.item.source.text[max(s.item.start, s.before_start - 40) : s.before_start].rstrip()
    if s.before in ("*", "**") and s.fault.kind == "NAME" and text.endswith(("(", ",", "[", "=")):
        message = f"`{s.before}{s.found}` spreads nothing here: arguments are written one by one"
        return s.says("A030", message, "write each argument, or pass a family whole: `f(x[*])`", whole=True)
    return None


# ------------------------------------------------------------------------------------------------------ lines and braces


def comment(s: Scene) -> Diagnostic | None:
    """Explain `/* ... */` and a line that begins with `//`."""
    text = s.item.source.text
    opened = s.found == "//" and s.leads or s.found == "/" and text.startswith("/*", s.fault.start) or s.before == "/" and s.found in ("*", "**")
    return s.says("A007", "comments of other languages are not in this one", "a comment starts with `#` and ends with its line") if opened else None


def broken_line(s: Scene) -> Diagnostic | None:
    """Explain a line that ends in, or starts with, an operator."""
    help = "put the expression in parentheses, or finish it on one line"
    if s.at_end and s.before in OPERATORS and "NAME" in s.expected:
        place = Span(s.item.source, s.before_start, s.before_start + len(s.before))
        return Diagnostic("A005", f"the line ends in `{s.before}`", place, help=help)
    if s.leads and not s.named and (s.found in OPERATORS or s.found == ".") and starts_statement(s.expected):
        return s.says("A005", f"the line starts with `{s.found}`", help)
    margin = s.item.source.text.rfind("\n", 0, s.before_start) + 1
    if s.before in ("*", "**", "+", "/") and not s.item.source.text[margin : s.before_start].strip():
        place = Span(s.item.source, s.before_start, s.before_start + len(s.before))
        return Diagnostic("A005", f"the line starts with `{s.before}`", place, help=help)
    if s.at_end and s.before in ("=", ",", "("):
        return s.says("A005", f"the line ends in `{s.before}`", "finish it on one line, or put what comes after `=` in parentheses")
    return None


def missing_brace(s: Scene) -> Diagnostic | None:
    """Explain a block without `{`, or with `:` or a brace on the line below."""
    if "LBRACE" not in s.expected or "NAME" in s.expected and "OPEN" not in s.expected:
        return None
    if s.found == ":" and s.word in (
        "if",
        "for",
        "repeat",
        "else",
        "task",
        "model",
        "block",
        "fn",
        "entry",
        "stage",
        "train",
        "preset",
        "golden",
        "extern",
    ):
        return s.says("A009", "a block stands in braces", "write `{` in place of `:` and `}` at its end")
    if s.at_end and "NAME" not in s.expected:
        below = s.item.source.text[s.fault.start :].lstrip()
        if below.startswith("{"):
            return s.says("A009", "the `{` of a block stands on the line of its header", f"move it up, after `{s.before}`")
        return s.says("A009", "a `{` is missing", f"write `{{ ... }}` after `{s.before}`")
    return None


def brackets(s: Scene) -> Diagnostic | None:
    """Explain a `;` inside brackets."""
    if s.fault.kind == "_NL" and ";" in s.found and s.expected & {"RPAR", "RSQB", "COLON"}:
        return s.says("A019", "a `;` ends a statement, and a bracket is still open", "write `,` between the parts, or close the bracket")
    return None


# ---------------------------------------------------------------------------------------------------------- statements


def equals(s: Scene) -> Diagnostic | None:
    """Explain `=` where `==` is meant and the reverse."""
    if s.found == "==" and "EQUAL" in s.expected:
        return s.says("A006", "`==` compares; a value is given with `=`", "write `=`")
    if s.found != "=" or "EQUAL" in s.expected:
        return None
    if s.word in ("if", "require", "assert", "else") or s.before == ")" and s.word in ("for",):
        return s.says("A006", "`=` gives a name a value; `==` compares", "write `==`")
    if "LEFT_ARROW" in s.expected and "BINARY" in s.expected and "_NL" not in s.expected:
        return s.says("A018", "a rule of a weights map is written with `<-`", 'write `path <- "name"`')
    return None


def statement_forms(s: Scene) -> Diagnostic | None:
    """Explain statements of which a part is missing."""
    if s.word == "loss" and "EQUAL" in s.expected:
        return s.says("A018", "a loss has a name", "write `loss main = ...`")
    if s.word in ("in", "target", "draw") and "COLON" in s.expected and s.found != ":":
        return s.says("A018", f"`{s.word}` needs a type", f"write `{s.word} {s.before}: float[B, dim]`")
    if s.found == "," and s.word in ("in", "target", "draw", "state") and "COMMA" not in s.expected:
        return s.says("A018", f"one `{s.word}` has one type", f"write `;` and `{s.word}` again")
    if s.found == "where" and s.word == "for":
        return s.says("A018", "a loop leaves members out with `if`", "write `if` in place of `where`")
    if s.found.strip() == "else" and not s.named:
        help = "write `if c { ... } else { ... }`, without `;` between; a choice is `a if c else b`"
        return s.says("A018", "`else` follows the `}` of an `if`", help)
    if s.found == ":" and starts_assignment(s):
        return s.says("A018", "a value has no declared type", f"inputs are declared with `in {s.before}: ...`; leave the type out elsewhere")
    if s.item.source.text.startswith("->", s.fault.start):
        return s.says("A018", "results are not declared in the header", "write `out y = e` in the body")
    if s.found == ">" and s.before == "=":
        return s.says("A018", "`=>` is not in the language", "a map is `{key: value}`", whole=True)
    return None


def types(s: Scene) -> Diagnostic | None:
    """Explain an input or a parameter without a whole type."""
    if s.found == "[" and s.before == ":" and s.word in ("in", "target", "draw", "state"):
        return s.says("A018", "a type begins with what it holds", "write `float[B, dim]`, `int[B]` or `bool[B]`")
    if s.found in (",", ")") and s.expected == frozenset(["COLON"]) and s.word in ("block", "model", "fn", "extern"):
        return s.says("A018", f"the parameter `{s.before}` needs a type", f"write `{s.before}: int`, or `{s.before}: float = 0.1`")
    return None


def starts_assignment(s: Scene) -> bool:
    return re.fullmatch(r"\s*[A-Za-z_]\w*\s*", s.line) is not None and "EQUAL" in s.expected


def stage_clause(s: Scene) -> Diagnostic | None:
    """Explain a line in a stage that is no clause."""
    if not {"TUNE", "FROM"} <= s.expected:
        return None
    near = closest(s.found, STAGE_WORDS)
    if near and near != s.found:
        return s.says("A018", f"`{s.found}` is no clause of a stage", f"did you mean `{near}`?")
    help = f"the trainer's own settings stand in `options {{ {s.found} = ... }}`" if s.fault.kind == "NAME" else expectation(s.expected)
    return s.says("A018", f"`{s.found.strip() or 'this'}` is no clause of a stage", help)


def habit(s: Scene) -> Diagnostic | None:
    """Look the mistake up among the examples."""
    return recognised(s, recognisers(last=False))


def remaining(s: Scene) -> Diagnostic | None:
    """Look the mistake up among the examples that only stand for what no rule knows."""
    return recognised(s, recognisers(last=True))


def recognised(s: Scene, rows: tuple[Recogniser, ...]) -> Diagnostic | None:
    rest = s.item.source.text[s.fault.start :].split("\n", 1)[0] if s.fault.kind != "$END" else ""
    line = f"{s.line}{MARK}{rest}"
    for row in rows:
        if match := row.match(line, s.expected):
            return s.says(row.habit.code, match.expand(row.habit.message), match.expand(row.habit.help))
    return None


def hard_word(s: Scene) -> Diagnostic | None:
    """Explain a name that can't be one."""
    if s.found == "=" and s.before in HARD_WORDS:
        return s.says("A008", f"`{s.before}` can't be a name", "it is a word of the language; choose another name", whole=True)
    if s.fault.kind == "HARD_WORD" or (s.found in HARD_WORDS and "NAME" in s.expected):
        if s.found == "_":
            return s.says("A008", "`_` stands only for an argument left open", "give the value a name")
        if s.found == "if" and not s.named and s.before in ("=", "(", ",", "["):
            return s.says("A008", "`if` can't start an expression", "write `a if c else b`")
        return s.says("A008", f"`{s.found}` can't be a name", "it is a word of the language; choose another name")
    return None


def doubled(s: Scene) -> Diagnostic | None:
    """Explain `&&`, `||` and `++`."""
    said = {"&": "write `and` between facts, `&` between tensors", "|": "write `or` between facts, `|` between tensors", "+": "write `x = x + 1`"}
    if s.found == s.before and s.found in said and s.before_start + 1 == s.fault.start:
        return s.says("A007", f"`{s.found}{s.found}` is not in the language", said[s.found], whole=True)
    return None


def misspelled(s: Scene) -> Diagnostic | None:
    """Explain a word at the start of a line that is nearly one of the language's."""
    if s.fault.kind not in ("NAME", "STRING", "STAR", "STARSTAR") or s.before != s.word or s.line.strip() != s.before:
        return None
    known = ITEM_WORDS if s.before_start == s.item.start else STATEMENT_WORDS
    near = closest(s.before.lower(), known)
    if near is None or near == s.before:
        return None
    return s.says("A001", f"unexpected `{s.found}` after `{s.before}`", f"did you mean `{near}`?")


def open_argument(s: Scene) -> Diagnostic | None:
    if s.fault.kind == "OPEN":
        return s.says("A008", "`_` stands only for an argument left open", "give the value a name")
    if s.fault.kind == "ELLIPSIS":
        return s.says("A001", "`...` stands in an index, a type, or last in a call", expectation(s.expected))
    return None


def general(s: Scene) -> Diagnostic:
    """Name what was met and what would fit."""
    if s.fault.kind == "$END":
        met = "end of the item" if "\n" in s.item.text else "end of the line"
    elif s.fault.kind == "_NL":
        met = "`;`" if s.found.startswith(";") else "end of the line"
    else:
        met = f"`{s.found}`"
    help = expectation(s.expected)
    if s.fault.kind in ("NAME", "NUMBER") and "BINARY" in s.expected and re.search(r"=\s*[A-Za-z_][\w.]*\s*$", s.line):
        help = f"between two values stands an operator; a call is `{s.before}({s.found})`"
    return s.says("A001", f"unexpected {met}", help)


RULES: Final[tuple[Callable[[Scene], Diagnostic | None], ...]] = (
    habit, number_point, character, doubled, in_place, python_words, splat, comment, broken_line, missing_brace, brackets, equals, types,
    statement_forms, hard_word, open_argument, stage_clause, misspelled, remaining,
)  # fmt: skip


def explain(item: Span, fault: Fault) -> Diagnostic:
    """Return the diagnostic of a fault: the first rule that knows better than `unexpected ...`."""
    here = scene(item, fault)
    return next((found for rule in RULES if (found := rule(here))), None) or general(here)

"""Text to syntax tree.  A file is cut into top-level items at once; each item is parsed when it is first asked for, and once.

>>> file = parse(Source("two.arch", "width = 8; block Id { in x: float[B]; out y = x }"))
>>> [(item.word, item.name) for item in file.items]
[('definition', 'width'), ('block', 'Id')]
>>> file.items[1].tree.body[1].names[0].name
'y'
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from . import ast
from .diagnostics import Diagnostic, Label
from .limits import DEFAULT, Limits, exceeded
from .parse.again import keep, recall
from .parse.continued import continued
from .parse.depth import too_deep
from .parse.engine import Fault, engine
from .parse.explain import explain
from .parse.gaps import with_gaps
from .parse.operators import BuildError
from .parse.pythonisms import pythonisms
from .parse.recover import MOST, READ, are_balanced, without
from .parse.scan import Piece, cut, header
from .pickles import is_pickle
from .source import HIDDEN, Source, Span, is_plain

__all__ = ["Limits", "ParsedFile", "RawItem", "parse", "parse_expression", "pythonisms", "read_source"]

CONFIGURED = "give an `.arch` file; `--param NAME=VALUE` sets what a configuration says, and a `golden` reads the whole of one"
DATA = {".json": "JSON", ".toml": "TOML", ".yaml": "YAML", ".yml": "YAML", ".ini": "settings", ".cfg": "settings", ".ipynb": "a notebook"}
"""What files of other suffixes hold, that a caller may take for a spec."""


@dataclass(frozen=True, eq=False)
class RawItem:
    """One top-level item: known by its word and name, parsed on demand.

    `word` is `block`, `model`, `fn`, `extern block`, `extern fn`, `weights`, `train`, `golden`, `preset`, `transform`, `arch`, `import`,
    `definition`, `doc`, or empty where no item starts so.
    """

    word: str
    name: str | None
    span: Span
    limits: Limits
    fault: Diagnostic | None

    @cached_property
    def parsed(self) -> tuple[ast.Item | None, tuple[Diagnostic, ...]]:
        if self.fault:
            return None, (self.fault,)
        if self.word == "transform":
            return headed(self)
        known = recall(self.span, self.limits.depth)
        if known is not None:
            return known, ()
        tree, found = run(self.span, "item", self.limits)
        if tree is not None:
            keep(tree, self.span, self.limits.depth)
        return tree, found

    @cached_property
    def recovered(self) -> tuple[ast.Item | None, tuple[Diagnostic, ...]]:
        """What is left of an item without its broken statements, each with a `Broken` in its place, and all of its syntax errors.

        None where no rest is sure to be what was meant.
        """
        tree, found = self.parsed
        if tree is not None or self.fault or not found or self.word == "transform":
            return None, found
        return recovered(self.span, found[0], self.limits)

    @property
    def tree(self) -> ast.Item | None:
        """The item's syntax tree, or None if it has a syntax error."""
        return self.parsed[0]

    @cached_property
    def habits(self) -> tuple[Diagnostic, ...]:
        """What in the item's tree is Python and not this language."""
        return tuple(pythonisms(self.tree)) if self.tree is not None else ()

    @property
    def idle(self) -> tuple[Diagnostic, ...]:
        """What is wrong with an expression that stands among the items, and is no docstring."""
        if not isinstance(self.tree, ast.Bare) or isinstance(self.tree.value, ast.String):
            return ()
        text = self.span.text.splitlines()[0]
        data = isinstance(self.tree.value, (ast.List, ast.MapLiteral, ast.SetLiteral))
        items = "a file holds items: `model M { in x: float[B]; out y = x }`; a value has a name: `name = ...`"
        help = items if data else f"remove it, or write `name = {text}`"
        return (Diagnostic("A112", f"`{text}` does nothing: it is no item of a file", self.span, help=help),)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The item's syntax errors, the first of each statement."""
        return self.recovered[1]


@dataclass(frozen=True, eq=False)
class ParsedFile:
    """A file in items; `fault` is set, and there are none, when the file as a whole is refused."""

    source: Source
    items: tuple[RawItem, ...]
    comments: tuple[Span, ...]
    fault: Diagnostic | None

    def tree(self) -> tuple[ast.Item, ...]:
        """Parse all items and return those without a syntax error."""
        return tuple(item.tree for item in self.items if item.tree is not None)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the file, and the syntax errors of all its items (which parses them)."""
        if self.fault:
            return (self.fault,)
        return tuple(diagnostic for item in self.items for diagnostic in item.diagnostics)


def parse(source: Source, limits: Limits = DEFAULT) -> ParsedFile:
    """Cut a text into items.  Nothing is parsed yet, and nothing is raised: see `ParsedFile.fault`."""
    fault = refusal(source, limits)
    if fault:
        return ParsedFile(source, (), (), fault)
    pieces = cut(source, limits.nesting)
    if pieces.fault is None and not pieces.pieces:
        message = "the file is empty" if not source.text.strip() else "the file holds comments only"
        fault = Diagnostic("A804", message, Span(source, 0, 0), help="start with `model NAME { ... }`; `archloom new NAME` writes a first one")
        return ParsedFile(source, (), pieces.comments, fault)
    items = tuple(raw(source, piece, limits) for piece in continued(source.text, list(pieces.pieces)))
    return ParsedFile(source, items, pieces.comments, pieces.fault)


def parse_expression(source: Source, limits: Limits = DEFAULT) -> tuple[ast.Expr | None, tuple[Diagnostic, ...]]:
    """Parse a text that is one expression, such as the value of `--param name=value`."""
    fault = refusal(source, limits)
    pieces = cut(source, limits.nesting)
    fault = fault or pieces.fault or next((piece.fault for piece in pieces.pieces if piece.fault), None)
    if fault:
        return None, (fault,)
    text = source.text
    start = len(text) - len(text.lstrip())
    return run(Span(source, start, max(start, len(text.rstrip()))), "expr", limits)


def read_source(path: str | os.PathLike[str], limits: Limits = DEFAULT) -> Source | Diagnostic:
    """Read a file as text, or say why it can't be one; no more than the limit is read."""
    nothing = Span(Source(str(path), ""), 0, 0)
    if not is_plain(str(path)):
        return Diagnostic("A800", f"can't read `{path}`: its name holds a character that isn't shown", nothing, help="rename it")
    other = of_another_kind(str(path))
    if other is not None:
        return Diagnostic("A807", f"by its name `{path}` holds {other[0]}, not a spec", nothing, help=other[1])
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            help = "give the path of an `.arch` file; what a pipe holds is read by way of `-`"
            return Diagnostic("A800", f"can't read `{path}`: it is a pipe, socket or device, not a file", nothing, help=help)
        with Path(path).open("rb") as file:
            data = file.read(limits.bytes + 1)
    except ValueError:  # a zero byte
        return Diagnostic("A800", "can't read what no file can be called", nothing, help="give the path of an `.arch` file")
    except OSError as problem:
        reason = (problem.strerror or "unknown reason").lower()
        return Diagnostic("A800", f"can't read `{path}`: {reason}", nothing, help="give the path of an `.arch` file")
    if len(data) > limits.bytes:
        return too_large(nothing, limits)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        help = "give an `.arch` file, saved as UTF-8"
        return Diagnostic("A802", f"`{path}` isn't text: byte {problem.start} is no UTF-8", nothing, help=help)
    if "\0" in text:
        return binary(nothing)
    return Source(str(path), text.replace("\r\n", "\n"))


# ------------------------------------------------------------------------------------------------------------- helpers


def of_another_kind(name: str) -> tuple[str, str] | None:
    """Return what a file that is no spec holds by its name, and what to do; None for one that may be a spec."""
    if is_pickle(name):
        return "a pickle of weights", "give an `.arch` file; its `weights` map names the file of weights, as safetensors: pickles are not read"
    if name.lower().endswith(".safetensors"):
        return "weights", "give an `.arch` file; its `weights` map names the file of weights, or `--weights` where a model is built"
    kind = DATA.get(os.path.splitext(name)[1].lower())
    return (kind, CONFIGURED) if kind is not None else None


def refusal(source: Source, limits: Limits) -> Diagnostic | None:
    """Return why a text isn't looked at, if it isn't."""
    text = source.text
    if len(text) > limits.bytes or (not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > limits.bytes):
        return too_large(Span(source, 0, 0), limits)
    if "\0" in text:
        at = text.index("\0")
        return binary(Span(source, at, at + 1))
    hidden = HIDDEN.search(text)
    if hidden is not None:
        message = f"the text holds the character U+{ord(hidden[0]):04X}, which isn't shown as it is"
        return Diagnostic("A806", message, Span(source, hidden.start(), hidden.end()), help="take it out; a line ends with a line feed")
    return None


def too_large(span: Span, limits: Limits) -> Diagnostic:
    size = f"{limits.bytes // 1024} KiB" if limits.bytes % 1024 == 0 else f"{limits.bytes:,} bytes"
    return exceeded("bytes", f"the file is larger than {size}", span, "split it, and `import` what the parts share", "A801")


def binary(span: Span) -> Diagnostic:
    return Diagnostic("A803", "the file is binary: it holds a zero byte", span, help="give an `.arch` file; weights are named in a `weights` map")


def raw(source: Source, piece: Piece, limits: Limits) -> RawItem:
    word, name = header(source.text, piece)
    return RawItem(word, name, Span(source, piece.start, piece.end), limits, piece.fault)


def recovered(span: Span, first: Diagnostic, limits: Limits) -> tuple[ast.Item | None, tuple[Diagnostic, ...]]:
    """Return what is left of an item without the statements that don't parse, and its syntax errors: the first, and those of its other
    statements; habits from PyTorch in these, too."""
    found, gaps = [first], list[Span]()
    text = span.source.text
    most = min(MOST, READ // (span.end - span.start + 1)) if are_balanced(span) else 0
    while len(found) < most:
        rest = without(Span(Source(span.source.name, text), span.start, span.end), found[-1].span.start)
        if rest is None:
            break
        text, gap = rest
        gaps.append(Span(span.source, gap.start, gap.end))
        tree, more = run(Span(Source(span.source.name, text), span.start, span.end), "item", limits, span.source)
        if tree is not None:
            habits = tuple(pythonisms(tree))
            return (None if habits else with_gaps(tree, gaps)), (*found, *habits)
        if any(more[0].span.start == known.span.start for known in found):
            break
        found.append(moved(more[0], span.source))
    return None, tuple(found)


def moved(found: Diagnostic, source: Source) -> Diagnostic:
    """Return a diagnostic of a text that was blanked in parts, at the same places of the text as written."""
    labels = tuple(Label(Span(source, label.span.start, label.span.end), label.text) for label in found.labels)
    return replace(found, span=Span(source, found.span.start, found.span.end), labels=labels)


def run(span: Span, rule: str, limits: Limits, written: Source | None = None) -> tuple[Any, tuple[Diagnostic, ...]]:
    """Parse one span; return its node, whose places are those of the text as `written`, or its first syntax error."""
    try:
        result = engine().parse(span.source, span.start, span.end, rule, written)
    except BuildError as problem:
        place = Span(span.source, problem.start, problem.end)
        return None, (Diagnostic(problem.code, problem.args[0], place, help=problem.help),)
    if isinstance(result, Fault):
        return None, (explain(span, result),)
    deep = too_deep(result, limits.depth)
    if deep:
        message = f"an expression nests deeper than {limits.depth}"
        return None, (exceeded("depth", message, deep.span, "give inner parts names of their own", "A805"),)
    return result, ()


def headed(item: RawItem) -> tuple[ast.Item | None, tuple[Diagnostic, ...]]:
    """Parse the header of a reserved transform; its body, whose brackets match, is not read."""
    span = item.span
    start = body_start(span)
    if start == span.end:
        fault = Diagnostic("A009", "a `transform` has a body in braces", span, help="write `{ ... }` after its parameters")
        return None, (fault,)
    tree, diagnostics = run(Span(span.source, span.start, start), "item", item.limits)
    return (replace(tree, span=span) if tree else None), diagnostics


def body_start(span: Span) -> int:
    """Return where the first `{` outside parentheses stands, or the end of the span."""
    depth = 0
    for at in range(span.start, span.end):
        char = span.source.text[at]
        if char == "{" and depth == 0:
            return at
        depth += (char == "(") - (char == ")")
    return span.end

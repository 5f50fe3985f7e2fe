# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""Kinds of change to types, indices, loops, names and statements of blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from archloom.dsl import ast

from .kinds import Change, bound, dropped, misspelt, nudged, put, values
from .mutation import Base, kind


@kind
def dimension(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Name, ran=False):
        if isinstance(site.around[-1] if site.around else None, ast.TypeRef):
            if site.text[0].isupper():
                yield from (put(site.node, t) for t in (random.choice("BSTNQ"), misspelt(site.text, random), "1", "7", f"2 * {site.text}"))
            else:
                yield from (put(site.node, t) for t in (misspelt(site.text, random), site.text.capitalize(), f"{site.text} + 1"))
    for site in base.of(ast.TypeRef, ran=False):
        if site.node.arguments:
            yield from dropped(site.node, site.node.arguments)
            last = site.node.arguments[-1].span.end
            yield last, last, ", 2"


@kind
def none(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Index):
        items = site.node.items
        tensorial = any(isinstance(i, (ast.Slice, ast.Ellipsis)) or (isinstance(i, ast.Constant) and i.value is None) for i in items)
        if tensorial:
            for item in items:
                if isinstance(item, ast.Constant):
                    yield from (c for c in dropped(site.node, items) if c[0] <= item.span.start and c[1] >= item.span.end)
                yield item.span.end, item.span.end, ", none"
                yield put(item, random.choice(["none", ":", "0", "...", "-1"]))
    for site in values(base):
        yield put(site.node, f"{site.text}[{random.choice(['none', ':, none', '..., none', '0', ':, 0', '...'])}]")


@kind
def index_set(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.SetLiteral, ast.Range):
        if isinstance(site.node, ast.SetLiteral):
            yield from dropped(site.node, site.node.items)
            if site.node.items:
                last = site.node.items[-1]
                yield last.span.end, last.span.end, f", {last.span.text}"
                yield last.span.end, last.span.end, ", extra"
                yield put(last, misspelt(last.span.text, random) if last.span.text.isidentifier() else "zz")
        elif site.node.stop is not None:
            yield from (put(site.node.stop, text) for text in nudged(site.node.stop.span.text))
            yield put(
                site.node, f"{site.node.start.span.text if site.node.start else ''}..{'' if site.node.inclusive else '='}{site.node.stop.span.text}"
            )
            if site.node.start is not None:
                yield from (put(site.node.start, text) for text in nudged(site.node.start.span.text))
    for site in base.of(ast.For, ast.Repeat):
        yield put(site.node.set, f"({site.node.set.span.text}) except {{{random.choice(['a', 'b', '0', '1'])}}}")
        yield put(site.node.set, random.choice(["0..1", "0..2", "0..3", "0..0", "{a, b}"]))


@kind
def member(base: Base, random: Random) -> Iterator[Change]:
    """What stands in the brackets of a family, a map or a list."""
    for site in base.of(ast.Index):
        for item in site.node.items:
            if isinstance(item, (ast.Whole, ast.Range, ast.Name, ast.Number, ast.Binary)):
                yield put(item, random.choice(["0", "1", "-1", "*", "..1", "1..", "a", "7"]))
        yield put(site.node, site.node.object.span.text)


@kind
def slice_(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Index):
        for item in site.node.items:
            if isinstance(item, ast.Slice):
                bounds = [b for b in (item.start, item.stop, item.step) if b is not None]
                for bound_ in bounds:
                    yield from (put(bound_, text) for text in (*nudged(bound_.span.text), "-1", "2", "9"))
                yield put(item, random.choice(["1:", ":-1", ":1", "::2", "2:4", "0:1", "-2:", "3:1", "1:9"]))
            elif isinstance(item, (ast.Number, ast.Unary)):
                yield from (put(item, text) for text in ("0", "1", "-1", "5", "-9", ":1"))
    for site in values(base):
        yield put(site.node, f"{site.text}[{random.choice([':, 1:', '..., :2', '..., 1:3', ':, :-1', ':1', '..., ::2', '..., 0:8'])}]")


@kind
def output(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Out, ran=False):
        for declared in site.node.names:
            yield put(declared, misspelt(declared.name, random))
            others = [n for n in bound(base, site) if n != declared.name]
            if others:
                yield put(declared, random.choice(others))
        if site.node.value is not None:
            yield site.node.span.start, site.node.span.start + 4, ""
            yield site.node.names[0].span.end, site.node.span.end, ""
            yield site.node.span.end, site.node.span.end, f"\n  {site.text}"
        yield put(site.node, f"unset = {site.node.value.span.text}" if site.node.value is not None else "")


@kind
def statement(base: Base, random: Random) -> Iterator[Change]:
    """A statement left out, written twice, or written before the one above it."""
    for site in base.of(ast.Assign, ast.In, ast.Require, ast.IndexSet, ast.Loss, ast.Assert, ast.State):
        yield put(site.node, "")
        yield site.node.span.end, site.node.span.end, f"\n{site.text}"
        body = next((getattr(n, f) for n in reversed(site.around) for f in ("body", "then") if hasattr(n, f)), ())
        for one, two in zip(body, body[1:], strict=False):
            if two is site.node:
                yield one.span.start, two.span.end, two.span.text + base.text[one.span.end : two.span.start] + one.span.text


@kind
def section(base: Base, random: Random) -> Iterator[Change]:
    """A word that begins a statement, an item or a clause, misspelt or another one."""
    pattern_ = (
        r"(?m)^\s*(in|out|index|repeat|for|if|require|assert|loss|target|block|fn|model|import|task|stage|state|draw|tune|freeze|weights|train)\b"
    )
    for found in re.finditer(pattern_, base.text):
        word = found.group(1)
        start, end = found.span(1)
        yield start, end, misspelt(word, random)
        yield start, end, random.choice(["input", "output", "layer", "module", "params", "loss", "target", "in", "out", "let"])


@kind
def carry(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Repeat):
        names = [n.id for n in site.node.carry]
        others = [n for n in bound(base, site) if n not in names]
        if names:
            yield from dropped(site.node, site.node.carry)
            first = site.node.carry[0]
            yield base.text.rindex("carry", site.node.span.start, first.span.start), site.node.carry[-1].span.end, ""
            yield put(first, misspelt(first.id, random))
            if others:
                yield first.span.start, first.span.start, f"{random.choice(others)}, "
                yield put(first, random.choice(others))
        else:
            at = site.node.set.span.end
            yield from ((at, at, f" carry {n}") for n in random.sample(others, min(3, len(others))))
        at = base.text.index("repeat", site.node.span.start)
        end = site.node.carry[-1].span.end if names else site.node.set.span.end
        yield at, end, f"for {site.node.name} in {site.node.set.span.text}"
    for site in base.of(ast.For):
        if len(site.node.names) == 1:
            at = base.text.index("for", site.node.span.start)
            yield at, at + 3, "repeat"


@kind
def loop_variable(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Name):
        if site.inside(ast.For, ast.Repeat) is not None:
            loop = site.inside(ast.For, ast.Repeat)
            names = loop.names if isinstance(loop, ast.For) else (loop.name,)
            if site.text in names:
                yield from (put(site.node, t) for t in (f"{site.text} - 1", f"{site.text} + 1", "0", misspelt(site.text, random)))


@kind
def binding(base: Base, random: Random) -> Iterator[Change]:
    """The name that a statement binds, misspelt or another one's."""
    for site in base.of(ast.Goal, ran=False):
        if not site.node.items:
            others = [n for n in bound(base, site) if n != site.node.name]
            yield put(site.node, misspelt(site.node.name, random))
            if others:
                yield put(site.node, random.choice(others))


@kind
def name(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Name):
        yield put(site.node, misspelt(site.text, random))


@kind
def parameter(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Parameter, ran=False):
        type_, default = site.node.type, site.node.default
        if default is None:
            yield site.node.span.end, site.node.span.end, f" = {random.choice(['1', 'none', '0.5', '[1]', 'true'])}"
        else:
            yield type_.span.end, site.node.span.end, ""
            yield put(default, random.choice(["1", "0", "0.5", "true", "none", "[1, 2]", "gelu", "a"]))
        if isinstance(type_, ast.TypeRef):
            yield put(type_, random.choice(["int", "float", "bool", "index", "block", "fn", "list[int]", "str", "{a, b}", "itn"]))
        yield site.node.span.start, site.node.span.start + len(site.node.name), misspelt(site.node.name, random)


@kind
def condition(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.If, ast.Ternary):
        test = site.node.condition
        yield put(test, f"not ({test.span.text})")
        yield put(test, random.choice(["true", "false", "training", "0", "1 > 2", "len([1])"]))
    for site in base.of(ast.Constant):
        if isinstance(site.node.value, bool):
            yield put(site.node, "false" if site.node.value else "true")


@kind
def literal(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Number):
        others = ["0", "1", "2", "-1", "0.5", "1e-5", "100"]
        yield from (put(site.node, t) for t in random.sample(others, 3) if t != site.text)

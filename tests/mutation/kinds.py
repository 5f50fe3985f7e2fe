# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""Kinds of change to blocks: each function yields the places of one kind with what is put there instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

from archloom.blocks.registry import primitives
from archloom.dsl import ast
from archloom.dsl.primitive import Kind as Takes

from .mutation import Base, Site, kind

Change = tuple[int, int, str]

PLACES = {"kernel", "stride", "padding", "dilation", "groups", "output_padding", "factor", "step"}
HEADS = re.compile(r"(^|_)heads?$|^groups?$|^k$|^h$")


def put(node: Any, text: str) -> Change:
    return node.span.start, node.span.end, text


def nudged(text: str) -> list[str]:
    """Return other numbers in the place of one."""
    if re.fullmatch(r"\d+", text):
        n = int(text)
        return [str(n + 1), *([str(n - 1)] if n > 0 else []), str(2 * n) if n else "2"]
    return [f"{text} + 1", f"2 * {text}"] if re.fullmatch(r"[\w.]+", text) else [f"({text}) + 1"]


def misspelt(word: str, random: Random) -> str:
    """Return a word with two letters swapped, one doubled, or one left out."""
    at = random.randrange(len(word))
    options = [word[:at] + word[at] + word[at:], word[:at] + word[at + 1 :] if len(word) > 1 else word + "x"]
    if len(word) > 2 and at + 1 < len(word):
        options.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    chosen = random.choice(options)
    return chosen if re.match(r"[A-Za-z_]", chosen) and chosen != word else word + "x"


def callee(site: Site) -> str:
    function = site.node.function
    return function.id if isinstance(function, ast.Name) else ""


def arguments(base: Base) -> Iterator[tuple[Site, ast.Argument, Any]]:
    """Yield the arguments of calls of operations and leaves, with what they are declared as."""
    for site in base.of(ast.Call):
        entry = primitives().get(callee(site))
        if entry is None:
            continue
        free = [a for a in entry.arguments if not a.keyword]
        for argument in site.node.arguments:
            declared = next((a for a in entry.arguments if a.name == argument.name), None) if argument.name else (free.pop(0) if free else None)
            yield site, argument, declared


def block_calls(base: Base) -> Iterator[Site]:
    for site in base.of(ast.Call):
        if primitives().get(callee(site)) is None:
            yield site


@kind
def width(base: Base, random: Random) -> Iterator[Change]:
    for site, argument, declared in arguments(base):
        leaf = callee(site)[0].isupper()
        if leaf and declared is not None and declared.kind in (Takes.INT, Takes.INTS) and declared.name not in PLACES:
            yield from (put(argument.value, text) for text in nudged(argument.value.span.text))


@kind
def size_(base: Base, random: Random) -> Iterator[Change]:
    """A number in a type, in a list of sizes, or in what sizes are computed from."""
    for site in base.of(ast.Number):
        if isinstance(site.node.value, int) and site.inside(ast.TypeRef, ast.List, ast.Binary) is not None:
            yield from (put(site.node, text) for text in nudged(site.text))


@kind
def kernel(base: Base, random: Random) -> Iterator[Change]:
    for _, argument, declared in arguments(base):
        if declared is not None and declared.name in PLACES:
            yield from (put(argument.value, text) for text in (*nudged(argument.value.span.text), "[1, 2]", "[3, 3, 3]", "-1"))
    for site in base.of(ast.Call):
        if re.match(r"Conv|\w+_pool", callee(site)) and not any(a.name in PLACES for a in site.node.arguments):
            at = site.node.span.end - 1
            yield from ((at, at, f", {text}") for text in ("stride = 2", "padding = 1", "kernel = 2"))


@kind
def axis(base: Base, random: Random) -> Iterator[Change]:
    for site, argument, declared in arguments(base):
        if (
            declared is not None
            and (declared.kind is Takes.AXES or declared.name in ("dim", "a", "b", "start", "end"))
            and not callee(site)[0].isupper()
        ) and declared.kind in (Takes.AXES, Takes.INT):
            options = ["0", "1", "2", "3", "-1", "-2", "-3", "[0, 1]"]
            yield from (put(argument.value, text) for text in options if text != argument.value.span.text)
    for site in base.of(ast.Call):
        if callee(site) in ("concat", "split", "stack", "size", "append"):
            last = site.node.arguments[-1].value
            if isinstance(last, (ast.Number, ast.Unary)):
                yield from (put(last, text) for text in ("0", "1", "2", "-1"))


@kind
def heads(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Call):
        for argument in site.node.arguments:
            if (argument.name and HEADS.search(argument.name)) or HEADS.search(argument.value.span.text):
                yield from (put(argument.value, text) for text in (*nudged(argument.value.span.text), "3"))


@kind
def pattern(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.String):
        if "->" not in site.node.value:
            continue
        text = site.text
        words = [m for m in re.finditer(r"[a-z]\w*|1", text)]
        for word in words:
            yield put(site.node, text[: word.start()] + text[word.end() :])
            other = random.choice(words)
            yield put(site.node, text[: word.start()] + other.group() + text[word.end() :])
            yield put(site.node, text[: word.start()] + "z" + text[word.end() :])
        for one, two in zip(words, words[1:], strict=False):
            middle = text[one.end() : two.start()]
            if "->" not in middle:
                yield put(site.node, text[: one.start()] + two.group() + middle + one.group() + text[two.end() :])
        yield put(site.node, text.replace("->", ">"))
        for mark in "()":
            if mark in text:
                yield put(site.node, text.replace(mark, "", 1))


@kind
def argument_name(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Call):
        for argument in site.node.arguments:
            if argument.name:
                start = argument.span.start
                names = [a.name for a in site.node.arguments if a.name]
                yield start, start + len(argument.name), misspelt(argument.name, random)
                yield start, start + len(argument.name), random.choice(names)
                yield start, argument.value.span.start, ""
            elif isinstance(argument.value, ast.Name) and callee(site):
                yield argument.span.start, argument.span.start, f"{argument.value.id} = "


@kind
def argument_value(base: Base, random: Random) -> Iterator[Change]:
    others = ["0", "1", "3", "-2", "0.5", "true", "none", '"mean"', "[1, 2]", "{a, b}", "gelu"]
    for site in base.of(ast.Call):
        for argument in site.node.arguments:
            yield put(argument.value, random.choice(others))
            if isinstance(argument.value, ast.Constant):
                yield put(argument.value, {"true": "false", "false": "true", "none": "0"}[argument.value.span.text])
            if isinstance(argument.value, ast.Number):
                yield from (put(argument.value, text) for text in nudged(argument.value.span.text))


@kind
def argument_dropped(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Call):
        yield from dropped(site.node, site.node.arguments)


def dropped(node: Any, items: Any) -> Iterator[Change]:
    """Yield the leaving out of each item of a list with commas."""
    spans = [i.span for i in items]
    for i, span in enumerate(spans):
        if i + 1 < len(spans):
            yield span.start, spans[i + 1].start, ""
        elif i:
            yield spans[i - 1].end, span.end, ""
        else:
            yield span.start, span.end, ""


@kind
def argument_doubled(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Call):
        for argument in site.node.arguments:
            yield argument.span.end, argument.span.end, f", {argument.span.text}"
        if site.node.arguments:
            at = site.node.arguments[-1].span.end
            yield at, at, ", " + random.choice(["1", "true", "extra = 2", "bias = false", "dim = 1", "none"])


@kind
def swapped(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Call):
        items = site.node.arguments
        for one, two in zip(items, items[1:], strict=False):
            between = base.text[one.value.span.end : two.value.span.start]
            yield one.value.span.start, two.value.span.end, two.value.span.text + between + one.value.span.text


@kind
def dtype(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.TypeRef, ast.Name, ast.Call, ran=False):
        name = site.node.name if isinstance(site.node, ast.TypeRef) else site.node.id if isinstance(site.node, ast.Name) else callee(site)
        if name in ("float", "int", "bool", "float32"):
            start = site.node.span.start
            for other in ("float", "int", "bool", "float32", "complex"):
                if other != name:
                    yield start, start + len(name), other
    for site in values(base):
        yield put(site.node, f"{random.choice(['int', 'float', 'bool', 'float32'])}({site.text})")


def values(base: Base) -> Iterator[Site]:
    """Yield names that are read as values in arguments, operands and results."""
    for site in base.of(ast.Name):
        parent = site.around[-1] if site.around else None
        function = isinstance(parent, ast.Call) and parent.function is site.node
        inside = isinstance(parent, ast.Index) and parent.object is not site.node
        if isinstance(parent, (ast.Argument, ast.Binary, ast.Assign, ast.Out, ast.Ternary, ast.List, ast.Index)) and not function and not inside:
            yield site


def bound(base: Base, site: Site) -> list[str]:
    """Return names that the item around binds."""
    item = site.around[0] if site.around else site.node
    if id(item) not in base.bound:
        nodes = (s.node for s in base.sites if s.around and s.around[0] is item and isinstance(s.node, (ast.Goal, ast.Declared, ast.Parameter)))
        base.bound[id(item)] = list(dict.fromkeys(n.name for n in nodes))
    return base.bound[id(item)]


@kind
def edge(base: Base, random: Random) -> Iterator[Change]:
    for site in values(base):
        others = [n for n in bound(base, site) if n != site.text]
        if others:
            yield from (put(site.node, n) for n in random.sample(others, min(3, len(others))))


@kind
def bypass(base: Base, random: Random) -> Iterator[Change]:
    """A call gone: its first argument stands in its place."""
    for site in base.of(ast.Call):
        if site.node.arguments:
            yield put(site.node, site.node.arguments[0].value.span.text)


@kind
def operator(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Binary):
        start, end = site.node.left.span.end, site.node.right.span.start
        if site.node.op in base.text[start:end]:
            for op in random.sample(["+", "-", "*", "/", "@", "//", "%", "**", "==", "and", "&", "<"], 3):
                yield start, end, base.text[start:end].replace(site.node.op, op, 1)


@kind
def operation(base: Base, random: Random) -> Iterator[Change]:
    names = [n for n in primitives() if n[0].islower() and n != "index"]
    alike = ["relu", "softmax", "mean", "sum", "sigmoid", "square", "amax", "norm", "log", "exp", "flatten", "unsqueeze", "detach", "argmax", "count"]
    for site in base.of(ast.Call):
        if callee(site) in primitives() and callee(site)[0].islower():
            yield put(site.node.function, random.choice(names))
            yield put(site.node.function, random.choice(alike))
            yield put(site.node.function, misspelt(callee(site), random))


@kind
def module_kind(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Call):
        name = callee(site)
        if name in primitives() and name[0].isupper():
            near = [n for n in primitives() if n[0].isupper() and n != name]
            yield from (put(site.node.function, n) for n in random.sample(near, 3))
            yield put(site.node.function, misspelt(name, random))

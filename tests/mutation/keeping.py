# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""Changes to blocks that a careful writer makes, such as a name or a width that is changed at every place: many leave a text right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

from archloom.blocks.registry import primitives
from archloom.dsl import ast
from archloom.dsl.primitive import MISSING
from archloom.dsl.primitive import Kind as Takes

from .kinds import HEADS, Change, arguments, block_calls, bound, callee, dropped, put, values
from .mutation import Base, Site, also

FRESH = ("other_", "the_one", "z9", "renamed_value", "Q_")


def everywhere(base: Base, old: str, new: str, within: Any = None) -> Change:
    """Change a word or number at all places of a text, or of a node: one change, from the first to the last of them."""
    start, end = (within.span.start, within.span.end) if within is not None else (0, len(base.text))
    found = list(re.finditer(rf"(?<![\w.]){re.escape(old)}(?![\w.])" if old[0].isdigit() else rf"\b{re.escape(old)}\b", base.text[start:end]))
    if not found:
        return start, start, ""
    first, last = start + found[0].start(), start + found[-1].end()
    part = base.text[start:end]
    pieces = [part[a.end() : b.start()] for a, b in zip(found, found[1:], strict=False)]
    return first, last, new + "".join(piece + new for piece in pieces)


def fresh(word: str, random: Random) -> str:
    """Return another name of the same kind."""
    new = random.choice((f"{word}_", f"{word}2", f"new_{word}", *FRESH[:4]))
    return new[0].upper() + new[1:] if word[0].isupper() else new


def widened(text: str, random: Random) -> list[str]:
    n = int(text)
    return [str(2 * n), str(n + 1), str(n + random.choice((2, 4))), str(max(n // 2, 1)), str(n * 3)]


def numbers(base: Base, sites: Iterator[Site], random: Random) -> Iterator[Change]:
    """Change the numbers of some sites wherever they stand in the text, or in the item around."""
    seen: set[str] = set()
    for site in sites:
        if not re.fullmatch(r"\d+", site.text):
            continue
        if site.text not in seen:
            seen.add(site.text)
            yield from (everywhere(base, site.text, n) for n in widened(site.text, random))
        if site.around:
            yield everywhere(base, site.text, random.choice(widened(site.text, random)), site.around[0])


def values_of(base: Base, leaf: bool, named: Any) -> Iterator[Site]:
    """Yield the values of arguments that are called so."""
    for site in base.of(ast.Call):
        if callee(site)[:1].isupper() is leaf:
            yield from (Site(a.value, (*site.around, site.node, a)) for a in site.node.arguments if named(a))


@also("width")
def width_everywhere(base: Base, random: Random) -> Iterator[Change]:
    yield from numbers(base, values_of(base, True, lambda a: True), random)
    for site in base.of(ast.Parameter, ran=False):
        if site.node.default is not None and re.fullmatch(r"\d+", site.node.default.span.text):
            yield from (put(site.node.default, n) for n in widened(site.node.default.span.text, random))


@also("size")
def size_everywhere(base: Base, random: Random) -> Iterator[Change]:
    yield from numbers(base, (s for s in base.of(ast.Number) if s.inside(ast.TypeRef, ast.List) is not None), random)


@also("literal")
def literal_near(base: Base, random: Random) -> Iterator[Change]:
    """A number that is no size, and is another one of its sort."""
    for site in base.of(ast.Number):
        if isinstance(site.node.value, float):
            yield from (put(site.node, t) for t in random.sample(["0.1", "0.25", "0.9", "1e-6", "1e-4", "2.0", "1"], 3))
        elif site.inside(ast.Binary) is not None and site.inside(ast.TypeRef) is None:
            yield from (put(site.node, t) for t in (f"{site.text}.0", str(site.node.value + 1), f"({site.text})"))


@also("heads")
def heads_everywhere(base: Base, random: Random) -> Iterator[Change]:
    named = values_of(base, True, lambda a: bool(a.name and HEADS.search(a.name)))
    for site in named:
        if re.fullmatch(r"\d+", site.text):
            yield from (put(site.node, n) for n in ("1", "2", "4", "8") if n != site.text)
        elif site.node.span.text.isidentifier():
            yield from (put(site.node, t) for t in ("1", f"{site.text} // {site.text}", f"max({site.text}, 1)", f"1 * {site.text}"))
    for site in base.of(ast.Parameter, ran=False):
        if HEADS.search(site.node.name):
            yield everywhere(base, site.node.name, fresh(site.node.name, random))
            if site.node.default is not None:
                yield from (put(site.node.default, n) for n in ("1", "2", "4"))


@also("kernel")
def kernel_with_padding(base: Base, random: Random) -> Iterator[Change]:
    """A kernel that keeps the size of its map: its padding goes with it; or the same numbers as a list."""
    for site in base.of(ast.Call):
        given = {name: a for name, a in named(site).items() if name in ("kernel", "stride", "padding", "dilation")}
        kernel = given.get("kernel")
        for name, argument in given.items():
            if re.fullmatch(r"\d+", argument.value.span.text) and callee(site).endswith("2d"):
                n = argument.value.span.text
                yield put(argument.value, f"[{n}, {n}]")
                if name != "kernel":
                    yield put(argument.value, f"{n} + 0")
        if kernel is None or not re.fullmatch(r"\d+", kernel.value.span.text):
            continue
        size, end = int(kernel.value.span.text), site.node.span.end - 1
        padding = given.get("padding")
        for more in (2, 4):
            wider, start = str(size + more), kernel.value.span.start
            if padding is None:
                yield start, end, f"{wider}{base.text[kernel.value.span.end : end]}, padding = {more // 2}"
            elif re.fullmatch(r"\d+", padding.value.span.text) and padding.span.start > start:
                between = base.text[kernel.value.span.end : padding.value.span.start]
                yield start, padding.value.span.end, f"{wider}{between}{int(padding.value.span.text) + more // 2}"
        if "dilation" not in given and size > 1 and padding is not None and re.fullmatch(r"\d+", padding.value.span.text):
            yield padding.value.span.start, end, f"{int(padding.value.span.text) + size - 1}{base.text[padding.value.span.end : end]}, dilation = 2"


def named(site: Site) -> dict[str, ast.Argument]:
    """Return the arguments of a call of an operation or leaf, by name."""
    entry = primitives().get(callee(site))
    free = [a.name for a in entry.arguments if not a.keyword] if entry is not None else []
    places = [a for a in site.node.arguments if a.name is None]
    return {**dict(zip(free, places, strict=False)), **{a.name: a for a in site.node.arguments if a.name}}


@also("pattern")
def pattern_renamed(base: Base, random: Random) -> Iterator[Change]:
    """An axis of another name at all its places; axes in another order on both sides; leading axes as `...`."""
    for site in base.of(ast.String):
        text = site.text
        if "->" not in text:
            continue
        call = site.inside(ast.Call)
        free = [c for c in "qvwzyu" if not re.search(rf"\b{c}\b", text)]
        for word in dict.fromkeys(re.findall(r"[a-z]\w*", text)):
            whole = call if call is not None and any(a.name == word for a in call.arguments) else site.node
            yield everywhere(base, word, random.choice(free), whole)
            yield everywhere(base, word, random.choice(("axis", f"{word}{word}", f"{word}1")), whole)
        yield put(site.node, text.replace(" ", "  ", 1))
        yield put(site.node, text.replace("->", " -> "))
        yield put(site.node, f"inverse(inverse({text}))")
        lead = re.match(r'"([a-z]\w*) ', text)
        if lead and "," not in text:
            yield put(site.node, re.sub(rf"\b{lead[1]}\b", "...", text))
        right = re.search(r'-> (\w+) (\w+)(?=[ "])', text)
        if right:
            yield put(site.node, text[: right.start()] + f"-> ({right[1]} {right[2]})" + text[right.end() :])
            yield put(site.node, text[: right.start()] + f"-> {right[2]} {right[1]}" + text[right.end() :])


@also("argument_value")
def argument_alike(base: Base, random: Random) -> Iterator[Change]:
    """A value of the sort that the argument takes."""
    for _, argument, declared in arguments(base):
        if declared is None:
            continue
        text = argument.value.span.text
        if declared.choices:
            yield from (put(argument.value, f'"{c}"') for c in declared.choices)
        if declared.kind is Takes.FLOAT:
            yield from (put(argument.value, t) for t in random.sample(["0.1", "0.5", "1e-6", "1e-3", "0.0", "1", "2"], 3))
        elif declared.kind is Takes.BOOL:
            yield from (put(argument.value, t) for t in ("true", "false", "1 > 0", f"not {text}" if text.isidentifier() else "not true"))
        elif declared.kind in (Takes.INT, Takes.INTS) and text.isidentifier():
            yield from (put(argument.value, t) for t in (f"1 * {text}", f"int({text})", f"{text} + 0", f"2 * {text} // 2", f"max({text}, 1)"))
        elif declared.kind is Takes.TENSOR and text.isidentifier():
            yield from (put(argument.value, t) for t in random.sample([f"1 * {text}", f"{text}[:]", f"relu({text})", f"-{text}", f"2.0 * {text}"], 2))


@also("argument_dropped")
def argument_with_default(base: Base, random: Random) -> Iterator[Change]:
    """An argument left out that has a default."""
    for site in base.of(ast.Call):
        defaults = optional(base, site)
        for change, argument in zip(_each_dropped(site.node), site.node.arguments, strict=True):
            if argument.name in defaults:
                yield change


def _each_dropped(call: ast.Call) -> list[Change]:
    return list(dropped(call, call.arguments))


def optional(base: Base, site: Site) -> set[str]:
    """Return the arguments that a callee has a default for."""
    entry = primitives().get(callee(site))
    if entry is not None:
        return {a.name for a in entry.arguments if a.default is not MISSING}
    if id(base) not in _DEFAULTS or _DEFAULTS[id(base)][0] is not base:
        _DEFAULTS.clear()
        found = {}
        for item in base.of(ast.Block, ast.Fn, ran=False):
            found[item.node.name] = {p.name for p in item.node.parameters if p.default is not None}
        _DEFAULTS[id(base)] = (base, found)
    return _DEFAULTS[id(base)][1].get(callee(site), {a.name for a in site.node.arguments if a.name})


_DEFAULTS: dict[int, tuple[Base, dict[str, set[str]]]] = {}
"""The defaults of the text that is looked at, by block."""


@also("argument_doubled")
def argument_added(base: Base, random: Random) -> Iterator[Change]:
    """An argument that was left out, with its default or another value of its sort."""
    for site in base.of(ast.Call):
        entry = primitives().get(callee(site))
        if entry is None or not site.node.arguments:
            continue
        at, given = site.node.arguments[-1].span.end, named(site)
        for argument in entry.arguments:
            if argument.name not in given:
                yield from ((at, at, f", {argument.name} = {text}") for text in sorted(spelt(argument, random)))


def spelt(argument: Any, random: Random) -> set[str]:
    """Return values of the sort that an argument takes, in the language."""
    default = argument.default
    found = {f'"{random.choice(argument.choices)}"'} if argument.choices else set()
    if isinstance(default, bool):
        found |= {"true", "false"}
    elif isinstance(default, (int, float)):
        found |= {repr(default), random.choice(("1", "2", "0.5"))}
    elif isinstance(default, str):
        found.add(f'"{default}"')
    elif default is None:
        found.add("none")
    return found


@also("argument_name")
def argument_named(base: Base, random: Random) -> Iterator[Change]:
    """A positional argument with its name, a name left out."""
    for site in base.of(ast.Call):
        for name, argument in named(site).items():
            if argument.name is None and argument is site.node.arguments[-1]:
                yield argument.span.start, argument.span.start, f"{name} = "


@also("swapped")
def order(base: Base, random: Random) -> Iterator[Change]:
    """Named arguments in another order; both sides of an operator."""
    for site in base.of(ast.Call):
        items = site.node.arguments
        for i, one in enumerate(items):
            for two in items[i + 1 :]:
                if one.name and two.name:
                    between = base.text[one.span.end : two.span.start]
                    yield one.span.start, two.span.end, two.span.text + between + one.span.text
    for site in base.of(ast.Binary):
        node = site.node
        if node.op in ("+", "*", "==", "and", "or", "&"):
            between = base.text[node.left.span.end : node.right.span.start]
            sides = [t if re.fullmatch(r"[\w.]+", t) else f"({t})" for t in (node.right.span.text, node.left.span.text)]
            yield node.left.span.start, node.right.span.end, between.join(sides) if "(" not in between and ")" not in between else node.span.text


@also("dtype")
def dtype_again(base: Base, random: Random) -> Iterator[Change]:
    """A conversion that changes nothing, there and back, or a dtype at all its places."""
    for old, new in (("float", "float32"), ("float32", "float"), ("int", "float"), ("bool", "int"), ("float", "complex")):
        yield everywhere(base, old, new)
        for item in base.of(ast.Block, ast.Model, ast.Fn):
            yield everywhere(base, old, new, item.node)
    for site in values(base):
        yield put(site.node, f"float({site.text})")
        yield put(site.node, random.choice((f"float(float32({site.text}))", f"float(bool({site.text}))", f"float(int({site.text}))")))
        yield put(site.node, random.choice((f"1.0 * {site.text}", f"where({site.text} > 0, {site.text}, 0.0)")))


@also("edge")
def edge_of_same_type(base: Base, random: Random) -> Iterator[Change]:
    """Another value that may have the same type: what it was computed from, an input that is declared alike."""
    near = neighbours(base)
    for site in values(base):
        item = site.around[0] if site.around else None
        yield from (put(site.node, n) for n in near.get((id(item), site.text), ()))


def neighbours(base: Base) -> dict[tuple[int, str], list[str]]:
    found: dict[tuple[int, str], list[str]] = {}

    def pair(item: Any, one: str, two: str) -> None:
        found.setdefault((id(item), one), []).append(two)
        found.setdefault((id(item), two), []).append(one)

    types: dict[tuple[int, str], str] = {}
    for site in base.of(ast.In, ast.Target, ast.Assign):
        item = site.around[0] if site.around else None
        if not isinstance(site.node, ast.Assign):
            for declared in site.node.names:
                key = (id(item), site.node.type.span.text)
                if key in types and types[key] != declared.name:
                    pair(item, declared.name, types[key])
                types[key] = declared.name
        elif len(site.node.goals) == 1:
            inner = [n for n in re.findall(r"[A-Za-z_]\w*", site.node.value.span.text) if n in bound(base, site)]
            for name in dict.fromkeys(inner):
                if name != site.node.goals[0].name:
                    pair(item, site.node.goals[0].name, name)
    return found


@also("operation")
def operation_alike(base: Base, random: Random) -> Iterator[Change]:
    """An operation that takes the same arguments."""
    for site in base.of(ast.Call):
        if callee(site) in primitives() and callee(site)[0].islower():
            near = [n for n in alike()[signature(callee(site))] if n != callee(site)]
            yield from (put(site.node.function, n) for n in random.sample(near, min(3, len(near))))


@also("module_kind")
def module_alike(base: Base, random: Random) -> Iterator[Change]:
    """A module that takes the same arguments."""
    for site in base.of(ast.Call):
        name = callee(site)
        if name in primitives() and name[0].isupper():
            near = [n for n in alike()[signature(name)] if n != name]
            yield from (put(site.node.function, n) for n in near)


def signature(name: str) -> tuple[Any, ...]:
    entry = primitives()[name]
    return name[0].isupper(), *(a.kind for a in entry.arguments if a.default is MISSING)


@cache
def alike() -> dict[tuple[Any, ...], list[str]]:
    found: dict[tuple[Any, ...], list[str]] = {}
    for name in primitives():
        found.setdefault(signature(name), []).append(name)
    return found


__all__ = ["block_calls"]

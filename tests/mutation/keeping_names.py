# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""Changes to names, indices, loops and statements that a careful writer makes: renamed throughout, moved, said in another way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

from archloom.dsl import ast

from .keeping import everywhere, fresh
from .kinds import Change, put, values
from .mutation import Base, also


@also("name")
def name_everywhere(base: Base, random: Random) -> Iterator[Change]:
    """A word at all its places: of the text, or of one item."""
    words = dict.fromkeys(s.text for s in base.of(ast.Name))
    for word in words:
        yield everywhere(base, word, fresh(word, random))
    for site in base.of(ast.Name):
        if site.around:
            yield everywhere(base, site.text, fresh(site.text, random), site.around[0])


@also("binding")
def binding_everywhere(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Goal, ast.Declared, ast.IndexSet, ran=False):
        name = site.node.name.name if isinstance(site.node, ast.IndexSet) else site.node.name
        yield everywhere(base, name, fresh(name, random))
        if site.around:
            yield everywhere(base, name, fresh(name, random), site.around[0])


@also("parameter")
def parameter_everywhere(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Parameter, ran=False):
        yield everywhere(base, site.node.name, fresh(site.node.name, random))
        yield (
            site.node.span.end,
            site.node.span.end,
            f", spare_: {random.choice(('int = 3', 'float = 0.5', 'bool = true', 'list[int] = [1]', 'fn = gelu', 'int'))}",
        )


@also("dimension")
def dimension_everywhere(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Name, ran=False):
        if isinstance(site.around[-1] if site.around else None, ast.TypeRef) and site.text[0].isupper():
            yield everywhere(base, site.text, random.choice(("Q", "Len", "N1")), site.around[0])
            yield put(site.node, random.choice((f"1 * {site.text}", f"{site.text} + 0", f"2 * {site.text} / 2")))


@also("loop_variable")
def loop_variable_everywhere(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.For, ast.Repeat):
        node = site.node
        for name in node.names if isinstance(node, ast.For) else (node.name,):
            yield from (everywhere(base, name, new, node) for new in (fresh(name, random), "step", "each_one"))
    for site in base.of(ast.Name):
        loop = site.inside(ast.For, ast.Repeat)
        if loop is not None and site.text in (loop.names if isinstance(loop, ast.For) else (loop.name,)):
            yield from (put(site.node, t) for t in (f"({site.text})", f"{site.text} + 0", f"{site.text} - 0"))


@also("carry")
def carry_everywhere(base: Base, random: Random) -> Iterator[Change]:
    """A carried name of another name, more names carried, the carried names in another order."""
    for site in base.of(ast.Repeat):
        carried = site.node.carry
        for one in carried:
            yield everywhere(base, one.id, fresh(one.id, random), site.around[0] if site.around else None)
            yield everywhere(base, one.id, fresh(one.id, random), site.node)
        for one, two in zip(carried, carried[1:], strict=False):
            yield one.span.start, two.span.end, f"{two.id}, {one.id}"
        if carried:
            last, rest = carried[-1].span.end, site.node.span.end - 1
            name = carried[-1].id
            yield last, rest, f"{base.text[last:rest]}; {name} = {random.choice((f'relu({name})', f'{name} + {name}', f'{name}', f'0.5 * {name}'))} "
            yield (
                last,
                rest,
                f"{base.text[last:rest]}; {name} = {random.choice((f'concat({name}, {name}, dim = -1)', f'{name}[none]', f'mean({name})'))} ",
            )


@also("index_set")
def index_set_other(base: Base, random: Random) -> Iterator[Change]:
    """The same members said in another way, or a member of another name at all its places."""
    for site in base.of(ast.SetLiteral):
        for item in site.node.items:
            if item.span.text.isidentifier():
                yield everywhere(base, item.span.text, fresh(item.span.text, random))
        if len(site.node.items) > 1:
            first, last = site.node.items[0], site.node.items[-1]
            yield first.span.start, last.span.end, ", ".join(i.span.text for i in reversed(site.node.items))
    for site in base.of(ast.Range):
        node = site.node
        if node.start is not None and node.stop is not None and not node.inclusive:
            yield put(node, f"{node.start.span.text}..={node.stop.span.text} - 1")
            yield put(node, f"{node.start.span.text}..({node.stop.span.text}) + 0")
    for site in base.of(ast.For, ast.Repeat):
        text = site.node.set.span.text
        yield put(site.node.set, f"reversed({text})")
        yield put(site.node.set, f"{{m_ for m_ in {text}}}")


@also("member")
def member_other(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Index):
        for item in site.node.items:
            text = item.span.text
            if isinstance(item, ast.Whole):
                yield from (put(item, t) for t in ("..", "0..", "..1", "1.."))
            elif isinstance(item, ast.Number):
                yield from (put(item, t) for t in (f"{text} + 0", f"{int(item.value) + 1} - 1", f"..={text}", f"-{text}"))
            elif isinstance(item, ast.Range):
                yield put(item, random.choice(("..", "*", f"{text}")))
                if item.stop is not None and item.inclusive:
                    yield put(item, f"{item.start.span.text if item.start else ''}..{item.stop.span.text}")
            elif isinstance(item, ast.Name):
                yield put(item, f"({text})")
                yield put(item, f"{text} + 0")


@also("none")
def none_and_back(base: Base, random: Random) -> Iterator[Change]:
    """An axis added and taken away again, or one more where it stretches."""
    pairs = ("[none][0]", "[..., none][..., 0]", "[:, none][:, 0]", "[none, ..., none][0, ..., 0]", "[none]")
    for site in values(base):
        yield put(site.node, f"{site.text}{random.choice(pairs)}")
        yield put(
            site.node, random.choice((f"unsqueeze({site.text}, 0)[0]", f"squeeze({site.text}[none], 0)", f"squeeze({site.text}[..., none], -1)"))
        )


@also("slice")
def slice_whole(base: Base, random: Random) -> Iterator[Change]:
    """A slice that takes all, or the same part in another way."""
    for site in values(base):
        yield put(site.node, f"{site.text}{random.choice(('[:]', '[...]', '[:, :]', '[0:]', '[..., 0:]', '[::1]'))}")
    for site in base.of(ast.Index):
        for item in site.node.items:
            if isinstance(item, ast.Slice) and item.stop is None and item.start is None:
                yield from (put(item, t) for t in ("0:", "::1", "0::1"))
            elif isinstance(item, ast.Slice):
                yield put(item, ":")
                start = item.start.span.text if item.start is not None else "0"
                yield put(item, f"{start}:{item.stop.span.text if item.stop is not None else ''}:1")


@also("axis")
def axis_other_way(base: Base, random: Random) -> Iterator[Change]:
    """An axis that has another sign or stands in a list."""
    for site in base.of(ast.Argument):
        text = site.text.partition("=")[2].strip()
        if site.node.name == "dim" and re.fullmatch(r"-?\d", text):
            n = int(text)
            others = (f"[{n}]", str(n - 2) if n >= 0 else str(n + 2), str(n - 3) if n >= 0 else str(n + 3), str(n - 4) if n >= 0 else str(n + 4))
            yield from (put(site.node.value, t) for t in others)


@also("output")
def output_everywhere(base: Base, random: Random) -> Iterator[Change]:
    for site in base.of(ast.Out, ran=False):
        node = site.node
        for declared in node.names:
            yield everywhere(base, declared.name, fresh(declared.name, random))
        if node.value is not None and len(node.names) == 1:
            yield node.span.start, node.span.start, f"part_ = {node.value.span.text}\n  "
            yield node.names[0].span.end, node.span.end, random.choice((f" = 2.0 * ({node.value.span.text})", f" = relu({node.value.span.text})"))
            yield node.span.end, node.span.end, f"\n  out more_ = {node.value.span.text}"


@also("statement")
def statement_split(base: Base, random: Random) -> Iterator[Change]:
    """A value with a name of its own, and a statement that nothing needs."""
    for site in base.of(ast.Assign):
        goals, value = site.node.goals, site.node.value
        if len(goals) == 1 and not goals[0].items:
            yield site.node.span.end, site.node.span.end, f"; {random.choice((f'spare_ = {goals[0].name}', f'{goals[0].name} = {goals[0].name}'))}"
            if not (isinstance(value, ast.Call) and value.function.span.text[:1].isupper()):
                yield put(site.node, f"part_ = {value.span.text}; {goals[0].span.text} = part_")
    for site in base.of(ast.Require, ast.Assert):
        yield site.node.span.end, site.node.span.end, f"; {site.text}"
    for site in base.of(ast.In, ran=False):
        if len(site.node.names) == 1 and site.node.condition is None:
            yield site.node.span.end, site.node.span.end, f"; require {random.choice(('1 == 1', 'true', '2 > 3'))}"


@also("operator")
def operator_alike(base: Base, random: Random) -> Iterator[Change]:
    """An operator that takes the same sides."""
    groups = (("+", "-", "*", "/"), ("==", "!=", "<", "<=", ">", ">="), ("and", "or"), ("&", "|"), ("//", "/", "%"))
    for site in base.of(ast.Binary):
        start, end = site.node.left.span.end, site.node.right.span.start
        for group in groups:
            if site.node.op in group and site.node.op in base.text[start:end]:
                yield from ((start, end, base.text[start:end].replace(site.node.op, op, 1)) for op in group if op != site.node.op)


@also("section")
def items_moved(base: Base, random: Random) -> Iterator[Change]:
    """Items of a file in another order; a word that stands for another statement which may be there."""
    items: list[Any] = [s.node for s in base.sites if not s.around and not isinstance(s.node, ast.Edition)]
    for one, two in zip(items, items[1:], strict=False):
        yield one.span.start, two.span.end, two.span.text + base.text[one.span.end : two.span.start] + one.span.text
    for one in items:
        if isinstance(one, ast.Fn):
            yield one.span.start, one.span.start + 2, "block"
        yield (
            one.span.end,
            one.span.end,
            random.choice(("\n# a note", '\n"a note"', "\nspare_ = 3", "\nunused = {a: 1}", "\narch 1", "\nimport norm.Nothing")),
        )
    for site in base.of(ast.Require, ast.Assert, ast.Draw, ran=False):
        word = re.match(r"\w+", site.text)
        other = {"require": "assert", "assert": "require", "draw": "in"}.get(word.group() if word else "")
        if other:
            yield site.node.span.start, site.node.span.start + len(word.group()), other

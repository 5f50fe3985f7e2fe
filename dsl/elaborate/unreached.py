"""What no elaboration runs: arms that are not taken, and items that no model reaches.  Nothing gives their names values, so that
each name is only required to stand for something: what any statement of the item binds is let be, and so are words that a caller's
index set or enum may hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import field
from typing import Any

from .. import ast
from ..diagnostics import Diagnostic
from ..parse.pythonisms import SELECTING, walk
from ..parse.vocabulary import ITEM_WORDS
from ..primitive import Kind
from ..record import record
from .arguments import Slot, bind, check_type, of_item, of_primitive, typed_expression
from .bound import bound_names
from .builder import Builder
from .calls import FOLDS
from .context import Context, Poisoned, Problem
from .declarations import existing
from .expressions import SPECIAL, lookup, stands, undefined, visible
from .externs import is_tensor
from .files import File, Files
from .functions import FUNCTIONS
from .inputs import dtype_of
from .scope import Frame


@record
class Taken:
    """What a callee takes; a bare word given to one of `enums` is a choice."""

    all: Sequence[Slot]
    enums: Mapping[str, ast.Type] = field(default_factory=dict[str, ast.Type])


RESERVED = "A901"
"""What is reserved is kept as it is written, where nothing is to run it."""

Checked = ast.Block | ast.Model | ast.Fn | ast.ExternBlock | ast.ExternFn


def check_arm(statements: tuple[ast.Node, ...], frame: Frame, known: Collection[str] = ()) -> None:
    """Report names in an arm that no elaboration could know; `known` ones are let be."""
    context = frame.builder.context
    frame.builder.body.is_partial = True
    new = [statement for statement in statements if id(statement) not in context.files.arms]
    if new:
        item = context.active[-1][1] if context.active else None  # outside a block nothing is bound
        bound = context.files.once(_binds, item) if item is not None else frozenset[str]()
        context.files.arms.update((id(statement), statement) for statement in new)
        for statement in new:
            _check_names(statement, bound.union(known) if known else bound, frame)


def unreached(trees: Iterable[ast.Item], files: Files) -> list[Checked | ast.Definition]:
    """Return the items that could have been elaborated and were not."""
    kinds = (ast.Block, ast.Model, ast.Fn, ast.ExternBlock, ast.ExternFn, ast.Definition)
    return [tree for tree in trees if isinstance(tree, kinds) and id(tree) not in files.reached]


def check_unreached(items: Iterable[Checked | ast.Definition], file: File, context: Context) -> None:
    """Report unknown names, types and arguments in items of a file that no model reaches."""
    for item in items:
        if context.spent.exhausted:
            return
        frame = Frame("block", Builder(context, item.name, item.span), file)
        if isinstance(item, ast.Definition):
            if item.name in ITEM_WORDS:
                context.warn("A113", f"`{item.name}` is bound here but never read", item.span, f"an item that begins with `{item.name}` has no `=`")
            name = ast.Name(item.span, item.name)
            _attempt(context, lambda name=name, inner=frame: lookup(name, inner))
            continue
        context.active.append((item.name, item))
        known = context.files.once(_binds, item)
        _check_names(item, known, frame)
        _check_types(item, context)
        for work in (*_calls(item, known, frame), *_outs(item, known, frame)):
            _attempt(context, work)
        context.active.pop()


def _attempt(context: Context, work: Callable[[], object]) -> None:
    try:
        work()
    except Problem as problem:
        if problem.diagnostic.code != RESERVED:
            context.report(problem.diagnostic)
    except Poisoned:
        pass  # its errors are reported


# ---------------------------------------------------------------------------------------------------------- names


def _check_names(node: ast.Node, known: Set[str], frame: Frame) -> None:
    words = _words(node, known, frame)
    for name in walk(node):
        if not isinstance(name, ast.Name) or id(name) in words or name.id in SPECIAL or name.id in known:
            continue
        try:
            if frame.owner(name.id) is not None or stands(name, frame):
                continue
        except (Problem, Poisoned):
            continue  # it stands for something, and is read wrongly perhaps
        message, span, help = undefined(name, lambda: visible(frame) | known, frame)
        frame.builder.context.report(Diagnostic("A102", message, span, help=help))


def _binds(node: ast.Node) -> frozenset[str]:
    """Return the names that an item binds in any of its arms and loops."""
    return frozenset(_bound_in(node))


def _bound_in(node: ast.Node) -> Iterator[str]:
    for inner in walk(node):
        if isinstance(inner, (ast.For, ast.Clause)):
            yield from inner.names
        elif isinstance(inner, (ast.Repeat, ast.Binder, ast.Parameter)):
            yield inner.name
        elif isinstance(inner, ast.TypeRef):
            yield from (n.id for a in inner.arguments or () for n in walk(a) if isinstance(n, ast.Name) and n.id[0].isupper())
        elif isinstance(inner, ast.Out) and inner.value is None and inner.type is None:
            continue  # it names a value that another statement binds
        elif isinstance(inner, (ast.Assign, ast.In, ast.Target, ast.Draw, ast.Out, ast.IndexSet, ast.State, ast.Loss, ast.Broken)):
            yield from bound_names(inner)


# ------------------------------------------------------------------------------------------------ calls and types


def _taken(node: ast.Call, known: Set[str], frame: Frame) -> Taken | None:
    """Return what the callee takes, where that does not depend on values."""
    name = node.function.id if isinstance(node.function, ast.Name) else ""
    library = frame.builder.context.library
    if not name or name in known or name in SPECIAL or name in FUNCTIONS or name in library.initialisers():
        return None
    try:
        found = frame.builder.context.files.find(frame.file, name)
    except (Problem, Poisoned):
        return None
    if found is not None:
        return _of_item(found[1])
    imported = frame.file.imports.get(name)
    primitive = library.primitive(name if imported is None else imported[1].name)
    if primitive is None or name in FOLDS or any(a.kind is Kind.SIZES for a in primitive.arguments):
        return None
    return Taken(of_primitive(primitive.arguments))


def _of_item(item: ast.Item) -> Taken | None:
    if not isinstance(item, Checked):
        return None
    return Taken(of_item(item.parameters), {p.name: p.type for p in item.parameters if isinstance(p.type, (ast.EnumType, ast.TypeChoice))})


def _calls(item: Checked, known: Set[str], frame: Frame) -> Iterator[Callable[[], object]]:
    """Yield a check of each call's arguments against what its callee takes, and of each choice of an enum."""
    enums = {p.name: p.type for p in item.parameters if isinstance(p.type, ast.EnumType)}
    chosen = [(p.type, p.default) for p in item.parameters if p.name in enums]
    for node in walk(item):
        if isinstance(node, ast.Call) and (taken := _taken(node, known, frame)) is not None:
            yield lambda node=node, taken=taken: bind(node.function.span.text, node.arguments, taken.all, node.span)
            chosen += [(taken.enums[name], value) for name, value in _bound(node, taken).items() if name in taken.enums]
        elif isinstance(node, ast.Binary) and node.op in ("==", "!=") and isinstance(node.left, ast.Name) and node.left.id in enums:
            chosen.append((enums[node.left.id], node.right))
    for type_, word in chosen:
        if isinstance(word, ast.Name) and word.id not in known:
            yield lambda type_=type_, word=word: typed_expression(type_, word, frame)


def _bound(node: ast.Call, taken: Taken) -> Mapping[str, ast.Expr]:
    try:
        return bind("", node.arguments, taken.all, node.span).given
    except Problem:
        return {}


def _outs(item: Checked, known: Set[str], frame: Frame) -> Iterator[Callable[[], object]]:
    """Yield a check of each `out y` that names a value."""
    for node in walk(item):
        if isinstance(node, ast.Out) and node.value is None and node.type is None:
            yield from (lambda name=name: existing(name, frame) for name in node.names if name.name not in known)


def _check_types(item: Checked, context: Context) -> None:
    plain = not isinstance(item, (ast.Fn, ast.ExternFn))
    for parameter in item.parameters:
        for type_ in _choices(parameter.type):
            if isinstance(type_, ast.TypeRef) and (plain or not is_tensor(type_)):
                _attempt(context, lambda name=parameter.name, type_=type_: check_type(name, type_))
    declared = [n.type for n in walk(item) if isinstance(n, (ast.In, ast.Target, ast.Draw, ast.State, ast.Out)) and n.type is not None]
    for type_ in (t for d in (*declared, *([item.result] if isinstance(item, ast.ExternFn) else [])) for t in _choices(d)):
        _attempt(context, lambda type_=type_: dtype_of(type_))


def _choices(type_: ast.Type) -> Iterator[ast.Type]:
    if isinstance(type_, ast.TypeChoice):
        yield from _choices(type_.then)
        yield from _choices(type_.otherwise)
    else:
        yield type_


# ---------------------------------------------------------------------------------------------------------- words


def _words(node: ast.Node, known: Set[str], frame: Frame) -> set[int]:
    """Return names that are not read as values: members in sets, map keys, enum choices, selectors, indices, initialisers, roles."""
    found: set[int] = set()
    for inner in walk(node):
        parts = _spoken(inner, known, frame) if isinstance(inner, ast.Call) else _WORDS.get(type(inner), _none)(inner)
        found |= {id(n) for part in parts for n in part}
    return found


def _none(node: Any) -> tuple[Iterator[ast.Name], ...]:
    return ()


def _bare(*nodes: ast.Node | None) -> Iterator[ast.Name]:
    """Yield the names that stand as they are, or in a list, a range, a choice or a sum: not what is called or indexed."""
    waiting: list[Any] = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            yield node
        elif isinstance(node, (ast.List, ast.Tuple, ast.SetLiteral)):
            waiting.extend(node.items)
        elif isinstance(node, (ast.Range, ast.Slice)):
            waiting.extend((node.start, node.stop))
        elif isinstance(node, ast.Ternary):
            waiting.extend((node.then, node.otherwise))
        elif isinstance(node, ast.Binary):
            waiting.extend((node.left, node.right))


def _all(*nodes: ast.Node | None) -> Iterator[ast.Name]:
    """Yield every name in nodes that speak of paths."""
    yield from (n for node in nodes if node is not None for n in walk(node) if isinstance(n, ast.Name))


def _compared(node: ast.Binary) -> tuple[Iterator[ast.Name], ...]:
    sides = (side for side in (node.left, node.right) if isinstance(side, (ast.Name, ast.List)))
    return (_bare(*sides),) if node.op in ("==", "!=", "in", "not in") else ()


_WORDS: dict[type, Callable[[Any], tuple[Iterator[ast.Name], ...]]] = {
    ast.SetLiteral: lambda n: (_bare(*n.items),), ast.MapLiteral: lambda n: (_bare(*(key for key, _ in n.items)),),
    ast.Index: lambda n: (_bare(*n.items),), ast.Binary: _compared, ast.EnumType: lambda n: (_all(n),),
    ast.Parameter: lambda n: (_bare(n.default),) if isinstance(n.type, (ast.EnumType, ast.TypeChoice)) else (),
    ast.Freeze: lambda n: (_all(n),), ast.Tie: lambda n: (_all(n),), ast.Renamed: lambda n: (_all(n),),
    ast.Assert: lambda n: () if n.relation is None else (_all(n),),
    ast.In: lambda n: () if n.role is None else (_role(n.role),), ast.Draw: lambda n: (_role(n.distribution),),
    ast.State: lambda n: (_bare(n.initial),),
}  # fmt: skip
"""The parts of each kind of node whose names are words, not values."""


def _role(node: ast.Expr) -> Iterator[ast.Name]:
    return _bare(node.function if isinstance(node, ast.Call) else node)


def _spoken(node: ast.Call, known: Set[str], frame: Frame) -> tuple[Iterator[ast.Name], ...]:
    """Return the words in a call: choices of an enum; of an unknown callee, what stands bare behind a name."""
    name = node.function.id if isinstance(node.function, ast.Name) else ""
    if name in SELECTING:
        return (_all(*node.arguments),)
    if name in SPECIAL or name in FUNCTIONS or name in frame.builder.context.library.initialisers():
        return ()
    taken = _taken(node, known, frame)
    if taken is not None:
        return (_bare(*(value for name, value in _bound(node, taken).items() if name in taken.enums)),)
    return (_bare(*(a.value for a in node.arguments if a.name is not None)),)

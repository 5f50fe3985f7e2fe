# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's weights maps: which stored tensor fills which parameter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archloom.blocks.initialisers import INITIALISERS
from archloom.dsl import ast
from archloom.dsl.diagnostics import closest
from archloom.dsl.parser import parse_expression
from archloom.dsl.source import Source

from .borders import root
from .checks import need
from .conversions import initialiser, start_of
from .expressions import clauses, evaluate, loosely
from .members import text
from .oracle import run_model
from .parameters import typed
from .paths import Holdings, Owned, Selection, owned
from .scopes import MISSING, Body, Frame
from .values import File, Member, Set, Unknown, Wrong, plain, tidy, whole

# ---------------------------------------------------------------------------------------------------------------- weights


class Map:
    """One weights map."""

    def __init__(self, item: ast.Weights, body: Body, frame: Frame, file: File) -> None:
        self.item, self.body, self.frame, self.file = item, body, frame, file
        self.holdings: Holdings = body.holdings
        self.hits: dict[int, Any] = {}
        self.family: ast.String | None = None
        self.stored: dict[str, tuple[int, ...]] | None = None

    def judge(self) -> None:
        for node in self.item.sources:
            self._source(node)
        for rule in self.item.rules:
            if isinstance(rule, ast.WeightRule):
                for inner in clauses(rule.clauses, self.frame):
                    self._rule(rule, inner)
        if self.item.complete:
            filled = self.hits.keys() | {i for pair in self.body.world.pairs if pair & self.hits.keys() for i in pair}
            need(all(id(o.value) in filled for o in self.holdings.entries), "a complete map leaves something out")

    def _source(self, node: Any) -> None:
        if isinstance(node, ast.String):
            return
        function = node.function if isinstance(node, ast.Call) else node
        need(isinstance(function, ast.Name), "no source of weights")
        if function.id == "family" and isinstance(node, ast.Call) and isinstance(node.arguments[0].value, ast.String):
            need(len(self.item.sources) == 1, "a family source stands alone")
            self.family = node.arguments[0].value
            return
        model = self.file.items.get(function.id)
        need(isinstance(model, (ast.Model, ast.ModelAlias)), "no source of weights")
        if isinstance(model, ast.ModelAlias):
            raise Unknown("an alias as a source")
        if len(self.item.sources) == 1:
            types = {p.name: p.type for p in model.parameters}
            arguments = node.arguments if isinstance(node, ast.Call) else ()
            rest = [a for a in arguments if isinstance(a.value, ast.Ellipsis) and a.name is None]
            need(all(a.name in types for a in arguments if a not in rest), "an unknown argument of a source")
            own = {n: v for n, v in root(self.frame).names.items() if n in types} if rest else {}
            given = own | {a.name: typed(types[a.name], a.value, self.frame) for a in arguments if a not in rest}
            world = self.body.world
            _, other, _ = run_model(self.file, model.name, world.sizes, world.training, given)
            self.stored = {o.path: tuple(o.value.shape) for o in owned(other.made)}

    # ----------------------------------------------------------------------------------------------------- rules

    def _rule(self, rule: ast.WeightRule, inner: Frame) -> None:
        selection = Variables(self.holdings, list(self.body.tasks), inner)
        found = list(selection.hits(rule.target))
        filled: set[int] = set()
        used: set[str] = set()
        bound: dict[str, list[str]] = {}
        for one, depth, bindings, captures in found:
            for name, (_, members) in bindings.items():
                bound.setdefault(name, members)
            if id(one.value) in filled:
                continue
            filled.add(id(one.value))
            scope = inner.child("clause")
            variables = {k: Member(m, Set(tuple(ms), tuple(ms))) for k, (m, ms) in bindings.items()}
            scope.names.update(variables)
            tables = {name: loosely(node, scope) for name, node in rule.where}
            need(all(isinstance(table, dict) for table in tables.values()), "where takes maps")
            scope.names.update(tables)
            own = {n: f.names[n] for f in inner.chain() if f.kind == "clause" for n in f.names if isinstance(f.names[n], Member)}
            rest = ".".join(".".join([n, *map(text, ms)]) for n, ms in one.parts[depth:])
            if captures and captures[-1] is None:
                captures, rest = (*captures[:-1], rest), ""
            right = Right(scope, {**own, **variables}, tables, captures, used)
            if self.family is not None:
                right.fill(self.family.value, file=True)
            names, steps = right.read(rule.value)
            names = [f"{n}.{rest}" if rest else n for n in names]
            self._suits(one, names, steps)
            key = id(one.value)
            if key in self.hits and self.hits[key][1] == one.path:
                raise Wrong("a tensor is filled twice")
            self.hits.setdefault(key, (rule, one.path))
        for name, members in bound.items():
            misspelt = name not in used and len(name) > 2 and closest(name, map(text, members)) is not None
            need(not misspelt, "a variable that may be a misspelt member")

    def _suits(self, one: Owned, names: Sequence[str], steps: Sequence[Any]) -> None:
        """Require what is sure of names and shapes without the file."""
        _possible(tuple(one.value.shape), steps)
        for name in names if self.stored is not None else ():
            assert self.stored is not None
            need(name in self.stored, f"the other model has no {name}")
            need(bool(steps) or self.stored[name] == tuple(one.value.shape), "another shape in the other model")


class Variables(Selection):
    """Left sides of rules: selectors whose unbound names in brackets stand for every member."""

    def __init__(self, holdings: Holdings, tasks: Sequence[str], frame: Frame) -> None:
        super().__init__(holdings, tasks, frame, variables=True)

    def hits(self, node: Any) -> Iterator[tuple[Owned, int, dict[str, Any], Any]]:
        """Yield each tensor with how many parts of its path the left side names, what its variables are, what `*` and `**` stand for."""
        if isinstance(node, ast.SetLiteral) and node.items:
            for item in node.items:
                yield from self.hits(item)
            return
        if isinstance(node, ast.Binary) and node.op == "except":
            gone = {id(o.value) for o in self.select(node.right)}
            left = list(self.hits(node.left))
            kept = [h for h in left if id(h[0].value) not in gone]
            need(bool(kept) or not left, "except takes away all")
            yield from kept
            return
        need(not isinstance(node, ast.OfKind), "a rule selects by path")
        if isinstance(node, ast.Name) and node.id == "all" and self.frame.owner("all") is None:
            yield from ((o, 0, {}, ()) for o in self.entries)
            return
        for path in self.paths(node):
            if any(p[0] == "anchor" for p in path):
                raise Unknown("a rule by another name")
            matched = {id(o): o for o in self._path(path)}
            task = path[0][1] if path[0][0] == "word" and path[0][1] in self.tasks and len(path) > 1 else None
            names = {n.name for n in self.root.children.values()}
            parts = path[1:] if task is not None and path[0][1] not in names else path
            for one in matched.values():
                for depth, bindings, captures in _walks(one, 0, parts, {}, (), self):
                    yield one, depth, bindings, captures
                    break


def _walks(one: Owned, at: int, parts: Sequence[Any], bindings: dict[str, Any], captures: tuple[Any, ...], selection: Variables) -> Iterator[Any]:
    """Yield the ways in which a path goes along a tensor's own."""
    if not parts:
        yield at, bindings, captures
        return
    part, rest = parts[0], parts[1:]
    if part[0] == "deep":
        if not rest:
            yield at, bindings, (*captures, None)
            return
        for end in range(at, len(one.parts)):
            inside = ".".join(".".join([n, *map(text, ms)]) for n, ms in one.parts[at:end])
            yield from _walks(one, end, rest, bindings, (*captures, inside), selection)
        return
    if at >= len(one.parts) or part[1] not in (None, one.parts[at][0]):
        return
    name, members = one.parts[at]
    found = _bound_members(one, at, part[2], bindings, selection)
    if found is None:
        return
    end = at + 2 if len(part[2]) > len(members) else at + 1
    extra = (".".join([name, *map(text, members)]),) if part[1] is None else ()
    yield from _walks(one, end, rest, found, (*captures, *extra), selection)


def _bound_members(one: Owned, at: int, items: Sequence[Any], bindings: dict[str, Any], selection: Variables) -> dict[str, Any] | None:
    """Return what variables stand for at one place of a path; None where its members are others."""
    name, members = one.parts[at]
    found = dict(bindings)
    for i, item in enumerate(items[: len(members)]):
        siblings = selection.holdings.siblings(at, name, i)
        if item[0] == "variable":
            if item[1] in found and text(found[item[1]][0]) != text(members[i]):
                return None
            found[item[1]] = (members[i], siblings)
        elif item[0] == "exactly":
            values = [siblings[v] if isinstance(v, int) and -len(siblings) <= v < 0 else v for v in item[1]]
            if text(members[i]) not in [text(v) for v in values] and text(members[i]) != item[2]:
                return None
    return found


class Right:
    """The right side of a rule, for one choice of its variables."""

    def __init__(self, frame: Frame, variables: Mapping[str, Any], tables: Mapping[str, Any], captures: Any, used: set[str]) -> None:
        self.frame, self.variables, self.tables, self.captures, self.used = frame, variables, tables, captures, used

    def read(self, node: Any) -> tuple[list[str], list[Any]]:
        if isinstance(node, ast.String):
            return [self.fill(node.value)], []
        if isinstance(node, ast.Index):
            names, steps = self.read(node.object)
            return names, [*steps, ("slice", [self._item(i) for i in node.items])]
        if isinstance(node, ast.Call) and isinstance(node.function, ast.Name) and node.function.id in ("transpose", "rearrange", "reshape", "concat"):
            return getattr(self, f"_{node.function.id}")(node)
        function = node.function if isinstance(node, ast.Call) else node
        if isinstance(function, ast.Name) and function.id not in INITIALISERS:
            need(self.frame.find(function.id) is not MISSING, f"a tensor comes from no {function.id}")
        start_of(initialiser(node, self.frame))
        return [], [("init",)]

    def _source(self, node: Any) -> tuple[list[str], list[Any]]:
        names, steps = self.read(node)
        need(bool(names), "an initialiser is no stored tensor")
        return names, steps

    def _transpose(self, node: ast.Call) -> tuple[list[str], list[Any]]:
        values = [a.value for a in node.arguments]
        need(1 <= len(values) <= 3 and all(a.name in (None, "x", "a", "b") for a in node.arguments), "transpose takes a tensor and two axes")
        names, steps = self._source(values[0])
        dims = [whole(evaluate(v, self.frame), "an axis") for v in values[1:]] + [0, 1][len(values) - 1 :]
        return names, [*steps, ("transpose", dims)]

    def _rearrange(self, node: ast.Call) -> tuple[list[str], list[Any]]:
        plain_ = [a for a in node.arguments if a.name is None]
        need(len(plain_) == 2, "rearrange takes a tensor and a pattern")
        names, steps = self._source(plain_[0].value)
        pattern = evaluate(plain_[1].value, self.frame)
        need(isinstance(pattern, str) and pattern.count("->") == 1, "rearrange takes a pattern")
        return names, [*steps, ("rearrange", pattern)]

    def _reshape(self, node: ast.Call) -> tuple[list[str], list[Any]]:
        need(len(node.arguments) == 2, "reshape takes a tensor and a shape")
        names, steps = self._source(node.arguments[0].value)
        shape = evaluate(node.arguments[1].value, self.frame)
        need(isinstance(shape, (list, tuple)), "reshape takes a list")
        return names, [*steps, ("reshape", [whole(n, "a size") for n in shape])]

    def _concat(self, node: ast.Call) -> tuple[list[str], list[Any]]:
        need(all(a.name in (None, "dim") for a in node.arguments), "concat takes no such argument")
        parts = [a.value for a in node.arguments if a.name is None]
        parts = list(parts[0].items) if len(parts) == 1 and isinstance(parts[0], ast.List) else parts
        need(len(parts) >= 2, "concat joins several")
        names = []
        for part in parts:
            inner, _ = self._source(part)
            need(len(inner) == 1, "a concat in a concat")
            names += inner
        dims = [a.value for a in node.arguments if a.name]
        return names, [("concat", whole(evaluate(dims[0], self.frame), "an axis") if dims else 0)]

    def _item(self, node: Any) -> Any:
        if isinstance(node, ast.Ellipsis):
            return None

        def end(e: Any) -> Any:
            return None if e is None else self._whole(evaluate(e, self.frame))

        if isinstance(node, ast.Slice):
            return [end(node.start), end(node.stop), end(node.step)]
        if isinstance(node, ast.Range):
            stop = end(node.stop)
            return [end(node.start), stop + 1 if stop is not None and node.inclusive else stop, None]
        value = evaluate(node, self.frame)
        if isinstance(value, Set):
            return ["take", len(value.members)]
        if isinstance(value, (list, tuple)):
            return ["take", len([self._whole(v) for v in value])]
        return self._whole(value)

    def _whole(self, value: Any) -> int:
        return whole(value.position if isinstance(value, Member) and not isinstance(value.key, int) else value, "a position")

    # -------------------------------------------------------------------------------------------------- templates

    def fill(self, template: str, file: bool = False) -> str:
        """Return a stored name with its holes filled in."""
        filled = re.sub(r"\{([^{}]*)\}", lambda m: self._hole(m[1]), template)
        wild = re.findall(r"\*\*|\*", filled)
        if file or (not wild and not self.captures):
            return filled
        need(len(wild) == len(self.captures), "as many * on both sides")
        if None in self.captures:
            return filled
        captured = iter(self.captures)
        return re.sub(r"\.{2,}", ".", re.sub(r"\*\*|\*", lambda _: next(captured), filled)).strip(".")

    def _hole(self, inside: str) -> str:
        node, _ = parse_expression(Source("hole", inside))
        need(node is not None, "a hole can't be read")
        from .borders import names_in

        self.used.update(names_in(node))
        if isinstance(node, ast.Name) and node.id in self.tables:
            table = self.tables[node.id]
            found = [n for n, m in self.variables.items() if m.key in table]
            need(len(found) == 1, "a map that doesn't fit")
            self.used.add(found[0])
            return self._text(table[self.variables[found[0]].key])
        return self._text(evaluate(node, self.frame))

    def _text(self, value: Any) -> str:
        if isinstance(value, Set):
            return ",".join(map(text, value.members))
        value = tidy(plain(value))
        need(isinstance(value, (int, str)) and not isinstance(value, bool), "a hole says nothing")
        need(not isinstance(value, int) or value >= 0, "a negative number in a name")
        return str(value)


def _possible(shape: tuple[int, ...], steps: Sequence[Any]) -> None:
    """Require what is sure of a shape without the file."""
    if not steps:
        return
    word, *given = steps[-1]
    if word == "transpose":
        need(all(-len(shape) <= d < len(shape) for d in given[0]), "a transposed tensor has more axes")
    elif word == "rearrange":
        side = given[0].split("->")[1]
        if "..." not in side:
            need(len(re.findall(r"\([^)]*\)|[^\s()]+", side)) == len(shape), "a pattern gives other axes")
    elif word == "reshape":
        need(len(given[0]) == len(shape) and all(n in (-1, own) for n, own in zip(given[0], shape, strict=True)), "another shape")
    elif word == "concat":
        need(-len(shape) <= given[0] < len(shape), "no such axis")
    elif word == "slice" and None not in given[0]:
        kept = [i for i in given[0] if not isinstance(i, int)]
        need(len(kept) <= len(shape), "a slice keeps more axes")
        for axis, item in enumerate(kept):
            length = item[1] if item[0] == "take" else _length(item)
            need(length is None or length == shape[axis], "a slice of another length")


def _length(item: Sequence[int | None]) -> int | None:
    start, stop, step = item
    if stop is None or stop < 0 or (start or 0) < 0:
        return None
    return len(range(start or 0, stop, step or 1))

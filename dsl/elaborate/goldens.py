"""`golden NAME for MODEL { ... }`: where reference tensors for a model's parameters, inputs and values are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .. import ast
from ..diagnostics import Diagnostic, Label
from ..inspector import Owned
from ..members import member_text
from ..program import Body, GoldenPlan, ModuleDecl, Program
from ..selection import Tree
from . import statics
from .context import Poisoned, Problem, fail, suggest
from .literals import clauses
from .scope import Frame
from .selecting import selector
from .templates import fill
from .values import Family, Tensor, Value
from .weightmaps import hits, scope_of

Part = tuple[str, tuple[object, ...]]


@dataclass(slots=True, eq=False)
class _Reading:
    """A golden clause list while it is read."""

    parameters: dict[str, str] = field(default_factory=dict[str, str])
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    values: dict[str, str] = field(default_factory=dict[str, str])
    host: str | None = None
    weights: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    mode: str = "eval"


def add_golden(item: ast.Golden, program: Program, model: ast.Model | None, frame: Frame) -> None:
    """Check a golden item and put it into the program."""
    context = frame.builder.context
    read = _Reading()
    reader = _Reader(program, model, frame, read)
    if item.name in program.goldens:
        first = (Label(program.goldens[item.name].span, "the first one"),)
        context.report(Diagnostic("A624", f"`golden {item.name}` is declared twice", item.span, first, "rename one of them"))
    for clause in item.clauses:
        try:
            reader.clause(clause)
        except Problem as problem:
            context.report(problem.diagnostic)
        except Poisoned:
            continue
    program.goldens[item.name] = GoldenPlan(
        item.name, program.name, tuple(read.parameters.items()), tuple(read.inputs.items()), tuple(read.values.items()), read.host, read.weights,
        read.tasks, read.mode, item.span,
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class _Reader:
    program: Program
    model: ast.Model | None
    frame: Frame
    read: _Reading
    trees: dict[str, Tree] = field(default_factory=dict[str, Tree])

    def clause(self, clause: ast.GoldenClause) -> None:
        if isinstance(clause, ast.GoldenParam):
            self._param(clause)
        elif isinstance(clause, ast.GoldenIn):
            self._stored(clause.target, clause.value, clause.clauses, "A621", "input", self.read.inputs)
        elif isinstance(clause, ast.GoldenValue):
            self._stored(clause.value, clause.name, clause.clauses, "A622", "value", self.read.values)
        elif isinstance(clause, ast.GoldenHost):
            if self.read.host is not None:
                fail("A624", "`host` is given twice", clause.span, "keep one of them")
            self.read.host = clause.name.value
        else:
            self._use(clause)

    def _param(self, clause: ast.GoldenParam) -> None:
        names = [parameter.name for parameter in self.model.parameters] if self.model is not None else []
        if clause.name not in names:
            help = suggest(clause.name, names, f"its parameters are {statics.listed(names)}" if names else "the model has no parameters")
            fail("A620", f"`{self.program.name}` has no parameter `{clause.name}`", clause.span, help)
        if clause.name in self.read.parameters:
            fail("A624", f"`param {clause.name}` is given twice", clause.span, "keep one of them")
        self.read.parameters[clause.name] = " ".join(clause.value.span.text.split())

    def _use(self, clause: ast.GoldenUse) -> None:
        names = [node.id if isinstance(node, ast.Name) else node.span.text for node in clause.names]
        known = {"weights": list(self.program.weights), "tasks": list(self.program.tasks), "mode": ["eval", "train"]}[clause.word]
        for name, node in zip(names, clause.names, strict=True):
            if name not in known:
                noun = {"weights": "weights map", "tasks": "task", "mode": "mode"}[clause.word]
                there = f"there {'is' if len(known) == 1 else 'are'} {statics.listed(known)}" if known else f"the model has no {noun}"
                fail("A623", f"there is no {noun} `{name}`", node.span, suggest(name, known, there))
        if clause.word == "mode":
            self.read.mode = names[0]
        elif clause.word == "tasks":
            self.read.tasks = tuple(names)
        else:
            self.read.weights = tuple(names)

    def _stored(self, target: ast.Expr, name: ast.Expr, loops: tuple[ast.Clause, ...], code: str, noun: str, found: dict[str, str]) -> None:
        """Read `in x <- "name"` or `value x -> "name"`: one stored tensor for each choice of the index variables."""
        if not isinstance(name, ast.String):
            fail("A606", f"`{name.span.text}` is no name of a stored tensor", name.span, 'write it in quotes: `"layers.{i}.attn_probs"`')
        tree = self._tree(noun)
        for inner in clauses(loops, self.frame):
            for match, _, _ in hits(selector(target, inner, variables=True), tree, code):
                scope = scope_of(match, inner, (), set())
                own = [tree.entries[n] for n in match.branch.own if match.task is None or match.task in tree.entries[n].tasks]
                if len(own) != 1:
                    inside = statics.listed([entry.path for entry in own] or match.branch.children)
                    fail(code, f"`{target.span.text}` is not one {noun}", target.span, f"name one of {inside}")
                path = own[0].path
                if path in found:
                    fail("A624", f"`{path}` is given twice", target.span, "keep one of them")
                found[path] = fill(name.value, scope, name.span)

    def _tree(self, noun: str) -> Tree:
        if noun not in self.trees:
            body = self.program.eval
            self.trees[noun] = Tree(_inputs(body) if noun == "input" else _unique(_values(self.frame, body)), noun, self.program.tasks)
        return self.trees[noun]


# ------------------------------------------------------------------------------------------------ what there is to name


def _inputs(body: Body) -> Iterator[Owned]:
    for declared in body.inputs:
        path = f"{declared.task}.{declared.key}" if declared.task else declared.key
        yield Owned(path, ((declared.name, declared.members),), (), False, (), (declared.task,) if declared.task else ())


def _unique(entries: Iterator[Owned]) -> Iterator[Owned]:
    seen: set[str] = set()
    for entry in entries:
        if entry.path not in seen:
            seen.add(entry.path)
            yield entry


def _values(frame: Frame, body: Body) -> Iterator[Owned]:
    """Yield the model's values by name, those of its tasks, and those of every block in it."""
    for name, value in frame.names.items():
        yield from _value(name, value, (), None)
    for task, scope in frame.builder.tasks.items():
        for name, value in scope.names.items():
            yield from _value(name, value, (), task)
    for out in body.outputs:
        path = ".".join([*([out.task] if out.task else []), out.name, *map(member_text, out.members)])
        yield Owned(path, ((out.name, out.members),), (), False, (), (out.task,) if out.task else ())
    yield from _modules(body, (), (), "")


def _value(name: str, value: Value, members: tuple[object, ...], task: str | None) -> Iterator[Owned]:
    if isinstance(value, Family):
        for key, member in value.members.items():
            yield from _value(name, member, (*members, key), task)
    elif isinstance(value, Tensor):
        path = ".".join([*([task] if task else []), name, *map(member_text, members)])
        yield Owned(path, ((name, members),), (), False, (), (task,) if task else ())


def _modules(body: Body, parts: tuple[Part, ...], kinds: tuple[str, ...], prefix: str) -> Iterator[Owned]:
    for path, declared in body.modules.items():
        own = _place(declared)
        inside, around = (*parts, *own), (*kinds, *("Sequential" for _ in own[1:]), declared.kind)
        yield Owned(f"{prefix}{path}", inside, (), False, around, ())
        for called in declared.bodies:
            names: dict[Part, None] = {(out.name, out.members): None for out in called.outputs}
            names.update({(declared_in.name, declared_in.members): None for declared_in in called.inputs})
            names.update({(node.name, ()): None for node in called.nodes if node.name})
            for name, members in names:
                yield Owned(".".join([f"{prefix}{path}", name, *map(member_text, members)]), (*inside, (name, members)), (), False, around, ())
            yield from _modules(called, inside, around, f"{prefix}{path}.")


def _place(declared: ModuleDecl) -> tuple[Part, ...]:
    start = ".".join([declared.name, *map(member_text, declared.members)])
    return ((declared.name, declared.members), *((word, ()) for word in declared.path[len(start) + 1 :].split(".") if word))

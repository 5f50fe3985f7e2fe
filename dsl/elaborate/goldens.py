"""`golden NAME for MODEL { ... }`: where reference tensors for a model's parameters, inputs and values are stored."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from .. import ast
from ..diagnostics import Diagnostic, Label
from ..holdings import Holding
from ..inspector import Owned
from ..members import member_text
from ..plans import GoldenPlan, GoldenValue
from ..program import Body, ModuleDecl, Program
from ..selection import Tree
from . import statics
from .context import Poisoned, Problem, fail, suggest
from .literals import clauses
from .named import named_values
from .references import no_parameter
from .scope import Frame
from .selecting import selector
from .templates import fill
from .weightmaps import hits, scope_of

Part = tuple[str, tuple[object, ...]]


@dataclass(slots=True, eq=False)
class _Reading:
    """A golden clause list while it is read."""

    parameters: dict[str, str] = field(default_factory=dict[str, str])
    facts: list[str] = field(default_factory=list[str])
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    values: dict[str, GoldenValue] = field(default_factory=dict[str, GoldenValue])
    host: str | None = None
    weights: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    single: dict[str, str] = field(default_factory=dict[str, str])  # from, mode, entry, stage


def add_golden(item: ast.Golden, program: Program, model: ast.Model | None, frame: Frame, declared: Collection[str]) -> None:
    """Check a golden item and put it into the program; `declared` are the maps and stages that the file has, those with errors too."""
    context = frame.builder.context
    read = _Reading()
    reader = _Reader(program, model, frame, read, _words(item), declared)
    if item.name in program.goldens:
        first = (Label(program.goldens[item.name].span, "the first one"),)
        context.report(Diagnostic("A624", f"`golden {item.name}` is declared twice", item.span, first, "rename one of them"))
    for clause in sorted(item.clauses, key=lambda clause: not isinstance(clause, ast.GoldenUse)):  # the entry says what there is to name
        try:
            reader.clause(clause)
        except Problem as problem:
            context.report(problem.diagnostic)
        except Poisoned:
            continue
    base = program.goldens.get(read.single.get("from", ""))
    parameters, facts, weights = (base.parameters, base.facts, base.weights) if base is not None else ((), (), ())
    program.goldens[item.name] = GoldenPlan(
        item.name, program.name, tuple((dict(parameters) | read.parameters).items()), (*facts, *read.facts), tuple(read.inputs.items()),
        tuple(read.values.values()), read.host, read.weights or weights, read.tasks, read.single.get("mode"), read.single.get("entry"),
        read.single.get("stage"), item.span,
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class _Reader:
    program: Program
    model: ast.Model | None
    frame: Frame
    read: _Reading
    words: Sequence[Sequence[str]] | None  # of the paths that `value` clauses name; None where one has holes
    declared: Collection[str]  # maps and stages
    trees: dict[str, Tree] = field(default_factory=dict[str, Tree])
    places: dict[str, GoldenValue] = field(default_factory=dict[str, GoldenValue])  # of the values, by path

    def clause(self, clause: ast.GoldenClause) -> None:
        if isinstance(clause, ast.GoldenParam):
            self._param(clause)
        elif isinstance(clause, ast.GoldenIn):
            self.read.inputs.update(self._stored(clause.target, clause.value, clause.clauses, "A621", "input", self.read.inputs))
        elif isinstance(clause, ast.GoldenValue):
            for path, stored in self._stored(clause.value, clause.name, clause.clauses, "A622", "value", self.read.values).items():
                self.read.values[path] = replace(self.places[path], stored=stored)
        elif isinstance(clause, ast.GoldenHost):
            if self.read.host is not None:
                fail("A624", "`host` is given twice", clause.span, "keep one of them")
            self.read.host = clause.name.value
        elif isinstance(clause, ast.GoldenFact):
            self.read.facts.append(clause.fact.span.text)
        else:
            self._use(clause)

    def _param(self, clause: ast.GoldenParam) -> None:
        names = [parameter.name for parameter in self.model.parameters] if self.model is not None else []
        if clause.name not in names:
            no_parameter(clause, self.program.name, names)
        if clause.name in self.read.parameters:
            fail("A624", f"`param {clause.name}` is given twice", clause.span, "keep one of them")
        self.read.parameters[clause.name] = " ".join(clause.value.span.text.split())

    def _use(self, clause: ast.GoldenUse) -> None:
        names = [node.id if isinstance(node, ast.Name) else node.span.text for node in clause.names]
        known = list(self._known(clause.word))
        for name, node in zip(names, clause.names, strict=True):
            if name not in known:
                if clause.word in ("weights", "stage") and name in self.declared:
                    raise Poisoned  # its errors are reported
                noun = {"weights": "weights map", "tasks": "task", "from": "earlier golden"}.get(clause.word, clause.word)
                there = f"there {'is' if len(known) == 1 else 'are'} {statics.listed(known)}" if known else f"the model has no {noun}"
                fail("A623", f"there is no {noun} `{name}`", node.span, suggest(name, known, there))
        if clause.word == "tasks":
            self.read.tasks = tuple(names)
        elif clause.word == "weights":
            self.read.weights = tuple(names)
        elif clause.word in self.read.single or len(names) > 1:
            fail("A624", f"a golden file has one `{clause.word}`", clause.span, "keep one of them")
        else:
            self.read.single[clause.word] = names[0]

    def _known(self, word: str) -> Iterable[str]:
        program = self.program
        return {
            "from": program.goldens, "weights": program.weights, "tasks": program.tasks, "mode": ("eval", "train"), "entry": program.entries,
            "stage": program.stages,
        }[word]  # fmt: skip

    def _stored(
        self, target: ast.Expr, name: ast.Expr, loops: tuple[ast.Clause, ...], code: str, noun: str, known: Mapping[str, object]
    ) -> dict[str, str]:
        """Read `in x <- "name"` or `value x -> "name"`: one stored tensor for each choice of the index variables."""
        if not isinstance(name, ast.String):
            fail("A606", f"`{name.span.text}` is no name of a stored tensor", name.span, 'write it in quotes: `"layers.{i}.attn_probs"`')
        tree = self._tree(noun)
        found: dict[str, str] = {}
        for inner in clauses(loops, self.frame):
            for match, _, _ in hits(selector(target, inner, variables=True), tree, code):
                scope = scope_of(match, inner, (), set())
                own = [tree.entries[n] for n in match.branch.own if match.task is None or match.task in tree.entries[n].tasks]
                if len(own) != 1:
                    inside = statics.listed([entry.path for entry in own] or match.branch.level.named)
                    fail(code, f"`{target.span.text}` is not one {noun}", target.span, f"name one of {inside}")
                path = own[0].path
                if path in found or path in known:
                    fail("A624", f"`{path}` is given twice", target.span, "keep one of them")
                found[path] = fill(name.value, scope, name.span)
        return found

    def _tree(self, noun: str) -> Tree:
        if noun not in self.trees:
            self.frame.builder.context.step(self.frame.builder.body.span, len(self.frame.builder.body.nodes) // 16)  # each is looked at
            entry = self.program.entries.get(self.read.single.get("entry", ""))
            body = entry.eval if entry is not None else self.program.eval
            self.trees[noun] = Tree(Holding.of(_inputs(body) if noun == "input" else self._values(body)), noun, self.program.tasks, (body,))
        return self.trees[noun]

    def _values(self, body: Body) -> Iterator[Owned]:
        found = _values(body, self.words)
        if body.losses:
            found = chain(found, [(Owned("loss", (("loss", ()),), (), False, (), ()), GoldenValue((), "loss", ""))])
        for entry, place in found:
            if entry.path not in self.places:
                self.places[entry.path] = place
                yield entry


# ------------------------------------------------------------------------------------------------ what there is to name


def _inputs(body: Body) -> Iterator[Owned]:
    for declared in body.inputs:
        path = f"{declared.task}.{declared.key}" if declared.task else declared.key
        yield Owned(path, ((declared.name, declared.members),), (), False, (), (declared.task,) if declared.task else ())


def _words(item: ast.Golden) -> list[list[str]] | None:
    """Return the words of each path that a `value` clause names, without members; None where one has holes."""
    texts = [re.sub(r"\[[^\]]*\]", "", clause.value.span.text) for clause in item.clauses if isinstance(clause, ast.GoldenValue)]
    words = [text.split(".") for text in texts]
    return words if all(word.isidentifier() or word.isdigit() for path in words for word in path) else None


def _values(body: Body, words: Sequence[Sequence[str]] | None) -> Iterator[tuple[Owned, GoldenValue]]:
    """Yield the named values of a body and of the blocks in it that some path leads into, each with where it is."""
    for entry, _ in named_values(body).values():
        yield entry, GoldenValue((), entry.path, "")
    yield from _modules(body, (), (), (), words)


def _leads(words: Sequence[Sequence[str]], parts: tuple[Part, ...]) -> bool:
    """Say whether one of the paths goes on below a module."""
    names = [name for name, _ in parts]
    return any(list(path[: len(names)]) == names and len(path) > len(names) for path in words)


def _modules(
    body: Body, modules: tuple[str, ...], parts: tuple[Part, ...], kinds: tuple[str, ...], words: Sequence[Sequence[str]] | None
) -> Iterator[tuple[Owned, GoldenValue]]:
    for path, declared in body.modules.items():
        own = _place(declared)
        inside, around, way = (*parts, *own), (*kinds, *("Sequential" for _ in own[1:]), declared.kind), (*modules, path)
        if declared.primitive is not None or any(len(called.outputs) == 1 for called in declared.bodies):
            yield Owned(".".join(way), inside, (), False, around, ()), GoldenValue(modules, path, "")
        for called in declared.bodies if words is None or _leads(words, inside) else ():
            for entry, _ in named_values(called).values():
                full = Owned(".".join([*way, entry.path]), (*inside, *entry.parts), (), False, (*around, *entry.kinds), ())
                yield full, GoldenValue(way, entry.path, "")
            yield from _modules(called, way, inside, around, words)


def _place(declared: ModuleDecl) -> tuple[Part, ...]:
    start = ".".join([declared.name, *map(member_text, declared.members)])
    return ((declared.name, declared.members), *((word, ()) for word in declared.path[len(start) + 1 :].split(".") if word))

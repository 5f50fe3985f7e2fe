"""From a program to the text of one Python file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.extern import ExternFunction
from ...dsl.program import Body, ModuleDecl, NodeKind, Program
from ...dsl.types import extent
from ..census import Census, distinct
from ..graph import Graph
from ..lower.names import identifier
from ..runtime.assemble import apart, frozen, registered_bodies, ties
from ..runtime.calls import Request, Signature
from ..runtime.entry import narrowed
from ..slice import Slicer
from ..tasks import known_tasks
from .classes import Call, Draft, Parameters, class_lines
from .functions import TAKEN
from .helpers import Helpers
from .index_sets import Sets
from .layout import statement
from .marking import tagged
from .numbers import NUMBER, Numbers, Row, Values, evaluated
from .plan import Instance, Planner, Unnested
from .steps import Number
from .terms import block_defaults, block_inputs, wording
from .top import Border, Entwined, TopDraft

HOLE = "\ue020"
ENDLESS = 10**9


@dataclass(slots=True)
class Made:
    """The class of some instances: its name and its parameters."""

    name: str
    parameters: Mapping[str, int | float | None]  # with their defaults


@dataclass(slots=True)
class Shape:
    """A draft as text with its numbers taken out: instances with equal texts may share a class."""

    draft: Draft
    text: str
    holes: list[Number] = field(default_factory=list[Number])


def emit(program: Program, tasks: Sequence[str] | None = None) -> str:
    """Return the model of a program as the text of a Python file that imports torch alone.

    Raises Failure for what has no such text: a class of another package, and outputs that need targets.
    """
    for body in Graph(program).bodies:
        _refuse_extern(body)
    try:
        return _File(apart(program), tasks).text()
    except Unnested as error:
        help_ = "a module that is handed on can't itself be made with modules that were handed in: make it where they are"
        raise Failure((Diagnostic("A824", f"`{error.declared.path}` can't be written as Python", error.declared.span, help=help_),)) from None
    except Entwined:
        help_ = "compute the output and the loss in different blocks, so that there are outputs without targets"
        raise Failure((Diagnostic("A824", "an output needs a target, so it can't be written as Python", program.eval.span, help=help_),)) from None


def _refuse_extern(body: Body) -> None:
    outside = [declared.span for declared in body.modules.values() if declared.extern is not None]
    outside += [node.span for node in body.nodes if node.kind is NodeKind.EXTERN or isinstance(node.primitive, ExternFunction)]
    if outside:
        raise Failure(
            (Diagnostic("A824", "what is `extern` has no text here to write as Python", outside[0], help="use `archloom.compile` instead"),)
        )


class _File:
    """Collects the classes of a program, those that others need first."""

    def __init__(self, program: Program, tasks: Sequence[str] | None) -> None:
        self.program = program
        self.helpers = Helpers({identifier(declared.name) for body in Graph(program).bodies for declared in body.inputs})
        self.planner = Planner(Sets(program, Graph(program).bodies))
        self.rows: dict[int, list[Row]] = {}
        self.given: dict[int, set[str]] = {}
        """The parameters that are named where an instance is made."""
        self.made: dict[int, Made] = {}
        self.names = {identifier(program.name)} | TAKEN | {"nn", "DropPath", "normal", "uniform", "bernoulli", "permutation", "gumbel"}
        self.names |= {*self.planner.sets.constants.values()}
        self.parts: list[list[str]] = []
        asked = known_tasks(program, tasks)
        slicer = Slicer()
        signature = Signature(program.eval, program.training, asked, slicer)
        pair = signature.pair(Request(signature.tasks, signature.losses()))
        borders = [Border("forward", signature, signature.inputs)]
        pairs = [pair]
        for name, plan in program.entries.items() if asked is None else ():
            needed = narrowed(plan, slicer)
            own = Signature(needed.eval, needed.train or needed.eval, None, slicer)
            pairs.append(own.pair(Request(None, frozenset())))
            borders.append(Border(identifier(name), own, own.inputs))
        bodies = registered_bodies(program, signature, pairs)
        self.root = self.planner.instance(program.name, distinct([*bodies]), pairs)
        census = Census(bodies)
        known = [tensor.path for tensor in census.tensors()]
        self.borders = borders
        self.tied = ties(census, known)
        self.frozen = tuple(dict.fromkeys(frozen("", bodies, census)))

    # ------------------------------------------------------------------------------------------------------ classes

    def text(self) -> str:
        """Return the whole file."""
        self._collect(self.root, {})
        del self.rows[id(self.root)]
        for level in self._levels():
            groups: dict[tuple[str, str], list[Shape]] = {}
            for instance in level:
                shape = self._shape(Draft(instance, self._constructor))
                groups.setdefault((instance.name, shape.text), []).append(shape)
            for (name, _), shapes in groups.items():
                self._classes(name, shapes)
        self._top()
        return self._assembled()

    def _collect(self, instance: Instance, row: Row) -> None:
        rows = self.rows.setdefault(id(instance), [])
        if row in rows:
            return
        rows.append(row)
        for path, child in instance.children.items():
            declared = instance.owned.declared[path]
            self.given.setdefault(id(child), set()).update(declared.arguments)
            self._collect(child, _completed(declared.arguments, child))

    def _levels(self) -> list[list[Instance]]:
        """Return the instances below the model, those that hold no others first."""
        heights: dict[int, int] = {}
        found: dict[int, Instance] = {}

        def height(instance: Instance) -> int:
            if id(instance) not in heights:
                heights[id(instance)] = 1 + max((height(child) for child in instance.children.values()), default=-1)
                found[id(instance)] = instance
            return heights[id(instance)]

        height(self.root)
        most = heights[id(self.root)]
        return [[found[key] for key, own in heights.items() if own == level] for level in range(most)]

    def _constructor(self, instance: Instance, declared: ModuleDecl) -> Call:
        made = self.made[id(instance)]
        words, row = wording(declared.span), _completed(declared.arguments, instance)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for name, default in made.parameters.items():
            if default is not None and name not in declared.arguments:
                continue
            marked = tagged(row[name], words, made=True, argument=name)
            if len(args) == list(made.parameters).index(name):
                args.append(marked)
            else:
                kwargs[name] = marked
        return Call(made.name, args, kwargs)

    def _shape(self, draft: Draft) -> Shape:
        holes: list[Number] = []

        def show(hole: Number, making: bool) -> str:
            holes.append(hole)
            return HOLE

        init, functions = draft.text(show, self.helpers.use, ENDLESS, roll=False)
        operations = sorted((name, target) for name, (target, _) in draft.operations.items())
        return Shape(draft, repr((init, functions, operations)), holes)

    def _classes(self, name: str, shapes: list[Shape]) -> None:
        """Make one class of instances that differ in numbers alone; where nothing tells some of these, one for each."""
        numbers, unlike = self._numbers(shapes)
        if not unlike:
            self._class(name, shapes, numbers)
            return
        groups: dict[tuple[float, ...], list[Shape]] = {}
        for shape in shapes:
            groups.setdefault(tuple(shape.holes[place] for place in unlike), []).append(shape)
        for group in groups.values():
            self._classes(name, group)

    def _class(self, name: str, shapes: list[Shape], numbers: Numbers) -> None:
        first = shapes[0].draft
        defaults = block_defaults(first.instance.bodies[0].span)
        given = set[str]().union(*(self.given[id(shape.draft.instance)] for shape in shapes))
        derived = numbers.derive({name: text for name, text in defaults.items() if name not in given})
        fixed = {name: float(text) if "." in text or "e" in text else int(text) for name, text in defaults.items() if NUMBER.fullmatch(text)}
        names = [name for name in numbers.columns if name in numbers.used and name not in derived]
        parameters = {name: fixed.get(name) for name in sorted(names, key=lambda name: name in fixed)}
        made = Made(self._unique(identifier(name.rpartition(".")[2])), parameters)
        self.parts.append(class_lines(first, made.name, Parameters(parameters, derived), numbers, self.helpers.use))
        for shape in shapes:
            self.made[id(shape.draft.instance)] = made
            shape.draft.instance.written = dict(first.instance.written)

    def _numbers(self, shapes: list[Shape]) -> tuple[Numbers, list[int]]:
        """Choose for the numbers of a class; also return the places of those that nothing tells apart."""
        rows = [(shape, row) for shape in shapes for row in self.rows[id(shape.draft.instance)]]
        numbers = Numbers([row for _, row in rows], _attributes(shapes[0].draft), _sizes([shape for shape, _ in rows]))
        columns = [tuple(shape.holes[i] for shape, _ in rows) for i in range(len(shapes[0].holes))]
        return numbers, numbers.choose(shapes[0].holes, columns)

    def _unique(self, name: str) -> str:
        found, number = name, 1
        while found in self.names:
            number += 1
            found = f"{name}{number}"
        self.names.add(found)
        return found

    def _top(self) -> None:
        draft = TopDraft(self.root, self._constructor, self.borders, self.tied, self.frozen, self._doc())
        row = _completed(self.program.arguments, self.root)
        self.rows[id(self.root)] = [row]
        numbers, _ = self._numbers([self._shape(draft)])
        derived = numbers.derive(block_defaults(self.program.eval.span))
        parameters = {name: None if name in derived else row[name] for name in numbers.columns if name in numbers.used}
        lines = class_lines(draft, identifier(self.program.name), Parameters(parameters, derived, free=True), numbers, self.helpers.use)
        self.parts.append(lines)

    def _doc(self) -> str | None:
        """Return what the text says of the model, or of the whole file."""
        head = re.match(r'\s*(?:arch \d+\s*)?"""(.*?)"""', self.program.eval.span.source.text, re.DOTALL)
        return self.program.doc or (head[1] if head is not None else None)

    # --------------------------------------------------------------------------------------------------------- file

    def _assembled(self) -> str:
        lines = [*(line for part in self.parts for line in ["", "", *part])]
        body = "\n".join([*self.helpers.lines(), *lines])
        constants = [row for line in self.planner.sets.lines(body) for row in statement(line, 0)]
        body = "\n".join([*([""] if constants else []), *constants, body])
        head = self._imports(body)
        about = f'"""{self.program.name}, written by archloom from {self.root.bodies[0].span.source.name.rpartition("/")[2]}."""'
        return "\n".join([about, "", *head]) + body + "\n"

    def _imports(self, body: str) -> list[str]:
        plain = {line for line in self.helpers.imports if line.startswith("import ")} | ({"import torch"} if "torch." in body else set[str]())
        if "F." in body:
            plain.add("import torch.nn.functional as F")
        names: dict[str, set[str]] = {"torch": {"nn"}}
        if "Tensor" in body:
            names["torch"].add("Tensor")
        for word in ("Any", "Self"):
            if re.search(rf"\b{word}\b", body):
                names.setdefault("typing", set()).add(word)
        for line in self.helpers.imports:
            if line.startswith("from ") and "__future__" not in line:
                module, _, name = line.removeprefix("from ").partition(" import ")
                names.setdefault(module, set()).add(name)
        froms = {f"from {module} import {', '.join(sorted(found, key=_import_order))}" for module, found in names.items()}
        torch = [line for line in (*sorted(plain), *sorted(froms)) if line.split()[1].split(".")[0] == "torch"]
        others = [line for line in (*sorted(plain), *sorted(froms)) if line not in torch]
        return ["from __future__ import annotations", "", *others, *([""] if others else []), *torch, ""]


def _import_order(name: str) -> tuple[bool, bool, str]:
    return (not name.isupper(), not name[0].isupper(), name)


def _completed(arguments: Mapping[str, Any], instance: Instance) -> dict[str, int | float]:
    """Return the numbers that a block is made with, those that nobody gives too."""
    found = {name: value for name, value in arguments.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
    for name, term in block_defaults(instance.bodies[0].span).items():
        value = evaluated(term, {known: (number,) for known, number in found.items()}) if name not in arguments else None
        found.update({name: value[0]} if value is not None else {})
    return found


def _sizes(shapes: list[Shape]) -> dict[str, tuple[str, Values]]:
    """Return the sizes that the inputs of a block name and that are numbers here: how to read one, and its value in each instance."""
    found: dict[str, tuple[str, Values]] = {}
    body = shapes[0].draft.instance.bodies[0]
    for name, axes in block_inputs(body.span):
        for axis, size in enumerate(axes):
            values = [_size([body for pair in shape.draft.instance.pairs for body in pair], name, axis) for shape in shapes]
            if size is not None and size[0].isupper() and size not in found and None not in values:
                found[size] = (f"{identifier(name)}.size({axis})", tuple(value for value in values if value is not None))
    return found


def _size(bodies: Sequence[Body], name: str, axis: int) -> int | None:
    """Return a size of an input where it is the same number in all bodies, and the input is always there."""
    types = [next((d.type for d in body.inputs if d.key == name and not d.optional), None) for body in bodies]
    sizes = {extent(type_.shape[axis]) if type_ is not None and axis < len(type_.shape) else None for type_ in types}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) else None


def _attributes(draft: Draft) -> frozenset[str]:
    return frozenset((*draft.instance.tree, *draft.operations, *draft.reserved(), "training"))

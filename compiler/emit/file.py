"""From a program to the text of one Python file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.extern import ExternFunction
from ...dsl.program import Body, ModuleDecl, NodeKind, Program, Recording
from ..census import Census, distinct
from ..graph import Graph
from ..lower.names import identifier
from ..optimize.rebuilding import roots
from ..runtime.assemble import apart, frozen, ties
from ..runtime.calls import Request, Signature
from ..runtime.entry import narrowed
from ..slice import Slicer
from .class_text import Parameters, class_lines
from .classes import Call, Draft
from .definitions import definitions
from .functions import TAKEN
from .helpers import Helpers
from .index_sets import Sets
from .layout import statement
from .marking import tagged
from .numbers import NUMBER, Known, Numbers, listed
from .plan import Instance, Planner, Unnested
from .reckoning import Table
from .rows import Made, completed, joint_names, made, named_sets, sizes
from .sites import own_parameters
from .steps import Listed, Number
from .terms import NOTHING, block_defaults
from .top import Border, Entwined, TopDraft

HOLE = "\ue020"
ENDLESS = 10**9


@dataclass(slots=True)
class Written:
    """The class of some instances: its name, its parameters with their defaults, and what they are called where an instance is made."""

    name: str
    parameters: Mapping[str, Any]
    sources: Mapping[str, str]
    lines: Sequence[str]


@dataclass(slots=True)
class Shape:
    """A draft as text with its numbers taken out: instances with equal texts may share a class."""

    draft: Draft
    text: str
    holes: list[Number] = field(default_factory=list[Number])


def emit(program: Program) -> str:
    """Return the model of a program as the text of a Python file that imports torch alone.

    What passes leave unrecorded is written as any other steps.  Raises Failure for what has no such text: a class of another package, outputs
    that need targets, and what is recomputed in the backward pass.
    """
    for body in Graph(program).bodies:
        _refuse_extern(body)
        _refuse_recomputed(body)
    try:
        return _File(apart(program)).text()
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


def _refuse_recomputed(body: Body) -> None:
    for node in body.nodes:
        if node.region is not None and node.region.recording is Recording.INPUTS:
            help_ = "leave out the pass `checkpoint`, or use `archloom.compile`"
            raise Failure(
                (Diagnostic("A824", "what is computed again in the backward pass has no text here to write as Python", node.span, help=help_),)
            )


class _File:
    """Collects the classes of a program, those that others need first."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.helpers = Helpers({identifier(declared.name) for body in Graph(program).bodies for declared in body.inputs})
        bodies = Graph(program).bodies
        self.planner = Planner(Sets(program, bodies), bodies)
        self.places: dict[int, list[Made]] = {}
        """Where an instance is made."""
        self.given: dict[int, list[Mapping[str, Any]]] = {}
        """With what it is made there."""
        self.written: dict[int, Written] = {}
        self.names = {identifier(program.name)} | TAKEN | {"nn", "DropPath", "normal", "uniform", "bernoulli", "permutation", "gumbel"}
        self.names |= {*self.planner.sets.constants.values()}
        self.parts: list[list[str]] = []
        slicer = Slicer()
        signature = Signature(program.eval, program.training, slicer)
        pair = signature.pair(Request(None, signature.losses()))
        borders = [Border("forward", signature, signature.inputs)]
        pairs = [pair]
        for name, plan in program.entries.items():
            needed = narrowed(plan, slicer)
            own = Signature(needed.eval, needed.train or needed.eval, slicer)
            pairs.append(own.pair(Request(None, frozenset())))
            borders.append(Border(identifier(name), own, own.inputs))
        bodies = roots(program)
        self.root = self.planner.instance(program.name, distinct([*bodies]), pairs)
        census = Census(bodies)
        known = [tensor.path for tensor in census.tensors()]
        self.borders = borders
        self.tied = ties(census, known)
        self.frozen = tuple(dict.fromkeys(frozen("", bodies, census)))

    # ------------------------------------------------------------------------------------------------------ classes

    def text(self) -> str:
        """Return the whole file."""
        self._collect(self.root)
        for level in self._levels():
            groups: dict[tuple[str, str, int], list[Shape]] = {}
            for instance in level:
                shape = self._shape(Draft(instance, self._constructor))
                groups.setdefault((instance.name, shape.text, len(shape.holes)), []).append(shape)
            for (name, *_), shapes in groups.items():
                self._classes(name, shapes)
        self._top()
        return self._assembled()

    def _collect(self, instance: Instance) -> None:
        for path, child in instance.children.items():
            declared = instance.owned.declared[path]
            place = made(declared, child)
            known = self.places.setdefault(id(child), [])
            self.given.setdefault(id(child), []).append(declared.arguments)
            if not known:
                self._collect(child)
            if not any(one.row == place.row and one.words.named == place.words.named for one in known):
                known.append(place)

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
        written, place = self.written[id(instance)], made(declared, instance)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for number, (name, default) in enumerate(written.parameters.items()):
            source = written.sources.get(name, name)
            if default is not None and source not in declared.arguments and source not in place.brought:
                continue
            value, words = place.row[source], place.words
            marked = Listed(value, words, True, source) if isinstance(value, tuple) else tagged(value, words, made=True, argument=source)
            if len(args) == number:
                args.append(marked)
            else:
                kwargs[name] = marked
        return Call(written.name, args, kwargs)

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
        groups: dict[tuple[Any, ...], list[Shape]] = {}
        for shape in shapes:
            groups.setdefault(tuple(_value(shape.holes[place]) for place in unlike), []).append(shape)
        for group in groups.values():
            self._classes(name, group)

    def _class(self, name: str, shapes: list[Shape], numbers: Numbers) -> None:
        """Write a class, unless just this one is there."""
        first = shapes[0].draft
        defaults = block_defaults(first.instance.bodies[0].span)
        given = set[str]().union(*(names for shape in shapes for names in self.given[id(shape.draft.instance)]))
        numbers.keep(first.words(numbers.show, self.helpers.use))
        derived = numbers.derive({name: text for name, text in defaults.items() if name not in given})
        fixed = {name: float(text) if "." in text or "e" in text else int(text) for name, text in defaults.items() if NUMBER.fullmatch(text)}
        names = [name for name in numbers.columns if name in numbers.used and name not in derived]
        parameters = {name: fixed.get(name) for name in sorted(names, key=lambda name: name in fixed)}
        title = identifier(name.rpartition(".")[2])
        lines = class_lines(first, title, Parameters(parameters, derived, numbers.locals()), numbers, self.helpers.use)
        known = next((one for one in self.written.values() if one.lines == lines and one.parameters == parameters), None)
        if known is None:
            known = Written(self._unique(title), parameters, {short: key for key, short in numbers.known.aliases.items()}, lines)
            self.parts.append([line.replace(f"class {title}(", f"class {known.name}(", 1) for line in lines])
        for shape in shapes:
            self.written[id(shape.draft.instance)] = known
            shape.draft.instance.written = dict(first.instance.written)

    def _numbers(self, shapes: list[Shape]) -> tuple[Numbers, list[int]]:
        """Choose for the numbers of a class; also return the places of those that nothing tells apart."""
        instance = shapes[0].draft.instance
        pairs = [(shape, place) for shape in shapes for place in self.places[id(shape.draft.instance)]]
        names = joint_names([place for _, place in pairs], own_parameters(instance.bodies[0].span))
        given = [arguments for shape in shapes for arguments in self.given[id(shape.draft.instance)]]
        known = Known(
            [place.renamed(names) for _, place in pairs],
            sizes([[body for pair in shape.draft.instance.pairs for body in pair] for shape, _ in pairs]) if instance.pairs else {},
            named_sets(instance, given, self.planner.sets),
            definitions(instance.bodies[0].span).kept,
            names,
        )
        numbers = Numbers(known, _attributes(shapes[0].draft))
        columns = [tuple(_value(shape.holes[i]) for shape, _ in pairs) for i in range(len(shapes[0].holes))]
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
        row = completed(self.program.arguments, self.root)
        self.places[id(self.root)], self.given[id(self.root)] = [Made(row, NOTHING, {})], [self.program.arguments]
        numbers, _ = self._numbers([self._shape(draft)])
        numbers.keep(draft.words(numbers.show, self.helpers.use))
        derived = numbers.derive(block_defaults(self.program.eval.span))
        derived.update((name, listed(value)) for name, value in row.items() if isinstance(value, Table) and name in numbers.used)
        parameters = {name: None if name in derived else row[name] for name in numbers.columns if name in numbers.used}
        made = Parameters(parameters, derived, numbers.locals(), free=True)
        self.parts.append(class_lines(draft, identifier(self.program.name), made, numbers, self.helpers.use))

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
        if re.search(r"(?<![\w.])reduce\(", body):
            names["functools"] = {"reduce"}
        if "Tensor" in body:
            names["torch"].add("Tensor")
        for word, module in (("Any", "typing"), ("Self", "typing"), ("Sequence", "collections.abc"), ("Mapping", "collections.abc")):
            if re.search(rf"\b{word}\b", body):
                names.setdefault(module, set()).add(word)
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


def _value(hole: Number) -> Any:
    """Return the bare value of a number."""
    return hole.value if isinstance(hole, Listed) else int(hole) if isinstance(hole, int) else float(hole)


def _attributes(draft: Draft) -> frozenset[str]:
    return frozenset((*draft.instance.tree, *draft.operations, *draft.reserved(), "training"))

"""One class for the instances of a block: what it makes, what it does, and its text."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from ...blocks.registry import Entry
from ...dsl.primitive import Initialiser
from ...dsl.program import Body, ModuleDecl
from ...dsl.record import record
from ...dsl.types import DType
from ..census import Tensor, leaf_specs
from ..lower.build import Statics
from ..lower.builder import TORCH_DTYPES
from ..lower.names import identifier
from ..paths import join
from ..runtime.initial import DEFAULT
from .expressions import Expressions, plain
from .families import parameters, result_type, returned
from .functions import RESERVED, Function, Writer, base_name, conditioned
from .joining import Method, joined
from .layout import WIDTH, docstring, signature, statement
from .making import fill, made
from .marking import statics, tagged
from .merging import merged
from .numbers import Numbers
from .plan import Instance, Tree, holder
from .rolling import rolled
from .sequences import APPLY, Called, Operation, Parts
from .source_builder import SourceBuilder
from .steps import Access, Hole, Number, Text
from .terms import Wording, loop_wording, wording
from .tidying import tidied
from .units import Line, lines_of, units_of
from .varying import consecutive


@record
class Call:
    """How a child is made: its class and the values of its parameters."""

    name: str
    args: list[Any]
    kwargs: dict[str, Any]


@record
class Parameters:
    """The parameters of `__init__` with their defaults (None for none), and those that others tell, with how.

    `free` tells that the latter may still be given.
    """

    names: Mapping[str, Any]
    derived: Mapping[str, str]
    free: bool = False


NESTED = re.compile(r"self\.(\w+)\[[^\[\]]+\](?:\[|\.(?!children\b)\w+\b(?!\())")
"""A member of a family whose own parts are read: what a checker can't follow."""

Constructor = Callable[[Instance, ModuleDecl], Call]
"""Tells how a child is made."""


USUAL = {"weight": "ones", "bias": "zeros", "running_mean": "zeros", "running_var": "ones", "num_batches_tracked": "zeros"}
"""How the norms of torch start."""


class Draft:
    """What the class of one instance holds, before numbers have become parameters."""

    def __init__(self, instance: Instance, constructor: Constructor) -> None:
        self.instance = instance
        self.constructor = constructor
        self.operations: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self.needs_anchor = False
        self.functions = [tuple(self._function(body, pair) for body in pair) for pair in instance.pairs]
        self._holes: dict[tuple[int, int], Hole] = {}
        self._values: dict[str, Any] = {}

    # --------------------------------------------------------------------------------------------------- functions

    def operation(self, target: str, arguments: Mapping[str, Any]) -> str:
        """Return the name of an own module without parameters; equal ones are one."""
        known = next((name for name, made in self.operations.items() if made == (target, dict(arguments))), None)
        if known is not None:
            return known
        last = target.rpartition(".")[2]
        base = "".join("_" + c.lower() if c.isupper() and i and not last[i - 1].isupper() else c.lower() for i, c in enumerate(last))
        name, number = base, 1
        while name in self.operations or name in self.instance.tree:
            number += 1
            name = f"{base}_{number}"
        self.operations[name] = (target, dict(arguments))
        return name

    def anchor(self) -> Access:
        """Return a float tensor to read dtype and device from."""
        found = _anchor(self.instance)
        if found is None:
            self.needs_anchor = True
            return Access(("anchor",))
        return self.instance.access(found)

    def _function(self, body: Body, pair: tuple[Body, Body]) -> Function:
        builder = SourceBuilder(self.instance, self, body, parameters(pair), self.instance.told.get(id(pair[0])))
        results = builder.write()
        return Function(builder.steps, results, list(builder.parameters.values()))

    # --------------------------------------------------------------------------------------------------------- text

    def text(
        self, show: Callable[[Number, bool], str], helper: Callable[[str], str], width: int = WIDTH, roll: bool = True
    ) -> tuple[list[Line], list[list[Line]]]:
        """Return the lines of `__init__` and of each function; `show` prints a number, in `__init__` or outside."""
        within = Expressions(lambda hole: show(hole, True), helper)
        without = Expressions(lambda hole: show(hole, False), helper)
        without.listed = self.instance.planner.sets.text
        init = [("", line) for line in self._init(within)]
        if not roll:
            functions = [self._lines(function, without, width, False) for pair in self.functions for function in pair]
            return [line for _, line in init], [lines_of(units_of(lines)) for lines in functions]
        sets = self.instance.planner.sets
        inputs = {base_name(step.name) for pair in self.functions for function in pair for step in function.parameters}
        modes = [[self._rolled(function, without, width) for function in pair] for pair in self.functions]
        known = {*RESERVED, *sets.constants.values(), *inputs}
        return rolled(init, sets), [tidied(merged(evaluate, train), known) for evaluate, train in modes]

    def _rolled(self, function: Function, expressions: Expressions, width: int) -> list[Line]:
        """Return a function with loops; of the two ways of writing it, which differ in what has a line of its own, the shorter."""
        ways = [rolled(self._lines(function, expressions, width, spread), self.instance.planner.sets) for spread in (False, True)]
        return min(ways, key=lambda lines: len(written(lines, 8)))

    def _lines(self, function: Function, expressions: Expressions, width: int, spread: bool) -> list[tuple[str, Line]]:
        handed = set[str]().union(*(self.instance.planner.handed(body) for pair in self.instance.pairs for body in pair))
        return conditioned(Writer(function, expressions, width - 8, map(identifier, handed), spread).lines())

    def methods(self, functions: Sequence[Sequence[Line]]) -> list[tuple[list[str], Sequence[Line]]]:
        """Return the functions of the class, head and body."""
        found = joined([self._method(number, lines) for number, lines in enumerate(functions)])
        self.instance.written = {way: method for method in found for way in method.ways}
        return [(method.head(), method.lines) for method in found]

    def _method(self, number: int, lines: Sequence[Line]) -> Method:
        pair, planner = self.instance.pairs[number], self.instance.planner
        told = self.instance.told.get(id(pair[0]))
        handed = sorted(set[str]().union(*(planner.handed(body) for body in pair)))
        gives = [returned(body, told) for body in pair]
        results = {result_type(families) for families in gives}
        name = "_".join(["forward", *(family.name for family in gives[0])])
        result = results.pop() if len(results) == 1 else "Any"
        word = planner.word(told) if told is not None else ""
        return Method(name, tuple(parameters(pair)), word, tuple(map(identifier, handed)), result, tuple(lines), (number,))

    def end(self, expressions: Expressions) -> Iterator[Line]:
        """Return what ends `__init__`."""
        return iter(())

    def reserved(self) -> tuple[str, ...]:
        """Return names that no attribute may have, beside those of modules."""
        return ()

    def extra(self) -> list[str]:
        """Return functions beside those of the text."""
        return []

    def about(self) -> str:
        """Return the docstring."""
        body = self.instance.bodies[0]
        inputs = ", ".join(f"{d.key}: {d.type}" for d in body.inputs)
        outputs = ", ".join(f"{o.name}: {body.type(o.ref)}" for o in body.outputs)
        return body.doc or f"{self.instance.name}: {inputs or 'nothing'} -> {outputs or 'nothing'}."

    # ------------------------------------------------------------------------------------------------------ __init__

    def _init(self, expressions: Expressions) -> Iterator[Line]:
        for word, held in self.instance.tree.items():
            yield from self._top(word, held, expressions)
        for name, (target, arguments) in self.operations.items():
            yield 0, f"self.{name} = {made(target, dict(arguments), expressions)}"
        if self.needs_anchor:
            yield 0, 'self.register_buffer("anchor", torch.empty(0), persistent=False)'
        yield from self._start(expressions)
        yield from self.end(expressions)

    def _top(self, word: str, held: Tree | str, expressions: Expressions) -> Iterator[Line]:
        if isinstance(held, dict) and holder(held, self.instance) == "Module":
            yield from self._plain(f"self.{word}", held, expressions)
        elif isinstance(held, str) and held in self.instance.tensors and self.instance.tensors[held].buffer:
            yield 0, f'self.register_buffer("{word}", {self._held(held, expressions)})'
        elif keyword.iskeyword(word):
            register = "register_parameter" if isinstance(held, str) and held in self.instance.tensors else "add_module"
            yield 0, f'self.{register}("{word}", {self._held(held, expressions)})'
        else:
            yield 0, f"self.{word} = {self._held(held, expressions)}"

    def _plain(self, path: str, level: Tree, expressions: Expressions) -> Iterator[Line]:
        yield 0, f"{path} = nn.Module()"
        for word, held in level.items():
            tensor = self.instance.tensors.get(held) if isinstance(held, str) else None
            register = "add_module" if tensor is None else "register_buffer" if tensor.buffer else "register_parameter"
            if isinstance(held, dict) and holder(held, self.instance) == "Module":
                yield 0, f'{path}.add_module("{word}", nn.Module())'
                inner = f'{path}.get_submodule("{word}")'
                yield from ((depth, text) for depth, text in self._plain(inner, held, expressions) if text != f"{inner} = nn.Module()")
            else:
                yield 0, f'{path}.{register}("{word}", {self._held(held, expressions)})'

    def _held(self, held: Tree | str, expressions: Expressions) -> str:
        if isinstance(held, str):
            return self._one(held, expressions)
        if id(held) in self.instance.sequential:
            return self._sequence(self.instance.sequential[id(held)], expressions)
        kind = holder(held, self.instance)
        texts = [self._held(below, expressions) for below in held.values()]
        alike = len(set(texts)) == 1 and len(texts) > 1
        if kind.endswith("List"):
            if alike:
                return f"nn.{kind}([{texts[0]} for _ in range({expressions.value(self._count(held))})])"
            return f"nn.{kind}([{', '.join(texts)}])"
        names = [expressions.value(word) for word in held]
        if alike and consecutive(list(held)) is not None:
            first, last = (expressions.value(bound) for bound in self._bounds(held))
            return f"nn.{kind}({{str(i): {texts[0]} for i in range({last if first == '0' else f'{first}, {last}'})}})"
        if alike:
            word = next(word for word in ("name", "key", "part", "member", *"abcdefgh") if f"for {word} in" not in texts[0])
            members = list(held)
            return f"nn.{kind}({{{word}: {texts[0]} for {word} in {self.instance.planner.sets.text(members)}}})"
        return f"nn.{kind}({{{', '.join(f'{name}: {text}' for name, text in zip(names, texts, strict=True))}}})"

    def _sequence(self, parts: Parts, expressions: Expressions) -> str:
        """Return the expression that makes a Sequential."""
        texts: list[str] = []
        for part in parts.values():
            if isinstance(part, Operation):
                texts.append(made(part.target, part.arguments, expressions))
            elif isinstance(part, Called):
                arguments = [Text(expressions.function(part.target)), *part.args]
                texts.append(expressions.function(APPLY) + expressions.arguments(arguments, part.kwargs))
            else:
                texts.append(self._one(part, expressions) if isinstance(part, str) else self._sequence(part, expressions))
        return f"nn.Sequential({', '.join(texts)})"

    def _count(self, held: Tree) -> Hole:
        """Return the number of members as one that may become a parameter."""
        return self._hole(held, 0, len(held))

    def _bounds(self, held: Tree) -> tuple[Hole, Hole]:
        """Return the first member and one past the last."""
        first, *_, last = map(int, held)
        return self._hole(held, 1, first), self._hole(held, 2, last + 1)

    def _hole(self, held: Tree, which: int, value: int) -> Hole:
        found = self._holes.get((id(held), which))
        if found is None:
            path: Tree | str = held
            while isinstance(path, dict):
                path = next(iter(path.values()))
            declared = self.instance.owned.declared.get(path)
            span = declared.span if declared is not None else self.instance.tensors[path].span
            terms = (*loop_wording(span)[which].terms, *(wording(span).terms if which == 0 else ()))
            found = self._holes[id(held), which] = Hole(value, Wording(terms), made=True)
        return found

    def _one(self, path: str, expressions: Expressions) -> str:
        """Return the expression that makes a tensor, a leaf module or a block."""
        if path in self.instance.tensors:
            return self._tensor(path, self.instance.tensors[path], expressions)
        declared = self.instance.owned.declared[path]
        if path not in self._values:
            if path in self.instance.children:
                self._values[path] = self.constructor(self.instance.children[path], declared)
            else:
                self._values[path] = self._leaf(declared)
        found = self._values[path]
        if isinstance(found, Call):
            return f"{found.name}{expressions.arguments(found.args, found.kwargs)}"
        target, arguments = cast("tuple[str, dict[str, Any]]", found)
        return made(target, arguments, expressions)

    def _leaf(self, declared: ModuleDecl) -> tuple[str, dict[str, Any]]:
        entry = declared.primitive
        if not isinstance(entry, Entry):
            raise TypeError(f"`{declared.path}` can't be made: `{declared.kind}` isn't a leaf module of the library")
        words = wording(declared.span)
        target, arguments = entry.constructor(Statics(), statics(declared.arguments, entry.all_arguments, words, made=True))
        exact = next((spec.dtype for spec in leaf_specs(declared) if spec.dtype.is_float), DType.FLOAT)
        if exact in TORCH_DTYPES:
            arguments["dtype"] = Text(str(TORCH_DTYPES[exact]))
        return target, arguments

    def _tensor(self, path: str, tensor: Tensor, expressions: Expressions) -> str:
        sizes: list[Any] | None = self._values.get(path)
        if sizes is None:
            sizes = self._values[path] = tagged(list(tensor.shape), wording(tensor.span), made=True)
        made = "torch.zeros" if tensor.buffer and tensor.init in (None, Initialiser("zeros", {})) else "torch.empty"
        dtype = {"dtype": Text(str(TORCH_DTYPES[tensor.dtype]))} if tensor.dtype in TORCH_DTYPES else {}
        text = made + expressions.arguments(sizes or [Text("()")], dtype)
        if tensor.buffer:
            return text
        return f"nn.Parameter({text}{'' if tensor.dtype.is_float or tensor.dtype is DType.COMPLEX else ', requires_grad=False'})"

    def _start(self, expressions: Expressions) -> Iterator[Line]:
        """Write first values that differ from those of torch's own classes."""
        for path, tensor in self.instance.tensors.items():
            if not tensor.buffer or tensor.init not in (None, Initialiser("zeros", {})):
                yield 0, fill(self.instance.access(path), tensor.init or DEFAULT, expressions)
        for path, declared in self.instance.leaves.items():
            for spec in leaf_specs(declared):
                usual = "norm" in declared.kind.lower() and spec.init == Initialiser(USUAL.get(spec.name, ""), {})
                if spec.init is not None and not usual:
                    access = self.instance.access(path)
                    yield 0, fill(Access((*access.parts, spec.name)), spec.init, expressions)


def _anchor(instance: Instance) -> str | None:
    for path, tensor in instance.tensors.items():
        if tensor.dtype is DType.FLOAT:
            return path
    for path, declared in instance.leaves.items():
        for spec in leaf_specs(declared):
            if spec.dtype is DType.FLOAT:
                return f"{path}.{spec.name}"
    for path, child in instance.children.items():
        inner = _anchor(child)
        if inner is not None:
            return join(path, inner)
    return None


def class_lines(draft: Draft, name: str, made: Parameters, numbers: Numbers, helper: Callable[[str], str]) -> list[str]:
    """Return the lines of a class."""
    init, functions = draft.text(numbers.show, helper)
    body = draft.instance.bodies[0]
    first, last = body.span.line, body.span.source.position(body.span.end)[0]
    where = body.span.source.name.rpartition("/")[2]
    lines = [f"# {where}, line{f's {first}-{last}' if last > first else f' {first}'}", f"class {name}(nn.Module):"]
    lines += docstring(draft.about(), 4)
    lines += _annotations(draft, functions)
    if init or made.names:
        lines += ["", *signature("__init__", ["self", *_parameters(made, numbers)], "None", 4), "        super().__init__()"]
        lines += written(_derived(made), 8)
        known = {**made.names, **made.derived}
        lines += [f"        self.{numbers.attribute(name)} = {name}" for name in known if name in numbers.stored]
        lines += written(init, 8)
    for head, inside in draft.methods(functions):
        lines += ["", *head, *written(inside or [(0, "pass")], 8)]
    return lines + draft.extra()


def _derived(parameters: Parameters) -> list[Line]:
    free = parameters.free
    return [(0, f"{name} = {term} if {name} is None else {name}" if free else f"{name} = {term}") for name, term in parameters.derived.items()]


def _parameters(parameters: Parameters, numbers: Numbers) -> list[str]:
    found: list[str] = []
    for name, default in parameters.names.items():
        kind = "float" if any(isinstance(value, float) for value in numbers.columns[name]) else "int"
        if default is not None:
            found.append(f"{name}: {kind} = {default}")
        else:
            found.append(f"{name}: {kind} | None = None" if parameters.free else f"{name}: {kind}")
    return found


def _annotations(draft: Draft, functions: Sequence[Sequence[Line]]) -> list[str]:
    buffers = [path for path, tensor in draft.instance.tensors.items() if tensor.buffer and "." not in path]
    buffers += ["anchor"] if draft.needs_anchor else []
    nested = dict.fromkeys(word for lines in functions for _, text in lines for word in NESTED.findall(plain(text)))
    found = [*(f"    {name}: Tensor" for name in buffers), *(f"    {word}: Any  # modules in modules" for word in nested)]
    return ["", *found] if found else []


def written(lines: Sequence[Line], indent: int) -> list[str]:
    """Lay out statements."""
    return [row for depth, text in lines for row in statement(plain(text), indent + 4 * depth)]

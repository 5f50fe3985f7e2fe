"""One class for the instances of a block: what it makes, what it does, and its text."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, cast

from ...blocks.registry import Entry
from ...dsl.primitive import Initialiser
from ...dsl.program import Body, ModuleDecl, ParameterDecl
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
from .layout import WIDTH, written
from .making import fill, made
from .marking import statics, tagged
from .merging import merged
from .numbers import WORDS, at_member, without_marks
from .plan import Instance, Tree, holder
from .rolling import rolled
from .sequences import APPLY, Called, Operation, Parts
from .sites import loop_variables, site, tensor_site
from .source_builder import SourceBuilder
from .steps import Access, Hole, Number, Text
from .terms import Wording, loop_wording
from .tidying import tidied
from .units import Line, lines_of, units_of
from .varying import consecutive, singular


@record
class Call:
    """How a child is made: its class and the values of its parameters."""

    name: str
    args: list[Any]
    kwargs: dict[str, Any]


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

    @property
    def keyed(self) -> frozenset[str]:
        """The inputs that are dicts even where their members count from 0."""
        return frozenset()

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
        without.listed, without.keyed = self.instance.planner.sets.text, self.keyed
        init = [("", line) for line in self._init(within)]
        if not roll:
            functions = [self._lines(function, without, width, False) for pair in self.functions for function in pair]
            return [line for _, line in init], [lines_of(units_of(lines)) for lines in functions]
        sets = self.instance.planner.sets
        inputs = {base_name(step.name) for pair in self.functions for function in pair for step in function.parameters}
        modes = [[self._rolled(function, without, width) for function in pair] for pair in self.functions]
        known = {*RESERVED, *sets.constants.values(), *inputs}
        return rolled(init, sets), [tidied(merged(evaluate, train), known) for evaluate, train in modes]

    def words(self, show: Callable[[Number, bool], str], helper: Callable[[str], str]) -> set[str]:
        """Return the words of `__init__`."""
        return {word for _, text in self._init(Expressions(lambda hole: show(hole, True), helper)) for word in WORDS.findall(plain(text))}

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
            yield from self._plain(f"self.{word}", held, expressions, 0)
            return
        made = without_marks(self._held(held, expressions, 0))
        if isinstance(held, str) and held in self.instance.tensors and self.instance.tensors[held].buffer:
            yield 0, f'self.register_buffer("{word}", {made})'
        elif keyword.iskeyword(word):
            register = "register_parameter" if isinstance(held, str) and held in self.instance.tensors else "add_module"
            yield 0, f'self.{register}("{word}", {made})'
        else:
            yield 0, f"self.{word} = {made}"

    def _plain(self, path: str, level: Tree, expressions: Expressions, depth: int) -> Iterator[Line]:
        yield 0, f"{path} = nn.Module()"
        for word, held in level.items():
            tensor = self.instance.tensors.get(held) if isinstance(held, str) else None
            register = "add_module" if tensor is None else "register_buffer" if tensor.buffer else "register_parameter"
            if isinstance(held, dict) and holder(held, self.instance) == "Module":
                yield 0, f'{path}.add_module("{word}", nn.Module())'
                inner = f'{path}.get_submodule("{word}")'
                below = self._plain(inner, held, expressions, depth + 1)
                yield from ((place, text) for place, text in below if text != f"{inner} = nn.Module()")
            else:
                yield 0, f'{path}.{register}("{word}", {without_marks(self._held(held, expressions, depth + 1))})'

    def _held(self, held: Tree | str, expressions: Expressions, depth: int) -> str:
        """Return the expression that makes what stands at some words of the tree; `depth` counts the families that it is a member of."""
        if isinstance(held, str):
            return self._one(held, expressions)
        if id(held) in self.instance.sequential:
            return self._sequence(self.instance.sequential[id(held)], expressions)
        texts = [self._held(below, expressions, depth + 1) for below in held.values()]
        kind = holder(held, self.instance)
        word, over = self._loop(held, expressions, depth, texts, kind)
        variable = self._variable(held, depth)
        alike = [at_member(text, f"{variable}={member}", word) for member, text in zip(held, texts, strict=True)]
        if len(set(alike)) == 1 < len(texts):
            return _comprehension(kind, word, alike[0], over)
        if kind.endswith("List"):
            return f"nn.{kind}([{', '.join(_runs(texts, alike, word))}])"
        names = [expressions.value(member) for member in held]
        return f"nn.{kind}({{{', '.join(f'{name}: {text}' for name, text in zip(names, texts, strict=True))}}})"

    def _loop(self, held: Tree, expressions: Expressions, depth: int, texts: Sequence[str], kind: str) -> tuple[str, str]:
        """Return the variable of a comprehension over a family, and what it goes through."""
        taken = {*re.findall(r"[A-Za-z_]\w*", without_marks(texts[0])), *keyword.kwlist}
        if kind.endswith("List"):
            words = (self._variable(held, depth) or "i", *"ijkabcdefgh")
            return next(word for word in words if word not in taken), f"range({expressions.value(self._count(held, depth))})"
        if consecutive(list(held)) is not None:
            first, last = (expressions.value(bound) for bound in self._bounds(held, depth))
            return next(word for word in "ijkabcdefgh" if word not in taken), f"range({last if first == '0' else f'{first}, {last}'})"
        members = self._source(held).members  # none, where the parts of a Sequential are held, of which passes call some
        counted = depth < len(members) and isinstance(members[depth], int)  # what is made of a member is made of the number, not of its name
        words = ((self._variable(held, depth) or "n") if counted else "name", "key", "part", "member", *"abcdefgh")
        over = f"({', '.join(held)})" if counted else self.instance.planner.sets.text(list(held))
        return next(word for word in words if word not in taken), over

    def _variable(self, held: Tree, depth: int) -> str:
        """Return the variable of the loop in which the members of a family are born."""
        names = [*loop_variables(self._source(held))]
        return names[depth] if depth < len(names) else ""

    def _source(self, held: Tree) -> ModuleDecl | ParameterDecl:
        """Return the first module or tensor below a place of the tree."""
        path: Tree | str = held
        while isinstance(path, dict):
            path = next(iter(path.values()))
        return self.instance.owned.declared[path] if path in self.instance.owned.declared else self._parameter(path)

    def _parameter(self, path: str) -> ParameterDecl:
        return next(body.parameters[path] for body in self.instance.bodies if path in body.parameters)

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

    def _count(self, held: Tree, depth: int) -> Hole:
        """Return the number of members as one that may become a parameter."""
        return self._hole(held, depth, 0, len(held))

    def _bounds(self, held: Tree, depth: int) -> tuple[Hole, Hole]:
        """Return the first member and one past the last."""
        first, *_, last = map(int, held)
        return self._hole(held, depth, 1, first), self._hole(held, depth, 2, last + 1)

    def _hole(self, held: Tree, depth: int, which: int, value: int) -> Hole:
        found = self._holes.get((id(held), which))
        if found is None:
            source = self._source(held)
            words = loop_wording(source.span, depth, len(source.members))[which]
            if which == 0:
                words = Wording((*self._lengths(held, depth), *words.terms), alike=True)
            found = self._holes[id(held), which] = Hole(value, words, made=True)
        return found

    def _lengths(self, held: Tree, depth: int) -> Iterator[str]:
        """Yield the lengths of the lists that tell each member of a family its own number."""
        source, variable = self._source(held), self._variable(held, depth)
        words = site(source) if isinstance(source, ModuleDecl) else tensor_site(source)
        for text in (text for texts in words.named.values() for text in texts if variable):
            yield from (f"len({name})" for name in re.findall(rf"([A-Za-z_]\w*)\[{variable}\]", text))

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
        target, arguments = entry.constructor(Statics(), statics(declared.arguments, entry.all_arguments, site(declared), made=True))
        exact = next((spec.dtype for spec in leaf_specs(declared) if spec.dtype.is_float), DType.FLOAT)
        if exact in TORCH_DTYPES:
            arguments["dtype"] = Text(str(TORCH_DTYPES[exact]))
        return target, arguments

    def _tensor(self, path: str, tensor: Tensor, expressions: Expressions) -> str:
        sizes: list[Any] | None = self._values.get(path)
        if sizes is None:
            sizes = self._values[path] = tagged(list(tensor.shape), tensor_site(self._parameter(path)), made=True, argument="shape")
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


def _runs(texts: Sequence[str], alike: Sequence[str], word: str) -> Iterator[str]:
    """Yield the members of a list, three and more in a row that are alike as one."""
    start = 0
    for text, run in groupby(alike):
        stop = start + len([*run])
        if stop - start < 3:
            yield from texts[start:stop]
        elif _reads(text, word):
            yield f"*({text} for {word} in range({f'{start}, {stop}' if start else stop}))"
        else:
            yield f"*({text} for _ in range({stop - start}))"
        start = stop


def _reads(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w.]){word}\b(?!=[^=])", text) is not None


def _comprehension(kind: str, word: str, text: str, over: str) -> str:
    """Return the expression that makes a family of modules or tensors that are alike; a list that gives each its own is gone through."""
    listed = re.fullmatch(r"range\(len\(([A-Za-z_]\w*)\)\)", over)
    if listed is not None and kind.endswith("List"):
        item = singular(listed[1])
        own = rf"(?<![\w.]){listed[1]}\[{word}\]"
        rest = re.sub(own, "", text)
        if rest != text and not re.search(rf"\b({word}|{item})\b(?!=)", rest) and item != listed[1]:
            return f"nn.{kind}([{re.sub(own, item, text)} for {item} in {listed[1]}])"
    if kind.endswith("List"):
        return f"nn.{kind}([{text} for {word if _reads(text, word) else '_'} in {over}])"
    numbers = re.match(r"range\(|\(-?\d", over) is not None
    return f"nn.{kind}({{{f'str({word})' if numbers else word}: {text} for {word} in {over}}})"

"""Binding the arguments of a call to a signature, and static arguments to their declared types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from .. import ast
from ..dims import Dim
from ..parse.pythonisms import ARGUMENTS, LEFT_OUT
from ..primitive import MISSING, Argument, Initialiser, Kind
from ..program import Member
from ..record import record
from ..source import Span
from ..types import SetAxis
from . import statics
from .context import Problem, fail, suggest
from .expressions import chosen_arm, earlier, evaluate, evaluate_whole, lookup
from .fitting import DECLARED, KINDS, refitted
from .operations import REFUSED, convert
from .scope import Earlier, Frame
from .values import (
    EnumValue,
    Family,
    Function,
    IndexSet,
    MemberOf,
    Module,
    ModuleChain,
    Template,
    Tensor,
    TypeWord,
    Unborn,
    Value,
    describe,
    is_list,
    is_map,
)


@record
class Slot:
    """One argument that a callee takes."""

    name: str
    required: bool
    keyword: bool = False
    several: bool = False  # takes all further positional arguments as a list


@record
class Bound:
    """The expressions of a call by argument name; `open` are those left open by `_` or `...`."""

    given: dict[str, ast.Expr]
    open: tuple[str, ...] | None


def bind(
    name: str, arguments: Sequence[ast.Argument], slots: Sequence[Slot], span: Span, skip: frozenset[str] = frozenset(), hint: str = ""
) -> Bound:
    """Match arguments to slots by position and name; unknown, doubled and missing ones are errors."""
    if len(arguments) == 1 and len(slots) == 1 and not slots[0].keyword and not skip and arguments[0].name is None:
        (argument,) = arguments  # most calls
        if not isinstance(argument.value, (ast.Ellipsis, ast.Open)):
            return Bound({slots[0].name: argument.value}, None)
    given: dict[str, ast.Expr] = {}
    left: list[str] = []
    rest = False
    free = [s for s in slots if not s.keyword and s.name not in skip]
    names = {s.name for s in slots}
    for argument in arguments:
        if isinstance(argument.value, ast.Ellipsis) and argument.name is None:
            rest = True
            continue
        key = _slot(name, argument, free, names, slots, given)
        if isinstance(argument.value, ast.Open):
            left.append(key)
        elif key in given:
            _gather(given, key, argument, slots, name)
        else:
            given[key] = argument.value
    missing = [s.name for s in slots if s.required and s.name not in given and s.name not in left and s.name not in skip]
    if rest:
        left.extend(s.name for s in slots if s.name not in given and s.name not in left)
    elif missing:
        fail("A202", f"`{name}` needs {statics.listed(missing)}", span, f"it takes {signature(slots)}{hint}")
    return Bound(given, tuple(left) if rest or left else None)


def _slot(name: str, argument: ast.Argument, free: list[Slot], names: set[str], slots: Sequence[Slot], given: Mapping[str, ast.Expr]) -> str:
    if argument.name is not None:
        if argument.name not in names:
            fail("A201", f"`{name}` takes no `{argument.name}`", argument.span, _instead(argument.name, names, slots))
        if argument.name in given:
            fail("A201", f"`{argument.name}` is given twice", argument.span, "keep one of them")
        free[:] = [s for s in free if s.name != argument.name]
        return argument.name
    if not free:
        fail("A201", f"`{name}` takes no further argument without a name", argument.span, f"it takes {signature(slots)}")
    slot = free[0]
    if not slot.several:
        free.pop(0)
    return slot.name


def _instead(word: str, names: set[str], slots: Sequence[Slot]) -> str | None:
    """Say what to write for an argument that is not taken: ours for PyTorch's name of it, the nearest, or all."""
    if ARGUMENTS.get(word) in names:
        return f"write `{ARGUMENTS[word]}`"
    return LEFT_OUT.get(word) or suggest(word, names, f"it takes {signature(slots)}")


def _gather(given: dict[str, ast.Expr], key: str, argument: ast.Argument, slots: Sequence[Slot], name: str) -> None:
    """Join further positional arguments of a slot that takes several into one list."""
    if not any(s.name == key and s.several for s in slots) or argument.name is not None:
        fail("A201", f"`{key}` of `{name}` is given twice", argument.span, f"it takes {signature(slots)}")
    first = given[key]
    items = (*first.items, argument.value) if isinstance(first, _Several) else (first, argument.value)
    given[key] = _Several(first.span.to(argument.value.span), items)


class _Several(ast.List):
    """Positional arguments of one slot, joined."""


def signature(slots: Sequence[Slot]) -> str:
    """Return the arguments as text: required ones plain, the others in brackets."""
    return ", ".join(f"`{s.name}`" if s.required else f"[`{s.name}`]" for s in slots) or "no arguments"


def of_primitive(arguments: Sequence[Argument]) -> list[Slot]:
    return [Slot(a.name, a.default is MISSING, a.keyword, a.kind is Kind.TENSORS) for a in arguments]


def of_item(parameters: Sequence[ast.Parameter]) -> list[Slot]:
    return [Slot(p.name, p.default is None) for p in parameters]


# ------------------------------------------------------------------------------------------- primitive arguments


def evaluate_argument(argument: Argument, node: ast.Expr, frame: Frame) -> Value:
    """Evaluate an argument of a primitive; initialisers have names of their own."""
    try:
        return initialiser(node, frame) if argument.kind is Kind.INIT else evaluate(node, frame)
    except Problem as problem:
        raise refitted(problem, node, frame, KINDS.get(argument.kind)) from None


def initialiser(node: ast.Expr, frame: Frame) -> Value:
    """Return the initialiser that an expression means."""
    table = frame.builder.context.library.initialisers()
    call = node if isinstance(node, ast.Call) else None
    function = call.function if call is not None else node
    if isinstance(function, ast.Name) and function.id in table and frame.owner(function.id) is None:
        bound = bind(function.id, call.arguments if call else (), of_primitive(table[function.id]), node.span)
        by_name = {a.name: a for a in table[function.id]}
        values = {key: convert(function.id, by_name[key], evaluate(value, frame), value.span, frame) for key, value in bound.given.items()}
        return Initialiser(function.id, values)
    if isinstance(function, ast.Name) and call is not None and frame.owner(function.id) is None:
        near = suggest(function.id, table)
        if near:
            fail("A102", f"there is no initialiser `{function.id}`", function.span, near)
    return evaluate(node, frame)


# -------------------------------------------------------------------------------------------------- typed statics


def static_arguments(parameters: Sequence[ast.Parameter], given: Mapping[str, Value], outer: Mapping[str, Span], frame: Frame) -> dict[str, Value]:
    """Return every parameter's value in order, given or default, checked against its type; `frame` is the callee's own."""
    for parameter in parameters:
        if parameter.name in given:
            value, span = given[parameter.name], outer.get(parameter.name, parameter.span)
        elif parameter.default is not None:
            value, span = typed_expression(parameter.type, parameter.default, frame), parameter.default.span
        else:
            continue
        if value is None and not (isinstance(parameter.default, ast.Constant) and parameter.default.value is None):
            kind = parameter.type.span.text
            help = f"a parameter that may be absent says so: `{parameter.name}: {kind} = none`"
            fail("A203", f"`{parameter.name}` takes `{kind}`, not `none`", span, help)
        frame.names[parameter.name] = checked(parameter.name, value, parameter.type, span, frame)
        frame.spans[parameter.name] = parameter.span
        check_maps(parameter.name, frame.names[parameter.name], frame)
    return frame.names


def typed_expression(type_: ast.Type, node: ast.Expr, frame: Frame) -> Value:
    """Evaluate an argument whose declared type says how a bare word is meant (an enum's member, an initialiser)."""
    if isinstance(type_, ast.EnumType) and isinstance(node, ast.Ternary):
        return typed_expression(type_, chosen_arm(node, frame, [m.id for m in type_.members]), frame)
    if isinstance(type_, ast.EnumType) and isinstance(node, ast.Name):
        choices = tuple(m.id for m in type_.members)
        if node.id in choices:
            return EnumValue(node.id, choices)
        if frame.owner(node.id) is None:
            fail("A213", f"`{node.id}` is not one of the choices", node.span, suggest(node.id, choices, f"they are {statics.listed(choices)}"))
    if isinstance(node, ast.SetLiteral) and not node.items and isinstance(type_, ast.TypeRef) and type_.name == "map":
        return {}
    try:
        if isinstance(node, ast.Name):
            value = lookup(node, frame)
            return earlier(value, node) if isinstance(value, Earlier) else value  # a whole family of statics may be handed on
        return evaluate(node, frame)
    except Problem as problem:
        raise refitted(problem, node, frame, DECLARED.get(type_.name) if isinstance(type_, ast.TypeRef) else None) from None


def checked(name: str, value: Value, type_: ast.Type, span: Span, frame: Frame) -> Value:
    """Return `value` as the declared type of a parameter, or report what it should be."""
    if isinstance(type_, ast.EnumType):
        choices = tuple(m.id for m in type_.members)
        word = value.name if isinstance(value, EnumValue) else value.key if isinstance(value, MemberOf) else value
        if word not in choices:
            fail("A213", f"`{name}` can't be {describe(value)}", span, suggest(str(word), choices, f"it is one of {statics.listed(choices)}"))
        return EnumValue(str(word), choices)
    if isinstance(type_, ast.TypeChoice):
        chosen = type_.then if statics.truth(evaluate(type_.condition, frame), type_.condition.span) else type_.otherwise
        return checked(name, value, chosen, span, frame)
    check_type(name, type_)
    if value is None:
        return None
    found = TYPES[type_.name](name, value, type_, span, frame)
    if found is REFUSED:
        if isinstance(value, (Dim, SetAxis)):
            help = "give the model a parameter for it, `H: int = 224`; a size only known at run time can't shape a module"
            fail("A206", f"`{name}` must be a number that is known here, not `{value}`", span, help)
        fail("A203", f"`{name}` takes {article(type_)}, not {describe(value)}", span, unmade(value) if type_.name == "block" else None)
    return found


def unmade(value: Value) -> str | None:
    """Say how a module would have stayed a block."""
    return f"with `...` as its last argument `{value.template.name}` stays a block" if isinstance(value, Module) else None


FOREIGN = {
    **dict.fromkeys(("dict", "Dict", "Mapping"), "write `map[tasks, int]`, where `index tasks = ...` is declared"),
    **dict.fromkeys(("tuple", "Tuple", "Sequence", "Iterable"), "write `list[int]`"),
    **dict.fromkeys(("Optional", "Union", "Any"), "a parameter has one type; what may be left out has a value: `dim: int = none`"),
    **dict.fromkeys(("Literal", "Enum"), "a choice of words is `mode: {a, b}`"),
    **dict.fromkeys(("Callable", "function"), "write `fn`"),
    **dict.fromkeys(("Module", "Layer", "type", "Type"), "write `block` for a block, `module` for a made module"),
    **dict.fromkeys(("number", "double", "real"), "write `float`"),
}
"""Types of Python and others, and what to write."""


def check_type(name: str, type_: ast.TypeRef) -> None:
    """Report a parameter's type that there is not."""
    if type_.name not in TYPES:
        known = FOREIGN.get(type_.name) or suggest(type_.name, TYPES, f"the types are {statics.listed(TYPES, 20)}")
        fail("A212", f"there is no parameter type `{type_.name}`", type_.span, known)
    if type_.arguments is not None and type_.name not in _GENERIC:
        help = f"a tensor is an input: `in {name}: {type_.span.text}`" if type_.name in ("float", "int", "bool") else f"write `{type_.name}`"
        fail("A212", f"`{type_.span.text}` is no parameter type", type_.span, help)


def article(type_: ast.TypeRef) -> str:
    """Return a type as it is said in a message."""
    words = {
        "int": "a whole number",
        "float": "a number",
        "bool": "`true` or `false`",
        "str": "a string",
        "index": "an index set",
        "block": "a block",
        "fn": "an operation",
        "module": "a made module",
    }
    return words.get(type_.name, f"a `{type_.span.text}`")


def _int(name: str, value: Value, type_: ast.TypeRef, span: Span, frame: Frame) -> Value:
    value = statics.tidy(statics.number(value))
    if isinstance(value, IndexSet):
        return len(value)  # a set serves as its size
    if isinstance(value, SetAxis):
        return value.size
    return value if isinstance(value, int) and not isinstance(value, bool) else REFUSED


def _float(name: str, value: Value, type_: ast.TypeRef, span: Span, frame: Frame) -> Value:
    value = statics.number(value)
    return value if isinstance(value, (int, float, Fraction)) and not isinstance(value, bool) else REFUSED


def _list(name: str, value: Value, type_: ast.TypeRef, span: Span, frame: Frame) -> Value:
    if isinstance(value, IndexSet):
        value = [m.key for m in value]
    if not is_list(value):
        return REFUSED
    inner = _element_type(type_.arguments[0]) if type_.arguments else None
    if inner is None:
        return list(value)
    return [checked(f"{name}[{i}]", item, inner, span, frame) for i, item in enumerate(value)]


def _element_type(node: ast.Expr | ast.Type) -> ast.Type:
    """Return the type of the elements in `list[int]`: what stands in its brackets was read as an expression."""
    if isinstance(node, ast.Name):
        return ast.TypeRef(node.span, node.id, None)
    if isinstance(node, ast.Index) and isinstance(node.object, ast.Name):
        return ast.TypeRef(node.span, node.object.id, node.items)
    if isinstance(node, (ast.TypeRef, ast.EnumType, ast.TypeChoice)):
        return node
    fail("A212", f"there is no parameter type `{node.span.text}`", node.span, f"the types are {statics.listed(TYPES, 20)}")


def _map(name: str, value: Value, type_: ast.TypeRef, span: Span, frame: Frame) -> Value:
    if isinstance(value, Family):
        value = dict(value.members)
    if not is_map(value):
        return REFUSED
    arguments = type_.arguments or ()
    if arguments:
        _keys(name, tuple(value), arguments[0], span, frame)
    inner = _element_type(arguments[1]) if len(arguments) > 1 else None
    if inner is None:
        return dict(value)
    return {key: checked(f"{name}[{key}]", item, inner, span, frame) for key, item in value.items()}


_KEY_TYPES: dict[str, type] = {"str": str, "int": int}
"""Words that stand for any keys of one type, in place of an index set."""


def _keys(name: str, keys: tuple[Member, ...], node: ast.Expr | ast.Type, span: Span, frame: Frame) -> None:
    """Check the keys of a map against the set in its type; one that is declared further down waits for it."""
    if isinstance(node, (ast.TypeRef, ast.EnumType, ast.TypeChoice)):
        fail("A212", f"`{node.span.text}` is no index set", node.span, "a map's type names the set of its keys: `map[tasks, int]`")
    if isinstance(node, ast.Name) and frame.owner(node.id) is None and node.id in _KEY_TYPES:
        wrong = [key for key in keys if not isinstance(key, _KEY_TYPES[node.id])]
        if wrong:
            fail("A203", f"the key `{wrong[0]}` of `{name}` is no `{node.id}`", span, "the type of the map says what its keys are")
    elif isinstance(node, ast.Name) and frame.owner(node.id) is None:
        frame.builder.maps.append(KeyedMap(node.id, name, keys, span, node.span))
    else:
        KeyedMap(node.span.text, name, keys, span, node.span).check(statics.as_set(evaluate_whole(node, frame), node.span))


@record
class KeyedMap:
    """A map whose type names an index set: its keys are the members of that set."""

    set: str
    name: str
    keys: tuple[Member, ...]
    span: Span
    declared: Span

    def check(self, found: IndexSet) -> None:
        """Report keys that are missing or too much."""
        missing = [m for m in found.members if m not in self.keys]
        if missing:
            help = f"a map over `{self.set}` needs {statics.listed(found.members)}"
            fail("A407", f"`{self.name}` has no value for {statics.listed(missing)}", self.span, help)
        unknown = [key for key in self.keys if key not in found.members]
        if unknown:
            help = suggest(str(unknown[0]), map(str, found.members), f"its members are {statics.listed(found.members)}")
            fail("A407", f"`{unknown[0]}` in `{self.name}` is no member of `{self.set}`", self.span, help)


def check_maps(name: str, value: Value, frame: Frame) -> None:
    """Check the maps that waited for the index set `name`, which is declared now."""
    if isinstance(value, IndexSet) and frame.builder.maps:
        waiting, frame.builder.maps = frame.builder.maps, [m for m in frame.builder.maps if m.set != name]
        for keyed in waiting:
            if keyed.set == name:
                keyed.check(value)


def _index(name: str, value: Value, type_: ast.TypeRef, span: Span, frame: Frame) -> Value:
    if isinstance(value, (IndexSet, list, tuple, dict, Family)):
        return statics.as_set(value, span, name)
    return REFUSED


def _block(name: str, value: Value, type_: ast.TypeRef, span: Span, frame: Frame) -> Value:
    if isinstance(value, Unborn):
        return Template(value.template.name, value.template.file, value.template.item, value.template.primitive, value.arguments, ())
    return value if isinstance(value, (Template, Function)) else REFUSED


def _only(*kinds: type) -> Callable[[str, Value, ast.TypeRef, Span, Frame], Value]:
    return lambda name, value, type_, span, frame: value if isinstance(value, kinds) else REFUSED


TYPES: dict[str, Callable[[str, Value, ast.TypeRef, Span, Frame], Any]] = {
    "int": _int, "float": _float, "bool": _only(bool), "str": _only(str), "list": _list, "map": _map, "index": _index, "set": _index, "block": _block,
    "fn": _only(Function, Template, Unborn), "module": _only(Module, ModuleChain), "dtype": _only(TypeWord, Function),
    "weights": lambda name, value, type_, span, frame: fail("A902", "parameters of type `weights` are reserved and not available yet", type_.span),
    "init": _only(Initialiser, int, float),
}  # fmt: skip
"""Types of static parameters and how a value is checked against each."""

_GENERIC = frozenset(["list", "map", "set"])
"""Types that say in brackets what they hold."""


def is_tensor_like(value: Value) -> bool:
    """Say whether a value holds tensors of the body at hand."""
    if isinstance(value, Tensor):
        return True
    if is_list(value):
        return any(is_tensor_like(v) for v in value)
    return isinstance(value, Family) and any(is_tensor_like(v) for v in value.members.values())

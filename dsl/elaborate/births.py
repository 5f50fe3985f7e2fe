"""Modules, parameters and buffers coming into being: their names become paths."""

from __future__ import annotations

from math import prod

from .. import ast
from ..members import member_text
from ..primitive import Initialiser
from ..program import Member, ModuleDecl, NodeKind, ParameterDecl
from ..source import Span
from ..types import Axis, DType, SetAxis, TensorType
from . import statics
from .arguments import Slot, bind, initialiser
from .context import fail, suggest
from .expressions import SPECIAL, evaluate
from .operations import REFUSED, axis, collect
from .scope import Frame
from .values import Chain, Declared, Function, Module, ModuleChain, Template, Tensor, TypeWord, Unborn, Value, describe, is_list

UNBEARABLE = frozenset(
    [
        "type",
        "train",
        "training",
        "forward",
        "eval",
        "half",
        "float",
        "double",
        "bfloat16",
        "to",
        "cpu",
        "cuda",
        "apply",
        "parameters",
        "buffers",
        "modules",
        "children",
        "state_dict",
        "named_parameters",
        "named_modules",
        "register_buffer",
        "register_parameter",
        "requires_grad_",
        "zero_grad",
        "share_memory",
        "compile",
        "add_module",
        "get_parameter",
        "get_submodule",
        "extra_repr",
        "T_destination",
        "add_submodule",
        "call_super_init",
        "code",
        "delete_all_unused_submodules",
        "delete_submodule",
        "dump_patches",
        "get_buffer",
        "get_extra_state",
        "graph",
        "ipu",
        "load_state_dict",
        "meta",
        "mtia",
        "named_buffers",
        "named_children",
        "print_readable",
        "recompile",
        "register_backward_hook",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "set_extra_state",
        "set_submodule",
        "shape_env",
        "smart_apply",  # transformers puts it on torch's modules
        "to_empty",
        "to_folder",
        "xpu",
    ]
)
"""Names that a torch module already uses for something else."""

MODEL_NAMES = frozenset(
    [
        "stage",
        "entry",
        "example_inputs",
        "materialize",
        "graph_module",
        "losses_in_eval",
        "draws",
        "draw_names",
        "save_weights",
        "check_claims",
        "passes",
        "quantized",
        "drop_folded",
    ]
)
"""Names that a compiled model uses for itself."""


def path_of(name: str, members: tuple[Member, ...], span: Span, model: bool = False) -> str:
    """Return `name.member.member`, the path of what is born under these loops, in a block or in the model itself."""
    if model and name in MODEL_NAMES:
        fail("A111", f"a module or parameter of a model can't be called `{name}`: that is a method of the model", span, f"call it `{name}_`")
    parts = [name, *map(member_text, members)]
    for part in parts:
        if "." in part:
            fail("A111", f"`{part}` can't be part of a module's path", span, "a member's name may not hold a dot")
        if part in UNBEARABLE:
            fail(
                "A111",
                f"a module or parameter can't be called `{part}`: PyTorch's modules use that word",
                span,
                f"choose another name, for instance `{part}_`",
            )
        if not part:
            fail("A111", "an empty name can't be part of a module's path", span, "give each member a name")
    return ".".join(parts)


def bear(value: Value, name: str, frame: Frame, span: Span, extra: tuple[Member, ...] = ()) -> Value:
    """Make the module that `value` describes under `name` and this step's members."""
    members = (*frame.members(), *extra)
    return _bear(value, path_of(name, members, span, frame.builder.model), name, members, frame.sets(len(extra)), frame, span)


def _bear(value: Value, path: str, name: str, members: tuple[Member, ...], sets: tuple[SetAxis, ...], frame: Frame, span: Span) -> Value:
    if isinstance(value, Chain):
        parts = [
            p if isinstance(p, (Function, Module)) else _bear(p, f"{path}.{i}", name, members, sets, frame, span) for i, p in enumerate(value.parts)
        ]
        return ModuleChain(path, tuple(parts), span)
    assert isinstance(value, Unborn)
    template = value.template
    declared = ModuleDecl(path, name, members, span, template.name, value.arguments, template.primitive, task=frame.task, sets=sets)
    if template.primitive is not None:
        inputs, operands, attributes = collect(template.name, template.primitive.arguments, value.arguments, value.span, {}, frame)
        if operands:
            fail("A203", f"`{template.name}` is made from static values, not tensors", value.span, "tensors are given when it is called")
        declared.arguments = inputs | attributes
        for spec in template.primitive.parameters(declared.arguments):
            _check_size(spec.shape, value.span)
            _check_start(spec.init, spec.shape, spec.dtype, frame, value.span)
    elif isinstance(template.item, ast.ExternBlock):
        declared.extern = template.item.origin
        declared.arguments = {name: statics.plain(name, argument, value.span) for name, argument in value.arguments.items()}
    frame.builder.module(declared)
    made = {k: v.path for k, v in value.arguments.items() if isinstance(v, (Module, ModuleChain))}
    declared.modules = made
    return Module(path, template, declared.arguments if template.primitive else value.arguments, span)


# ------------------------------------------------------------------------------------------------- Sequential


def _sequential(node: ast.Call, frame: Frame) -> Chain:
    parts: list[Value] = []
    for argument in node.arguments:
        if argument.name is not None:
            fail("A201", f"`Sequential` takes no `{argument.name}`", argument.span, "it takes blocks and operations in order")
        value = evaluate(argument.value, frame)
        for part in value if is_list(value) else (value,):
            if isinstance(part, Template):
                fail("A203", f"`{part.name}` lacks its arguments", argument.span, f"write `{part.name}(...)` with what it takes")
            if not isinstance(part, (Unborn, Chain, Module, ModuleChain)) and not (isinstance(part, Function) and part.primitive is not None):
                fail("A203", f"a part of a Sequential is a block or an operation of one argument, not {describe(part)}", argument.span)
            parts.append(part)
    return Chain(tuple(parts), node.span)


SPECIAL["Sequential"] = _sequential


# --------------------------------------------------------------------------------------- parameters and buffers


def _parameter(node: ast.Call, frame: Frame) -> Declared:
    return _declared(node, frame, buffer=False)


def _buffer(node: ast.Call, frame: Frame) -> Declared:
    return _declared(node, frame, buffer=True)


_SLOTS = [Slot("shape", True), Slot("init", False, True), Slot("dtype", False, True)]


def _declared(node: ast.Call, frame: Frame, buffer: bool) -> Declared:
    word = "Buffer" if buffer else "Parameter"
    bound = bind(word, node.arguments, _SLOTS, node.span).given
    sizes = evaluate(bound["shape"], frame)
    items = sizes if is_list(sizes) else [sizes]
    shape: list[Axis] = []
    for item in items:
        size = axis(item)
        if size is REFUSED or not (isinstance(size, int) or hasattr(size, "members")):
            help = "a parameter's sizes are numbers that are known here: give the block a parameter for it"
            if isinstance(item, Tensor):
                help = f"write its sizes, `{word}([4, 4], init = zeros)`"
            fail("A206", f"the shape of a {word.lower()} can't hold {describe(item)}", bound["shape"].span, help)
        if isinstance(size, int) and size < 0:
            fail("A303", f"the size {size} is negative", bound["shape"].span)
        shape.append(size)
    init = initialiser(bound["init"], frame) if "init" in bound else None
    if init is not None and not isinstance(init, Initialiser):
        if not statics.is_number(init) and not isinstance(init, bool):
            fail("A203", f"`init` takes an initialiser, such as `normal(std = 0.02)`, not {describe(init)}", bound["init"].span)
        init = Initialiser("constant", {"value": float(init)})
    dtype = _dtype(bound.get("dtype"), frame)
    if not buffer and not dtype.is_float:
        fail("A305", f"a parameter can't be `{dtype}`: it is trained", bound["dtype"].span, "write `Buffer(...)` for what isn't trained")
    declared = Declared(tuple(shape), dtype, init, buffer, node.span)
    _check_size(declared.shape, node.span)
    _check_start(init, declared.shape, dtype, frame, node.span)
    return declared


MOST = 2**63 - 1
"""How many numbers a tensor can hold: torch counts them in 64 bits."""


def _check_size(shape: tuple[Axis, ...], span: Span) -> None:
    count = prod(axis.size if isinstance(axis, SetAxis) else axis for axis in shape)
    if isinstance(count, int) and count > MOST:
        fail("A204", f"a parameter of {count:.1e} numbers is too large", span, "check what its sizes are computed from")


def _check_start(init: Initialiser | None, shape: tuple[Axis, ...], dtype: DType, frame: Frame, span: Span) -> None:
    """Refuse an initialiser that can't fill a tensor of this shape and dtype."""
    if init is None:
        return
    reason = frame.builder.context.library.unfit(init.name, shape, dtype)
    if reason is not None:
        fail("A203", f"{reason}: the tensor is `{TensorType(dtype, shape)}`", span, "choose another initialiser, `zeros` for instance")
    value = init.arguments.get("value")
    if not dtype.is_float and isinstance(value, float) and not value.is_integer():
        fail("A305", f"`{value}` can't stand in a tensor of `{dtype}`", span, "give a whole number, or make the tensor `float`")


def _dtype(node: ast.Expr | None, frame: Frame) -> DType:
    if node is None:
        return DType.FLOAT
    value = evaluate(node, frame)
    name = value.name if isinstance(value, (TypeWord, Function)) else None
    if name not in {d.value for d in DType}:
        fail("A212", f"`{node.span.text}` is no dtype", node.span, suggest(node.span.text, [d.value for d in DType]))
    return DType(name)


SPECIAL["Parameter"] = _parameter
SPECIAL["Buffer"] = _buffer


def declare(value: Declared, name: str, frame: Frame, span: Span, extra: tuple[Member, ...] = ()) -> Tensor:
    """Name a parameter or buffer, and return its value."""
    frame.builder.owner("parameters", span)
    members = (*frame.members(), *extra)
    path = path_of(name, members, span, frame.builder.model)
    body = frame.builder.body
    frame.builder.apart(path, "A107", span)
    if path in body.parameters or path in body.modules:
        fail("A107", f"the parameter `{path}` is made twice", span, "rename one of them")
    body.parameters[path] = ParameterDecl(
        path, value.shape, value.dtype, value.init, value.buffer, value.span, name, members, frame.sets(len(extra)), frame.task
    )
    return read(path, TensorType(value.dtype, value.shape), frame, span)


def read(path: str, type_: TensorType, frame: Frame, span: Span) -> Tensor:
    """Return a parameter as a value."""
    number = frame.builder.node(NodeKind.PARAMETER, path, {}, {}, (type_,), span)
    return frame.builder.tensor(number)

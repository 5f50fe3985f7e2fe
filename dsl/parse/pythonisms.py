"""Habits from PyTorch that parse, found on the syntax tree: `nn.Linear(8, 8)`, `self.fc`, `x.view(2, 3)`, `x.shape[0]`, `None`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from .. import ast
from ..diagnostics import Diagnostic

SUSPECT: Final = re.compile(
    r"\b(?:nn|self|F|torch|np|numpy|None|True|False|super|print|isinstance)\b|\.\s*(?:shape|ndim|device|dtype)\b|\.\s*[a-z]\w*\s*\(|\*\s*\["
)
"""Items without any of this are not walked."""

CONSTANTS: Final = {"None": "none", "True": "true", "False": "false"}
MODULES: Final = frozenset(("nn", "F", "torch", "np", "numpy"))
FACTS: Final = {
    "shape": "name the dimensions where the value is declared, `in x: float[B, S, dim]`, and write `S`",
    "ndim": "the rank is known: it is what the declared type says",
    "device": "leave it out: the caller says where a model runs",
    "dtype": "leave it out: the declared type says it",
}
METHODS: Final = {
    "view": 'write `rearrange(x, "b (h d) -> b h d", h = heads)` or `reshape(x, [B, S, d])`',
    "reshape": "write `reshape(x, [B, S, d])`",
    "size": "name the dimensions where the value is declared, `in x: float[B, S, dim]`, and write `S`",
    "permute": 'write `rearrange(x, "b s d -> b d s")`',
    "transpose": "write `transpose(x, 1, 2)`",
    "unsqueeze": "write `x[:, none]`",
    "squeeze": "write `x[:, 0]`",
    "forward": "call the module: `layer(x)`",
    "contiguous": "leave it out: layout is the compiler's",
    "cuda": "leave it out: the caller says where a model runs",
    "to": "leave it out: the caller says where a model runs",
    "item": "a value stays a tensor",
    "append": "a name bound in a loop is a family afterwards: `h[i]`, `h[*]`",
}
OF_MODULES: Final = {
    "requires_grad_": "write `freeze f`, or leave it out of what a stage tunes",
    "eval": "leave it out: what is frozen stands in eval mode, and a stage says `rest in eval`",
    "train": "leave it out: the caller's `.train()` says it",
    "parameters": "a selector takes what is below a path: `tune f`, `params(f)`",
    "register_buffer": "write `total = Buffer([dim], init = zeros)`",
    "apply": "say how a layer begins where it is made: `Linear(a, b, init = normal(std = 0.02))`",
    "backward": "leave it out: the loop is the caller's, and `loss main = ...` says what is minimised",
}
"""Methods of a module that nothing here can be called."""

FUNCTIONS: Final = frozenset((
    "abs", "argmax", "bmm", "bool", "chunk", "clamp", "clone", "cumsum", "detach", "exp", "expand", "flatten", "float", "gather", "int", "log",
    "log_softmax", "long", "masked_fill", "matmul", "max", "mean", "min", "norm", "pow", "relu", "repeat", "sigmoid", "softmax", "split", "sqrt",
    "std", "sum", "tanh", "topk", "tril", "triu", "type_as", "var",
))  # fmt: skip
"""Methods of a tensor that are functions here."""


OPERATIONS: Final = {
    "ReLU": "relu", "GELU": "gelu", "SiLU": "silu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softmax": "softmax(x, dim = -1)", "ELU": "elu",
    "LeakyReLU": "leaky_relu", "Softplus": "softplus", "Mish": "mish", "LogSoftmax": "log_softmax(x, dim = -1)", "ReLU6": "relu6",
    "Hardswish": "hardswish", "Flatten": "flatten", "MaxPool1d": "max_pool1d", "MaxPool2d": "max_pool2d", "AvgPool2d": "avg_pool2d",
    "AdaptiveAvgPool2d": "adaptive_avg_pool2d", "Upsample": "resize", "interpolate": "resize", "PixelShuffle": "pixel_shuffle",
    "scaled_dot_product_attention": "attention(q, k, v)", "CrossEntropyLoss": "cross_entropy(logits, target)", "MSELoss": "mse(y, target)",
    "L1Loss": "l1(y, target)", "mse_loss": "mse", "l1_loss": "l1", "BCEWithLogitsLoss": "bce_with_logits(logits, target)",
    "binary_cross_entropy_with_logits": "bce_with_logits",
}  # fmt: skip
"""Modules and functions of PyTorch that are operations here under another name."""

RENAMED: Final = {
    "cat": "write `concat(a, b, dim = 1)`",
    "matmul": "write `a @ b`",
    "bmm": "write `a @ b`",
    "Module": "write `block Name(...) { ... }`",
    "ModuleList": "make the modules in a loop: `repeat i in 0..depth carry x { layer = Layer(dim); x = layer(x) }`",
    "ModuleDict": "make the modules in a loop: `for t in tasks { head = Linear(dim, classes[t]) }`",
    "Parameter": "write `scale = Parameter([dim], init = ones)`",
    **{name: f"write `{ours}`: what has no parameters is an operation, in a `Sequential` too" for name, ours in OPERATIONS.items()},
    "MultiheadAttention": "write `import attention.SelfAttention`",
    "TransformerEncoderLayer": "write `import encoder.PostNormLayer` or `import encoder.PreNormLayer`",
    "no_grad": "write `detach(x)`, or `freeze` for what is never trained",
}  # fmt: skip
"""What `torch.NAME` and `nn.NAME` are here, where the name differs."""

WORDS: Final = {
    **{name: help for name, help in RENAMED.items() if name[0].isupper() and name != "Parameter"},
    "range": "write a range: `for i in 0..n { ... }`",
    "enumerate": "run over the set: its members count as their positions in arithmetic",
    "zip": "run over one index set and read both families by its member: `a[t] + b[t]`",
    "isinstance": "steer by a parameter: `mode: {pre, post} = pre`, then `if mode == pre { ... }`",
    "print": "leave it out: what is wanted is an `out`; `archloom run` prints outputs, `archloom summary` sizes",
    "super": "leave it out: blocks inherit nothing",
    "checkpoint": "leave it out: the caller asks for it, `--optimize checkpoint`",
    "view": "write `reshape(x, [B, S, d])`",
    "out": "write `out y = e`, without parentheses",
    "tie": "write `tie a.weight, b.weight`, without parentheses",
    "loss": "write `loss main = e`, without parentheses",
    **dict.fromkeys(("null", "nil", "NULL", "undefined"), "write `none`"),
}
"""Names of Python and PyTorch that stand alone, and what to write."""

ALONE: Final = {
    "pass": "leave the braces empty: `{ }`",
    "break": "a loop runs over all of its set: leave members out with `for t in s if c`",
    "continue": "leave members out with `for t in s if c`",
    "return": "write `out y = e`",
    **dict.fromkeys(("end", "endif", "endfor", "done", "begin"), "a block stands in braces: `{ ... }`"),
}
"""Names that stand alone as a statement of another language, and what to write."""

ARGUMENTS: Final = {
    "in_features": "din", "out_features": "dout", "in_channels": "cin", "out_channels": "cout", "kernel_size": "kernel", "num_embeddings": "count",
    "embedding_dim": "dim", "normalized_shape": "dim", "num_features": "channels", "num_channels": "channels",
    "num_heads": "heads", "n_heads": "heads",
    "hidden_size": "dim", "padding_idx": "padding", "axis": "dim", "input": "x", "d_model": "dim", "num_groups": "groups",
}  # fmt: skip
"""PyTorch's names of arguments, with ours."""

LEFT_OUT: Final = {
    "device": "leave it out: the caller says where a model runs", "dtype": "leave it out: the caller chooses the dtype",
    "inplace": "leave it out: every value is a new one", "batch_first": "leave it out: the declared type says which axis is the batch",
}  # fmt: skip
"""Arguments of PyTorch that nothing here takes."""


SELECTING: Final = ("params", "losses")
"""Functions that take selectors."""

LEAVES: Final = frozenset((str, int, float, bool, type(None)))


def pythonisms(item: ast.Item) -> list[Diagnostic]:
    """Return an error for each habit from PyTorch in an item, with its spelling here."""
    if not SUSPECT.search(item.span.text):
        return []
    values = frozenset(valued(item))
    return [found for node in walk(item, values) if (found := judge(node, values))]


@cache
def _fields(kind: type) -> tuple[str, ...] | None:
    """Return what of a kind of node may hold nodes, the last first; None for what is no node."""
    return tuple(field for field in reversed(kind.__dataclass_fields__) if field != "span") if issubclass(kind, ast.Node) else None


def walk(root: ast.Node, values: frozenset[str] | None = None) -> Iterator[ast.Node]:
    """Yield a node and all below it, parents first; with `values`, not what is below a node that is wrong itself."""
    waiting: list[Any] = [root]
    while waiting:
        thing = waiting.pop()
        kind = thing.__class__
        if kind is tuple:
            waiting.extend(reversed(thing))
        elif kind not in LEAVES and (fields := _fields(kind)) is not None:
            yield thing
            if values is None or not judge(thing, values):
                waiting += [getattr(thing, field) for field in fields]


def valued(item: ast.Item) -> Iterator[str]:
    """Yield the names that surely hold values: a dot after another name may reach a part of a module, which may be called anything."""
    for node in walk(item):
        if isinstance(node, ast.In | ast.Target | ast.Draw):
            yield from (declared.name for declared in node.names)
        elif isinstance(node, ast.State):
            yield node.name.name
        elif isinstance(node, ast.Assign) and not makes_module(node.value):
            yield from (goal.name for goal in node.goals)


def makes_module(value: ast.Expr) -> bool:
    """Return whether a value may be a module: `Linear(a, b)`, such a one chosen, or another name for one."""
    if isinstance(value, ast.Tuple):
        return any(makes_module(part) for part in value.items)
    if isinstance(value, ast.Ternary):
        return makes_module(value.then) or makes_module(value.otherwise)
    if isinstance(value, ast.Call):
        return isinstance(value.function, ast.Name | ast.Attribute) and value.function.span.text.rpartition(".")[2][:1].isupper()
    return isinstance(value, ast.Name | ast.Attribute | ast.Index | ast.With)


def judge(node: ast.Node, values: frozenset[str]) -> Diagnostic | None:
    """Return what is wrong with one node."""
    if isinstance(node, ast.Name) and node.id in CONSTANTS:
        return Diagnostic("A025", f"`{node.id}` is written in lower case", node.span, help=f"write `{CONSTANTS[node.id]}`")
    if isinstance(node, ast.TypeRef):
        return next((sizeless(size) for size in node.arguments or () if isinstance(size, ast.Name) and size.id == "None"), None)
    if isinstance(node, ast.Call):
        spread = next((a for a in node.arguments if a.name is None and is_spread(a.value)), None)
        if spread is not None and not (isinstance(node.function, ast.Name) and node.function.id in SELECTING):
            help = "write each argument, or pass a family whole: `f(x[*])`"
            return Diagnostic("A030", f"`{spread.span.text}` spreads nothing here: arguments are written one by one", spread.span, help=help)
    if isinstance(node, ast.Call) and isinstance(node.function, ast.Attribute):
        return method(node, node.function, values)
    if isinstance(node, ast.Attribute):
        return member(node, values)
    return None


def sizeless(size: ast.Name) -> Diagnostic:
    return Diagnostic("A025", "`None` is no size", size.span, help="a size that is not known has a name with a capital: `B`")


def is_spread(value: ast.Expr) -> bool:
    """Tell whether an argument is `*[a, b]`, which parses as a selector."""
    return isinstance(value, ast.Index) and isinstance(value.object, ast.Whole)


def root(node: ast.Expr) -> ast.Expr:
    """Return what stands before the first dot or bracket."""
    while isinstance(node, ast.Attribute | ast.Index):
        node = node.object
    return node


def holds_value(node: ast.Expr, values: frozenset[str]) -> bool:
    first = root(node)
    return first.id in values if isinstance(first, ast.Name) else isinstance(first, ast.Call | ast.Binary | ast.Unary)


def method(node: ast.Call, called: ast.Attribute, values: frozenset[str]) -> Diagnostic | None:
    """Judge `x.view(2, 3)`: operations are functions."""
    if not isinstance(called.part, str) or not (called.part in OF_MODULES or holds_value(called.object, values)):
        return None
    owner = called.object.span.text
    message = f"`{owner}.{called.part}(...)` is a method of PyTorch"
    if called.part in OF_MODULES:
        return Diagnostic("A026", message, node.span, help=OF_MODULES[called.part])
    if called.part in METHODS:
        return Diagnostic("A026", message, node.span, help=METHODS[called.part])
    if called.part in FUNCTIONS:
        return Diagnostic("A026", message, node.span, help=f"write `{as_functions(node)}`")
    return None


def as_functions(node: ast.Expr) -> str:
    """Return `relu(x)` for `x.relu()`, of methods in a row too."""
    if not isinstance(node, ast.Call) or not isinstance(node.function, ast.Attribute) or node.function.part not in FUNCTIONS:
        return node.span.text
    arguments = ", ".join([as_functions(node.function.object), *(argument.span.text for argument in node.arguments)])
    return f"{node.function.part}({arguments})"


def member(node: ast.Attribute, values: frozenset[str]) -> Diagnostic | None:
    """Judge `nn.Linear`, `F.relu`, `self.fc` and `x.shape`."""
    if not isinstance(node.part, str):
        return None
    written = node.span.text
    first = node.object.id if isinstance(node.object, ast.Name) else ""
    if isinstance(node.object, ast.Attribute) and node.object.span.text in ("nn.functional", "torch.nn", "torch.nn.functional", "torch.utils"):
        first = node.object.span.text.split(".")[0]
    if first == "self":
        return Diagnostic("A022", f"`{written}`: there is no `self`", node.span, help=f"write `{node.part}`: names of a block are known in all of it")
    if first in MODULES and first not in values:
        code = "A021" if first == "nn" else "A028"
        help = RENAMED.get(node.part) or f"write `{node.part}`: layers and operations are always there"
        return Diagnostic(code, f"`{written}`: there are no Python modules", node.span, help=help)
    if node.part in FACTS and holds_value(node.object, values):
        return Diagnostic("A027", f"`{written}`: a value has no `.{node.part}`", node.span, help=FACTS[node.part])
    return None

"""Another model of the file as a source of weights: its own parameters are what is stored."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from .. import ast
from ..inspector import Owned
from ..plans import WeightSource
from ..selection import Tree
from ..source import Span
from . import statics
from .arguments import typed_expression
from .context import Poisoned, fail, suggest
from .scope import Frame
from .selecting import tree_of
from .values import Value


class Stored:
    """The parameters of the model that weights are read from."""

    def __init__(self, name: str, tree: Tree) -> None:
        self.name, self.tree = name, tree

    def check(self, own: Owned, source: WeightSource, span: Span) -> WeightSource:
        """Require that the names exist, and have the right shape where nothing is done to them; raises Problem.

        Returns the source with tied parameters under the name by which they are saved.
        """
        for name in source.names:
            number = self.tree.by_path.get(name)
            if number is None:
                help = suggest(name, self.tree.by_path, "`archloom summary` lists its parameters")
                fail("A611", f"`{self.name}` has no parameter `{name}`", span, help)
            shape = self.tree.entries[number].shape
            if not source.steps and shape != own.shape:
                message = f"`{own.path}` has the shape {list(own.shape)}, `{name}` of `{self.name}` {list(shape)}"
                fail("A610", message, span, "cut, reshape or leave it to its initialisation")
        kept = (self.tree.entries[self.tree.one(self.tree.by_path[name])].path for name in source.names)
        return replace(source, names=tuple(kept))


def stored_model(node: ast.Expr, named: ast.Model | ast.ModelAlias, frame: Frame, here: Collection[str]) -> Stored:
    """Elaborate the model that a source names, with its arguments; raises Problem or Poisoned.

    `...` as the last argument hands on the values of the parameters `here` that the model has, too.
    """
    from .model import alias, body_of  # which imports the plans

    context = frame.builder.context.mode()
    model, given = named, dict[str, Value]()
    if isinstance(model, ast.ModelAlias):
        _, model, given = alias(model, (), frame.file, context.files, context.library)
    types = {parameter.name: parameter.type for parameter in model.parameters}
    for argument in node.arguments if isinstance(node, ast.Call) else ():
        if isinstance(argument.value, ast.Ellipsis):
            rest = [name for name in types if name in here and name not in given]
            if not rest:
                fail("A201", f"`...` hands nothing on to `{named.name}`", argument.span, "it stands for the parameters that both models have")
            given |= {name: typed_expression(types[name], ast.Name(argument.span, name), frame) for name in rest}
            continue
        name = argument.name or ""
        if name not in types:
            help = suggest(name, types, f"name each argument; they are {statics.listed(types)}")
            fail("A201", f"`{named.name}` takes no `{name or argument.value.span.text}`", argument.span, help)
        given[name] = typed_expression(types[name], argument.value, frame)
    context.stack.append((model.name, node.span))
    inner = body_of(model, frame.file, context, None, given)
    if inner.builder.poisoned:
        raise Poisoned
    return Stored(" ".join(node.span.text.split()), tree_of(inner, inner.builder.body))

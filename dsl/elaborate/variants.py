"""A model elaborated anew with what a stage `set`s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import ast
from ..program import Body
from . import statics
from .arguments import checked, typed_expression
from .context import Poisoned, fail, suggest
from .scope import Frame


def evaluate_settings(model: ast.Model, base: Frame, settings: dict[str, Any]) -> None:
    """Make values of the expressions in `settings`; raises Problem for a wrong setting."""
    types = {parameter.name: parameter.type for parameter in model.parameters}
    for name, node in settings.items():
        if name not in types:
            known = f"its parameters are {statics.listed(types)}" if types else "it has no parameters"
            fail("A201", f"`{model.name}` takes no `{name}`", node.span, suggest(name, types, known))
        settings[name] = checked(name, typed_expression(types[name], node, base), types[name], node.span, base)


def variant(model: ast.Model, base: Frame, settings: Mapping[str, Any], stage: ast.Stage) -> tuple[Frame, Body]:
    """Return the frame of the model with other arguments and the body that it trains.

    Raises Poisoned where the model has errors of its own with these arguments (they are reported).
    """
    from .model import body_of  # which imports the plans

    context = base.builder.context
    given = {**base.builder.explicit, **settings}
    frames: list[Frame] = []
    for training in (False, True):
        inner = context.mode(training=training)
        inner.stack.append((f"stage {stage.name}", stage.span))
        frame = body_of(model, base.file, inner, base.builder.preset, given)
        if frame.builder.poisoned:
            raise Poisoned
        frames.append(frame)
        if not frame.builder.body.uses_training:
            break
    return frames[0], frames[-1].builder.body

"""Evaluating something beside a finished body, which must not grow by it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from .scope import Frame


@contextmanager
def aside(frame: Frame) -> Generator[None]:
    """Take out again what evaluation inside the `with` appends to the body."""
    builder = frame.builder
    nodes, constants = len(builder.body.nodes), dict(builder.constants)
    conditions, known, facts = len(builder.body.conditions), set(builder.conditions), builder.facts
    uses_training = builder.body.uses_training
    try:
        yield
    finally:
        del builder.body.nodes[nodes:]
        del builder.body.conditions[conditions:]
        builder.constants, builder.conditions, builder.facts = constants, known, facts
        builder.body.uses_training = uses_training

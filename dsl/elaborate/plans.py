"""What is said about a whole model: stages, weights maps, golden files, presets, renames; being written."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ast
from ..inspector import Inspector
from ..program import Program
from .scope import Frame


def plan(program: Program, frame: Frame, trees: Sequence[ast.Item], preset: ast.Preset | None, inspector: Inspector) -> None:
    """Check all that is said about a model beside its body, and put it into the program."""


def check_relation(statement: ast.Assert, frame: Frame) -> None:
    """Check `a ignores b` or `a uses b`."""


def count_parameters(selectors: list[ast.Expr], frame: Frame) -> int:
    """Count the numbers in the selected parameters."""
    inspector = frame.builder.context.inspector
    return sum(o.size for o in inspector.owned(frame.builder.body) if not o.buffer) if inspector else 0

"""Every file that adds statements, expressions or forms to the elaborator, imported together; then statements can be run."""

from . import births, blocks, calls, claims, declarations, indexing, oversights, special
from .statements import finish, run

PARTS = (births, blocks, calls, claims, declarations, indexing, oversights, special)
"""The parts of the elaborator that register themselves when they are imported."""

__all__ = ["PARTS", "finish", "run"]

"""Every file that adds statements, expressions or forms to the elaborator, imported together; then statements can be run."""

from . import attributes, births, blocks, calls, claims, declarations, externs, indexing, literals, oversights, places, special, states
from .statements import finish, run

PARTS = (attributes, births, blocks, calls, claims, declarations, externs, indexing, literals, oversights, places, special, states)
"""The parts of the elaborator that register themselves when they are imported."""

__all__ = ["PARTS", "finish", "run"]

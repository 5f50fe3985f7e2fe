# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""All of the oracle's operations: the files that fill its table, imported for that."""

from __future__ import annotations

from . import torch_layers, torch_losses, torch_places, torch_quantized, torch_shapes
from .torch_elementwise import TABLE

FILLED = (torch_layers, torch_losses, torch_places, torch_quantized, torch_shapes)
__all__ = ["FILLED", "TABLE"]

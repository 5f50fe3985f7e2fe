"""All that is known of one compiled model before it has modules: shared by its instances, changed by none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...dsl.program import Program
from ..census import Census
from ..lower.build import Builder
from ..lower.unit import Unit
from ..optimize.report import Passes
from .border import Names
from .calls import Signature


@dataclass(slots=True, eq=False)
class Plan:
    """A program cut to the asked tasks, with the unit of its root."""

    program: Program
    unit: Unit
    builder: Builder
    signature: Signature
    variants: Mapping[str, Signature]  # by stage, where it sets other arguments
    names: Names
    staged: Mapping[str, Names]  # by stage, where it takes inputs that the model doesn't, or by other names
    ties: tuple[tuple[str, str], ...]  # the path that stays, and each other one
    frozen: tuple[str, ...]  # paths that are frozen for good
    passes: Passes
    bypassed: tuple[str, ...]  # modules that passes compute without calling them

    def __deepcopy__(self, memo: dict[int, Any]) -> Plan:
        return self

    def border(self, stage: str | None) -> tuple[Signature, Names]:
        """Return the border of a stage, or of the model: what each call computes, and the inputs that it takes."""
        if stage is None:
            return self.signature, self.names
        return self.variants.get(stage, self.signature), self.staged.get(stage, self.names)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter and buffer by path."""
        return {tensor.path: tensor.shape for tensor in Census(self.unit.registered).tensors()}

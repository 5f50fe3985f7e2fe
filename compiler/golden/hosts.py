"""What `host "name"` of a golden clause means: moving a case's data to where a model takes it, and back.

A host may cut, pad, join and rename tensors, and run a sampling loop; it computes nothing that the model is to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from ...dsl.record import record

Tensors = Mapping[str, Tensor]
Config = Mapping[str, Any]


@record
class Host:
    """The hooks of one name; each is given the case's configuration."""

    inputs: Callable[[Config, Tensors], Tensors] | None = None  # stored inputs -> tensors that the `in` clauses name
    draws: Callable[[Config, Tensors], Tensors] | None = None  # stored inputs -> draws and masks of dropout by their paths
    values: Callable[[Config, Any, Tensors, Tensors], Tensors] | None = None  # model, its inputs, values by stored name -> more of them


HOSTS: dict[str, Host] = {}
"""By the name that a golden clause gives."""

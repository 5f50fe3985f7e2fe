"""The bridge to torchao: its configurations for what is chosen, and its static quantization of exported models."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import torch
from torch import nn

from ...dsl.diagnostics import closest
from ..passes.quantize import KINDS, STATIC
from ..runtime.model import Model
from .batches import Batches, batches, outputs
from .search import Choice, Progress

CONFIGS = {
    "int8_dynamic": "Int8DynamicActivationInt8WeightConfig",
    "int8_weight": "Int8WeightOnlyConfig",
    "int4_weight": "IntxWeightOnlyConfig",
}
"""By kind, what torchao calls it."""


def library(name: str) -> Any:
    """Return a module of torchao; ImportError that says how to get it."""
    try:
        return import_module(f"torchao.{name}")
    except ImportError as error:
        raise ImportError('this needs torchao, which is not installed: pip install "archloom[quantize]"') from error


def config(choices: Iterable[Choice]) -> Any:
    """Return a `FqnToConfig` by which `torchao.quantization.quantize_` does what is chosen, in a model without passes, whose linears are
    `nn.Linear`: `quantize_(model, config(found.taken), filter_fn=None)`.  Raises ValueError for ranges: those go by `static`.
    """
    found: dict[str, Any] = {}
    for choice in choices:
        if choice.to not in CONFIGS:
            near = closest(choice.to, CONFIGS)
            raise ValueError(f"torchao has no configuration for `{choice.to}`{f', did you mean `{near}`' if near else ''}: {_instead(choice.to)}")
        made = _config(choice.to)
        found.update((path.removesuffix(".weight"), made) for path in choice.weights)
    return library("quantization").FqnToConfig(found)


def _instead(kind: str) -> str:
    return "quantize the exported model by `static`" if kind == STATIC else f"there is {', '.join(KINDS)}"


def _config(kind: str) -> Any:
    made = getattr(library("quantization"), CONFIGS[kind])
    if kind != "int4_weight":
        return made()
    return made(weight_dtype=vars(torch)["int4"], granularity=library("quantization.granularity").PerGroup(32))


def static(model: Model, data: Batches, *, batch: int = 32, progress: Progress | None = None) -> nn.Module:
    """Return a model whose linears and convolutions are statically quantized to 8 bits by torchao's `pt2e`, for CPUs: `torch.export`, observers,
    the batches, conversion.  It is called as the model, with inputs of the size of the first batch, and gains its speed from
    `torch.compile`, with `torch._inductor.config.freezing` set.

    Raises InputError for a batch that doesn't fit the model's inputs, ImportError without torchao.
    """
    pt2e = library("quantization.pt2e.quantize_pt2e")
    x86 = library("quantization.pt2e.quantizer.x86_inductor_quantizer")
    found = batches(data, batch)
    with torch.no_grad():
        for number, each in enumerate(found):
            outputs(model, number, each)
        exported = torch.export.export(model, (), dict(found[0])).module()
        quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
        prepared = pt2e.prepare_pt2e(exported, quantizer)
        for number, each in enumerate(found):
            if progress is not None:
                progress.count("finding ranges", number, len(found))
            prepared(**each)
        return pt2e.convert_pt2e(prepared)

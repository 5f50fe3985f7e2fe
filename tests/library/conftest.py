"""What several of these tests ask of transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let the reference's norms compute in the dtype at hand: their rounding to float32 would hide differences below 1e-7."""

    def forward(self: Any, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    dtype = request.getfixturevalue("dtype") if "dtype" in request.fixturenames else torch.float64
    if dtype is torch.float64:
        monkeypatch.setattr(LlamaRMSNorm, "forward", forward)
        monkeypatch.setattr(Qwen2RMSNorm, "forward", forward)

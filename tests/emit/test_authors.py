"""UniFork written as Python computes what the authors' code does, forward and backward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import archloom

from ..examples.test_unifork import (
    DECODER,
    EXAMPLE,
    GOLDEN,
    WHOLE,
    batch,
    close,
    compare_gradients,
    gradients,
    sizes,
    tensors,
    whole_sizes,
)


def emitted(text: str, params: dict[str, Any], weights: Any) -> Any:
    return archloom.compile(text, params, weights=weights, dtype=torch.float64, source=True).eval()


def test_decoder_and_depth_head(tmp_path: Path) -> None:
    model = emitted(DECODER, sizes("a"), GOLDEN / "a" / "weights.safetensors")
    given, expected = tensors("a", "inputs"), tensors("a", "outputs")
    x = given["inputs_embeds"].requires_grad_()
    result = model(x=x, code=given["code"])
    for name, value in result.items():
        close(value, expected[name], 2e-5, name)
    torch.stack([(result[k] * given[f"cotangent.{k}"]).sum() for k in result]).sum().backward()
    assert x.grad is not None
    close(x.grad, tensors("a", "grads")["input.inputs_embeds"], 1e-4, "inputs_embeds")
    compare_gradients(model, gradients(DECODER, sizes("a"), "a", tmp_path))


def test_the_whole_example(tmp_path: Path) -> None:
    text = EXAMPLE.read_text() + WHOLE
    model = emitted(text, whole_sizes("b"), {"official": GOLDEN / "b" / "weights.safetensors"})
    tasks = {task: batch(task) for task in ("understand", "generate")}
    given = {name: {task: values[name] for task, values in tasks.items()} for name in ("ids", "mask", "at", "image")}
    result = model(**given, labels=tasks["understand"]["labels"])
    expected, cotangent = tensors("b", "outputs"), tensors("b", "inputs")
    logits = {"logits_und": result["understand"]["logits"], "logits_gen": result["generate"]["logits"].flatten(0, 2)}
    losses = {"loss_und": result["losses"]["understand.text"], "loss_gen": result["losses"]["generate.image"], "loss": result["loss"]}
    for name, value in {**logits, **losses}.items():
        close(value, expected[name], 2e-5, name)
    differentiated = {**logits, "loss": result["loss"]}
    torch.stack([(value * cotangent[f"cotangent.{name}"]).sum() for name, value in differentiated.items()]).sum().backward()
    compare_gradients(model, gradients(text, whole_sizes("b"), "b", tmp_path))

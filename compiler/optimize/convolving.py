"""What is known of a convolution over two axes, be it a module or an operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ...blocks.parameters import per_axis
from ...dsl.program import Body, ModuleDecl, Node, NodeKind, Ref
from ...dsl.types import TensorType
from ..census import leaf_specs
from ..graph import module_at
from .writing import Writer


def weight_of(body: Body, node: Node) -> TensorType | None:
    """Return the type of a convolution's kernel; None for what is no convolution of two axes."""
    if node.kind is NodeKind.OPERATION and node.target == "conv2d":
        weight = node.inputs["weight"]
        return body.type(weight) if isinstance(weight, Ref) else None
    declared = module_at(body, node.target) if node.kind is NodeKind.LEAF else None
    if declared is None or declared.kind != "Conv2d":
        return None
    specs = {spec.name: spec for spec in leaf_specs(declared)}
    return TensorType(specs["weight"].dtype, specs["weight"].shape)


def made_with(body: Body, node: Node) -> Mapping[str, Any]:
    """Return what a convolution was made with."""
    declared = module_at(body, node.target) if node.kind is NodeKind.LEAF else None
    return declared.arguments if declared is not None else node.attributes


def is_plain(made: Mapping[str, Any]) -> bool:
    """Tell whether a kernel slides over zeros at the border, place by place, for all channels."""
    plain = per_axis(made["stride"], 2) == per_axis(made["dilation"], 2) == (1, 1) and made["groups"] == 1
    return plain and made.get("padding_mode", "zeros") == "zeros" and made["padding"] != "same"


def tensors(writer: Writer, node: Node) -> dict[str, Ref]:
    """Return kernel and bias of a convolution as new values."""
    if node.kind is NodeKind.OPERATION:
        return {name: writer.at(ref) for name in ("weight", "bias") if isinstance(ref := node.inputs.get(name), Ref)}
    return writer.weights(node.target, cast(ModuleDecl, module_at(writer.old, node.target)), node.span)

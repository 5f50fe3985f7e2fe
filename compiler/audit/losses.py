"""Losses of a subject by name, however they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor

from ...dsl.diagnostics import closest
from .errors import failure
from .subject import Losses


def called(model: Any, batch: Any) -> Any:
    """Call a model with a batch: a mapping by name, a tuple or list by position, anything else as it is."""
    if isinstance(batch, Mapping):
        return model(**cast("Mapping[str, Any]", batch))
    return model(*batch) if isinstance(batch, (tuple, list)) else model(batch)


def losses_of(losses: Losses, model: Any, batch: Any) -> dict[str, Tensor]:
    """Compute the losses of a batch by name; those that are None, as of a task that the batch lacks, are left out.

    Raises Failure for a name that the output doesn't have (A563) and for a loss that isn't one number (A505).
    """
    found: dict[str, Any] = {}
    if callable(losses):
        found = _flat(losses(model, batch), "loss")
    elif isinstance(losses, Mapping):
        given = losses
        names = {name: loss for name, loss in given.items() if isinstance(loss, str)}
        output = called(model, batch) if names else None
        for name, loss in given.items():
            found.update(_flat(_read(output, loss) if isinstance(loss, str) else loss(model, batch), name))
    else:
        output = called(model, batch)
        if losses is None:
            found = _own(output)
        for name in (losses,) if isinstance(losses, str) else losses or ():
            found.update(_flat(_read(output, name), name))
    return {name: _scalar(name, value) for name, value in found.items() if value is not None}


def _own(output: Any) -> dict[str, Any]:
    """Return the losses that an output has by itself."""
    if isinstance(output, Tensor) and output.numel() == 1:
        return {"loss": output}
    parts = _parts(output)
    several = parts.get("losses")
    if isinstance(several, Mapping) and several:
        return dict(cast("Mapping[str, Any]", several))
    if parts.get("loss") is None:
        has = f"it has {', '.join(f'`{name}`' for name in parts)}" if parts else f"it is a `{type(output).__name__}`"
        help = "give the batch its labels, or say how a loss is computed: `losses=lambda model, batch: ...`"
        raise failure("A563", f"the model's output has no `loss`: {has}", help)
    return {"loss": parts["loss"]}


def _read(output: Any, path: str) -> Any:
    """Return what stands in an output under a name, as `loss` or `losses.depth`."""
    whole = _parts(output)
    if path in whole:
        return whole[path]
    value = output
    for word in path.split("."):
        parts = _parts(value)
        if word not in parts:
            near = closest(word, parts)
            there = f"there is {', '.join(f'`{name}`' for name in parts) or 'nothing by name'}"
            raise failure("A563", f"the model's output has no loss `{path}`", f"did you mean `{near}`?" if near else there)
        value = parts[word]
    return value


def _parts(value: Any) -> Mapping[str, Any]:
    """Return the parts of an output that have names."""
    if isinstance(value, Mapping):
        return {str(name): part for name, part in cast("Mapping[Any, Any]", value).items()}
    if hasattr(value, "_asdict"):
        return dict(cast("Mapping[str, Any]", value._asdict()))
    if isinstance(value, (tuple, list)):
        return {str(number): part for number, part in enumerate(cast("Sequence[Any]", value))}
    if isinstance(value, Tensor):
        return {}
    return {name: getattr(value, name) for name in dir(value) if not name.startswith("_")}


def _flat(value: Any, name: str) -> dict[str, Any]:
    """Return one loss under its name, or those of a mapping by their own."""
    if isinstance(value, Mapping):
        return {str(key): part for key, part in cast("Mapping[Any, Any]", value).items()}
    return {name: value}


def _scalar(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise failure("A505", f"the loss `{name}` is a `{type(value).__name__}`, not a tensor", "return the tensor, not its `.item()`")
    if value.numel() != 1:
        help = "reduce it with `.mean()` or `.sum()`"
        raise failure("A505", f"the loss `{name}` is a tensor of shape {list(value.shape)}, not one number", help)
    return value.reshape(())

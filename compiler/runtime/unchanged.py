"""What is looked at before each call of a model, written out as one function: a loop over the same takes three times as long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor

Link = tuple[dict[str, Any], str, Any]
"""A dictionary of a module, a key in it, and what was found there."""


place = cast("Callable[[Tensor], int]", getattr(Tensor, "const_data_ptr", Tensor.data_ptr))
"""Where a tensor begins in memory: asked so, as far as torch can, what is copied at the first write is not copied by reading."""


def unchanged(
    links: Iterable[Link],
    without: Iterable[Mapping[str, Any]] = (),
    called: Iterable[object] = (),
    lying: Sequence[Tensor] = (),
    at: Sequence[int] = (),
) -> Callable[[], bool]:
    """Return a function that tells whether each dictionary still holds what was there, and those in `without` no `forward`.

    Modules that are `called` must be of the class that they are of now, which must do what it does, and have neither hooks nor a `forward` or
    compiled call of their own; tensors that are `lying` must lie `at` these places.
    """
    scope: dict[str, Any] = {}
    terms = ["True"]
    for number, (held, name, known) in enumerate({(id(held), name): (held, name, known) for held, name, known in links}.values()):
        scope[f"held_{number}"], scope[f"known_{number}"] = held, known
        terms.append(f"held_{number}[{name!r}] is known_{number}")
    for number, held in enumerate({id(held): held for held in without}.values()):
        scope[f"skipped_{number}"] = held
        terms.append(f"'forward' not in skipped_{number}")
    for number, module in enumerate({id(module): module for module in called}.values()):
        kind: Any = type(module)
        scope |= {f"own_{number}": vars(module), f"module_{number}": module, f"class_{number}": kind, f"forward_{number}": kind.forward}
        scope |= {f"{name}_{number}": vars(module)[f"_forward_{name}"] for name in ("hooks", "pre_hooks")}
        terms.append(f"module_{number}.__class__ is class_{number} and class_{number}.forward is forward_{number}")
        terms.append(f"not (hooks_{number} or pre_hooks_{number} or 'forward' in own_{number} or '_compiled_call_impl' in own_{number})")
    if lying:
        scope.update(lying=lying, at=at, place=place)
        terms.append("list(map(place, lying)) == at")
    text = f"def asked():\n    try:\n        return {' and '.join(terms)}\n    except KeyError:\n        return False\n"
    exec(compile(text, "<archloom unchanged>", "exec", dont_inherit=True), scope)  # names and numbers of ours, and keys quoted
    return scope["asked"]

"""What the docstring of the model says: the inputs and the results of each of its functions, with shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...dsl.program import Body, InputDecl
from ..lower.names import identifier
from ..runtime.calls import output_path
from .layout import ITEM


def described(name: str, inputs: Sequence[InputDecl], body: Body) -> str:
    """Return a paragraph: inputs, results and losses, one a line."""
    takes = [f"{text}{', a target' if target else ''}" for text, target in _inputs([d for d in inputs if not d.is_state])]
    gives = [f"{'.'.join(map(str, output_path(o)))}: {body.type(o.ref)}" for o in body.outputs]
    text = f"`{name}` takes" + "".join(ITEM + one for one in takes or ["nothing"])
    text += f"\n\nand returns a dict, nested by task and name, of{''.join(ITEM + one for one in gives or ['nothing'])}"
    if any(d.is_state for d in inputs):
        text += "\n\n`states` are those of the result before; without them the caches are empty."
    if body.losses:
        losses = "".join(f"{ITEM}{loss.path}" for loss in body.losses)
        text += f"\n\nWith the targets of a task given, `loss` is the sum of what `losses` holds, those that were computed of{losses}"
    return text


def _inputs(inputs: Sequence[InputDecl]) -> Iterator[tuple[str, bool]]:
    """Yield the inputs with their shapes; members of a family that differ by their own sizes alone are one line."""
    families: dict[str, list[InputDecl]] = {}
    for declared in inputs:
        families.setdefault(identifier(declared.name), []).append(declared)
    for name, found in families.items():
        word = "task" if len(found) > 1 and all(isinstance(d.members[0], str) for d in found if d.members) else "name"
        types = {str(d.type).replace(f"[{'.'.join(map(str, d.members))}]", f"[{word}]") if d.members else str(d.type) for d in found}
        if len(found) > 1 and len(types) == 1:
            yield f"{name}[{word}]: {types.pop()}, of {', '.join('.'.join(map(str, d.members)) for d in found)}", found[0].is_target
        else:
            yield from ((f"{d.key}: {d.type}", d.is_target) for d in found)

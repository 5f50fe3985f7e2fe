"""How often values are read."""

from __future__ import annotations

from collections import Counter

from ...dsl.program import Body, Ref
from ..graph import operand_refs, results


def readers(body: Body) -> Counter[Ref]:
    """Return how often each value of a body is read, by its nodes and as a result: kept with the body, not to be changed."""
    found: Counter[Ref] | None = body.found.get("readers")
    if found is None:
        found = body.found["readers"] = Counter(ref for node in body.nodes for operand in node.inputs.values() for ref in operand_refs(operand))
        found.update(results(body))
        found.update(update.ref for update in body.updates)
    return found

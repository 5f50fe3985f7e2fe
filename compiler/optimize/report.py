"""What passes did, for people: tables of steps, the places where they applied, the graph between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...dsl.record import record
from ..graph import Graph, body_text
from ..tables import table
from .manager import Step

SHOWN = 12
"""How many places of one pass are listed."""
NOTHING = "no passes"


@record
class Passes:
    """The passes that made a model, in order; printed, a table of them.

    `dropped` are the paths of the tensors that the text has and the model hasn't, as it was cut to some tasks or results.
    """

    steps: tuple[Step, ...] = ()
    dropped: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __deepcopy__(self, memo: dict[int, Any]) -> Passes:
        return self

    def __str__(self) -> str:
        """Return a table: how often each pass applied, how long it took and its share of all, the nodes of the graph before and after."""
        if not self.steps:
            return NOTHING
        total = sum(step.seconds for step in self.steps)
        rows = [[*_row(step), f"{100 * step.seconds / total:.0f} %" if total else "", str(step.before), str(step.after)] for step in self.steps]
        heads = ["pass", "applied", "declined", "ms", "share", "nodes before", "after"]
        ends = ["all", "", "", f"{1000 * total:.1f}", "", str(self.steps[0].before), str(self.steps[-1].after)]
        return table([heads, *rows, ends], range(1, len(heads))).rstrip("\n")

    def explain(self) -> str:
        """Return where each pass applied (`+`), and where it did not and why (`-`), by the lines of the text."""
        return "\n".join(line for step in self.steps for line in _places(step)) or NOTHING


NO_PASSES = Passes()


def _row(step: Step) -> list[str]:
    return [step.name, str(len(step.fired)), str(len(step.declined)), f"{1000 * step.seconds:.1f}"]


def _places(step: Step) -> Iterator[str]:
    told = f"applied {_times(len(step.fired))}" if step.fired else "did nothing"
    yield f"{step.name} {told}" + (f", declined {_times(len(step.declined))}" if step.declined else "")
    for sign, events in (("+", step.fired), ("-", step.declined)):
        found: dict[str, int] = {}
        for event in events:
            found[str(event)] = found.get(str(event), 0) + 1
        lines = [f"  {sign} {place}" + (f", {_times(count)}" if count > 1 else "") for place, count in found.items()]
        yield from lines[:SHOWN]
        if len(lines) > SHOWN:
            yield f"  {sign} and {len(lines) - SHOWN} other places"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


class Between:
    """Writes the graph as it is after passes: all of it at the start, then the bodies alone that a pass changed.

    With `name`, only after the passes of that name.
    """

    def __init__(self, write: Callable[[str], object], name: str | None = None) -> None:
        self.write, self.name = write, name
        self._known: set[str] = set()

    def __call__(self, step: str, graph: Graph) -> None:
        """Write the bodies that are new."""
        texts = [body_text(body) for body in reversed(graph.bodies)]
        new = [text for text in texts if text not in self._known]
        if self.name in (None, step):
            self.write(f"--- {_head(step, len(new), len(texts))}")
            for text in new:
                self.write(f"{text}\n")
        self._known = set(texts)


def _head(step: str, new: int, all_: int) -> str:
    if step == "input":
        return "before the passes"
    return f"after {step}: {new or 'none'} of {all_} bodies changed"

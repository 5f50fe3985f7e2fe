"""What names one side of a tie: tied parameters are one tensor, so that it holds for the other side too."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from .. import ast
from ..diagnostics import Diagnostic, Label, Severity
from ..program import Body
from ..selection import Tree, select
from ..selectors import Miss
from .below import frozen_paths
from .scope import Frame
from .selecting import selector
from .statics import listed

Named = Iterable[tuple[ast.Expr, Frame]]
"""Selectors with the frames that they stand in."""


def one_sided(
    word: str, does: str, nodes: Named, tree: Tree, moved: Collection[int] | None = None, still: Collection[int] = ()
) -> Iterator[Diagnostic]:
    """Yield a warning for each tensor, but the `still` ones, that selectors name by one path and not by another.

    `word` stands before the selectors and `does` it to what they name; where the tensor is not among those `moved`, an `except` took it away.
    """
    ties = [group for group in tree.ties if group[0] not in still]
    if not ties:
        return
    apart = tree.apart()
    found = [(node, select(selector(node, frame), apart)) for node, frame in nodes]
    for group in ties:
        by = {n: node for node, numbers in reversed(found) if not isinstance(numbers, Miss) for n in group if n in numbers}
        named, others = ([tree.entries[n].path for n in group if (n in by) is there] for there in (True, False))
        if named and others:
            node = next(iter(by.values()))
            rule = f"`{word} {' '.join(node.span.text.split())}`"
            if moved is None or group[0] in moved:
                message = f"{rule} {does} {listed(others)} too: it is tied to {listed(named)}"
            else:
                message = f"{rule} leaves out {listed(named)}, too: it is tied to {listed(others)}"
            yield Diagnostic("A534", message, node.span, (), "they are one tensor: name all of its paths, or none", Severity.WARNING)


def frozen_inside(body: Body, tree: Tree) -> Iterator[Diagnostic]:
    """Yield a warning for each tie of a body by which one side is frozen because a block that it calls freezes the other."""
    own = {freeze.path for freeze in body.frozen}
    inside = [(path, span) for path, span in (frozen_paths(body) if body.ties else ()) if path not in own]
    for first, second, span in body.ties:
        for still, other in ((first, second), (second, first)):
            said = [place for path, place in inside if f"{still}.".startswith(f"{path}.")]
            if said and not any(f"{other}.".startswith(f"{path}.") for path in (*own, *(path for path, _ in inside))):
                message = f"`{other}` is frozen, too: it is tied to `{still}`, which its block freezes"
                help = "they are one tensor: freeze both, or tie neither"
                yield Diagnostic("A534", message, span, (Label(said[0], "frozen here"),), help, Severity.WARNING)

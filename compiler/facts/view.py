"""A model as the facts look at it: what depends on what, what gets a gradient, what is frozen; each computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from ...dsl.diagnostics import Diagnostic, Severity
from ...dsl.elaborate.below import frozen_paths, ties
from ...dsl.inspector import Owned
from ...dsl.program import Body, Program
from ...dsl.source import Span
from ..census import distinct
from ..flow import Flow, Origins, stems, together
from ..graph import Graph, results
from ..inspector import GraphInspector
from ..paths import covers


class View:
    """One model and its answers."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.graph = Graph(program)
        self.inspector = GraphInspector()
        self.dependence = Flow(gradient=False)
        self.gradient = Flow(gradient=True)

    @cached_property
    def roots(self) -> tuple[Body, ...]:
        """The bodies that run from the border: of the model, of its entries, and of stages that set other arguments."""
        plans = (*self.program.entries.values(), *self.program.variants.values())
        return distinct((*self.graph.roots, *(body for plan in plans for body in (plan.eval, plan.train))))

    @cached_property
    def parameters(self) -> tuple[Owned, ...]:
        """Every parameter of the model, tied ones by the path that stays."""
        gone = {second for _, second in ties(self.program.training)}
        found = {own.path: own for body in (self.program.eval, self.program.training) for own in self.inspector.owned(body)}
        return tuple(own for own in found.values() if not own.buffer and own.path not in gone)

    @cached_property
    def still(self) -> tuple[str, ...]:
        """Paths that are frozen for good."""
        return tuple(path for path, _ in frozen_paths(self.program.training))

    def is_still(self, path: str) -> bool:
        """Tell whether a parameter is frozen for good."""
        return any(covers(frozen, path) for frozen in self.still)

    @cached_property
    def free(self) -> tuple[str, ...]:
        """Paths of the parameters that are not frozen for good."""
        return tuple(own.path for own in self.parameters if not (self.still and self.is_still(own.path)))

    @cached_property
    def moving(self) -> tuple[str, ...]:
        """Paths of the parameters that are meant to be trained: by a stage, or where there are no stages because they are not frozen."""
        if not self.program.stages:
            return self.free
        return tuple(path for path in self.free if path in self.tuned or any(stem in self.tuned for stem in stems(path)))

    @cached_property
    def tuned(self) -> frozenset[str]:
        """Paths that some stage trains."""
        return frozenset(path for stage in self.program.stages.values() for path in stage.tuned)

    @cached_property
    def used(self) -> Origins:
        """What any result, loss, state or update depends on; entries are asked only while the rest leaves something out."""
        found: list[Origins] = []
        for root in self.roots:
            if found and self._is_all(together(found)):
                break
            found.append(self.dependence.of(root, frozenset((*results(root), *(update.ref for update in root.updates)))))
        return together(found)

    def _is_all(self, found: Origins) -> bool:
        return self.names <= found.inputs and not self.missing(found)

    def missing(self, found: Origins) -> list[Owned]:
        """Return the parameters that are not among origins."""
        if all(map(found.holds_all, distinct((self.program.eval, self.program.training)))):
            return []
        return [own for own in self.parameters if not found.holds(own.path)]

    @cached_property
    def names(self) -> frozenset[str]:
        """The keys of all inputs, caches aside."""
        return frozenset(declared.key for root in self.roots for declared in root.inputs if not declared.is_state)

    @cached_property
    def lost(self) -> Origins:
        """What some loss depends on."""
        return self._of_losses(self.dependence)

    @cached_property
    def taught(self) -> Origins:
        """What gets a gradient from some loss."""
        return self._of_losses(self.gradient)

    def _of_losses(self, flow: Flow) -> Origins:
        return together(flow.of(root, frozenset(loss.ref for loss in root.losses)) for root in self.roots if root.losses)

    # -------------------------------------------------------------------------------------------------------- places

    def groups(self, paths: Iterable[str]) -> Iterator[tuple[str, list[Owned]]]:
        """Yield tensors by the widest modules all of whose parameters are among the paths, in order of birth."""
        wanted = frozenset(paths)
        if not wanted:
            return
        whole: dict[str, bool] = {}
        for tensor in self.parameters:
            for stem in stems(tensor.path):
                whole[stem] = whole.get(stem, True) and tensor.path in wanted
        found: dict[str, list[Owned]] = {}
        for tensor in self.parameters:
            if tensor.path in wanted:
                found.setdefault(next(stem for stem in stems(tensor.path) if whole[stem]), []).append(tensor)
        yield from found.items()

    def is_called(self, path: str) -> bool:
        """Tell whether each of the modules around a path, and the one at it, is called somewhere: it is not made for other arguments."""
        return _is_called(self.roots, path)

    def place(self, path: str, tensor: Owned) -> Span:
        """Return where the model's own text makes what lies at a path."""
        for root in self.roots:
            for stem in stems(path):
                made = root.modules.get(stem) or root.parameters.get(stem)
                if made is not None:
                    return made.span
        return self.program.eval.span


def _is_called(bodies: Iterable[Body], path: str) -> bool:
    made = [(body, body.modules[stem]) for body in bodies for stem in stems(path) if stem in body.modules]
    if not made:
        return True
    if not any(node.target == declared.path or node.target.startswith(f"{declared.path}.") for body, declared in made for node in body.nodes):
        return False
    return all(_is_called(declared.bodies, path[len(declared.path) + 1 :]) for _, declared in made if declared.bodies and declared.path != path)


def amount(tensors: list[Owned]) -> str:
    """Return how many numbers tensors hold, in words."""
    count = sum(tensor.size for tensor in tensors)
    return f"{count:,} parameters" if count != 1 else "1 parameter"


def warning(code: str, message: str, span: Span, help: str) -> Diagnostic:
    """Return a finding that does not stop compilation."""
    return Diagnostic(code, message, span, (), help, Severity.WARNING)

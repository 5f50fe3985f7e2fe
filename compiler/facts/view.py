"""A model as the facts look at it: what depends on what, what gets a gradient, what is frozen; each computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from ...dsl.diagnostics import Diagnostic, Severity
from ...dsl.elaborate.below import frozen_paths
from ...dsl.program import Body, Program
from ...dsl.source import Span
from ..census import Tensor, distinct
from ..flow import Flow, Origins
from ..graph import Graph, results
from ..paths import covers


class View:
    """One model and its answers."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.graph = Graph(program)
        self.dependence = Flow(gradient=False)
        self.gradient = Flow(gradient=True)

    @cached_property
    def roots(self) -> tuple[Body, ...]:
        """The bodies that run from the border: of the model, of its entries, and of stages that set other arguments."""
        plans = (*self.program.entries.values(), *self.program.variants.values())
        return distinct((*self.graph.roots, *(body for plan in plans for body in (plan.eval, plan.train))))

    @cached_property
    def parameters(self) -> tuple[Tensor, ...]:
        """Every parameter of the model, tied ones by the path that stays."""
        gone = {path for group in self.graph.census.tie_groups for path in group[1:]}
        return tuple(t for t in self.graph.parameters() if not t.buffer and t.path not in gone)

    @cached_property
    def still(self) -> tuple[str, ...]:
        """Paths that are frozen for good."""
        return tuple(path for path, _ in frozen_paths(self.program.training))

    def is_still(self, path: str) -> bool:
        """Tell whether a parameter is frozen for good."""
        return any(covers(frozen, path) for frozen in self.still)

    @cached_property
    def tuned(self) -> frozenset[str]:
        """Paths that some stage trains."""
        return frozenset(path for stage in self.program.stages.values() for path in stage.tuned)

    def is_moving(self, path: str) -> bool:
        """Tell whether a parameter is meant to be trained: by a stage, or where there are no stages because it is not frozen."""
        if self.program.stages:
            return _holds(self.tuned, path)
        return not self.is_still(path)

    @cached_property
    def used(self) -> Origins:
        """What any result, loss, state or update depends on; entries are asked only while the rest leaves something out."""
        found = Origins(frozenset(), frozenset())
        for root in self.roots:
            if self._is_all(found):
                break
            found = _both(found, self.dependence.of(root, frozenset((*results(root), *(update.ref for update in root.updates)))))
        return found

    def _is_all(self, found: Origins) -> bool:
        return self.names <= found.inputs and all(_holds(found.paths, t.path) for t in self.parameters)

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
        found = Origins(frozenset(), frozenset())
        for root in self.roots:
            if root.losses:
                found = _both(found, flow.of(root, frozenset(loss.ref for loss in root.losses)))
        return found

    def among(self, tensors: Iterable[Tensor], origins: Origins) -> frozenset[str]:
        """Return the paths of those tensors that are, or lie below, the paths of the origins."""
        return frozenset(t.path for t in tensors if _holds(origins.paths, t.path))

    # -------------------------------------------------------------------------------------------------------- places

    def groups(self, paths: Iterable[str]) -> Iterator[tuple[str, list[Tensor]]]:
        """Yield tensors by the widest modules all of whose parameters are among the paths, in order of birth."""
        wanted = frozenset(paths)
        if not wanted:
            return
        whole: dict[str, bool] = {}
        for tensor in self.parameters:
            for stem in stems(tensor.path):
                whole[stem] = whole.get(stem, True) and tensor.path in wanted
        found: dict[str, list[Tensor]] = {}
        for tensor in self.parameters:
            if tensor.path in wanted:
                found.setdefault(next(stem for stem in stems(tensor.path) if whole[stem]), []).append(tensor)
        yield from found.items()

    def is_called(self, path: str) -> bool:
        """Tell whether each of the modules around a path, and the one at it, is called somewhere: it is not made for other arguments."""
        return _is_called(self.roots, path)

    def place(self, path: str, tensor: Tensor) -> Span:
        """Return where the model's own text makes what lies at a path."""
        for root in self.roots:
            for stem in stems(path):
                made = root.modules.get(stem) or root.parameters.get(stem)
                if made is not None:
                    return made.span
        return tensor.span


def _is_called(bodies: Iterable[Body], path: str) -> bool:
    made = [(body, body.modules[stem]) for body in bodies for stem in stems(path) if stem in body.modules]
    if not made:
        return True
    if not any(node.target == declared.path or node.target.startswith(f"{declared.path}.") for body, declared in made for node in body.nodes):
        return False
    return all(_is_called(declared.bodies, path[len(declared.path) + 1 :]) for _, declared in made if declared.bodies and declared.path != path)


def _both(one: Origins, other: Origins) -> Origins:
    return Origins(one.paths | other.paths, one.inputs | other.inputs)


def _holds(paths: frozenset[str], path: str) -> bool:
    return path in paths or any(stem in paths for stem in stems(path))


def stems(path: str) -> Iterator[str]:
    """Yield the paths around a path and itself, the widest first: `a`, `a.b`, `a.b.c`."""
    at = path.find(".")
    while at >= 0:
        yield path[:at]
        at = path.find(".", at + 1)
    yield path


def amount(tensors: list[Tensor]) -> str:
    """Return how many numbers tensors hold, in words."""
    count = sum(tensor.size for tensor in tensors)
    return f"{count:,} parameters" if count != 1 else "1 parameter"


def warning(code: str, message: str, span: Span, help: str) -> Diagnostic:
    """Return a finding that does not stop compilation."""
    return Diagnostic(code, message, span, (), help, Severity.WARNING)

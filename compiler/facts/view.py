"""A model as the facts look at it: what depends on what, what gets a gradient, what is frozen; each computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from ...dsl.diagnostics import Diagnostic, Severity
from ...dsl.elaborate.below import frozen_paths, ties
from ...dsl.elaborate.statics import listed
from ...dsl.inspector import Owned
from ...dsl.plans import StagePlan
from ...dsl.program import Body, InputDecl, LossDecl, NodeKind, Program, Ref
from ...dsl.source import Span
from ..census import distinct
from ..flow import Flow, Origins, stems, together
from ..graph import Graph, operand_refs, operands, results
from ..inspector import GraphInspector
from ..paths import covers

STEPS = "whole numbers, truths, rounding, `detach`, a factor of 0 or a choice of one"
"""What lets no gradient pass."""


class View:
    """One model and its answers."""

    def __init__(self, program: Program, unread: frozenset[Span] = frozenset()) -> None:
        self.program = program
        self.unread = unread
        """Where inputs stand that the elaboration has told to be never read."""
        self.graph = Graph(program)
        self.inspector = GraphInspector()
        self.dependence = Flow(gradient=False)
        self.gradient = Flow(gradient=True)

    @cached_property
    def roots(self) -> tuple[Body, ...]:
        """The bodies that run from the border: of the model, of its entries, and of stages that set other arguments."""
        return distinct((*self.graph.roots, *self.owners))

    @cached_property
    def owners(self) -> tuple[Body, ...]:
        """The bodies that make all parameters: the model's, and those of stages that set other arguments."""
        variants = (body for plan in self.program.variants.values() for body in (plan.eval, plan.train))
        return distinct((self.program.eval, self.program.training, *variants))

    def trains(self, stage: str) -> Body:
        """Return the body that a stage trains."""
        plan = self.program.variants.get(stage)
        return self.program.training if plan is None else plan.train or plan.eval

    @cached_property
    def trained(self) -> tuple[Body, ...]:
        """The bodies that are trained: the model's, and those of stages that set other arguments."""
        return distinct((self.program.training, *map(self.trains, self.program.stages)))

    @cached_property
    def parameters(self) -> tuple[Owned, ...]:
        """Every parameter of the model and its stages, tied ones by the path that stays; what is extern is unknown."""
        gone = {second for body in self.owners for _, second in ties(body)}
        own = distinct((self.program.eval, self.program.training))
        makers = (own, *((body,) for body in self.owners if body not in own))
        found = {own.path: own for bodies in makers for own in self.inspector.holding(*bodies).entries}
        return tuple(own for own in found.values() if not own.buffer and own.path not in gone and own.size)

    @cached_property
    def still(self) -> tuple[str, ...]:
        """Paths that are frozen for good, in the model or in that of a stage."""
        return tuple(path for body in self.owners for path, _ in frozen_paths(body))

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
            found.append(self.dependence.of(root, _ends(root)))
        return together(found)

    def _is_all(self, found: Origins) -> bool:
        return self.names <= found.inputs and not self.missing(found)

    def missing(self, found: Origins) -> list[Owned]:
        """Return the parameters that are not among origins."""
        if all(map(found.holds_all, self.owners)):
            return []
        return [own for own in self.parameters if not found.holds(own.path)]

    @cached_property
    def idle_inside(self) -> Mapping[tuple[Span, str], tuple[Body, InputDecl]]:
        """The inputs of blocks, by block and name, that are known to be unread, and those of the file's own that are read and that nothing the
        block gives depends on in any call, with a body; the latter not of blocks that have arms which aren't taken."""
        idle: dict[tuple[Span, str], tuple[Body, InputDecl]] = {}
        needed: set[tuple[Span, str]] = set()
        for body in (body for body in self.graph.bodies if body not in self.roots):
            if body.span.source is not self.program.eval.span.source:
                idle |= {(body.span, i.name): (body, i) for i in body.inputs if i.span in self.unread}
                continue
            used = self.dependence.of(body, _ends(body)).inputs
            read = {ref.node for node in body.nodes for _, ref in operands(node)}
            for declared in (i for i in body.inputs if body.nodes[i.node].kind is NodeKind.INPUT):
                key = (body.span, declared.name)
                if declared.span in self.unread:
                    idle[key] = (body, declared)
                elif declared.key in used or body.is_partial:
                    needed.add(key)
                elif declared.node in read:
                    idle[key] = (body, declared)
        return {key: found for key, found in idle.items() if key not in needed}

    def is_handed_on(self, body: Body, declared: InputDecl) -> bool:
        """Tell whether an input is handed on to one that a block reads for nothing, or not at all: that is told there."""
        calls = [(node, node.body) for node in body.nodes if node.body is not None] if self.idle_inside else []
        inner = [(node, i.key) for node, called in calls for i in called.inputs if (called.span, i.name) in self.idle_inside]
        ends = frozenset(ref for node, key in inner for ref in operand_refs(node.inputs.get(key)))
        return declared.key in self.dependence.of(body, ends).inputs

    @cached_property
    def names(self) -> frozenset[str]:
        """The keys of all inputs, caches aside."""
        return frozenset(declared.key for root in self.roots for declared in root.inputs if not declared.is_state)

    @cached_property
    def severed(self) -> tuple[tuple[Body, LossDecl], ...]:
        """The losses that give no parameter a gradient, with their bodies; a model without parameters that move has none to give, and what the
        text weighs with 0 is switched off.

        A block's own loss may be for what comes into the block, as a commitment is; into the model it may come from outside.
        """
        found: list[tuple[Body, LossDecl]] = []
        for body in self.trained:
            for loss in (loss for loss in body.losses if loss.weight):
                if self._is_severed(body, loss) and self.free:
                    found.append((body, loss))
        return tuple(found)

    def _is_severed(self, body: Body, loss: LossDecl) -> bool:
        outside = False
        for part in self.gradient.parts(body, frozenset({loss.ref})):
            if not all(map(self.is_still, part.each())):
                return False
            outside = outside or bool(part.inputs)
        called = body.nodes[loss.ref.node].body
        return not outside or called is None or loss.ref.index < len(called.outputs)  # what follows a call's outputs are its own losses

    @cached_property
    def lost(self) -> Origins:
        """What some loss depends on that gives a gradient."""
        return self._of_losses(self.dependence)

    @cached_property
    def taught(self) -> Origins:
        """What gets a gradient from some loss."""
        return self._of_losses(self.gradient)

    def _of_losses(self, flow: Flow) -> Origins:
        severed = {id(loss) for _, loss in self.severed}
        return together(flow.of(body, frozenset(loss.ref for loss in body.losses if id(loss) not in severed)) for body in self.trained)

    def taught_in(self, stage: StagePlan) -> Origins:
        """Return what gets a gradient from the active losses of a stage."""
        body, active = self.trains(stage.name), {path for path, weight in stage.losses.items() if weight}
        return self.gradient.of(body, frozenset(loss.ref for loss in body.losses if loss.path in active))

    # -------------------------------------------------------------------------------------------------------- places

    def groups(self, paths: Iterable[str]) -> Iterator[tuple[str, Span]]:
        """Yield tensors in words, with how many numbers they hold, by the place in the model's own text that makes them: the widest modules all
        of whose parameters are among the paths, in order of birth."""
        wanted = frozenset(paths)
        if not wanted:
            return
        whole: dict[str, bool] = {}
        for tensor in self.parameters:
            for stem in stems(tensor.path):
                whole[stem] = whole.get(stem, True) and tensor.path in wanted
        found: dict[Span, dict[str, int]] = {}
        for tensor in self.parameters:
            if tensor.path in wanted:
                named = found.setdefault(self._place(tensor.path), {})
                widest = next(stem for stem in stems(tensor.path) if whole[stem])
                named[widest] = named.get(widest, 0) + tensor.size
        for span, named in found.items():
            count = sum(named.values())
            yield f"{listed(named, 3)} ({count:,} parameter{'s' if count != 1 else ''})", span

    def is_called(self, path: str) -> bool:
        """Tell whether each of the modules around a path, and the one at it, is called somewhere: it is not made for other arguments."""
        return _is_called(self.roots, path)

    def _place(self, path: str) -> Span:
        """Return where the model's own text makes what lies at a path."""
        for root in self.roots:
            for stem in stems(path):
                made = root.modules.get(stem) or root.parameters.get(stem)
                if made is not None:
                    return made.span
        return self.program.eval.span


def _ends(body: Body) -> frozenset[Ref]:
    """Return all that a body gives."""
    return frozenset((*results(body), *(update.ref for update in body.updates)))


def _is_called(bodies: Iterable[Body], path: str) -> bool:
    made = [(body, body.modules[stem]) for body in bodies for stem in stems(path) if stem in body.modules]
    if not made:
        return True
    if not any(node.target == declared.path or node.target.startswith(f"{declared.path}.") for body, declared in made for node in body.nodes):
        return False
    return all(_is_called(declared.bodies, path[len(declared.path) + 1 :]) for _, declared in made if declared.bodies and declared.path != path)


def warning(code: str, message: str, span: Span, help: str) -> Diagnostic:
    """Return a finding that does not stop compilation."""
    return Diagnostic(code, message, span, (), help, Severity.WARNING)

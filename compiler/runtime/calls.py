"""Which code a call runs: the active tasks, and the losses whose targets were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from ...dsl.members import member_text
from ...dsl.program import Body, InputDecl, OutputDecl
from ..lower.block import View
from ..lower.code import Code
from ..lower.unit import Pair, Unit
from ..needs import Needs
from ..slice import Slicer
from .aside import Aside
from .border import value_range
from .errors import InputError
from .outputs import Arrange, Outputs, arrangement, nested


class Request(NamedTuple):
    """What a call is asked for: the active tasks (None where the model has none or all are meant), and losses by path.

    With `outputs`, these alone instead of the tasks' own.  A tuple, as torch.compile follows the making of those, and not of records.
    """

    tasks: frozenset[str] | None
    losses: frozenset[str]
    outputs: frozenset[tuple[Any, ...]] | None = None  # where they stand in the results


@dataclass(slots=True, eq=False)
class RootCode:
    """One mode of one request: code that takes the flat inputs, and how its results become `Outputs`."""

    code: Code
    outputs: int  # how many there are: first of what the function returns
    arrange: Arrange  # the outputs
    losses: tuple[str, ...]
    states: tuple[str, ...]
    function: Callable[..., Any] = field(init=False)
    """What runs it where gradients are asked for."""

    single: bool = field(init=False)  # it returns one value as it is
    only: Any = field(init=False)  # the name of the one output if there is nothing else

    def __post_init__(self) -> None:
        self.function = self.code.function
        self.single = self.outputs + len(self.losses) + len(self.states) == 1
        keys = [key for key, at in self.arrange(range(self.outputs)) if at == 0]
        self.only = keys[0] if self.single and self.outputs and keys else None

    def take(self, function: Callable[..., Any]) -> None:
        """Take another function of the same, for calls of which gradients are asked."""
        self.function = function

    def pack(self, found: Any, weights: Mapping[str, float] | None) -> Outputs:
        """Name the results; `loss` is the weighted sum, or the plain one."""
        if self.only is not None:
            outputs = Outputs()
            outputs[self.only] = found
            return outputs
        values = (found,) if self.single else found
        count = self.outputs
        if self.losses:
            by_path = dict(zip(self.losses, values[count : count + len(self.losses)], strict=True))
            outputs = Outputs(loss=total(by_path, weights))
            outputs.update(self.arrange(values))
            outputs["losses"] = nested(((path,), value) for path, value in by_path.items())
        else:
            outputs = Outputs(self.arrange(values))
        if self.states:
            outputs["states"] = nested(((key,), value) for key, value in zip(self.states, values[count + len(self.losses) :], strict=True))
        return outputs


def total(losses: Mapping[str, Any], weights: Mapping[str, float] | None) -> Any:
    """Add losses up, each times its weight."""
    terms = [value if weights is None or weights[path] == 1 else value * weights[path] for path, value in losses.items()]
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


@dataclass(slots=True, eq=False)
class RootView:
    """One request to a border: its inputs in order, and its code in each mode."""

    signature: Signature
    inputs: tuple[InputDecl, ...]
    keys: tuple[str, ...]
    ranged: tuple[InputDecl, ...]  # those whose values have a range
    eval: RootCode
    train: RootCode
    whole: bool  # nothing was cut away: every open condition of the model applies

    def __deepcopy__(self, memo: dict[int, Any]) -> RootView:
        return self


class Signature:
    """The model's border: its inputs, its tasks, and what each loss needs; a view of the root is made for each request, once."""

    def __init__(self, eval_body: Body, train_body: Body, slicer: Slicer, plain: Callable[[], Signature] | None = None) -> None:
        """Take the bodies, and after passes that keep training how to get at the border without them."""
        self.eval_body = eval_body
        self.train_body = train_body
        self.slicer = slicer
        self.plain = plain
        self._views: dict[Request, RootView] = {}
        self.needs = Needs(eval_body, train_body)
        self.inputs = tuple(self._declared().values())

    def active(self, tasks: Iterable[str]) -> frozenset[str] | None:
        """Return the tasks of a stage; None, the whole model, if it leaves none out."""
        named = frozenset(tasks)
        return None if not named or self._owners() <= named else named

    def _owners(self) -> set[str]:
        owned = {out.task for out in self.eval_body.outputs} | set(self.needs.tasks.values())
        return {task for task in owned if task is not None}

    def present(self, tasks: frozenset[str] | None, given: Iterable[str]) -> frozenset[str] | None:
        """Leave out the tasks of which no own input is given, where those of another are: a batch may hold samples of some tasks alone."""
        outputs = {out.task for out in self.eval_body.outputs}
        active = frozenset(task for task in (outputs if tasks is None else tasks) if task is not None)
        if len(active) < 2 or (tasks is None and None in outputs):
            return tasks
        needed = {task: self.needs.reached({task}, [path for path, owner in self.needs.tasks.items() if owner == task]) for task in active}
        asked = {key for key, declared in self._declared().items() if not (declared.is_target or declared.optional)}
        absent: set[str] = set()
        for task in active:
            own = needed[task] - frozenset[str]().union(*(needed[other] for other in active if other != task))
            if own & asked and not own & set(given):
                absent.add(task)
        return active - absent if 0 < len(absent) < len(active) else tasks

    def complete(self, candidates: frozenset[str], given: frozenset[str], without: bool) -> frozenset[str]:
        """Return the losses to compute: those of every task whose targets are all given.

        Losses that need no target come with the others; alone only `without` any.  Raises InputError for a target given while
        others of its task are missing.
        """
        groups: dict[str | None, set[str]] = {}
        for path in candidates:
            groups.setdefault(self.needs.tasks[path], set()).update(self.targets(path))
        complete = {task for task, targets in groups.items() if targets <= given}
        covered = {target for task in complete for target in groups[task]}
        for task, targets in groups.items():
            alone, missing = targets & given - covered, targets - given
            if missing and alone:
                need = f"the losses{f' of `{task}`' if task else ''} need all of them"
                raise InputError(f"{_quoted(alone)} is given without {_quoted(missing)}: {need}")
        if not any(groups[task] for task in complete) and (any(groups.values()) or not without):
            return frozenset()
        return frozenset(path for path in candidates if self.needs.tasks[path] in complete)

    def _declared(self) -> dict[str, InputDecl]:
        return {d.key: d for body in (self.train_body, self.eval_body) for d in body.inputs}

    def targets(self, path: str) -> frozenset[str]:
        """Return the targets that a loss needs."""
        declared = self._declared()
        return frozenset(key for key in self.needs.inputs[path] if declared[key].is_target)

    def losses(self, tasks: frozenset[str] | None = None, chosen: Iterable[str] | None = None) -> frozenset[str]:
        """Return the losses of the active tasks (a model's own where they need nothing else), among those of a stage."""
        found = set(self.needs.tasks) if tasks is None else self.needs.losses(tasks)
        return frozenset(found if chosen is None else found & set(chosen))

    def emitted(self, path: str) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """Return where the outputs that `emit` names by `path` stand in the results, each with the members left open."""
        words = path.split(".")
        found: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []
        for out in self.eval_body.outputs:
            fixed = len(words) - (1 if out.task is None else 2)
            spelt = [*([out.task] if out.task is not None else []), out.name, *map(member_text, out.members[: max(fixed, 0)])]
            if spelt == words:
                found.append((output_path(out), out.members[fixed:]))
        return found

    # ------------------------------------------------------------------------------------------------------ views

    def pair(self, request: Request) -> Pair:
        """Return what the root computes for a request, in both modes."""
        evaluate = self._cut(self.eval_body, request, updates=False)
        train = self._cut(self.train_body, request, updates=True)
        return evaluate, train

    def _cut(self, body: Body, request: Request, updates: bool) -> Body:
        outputs = [i for i, out in enumerate(body.outputs) if _asked(out, request)]
        losses = [i for i, loss in enumerate(body.losses, len(body.outputs)) if loss.path in request.losses]
        return self.slicer.closed(body, [*outputs, *losses], updates)

    def find(self, request: Request) -> RootView | None:
        """Return the view of the root for a request if it was made already."""
        return self._views.get(request)

    def view(self, request: Request, unit: Unit) -> RootView:
        """Return the view of the root for a request, made when it is new."""
        found = self._views.get(request)
        if found is None:
            pair = self.pair(request)
            found = self._views[request] = self._root_view(unit.views[unit.add(pair)], pair)
            if self.plain is not None:
                for number, code in enumerate((found.eval, found.train)):
                    code.take(Aside(code.function, pair[number], partial(_plain, self.plain, request, number), code.take))
        return found

    def _root_view(self, view: View, pair: Pair) -> RootView:
        declared = {d.key: d for body in pair for d in body.inputs}
        evaluate, train = (self._code(code, body) for code, body in zip((view.eval, view.train), pair, strict=True))
        whole = all(len(cut.outputs) == len(body.outputs) for cut, body in zip(pair, (self.eval_body, self.train_body), strict=True))
        inputs = tuple(declared[key] for key in view.inputs)
        return RootView(self, inputs, view.inputs, tuple(d for d in inputs if value_range(d) is not None), evaluate, train, whole)

    def _code(self, code: Code, body: Body) -> RootCode:
        arrange = arrangement(output_path(output) for output in body.outputs)
        return RootCode(code, len(body.outputs), arrange, tuple(loss.path for loss in body.losses), tuple(state.key for state in body.states))


def _plain(signature: Callable[[], Signature], request: Request, number: int) -> Body:
    """Return the body for a request, of evaluation or of training."""
    return signature().pair(request)[number]


def _asked(output: OutputDecl, request: Request) -> bool:
    if request.outputs is not None:
        return output_path(output) in request.outputs
    return request.tasks is None or output.task in request.tasks


def output_path(output: OutputDecl) -> tuple[Any, ...]:
    """Return where an output stands in the results: task, name, members."""
    return (*([output.task] if output.task is not None else []), output.name, *output.members)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))

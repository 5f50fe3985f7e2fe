"""The class of the model itself: inputs by name, outputs as a dict, losses where their targets are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ...dsl.dims import Dim
from ...dsl.program import Body, InputDecl
from ...dsl.types import extent
from ..census import Census
from ..lower.names import identifier
from ..lower.unit import Pair
from ..runtime.calls import Signature, output_path
from .classes import Constructor, Draft
from .describing import described
from .expressions import Expressions, member_text, plain
from .families import Family
from .functions import Function
from .layout import signature, statement
from .plan import Instance
from .source_builder import SourceBuilder
from .steps import Member, Step, Store, bearers, inputs_of, read_steps
from .units import Line

TRAINING = ("self.training",)
OTHERS = ("losses",)
CACHED = "archloom.compiler.runtime.caches"


@dataclass(slots=True)
class Border:
    """One function of the model: `forward`, or an entry."""

    name: str
    signature: Signature
    inputs: tuple[InputDecl, ...]

    @property
    def families(self) -> dict[str, list[InputDecl]]:
        """The inputs by their names, required ones first."""
        found: dict[str, list[InputDecl]] = {}
        for declared in sorted(self.inputs, key=_optional):
            found.setdefault("states" if declared.is_state else identifier(declared.name), []).append(declared)
        return found

    def whole(self, body: Body) -> list[Family]:
        """Return the families of inputs that are always there."""
        known = {d.key for d in body.inputs}
        found = [(name, [d for d in declared if d.key in known]) for name, declared in self.families.items()]
        return [
            Family(name, tuple(d.key for d in declared), tuple(d.members[0] for d in declared), keyed=True)
            for name, declared in found
            if declared and not any(map(_optional, declared)) and all(len(d.members) == 1 for d in declared)
        ]

    def place(self, declared: InputDecl) -> str:
        """Return how an input is read: `ids`, `label["topic"]`."""
        marks = [member_text(_member(m)) for m in declared.members]
        if len(marks) == 1 and not _optional(declared):
            own = [d.members for d in self.families[identifier(declared.name)]]
            marks = [member_text(replace(_member(declared.members[0]), count=len(own), place=own.index(declared.members)))]
        if marks and declared.optional and not declared.is_target:
            return identifier(declared.name) + "".join(f".get({mark}, {{}})" for mark in marks[:-1]) + f".get({marks[-1]})"
        return identifier(declared.name) + "".join(f"[{mark}]" for mark in marks)

    def condition(self, declared: InputDecl) -> str:
        """Return the test whether a target is given."""
        if not declared.members:
            return f"{self.place(declared)} is not None"
        *above, last = declared.members
        base = identifier(declared.name)
        tests: list[str] = []
        for i, one in enumerate([*above, last]):
            before = "".join(f"[{member_text(_member(m))}]" for m in declared.members[:i])
            tests.append(f"{member_text(_member(one))} in {base}{before}")
        return " and ".join(tests)


def _optional(declared: InputDecl) -> bool:
    return declared.is_target or declared.optional or declared.is_state


def _member(member: Any) -> Member:
    return Member(cast("Any", member) if isinstance(member, (int, str, tuple)) else str(member))


class TopDraft(Draft):
    """The draft of the model's class; its first function is `forward`, the others are entries."""

    def __init__(
        self,
        instance: Instance,
        constructor: Constructor,
        borders: list[Border],
        tied: tuple[tuple[str, str], ...],
        frozen: tuple[str, ...],
        doc: str | None,
    ) -> None:
        self.borders = {id(body): border for border, pair in zip(borders, instance.pairs, strict=True) for body in pair}
        self.order = borders
        self.tied = tied
        self.frozen = frozen
        self.doc = doc
        super().__init__(instance, constructor)

    def _function(self, body: Body, pair: Pair) -> Function:
        border = self.borders[id(body)]
        builder = SourceBuilder(self.instance, self, body, border.whole(body), is_root=True)
        results = builder.write()
        for declared in body.inputs:
            if not declared.is_state:
                builder.parameters[declared.key].name = border.place(declared)
        return _Packing(self, border, body, builder, results).function()

    def methods(self, functions: Sequence[Sequence[Line]]) -> list[tuple[list[str], Sequence[Line]]]:
        """Return the functions of the model: `forward`, and its entries."""
        return [(self._head(border), lines) for border, lines in zip(self.order, functions, strict=True)]

    def _head(self, border: Border) -> list[str]:
        parameters = ["self"]
        for name, declared in border.families.items():
            kind = "dict[str, Tensor]" if name == "states" else _annotation(declared)
            parameters.append(f"{name}: {kind}" + (" | None = None" if all(map(_optional, declared)) else ""))
        return signature(border.name, parameters, "dict[str, Any]", 4)

    def end(self, expressions: Expressions) -> Iterator[Line]:
        """Tie what is tied, freeze what is frozen for good."""
        for first, second in self.tied:
            yield 0, f"{expressions.access(self.instance.access(second))} = {expressions.access(self.instance.access(first))}"
        for path in self.frozen:
            yield 0, f"{plain(expressions.access(self.instance.access(path)))}.requires_grad_(False)"
        if self.tied:
            yield 0, "self.register_state_dict_post_hook(self._leave_out_tied)"
            yield 0, "self.register_load_state_dict_pre_hook(self._take_tied)"

    def extra(self) -> list[str]:
        """Return the functions beside those of the text: what ties and frozen parts need."""
        lines: list[str] = []
        if self.tied:
            pairs = ", ".join(f'("{first}", "{second}")' for first, second in self.tied)
            lines += ["", *statement(f"TIED = ({pairs},)", 4), *(line.replace("Model.", f"{identifier(self.instance.name)}.") for line in TIES)]
        modules = [path for path in self.frozen if not self._is_tensor(path)]
        if modules:
            lines += ["", "    def train(self, mode: bool = True) -> Self:", '        """Set the mode of all but the frozen parts."""']
            lines += ["        super().train(mode)"]
            lines += [f"        {plain(Expressions(repr, str).access(self.instance.access(path)))}.eval()" for path in modules]
            lines += ["        return self"]
        return lines

    @property
    def keyed(self) -> frozenset[str]:
        """The inputs of the model."""
        return frozenset(name for border in self.order for name in border.families)

    def _is_tensor(self, path: str) -> bool:
        return any(tensor.path == path for tensor in Census(self.instance.bodies).tensors())

    def about(self) -> str:
        """Return the docstring: what the text says, the inputs and the results."""
        first = (self.doc or self.instance.bodies[0].doc or f"{self.instance.name}.").strip()
        functions = zip(self.order, self.instance.pairs, strict=True)
        return "\n\n".join([first, *(described(border.name, border.inputs, body) for border, (body, _) in functions)])

    def reserved(self) -> tuple[str, ...]:
        """Return the names of entries, which no attribute hides."""
        return tuple(border.name for border in self.order)


TIES = """
    @staticmethod
    def _leave_out_tied(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
        \"\"\"Save a tied parameter once.\"\"\"
        for _, second in Model.TIED:
            state.pop(prefix + second, None)

    @staticmethod
    def _take_tied(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        \"\"\"Load a tied parameter that was saved once.\"\"\"
        for first, second in Model.TIED:
            if prefix + first in state:
                state.setdefault(prefix + second, state[prefix + first])
""".rstrip().splitlines()


def _annotation(declared: list[InputDecl]) -> str:
    depth = max(len(one.members) for one in declared)
    text = "Tensor"
    for level in reversed(range(depth)):
        key = "str"
        if all(isinstance(one.members[level], int) for one in declared):
            key = "int"
        elif any(isinstance(one.members[level], tuple) for one in declared):
            key = "Any"
        text = f"dict[{key}, {text}]"
    return text


class Entwined(Exception):
    """An output needs a target, so that outputs and losses can't be told apart in one function."""


class _Packing:
    """Puts outputs into a dict as they are made, and losses under the condition that their targets are given."""

    def __init__(self, draft: TopDraft, border: Border, body: Body, builder: SourceBuilder, results: list[Any]) -> None:
        self.draft, self.border, self.body, self.builder = draft, border, body, builder
        counts = (len(body.outputs), len(body.losses))
        self.outputs, self.losses = results[: counts[0]], results[counts[0] : sum(counts)]
        self.declared = {d.key: d for d in body.inputs}
        self.place = {id(step): i for i, step in enumerate(builder.steps)}
        self.after: dict[int, list[Store]] = {}
        self.late: list[Step | Store] = []
        self.last: list[Store] = []

    def function(self) -> Function:
        """Return the function with its stores."""
        steps, parameters = self.builder.steps, list(self.builder.parameters.values())
        simple = not self.body.losses and not self.body.states and not any(output.task for output in self.body.outputs)
        self._guard()
        if simple:
            pairs = zip(map(output_path, self.body.outputs), self.outputs, strict=True)
            return Function([*self._families(), *steps], [_nested(pairs)], parameters)
        self._outputs()
        guards = self._losses()
        caches = self._states()
        told = self._read_by(caches)
        found: list[Step | Store] = [
            *self._families(),
            *(step for step in steps if id(step) in told),
            *caches,
            Store(("outputs: dict[str, Any] = ",), {}),
            *self._head(guards),
            *self.after.get(-1, []),
        ]
        for i, step in enumerate(steps):
            late = step.guard == OTHERS
            if id(step) not in told:
                (self.late if late else found).append(step)
            found += self.after.get(i, [])
        found += [*self.late, *self.last]
        if self.body.losses:
            found.append(Store((), ('outputs["loss"]', 'outputs["losses"]'), "total", guard=OTHERS))
        if self.body.states:
            found.append(Store(('outputs["states"] = ',), Step("call", f"{CACHED}.flattened", (Step("name", "caches"),))))
        return Function(found, [Step("name", "outputs")], parameters)

    # ------------------------------------------------------------------------------------------------------- places

    def _at(self, values: Iterable[Any]) -> int:
        return max((self.place.get(id(bearer), -1) for value in values for step in read_steps(value) for bearer in bearers(step)), default=-1)

    def _outputs(self) -> None:
        groups: dict[str | None, list[tuple[tuple[Any, ...], Any]]] = {}
        for output, value in zip(self.body.outputs, self.outputs, strict=True):
            groups.setdefault(output.task, []).append((output_path(output), value))
        for task, found in groups.items():
            at = self._at(value for _, value in found)
            if task is None:
                for key, value in _nested(found).items():
                    self.after.setdefault(at, []).append(Store((f'outputs["{key}"] = ',), value))
            else:
                inner = _nested((path[1:], value) for path, value in found)
                self.after.setdefault(at, []).append(Store(("outputs[", Member(task), "] = "), inner))

    def _losses(self) -> dict[str | None, tuple[str, ...]]:
        guards = self._groups()
        for loss, value in zip(self.body.losses, self.losses, strict=True):
            guard = guards[loss.task]
            key = _loss_key(loss.path, loss.task)
            store = Store(("losses[", key if isinstance(key, Member) else f'"{key}"', "] = "), value, guard=guard)
            if guard == OTHERS:
                self.last.append(store)
            else:
                self.after.setdefault(self._at([value]), []).append(store)
        return guards

    def _head(self, guards: Mapping[str | None, tuple[str, ...]]) -> list[Store]:
        if not guards:
            return []
        return [Store(("losses: dict[str, Tensor] = ",), {})]

    def _families(self) -> list[Store]:
        """Make a family of which nothing is given an empty dict."""
        found = self.border.families.items()
        names = [name for name, declared in found if name != "states" and declared[0].members and all(map(_optional, declared))]
        return [Store((f"{name} = {name} or ",), {}) for name in names]

    def _states(self) -> list[Step | Store]:
        """Make empty caches where none are given: sizes that no other input tells are 0."""
        states = [d for d in self.body.inputs if d.is_state]
        if not states:
            return []
        told = {s for d in self.body.inputs if not d.is_state for axis in d.type.shape if isinstance(axis, Dim) for s in axis.symbols()}
        guard = ("states is None",)
        found: list[Step | Store] = [Store(("states = ",), {}, guard=guard)]
        for declared in states:
            before = len(self.builder.steps)
            shape: list[Any] = []
            for axis in declared.type.shape:
                size = extent(axis)
                size = size.substitute({s: 0 for s in size.symbols() if s not in told}) if isinstance(size, Dim) else size
                shape.append(self.builder.dim(size))
            dtype, device = self.builder.dtype(declared.type.dtype), self.builder.device()
            empty = Step("call", "torch.empty", (shape,), {"dtype": dtype, "device": device})
            made = [*self.builder.steps[before:], empty]
            del self.builder.steps[before:]
            for step in made:
                step.guard = guard
            key = _loss_key(declared.key, None)
            found += [*made, Store(("states[", key if isinstance(key, Member) else f'"{key}"', "] = "), empty, guard=guard)]
        return [*found, Store(("caches = ",), Step("call", f"{CACHED}.nested", (Step("name", "states"),)))]

    def _read_by(self, caches: Iterable[Step | Store]) -> set[int]:
        """Return the steps that making empty caches reads: sizes of inputs."""
        found: set[int] = set()
        waiting: list[Step | Store] = list(caches)
        while waiting:
            read = [step for step in inputs_of(waiting.pop()) if id(step) not in found]
            found.update(map(id, read))
            waiting += read
        return found

    # ------------------------------------------------------------------------------------------------------- guards

    def _groups(self) -> dict[str | None, tuple[str, ...]]:
        """Return the condition of each task's losses."""
        targets: dict[str | None, dict[str, None]] = {}
        for loss in self.body.losses:
            known = targets.setdefault(loss.task, {})
            known.update(dict.fromkeys(sorted(self.border.signature.targets(loss.path))))
        some = any(targets.values())
        return {
            task: tuple(self.border.condition(self.declared[key]) for key in keys if key in self.declared) or (OTHERS if some else TRAINING)
            for task, keys in targets.items()
        }

    def _guard(self) -> None:
        """Mark what only losses need."""
        steps = self.builder.steps
        groups = self._groups()
        readers: dict[int, set[Any]] = {}
        kept = [*self.outputs, *(step for step in steps if isinstance(step, Store))]
        self._mark(kept, (), readers)
        for loss, value in zip(self.body.losses, self.losses, strict=True):
            self._mark([value], loss.task, readers)
        needs: dict[int, set[str]] = {}
        for step in [*self.builder.parameters.values(), *steps]:
            own = {step.target} if isinstance(step, Step) and step.kind == "input" and self.declared[step.target].is_target else set[str]()
            needs[id(step)] = own.union(*(needs.get(id(read), set[str]()) for read in inputs_of(step)))
            users = readers.get(id(step), {()})
            if isinstance(step, Store) or step.kind == "input":
                continue
            if () in users:
                if needs[id(step)]:
                    raise Entwined
            elif len(users) == 1 and groups[(task := next(iter(users)))] != TRAINING:
                step.guard = groups[task]
            elif needs[id(step)]:
                step.guard = tuple(self.border.condition(self.declared[key]) for key in sorted(needs[id(step)]))

    def _mark(self, values: Iterable[Any], user: Any, readers: dict[int, set[Any]]) -> None:
        waiting: list[Any] = list(values)
        while waiting:
            value = waiting.pop()
            if isinstance(value, (Step, Store)) and user not in readers.setdefault(id(value), set()):
                readers[id(value)].add(user)
                waiting += inputs_of(value)


def _loss_key(path: str, task: str | None) -> Member | str:
    """Return the key of a loss, with the member or the task in it marked."""
    words = path.split(".")
    number = next((i for i, word in enumerate(words) if word.isdigit()), None)
    if number is not None:
        before, rest = (".".join(part) for part in (words[:number], words[number + 1 :]))
        return Member(words[number], before=f"{before}." if before else "", rest=f".{rest}" if rest else "")
    return Member(task, rest=path[len(task) :]) if task is not None and path.startswith(task + ".") else path


def _nested(pairs: Iterable[tuple[tuple[Any, ...], Any]]) -> dict[Any, Any]:
    root: dict[Any, Any] = {}
    for path, value in pairs:
        level = root
        for part in path[:-1]:
            level = level.setdefault(part, {})
        level[path[-1]] = value
    return root

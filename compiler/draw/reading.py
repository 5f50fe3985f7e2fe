"""From a checked program to a figure: blocks opened, repeated steps folded, mere reshaping left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence

from ...dsl.members import member_text
from ...dsl.program import Body, InputDecl, Node, NodeKind, Program
from ...dsl.record import record
from ..graph import operands
from ..paths import is_handed, join, resolve
from .figure import Cell, Figure, Group, Kind, Value
from .folding import Fold, carried, find_folds
from .labels import Sizes, is_measure, label_of, operation_text, sizes_inside
from .legend import stage_note
from .memories import write_back
from .owned import Ownership
from .tidy import alone, tidy

THROUGH = frozenset(
    ("reshape", "flatten", "unflatten", "transpose", "mT", "permute", "movedim", "expand", "squeeze", "unsqueeze", "rearrange", "index")
    + ("dropout", "channels_last", "channels_first", "float", "float64", "float32", "float16", "bfloat16", "int", "int32", "bool")
)
"""Operations that are not drawn where they have one operand: they move numbers, or change their type."""

Opens = Callable[[Body, int], bool]
Known = Mapping[str, tuple[Value, ...] | None]


@record
class Scope:
    """An instance on the way down: its body, its path, the modules handed to it, the frame around it and how deep that is."""

    body: Body
    prefix: str
    handed: Mapping[str, str]
    group: Group | None
    level: int
    sizes: Sizes

    def absolute(self, target: str) -> str:
        return resolve(target, self.handed) if is_handed(target) else join(self.prefix, target)


@record
class Wanted:
    """Which part of a program is drawn: a stage's marks, one task alone, an entry in place of the plain evaluation."""

    program: Program
    stage: str | None = None
    task: str | None = None
    entry: str | None = None

    @property
    def body(self) -> Body:
        """Return what is evaluated."""
        if self.entry is not None:
            return self.program.entries[self.entry].eval
        variant = self.program.variants.get(self.stage or "")
        return variant.eval if variant is not None else self.program.eval


def read_figure(wanted: Wanted, owned: Ownership, opens: Opens) -> Figure:
    """Return the figure of what is wanted of a program; `opens` says which blocks are opened."""
    reader = Reader(wanted.program, owned, opens)
    reader.read(wanted.body)
    program = wanted.program
    cells = alone(reader.cells, wanted.task) if wanted.task is not None else reader.cells
    note = stage_note(owned.graph, owned.plan) if owned.plan else None
    drawn = write_back(tidy(cells, program.tasks), reader.loops)
    figure = Figure(program.name, owned.graph.count().parameters, program.doc or "", drawn, program.tasks, note)
    owned.weigh(figure)
    return figure


class Reader:
    """Makes the cells of one figure, one for each step that is drawn, and the pairs of what is written back to a memory and the memory."""

    def __init__(self, program: Program, owned: Ownership, opens: Opens) -> None:
        self.program = program
        self.owned = owned
        self.opens = opens
        self.cells: list[Cell] = []
        self.loops: list[tuple[Cell, Cell]] = []

    def read(self, body: Body) -> None:
        """Add the cells of a body and of what it gives."""
        self._results(body, self._body(Scope(body, "", {}, None, 0, {}), None))

    # --------------------------------------------------------------------------------------------------- results

    def _results(self, body: Body, values: Sequence[Known | tuple[Value, ...] | None]) -> None:
        """Add cells for all that the body gives."""

        def value(number: int, index: int) -> list[Value]:
            found = values[number]
            return [found[min(index, len(found) - 1)]] if isinstance(found, tuple) and found else []

        for output in body.outputs:
            cell = self._cell(Kind.OUTPUT, output.name, None, value(output.ref.node, output.ref.index), task=output.task)
            cell.members = tuple(map(member_text, output.members))
        for loss in body.losses:
            cell = self._cell(Kind.LOSS, loss.path.removeprefix(f"{loss.task}."), None, value(loss.ref.node, loss.ref.index), task=loss.task)
            cell.notes = [f"weight {loss.weight:g}"] if loss.weight != 1 else []
        for state in body.states:
            found = values[state.node]
            sink = self._cell(Kind.MEMORY, state.key, None, value(state.result.node, state.result.index))
            sink.notes = ["for the next call"]
            if isinstance(found, tuple) and found:
                self.loops.append((sink, found[0].cell))

    def _updates(self, scope: Scope, values: Sequence[tuple[Value, ...] | None]) -> None:
        for update in scope.body.updates:
            found = values[update.ref.node]
            path = scope.absolute(update.path)
            sink = self._cell(Kind.MEMORY, f"new {update.path}", scope.group, [found[update.ref.index]] if found else [])
            for cell in self.cells:
                if cell.kind in (Kind.PARAMETER, Kind.MEMORY) and cell is not sink and cell.paths == [path]:
                    cell.kind = Kind.MEMORY
                    self.loops.append((sink, cell))

    # ---------------------------------------------------------------------------------------------------- bodies

    def _body(self, scope: Scope, given: Known | None) -> list[tuple[Value, ...] | None]:
        """Add the cells of a body; return what each node gives, None for what isn't drawn."""
        values: list[tuple[Value, ...] | None] = [None] * len(scope.body.nodes)
        self._nodes(scope, given, values, 0, len(values), frozenset())
        self._updates(scope, values)
        return values

    def _nodes(
        self, scope: Scope, given: Known | None, values: list[tuple[Value, ...] | None], start: int, end: int, folded: frozenset[tuple[int, int]]
    ) -> None:
        kept = {result.ref.node: result.task for result in (*scope.body.outputs, *scope.body.losses) if result.task is not None}
        folds = {} if (start, end) in folded else {fold.start: fold for fold in find_folds(scope.body, self._signature(scope), kept, start, end)}
        at = start
        while at < end:
            fold = folds.get(at)
            if fold is None:
                values[at] = self._node(scope, given, values, at)
                at += 1
            else:
                (self._serial if fold.serial else self._row)(scope, given, values, fold)
                at = fold.end

    def _serial(self, scope: Scope, given: Known | None, values: list[tuple[Value, ...] | None], fold: Fold) -> None:
        """Draw the first of the steps in a frame, and let it stand for all."""
        names = dict.fromkeys(
            self._named(scope, number)[0] for number in range(fold.start, fold.start + fold.period) if self._is_module(scope, number)
        )
        group = Group(next(iter(names)) if len(names) == 1 else "repeat", "", "", scope.group, fold.times, is_loop=True)
        inner = Scope(scope.body, scope.prefix, scope.handed, group, scope.level, scope.sizes)
        first = len(self.cells)
        self._nodes(inner, given, values, fold.start, fold.start + fold.period, frozenset({(fold.start, fold.start + fold.period)}))
        own = self.cells[first:]
        for number in range(fold.start, fold.end):
            values[number] = values[fold.start + fold.place(number)]
            if self._is_module(scope, number):
                group.paths.append(scope.absolute(scope.body.nodes[number].target))
        each = len(group.paths) // fold.times
        same = bool(each) and set(group.paths[:each]) == set(group.paths[each : 2 * each])
        group.note = "same weights" if same else ""
        group.carried = ", ".join(carried(scope.body, fold))
        self._strip(own, scope, fold)

    def _strip(self, cells: Sequence[Cell], scope: Scope, fold: Fold) -> None:
        """Take a step's number out of the names of its modules and states."""
        for number in range(fold.start, fold.start + fold.period):
            node, later = scope.body.nodes[number], scope.body.nodes[number + fold.period]
            if node.kind is NodeKind.STATE:
                words = zip(node.target.split("."), later.target.split("."), strict=False)
                for cell in cells:
                    if cell.kind is Kind.MEMORY and cell.name == node.target:
                        cell.name = ".".join(word for word, other in words if word == other)
            if self._is_module(scope, number):
                path = scope.absolute(scope.body.nodes[number].target)
                later = scope.absolute(scope.body.nodes[number + fold.period].target)
                for cell in cells:
                    if cell.paths == [path] and path != later:
                        old, new = self._named(scope, number)[1], self._named(scope, number + fold.period)[1]
                        cell.members = tuple(a for a, b in zip(old, new, strict=True) if a == b) if len(old) == len(new) else cell.members

    def _row(self, scope: Scope, given: Known | None, values: list[tuple[Value, ...] | None], fold: Fold) -> None:
        """Draw the first two steps and the last, and one cell for those between."""
        shown = (0, 1, fold.times - 1)
        gap = Cell(Kind.GAP, "⋯", scope.group)
        for step in range(fold.times):
            begin = fold.start + step * fold.period
            if step in shown:
                self._nodes(scope, given, values, begin, begin + fold.period, frozenset({(begin, begin + fold.period)}))
                continue
            if step == 2:
                self.cells.append(gap)
            for number in range(begin, begin + fold.period):
                node = scope.body.nodes[number]
                values[number] = tuple(Value(gap, 0, label_of(type_, scope.sizes)) for type_ in node.outputs)
                gap.sources += [value for value in self._sources(node, values) if value.cell is not gap and value not in gap.sources]
                if self._is_module(scope, number):
                    gap.paths.append(scope.absolute(node.target))
        gap.times = fold.times - len(shown)

    # ----------------------------------------------------------------------------------------------------- nodes

    def _node(self, scope: Scope, given: Known | None, values: Sequence[tuple[Value, ...] | None], number: int) -> tuple[Value, ...] | None:
        node = scope.body.nodes[number]
        if node.kind in (NodeKind.INPUT, NodeKind.DRAW, NodeKind.STATE) and given is not None:
            return given.get(node.target) or (self._made(scope, node, self._entering(scope, node)) if node.kind is NodeKind.DRAW else None)
        if node.kind in (NodeKind.INPUT, NodeKind.DRAW, NodeKind.STATE):
            return self._made(scope, node, self._entering(scope, node))
        if node.kind is NodeKind.CONSTANT:
            return None
        if node.kind is NodeKind.PARAMETER:
            return self._made(scope, node, self._parameter(scope, node))
        sources = self._sources(node, values)
        if node.kind is NodeKind.OPERATION:
            return self._operation(scope, node, sources)
        if node.kind is NodeKind.CALL and node.body is not None and self.opens(node.body, scope.level + 1):
            return self._opened(scope, node, node.body, values)
        cell = self._cell(Kind.MODULE, "", scope.group, sources, paths=[scope.absolute(node.target)])
        cell.name, cell.members = self._named(scope, number)
        kind = self._kind_of(node)
        cell.parts = [kind]
        cell.is_bare = node.kind is not NodeKind.EXTERN and not self.owned.tensors(cell.paths[0])
        cell.measures = [kind] if cell.is_bare else []
        cell.is_block = node.kind is NodeKind.CALL
        declared = scope.body.modules.get(node.target)
        cell.is_part = declared is not None and len(cell.members) > len(declared.members)
        return self._made(scope, node, cell)

    def _opened(self, scope: Scope, node: Node, body: Body, values: Sequence[tuple[Value, ...] | None]) -> tuple[Value, ...] | None:
        known: dict[str, tuple[Value, ...] | None] = {}
        for name, ref in operands(node):
            found = values[ref.node]
            known[name] = (found[min(ref.index, len(found) - 1)],) if found else None
        path = scope.absolute(node.target)
        name, members = self._named(scope, scope.body.nodes.index(node))
        group = Group(".".join([name, *members]), body.name, body.name, scope.group, paths=[path])
        declared = scope.body.modules.get(node.target)
        handed = {own: scope.absolute(given) for own, given in declared.modules.items()} if declared else {}
        sizes = sizes_inside(body, node, {name: scope.body.type(ref) for name, ref in operands(node)}, scope.sizes)
        inner = self._body(Scope(body, path, handed, group, scope.level + 1, sizes), known)
        results = [*(o.ref for o in body.outputs), *(loss.ref for loss in body.losses), *(s.result for s in body.states)]
        given: list[Value] = []
        for ref, type_ in zip(results, node.outputs, strict=True):
            found = inner[ref.node]
            if found:
                value = found[min(ref.index, len(found) - 1)]
                given.append(Value(value.cell, value.index, label_of(type_, scope.sizes)))
            else:
                given.append(Value(self._cell(Kind.OPERATION, "constant", group, []), 0, label_of(type_, scope.sizes)))
        return tuple(given)

    def _operation(self, scope: Scope, node: Node, sources: list[Value]) -> tuple[Value, ...] | None:
        if not sources:
            return None  # positions, masks of ones and the like: made of numbers alone
        name = node.primitive.name if node.primitive else node.target
        if len(sources) == 1 and (name in THROUGH or (name == "concat" and len(list(operands(node))) == 1)):
            return tuple(Value(sources[0].cell, sources[0].index, sources[0].label) for _ in node.outputs)
        cell = self._cell(Kind.OPERATION, name, scope.group, sources)
        cell.parts = [operation_text(name, node, len(sources))]
        cell.measures = [name] if is_measure(node) else []
        return self._made(scope, node, cell)

    def _entering(self, scope: Scope, node: Node) -> Cell:
        declared: InputDecl | None = next((i for i in scope.body.inputs if i.key == node.target), None)
        kind = Kind.MEMORY if node.kind is NodeKind.STATE else Kind.INPUT
        name = declared.name if declared else node.target
        cell = self._cell(kind, name, scope.group, [], task=declared.task if declared else None)
        cell.members = tuple(map(member_text, declared.members)) if declared else ()
        cell.is_target = declared is not None and declared.is_target
        cell.is_drawn = node.kind is NodeKind.DRAW
        role = declared.role.name if declared is not None and declared.role is not None else None
        distribution = node.attributes.get("distribution")
        cell.notes = [f"~ {distribution.name}"] if distribution is not None else [f"as {role}"] if role else []
        return cell

    def _parameter(self, scope: Scope, node: Node) -> Cell:
        path = scope.absolute(node.target)
        found = next((cell for cell in self.cells if cell.kind is Kind.PARAMETER and cell.paths == [path] and cell.group is scope.group), None)
        if found is not None:
            return found
        cell = self._cell(Kind.PARAMETER, node.target.removeprefix("@"), scope.group, [], paths=[path])
        declared = scope.body.parameters.get(node.target)
        if declared is not None and declared.name:
            cell.name, cell.members = declared.name, tuple(map(member_text, declared.members))
        return cell

    def _sources(self, node: Node, values: Sequence[tuple[Value, ...] | None]) -> list[Value]:
        found: list[Value] = []
        for name, ref in operands(node):
            given = values[ref.node] if name != "like" else None  # that gives but its size
            value = given[min(ref.index, len(given) - 1)] if given else None
            if value is not None and not any(value.cell is other.cell and value.index == other.index for other in found):
                found.append(value)
        return found

    def _cell(
        self, kind: Kind, name: str, group: Group | None, sources: list[Value], task: str | None = None, paths: list[str] | None = None
    ) -> Cell:
        cell = Cell(kind, name, group, sources=sources, task=task, paths=paths or [])
        self.cells.append(cell)
        return cell

    def _made(self, scope: Scope, node: Node, cell: Cell) -> tuple[Value, ...]:
        return tuple(Value(cell, index, label_of(type_, scope.sizes)) for index, type_ in enumerate(node.outputs))

    # ----------------------------------------------------------------------------------------------------- names

    def _is_module(self, scope: Scope, number: int) -> bool:
        return scope.body.nodes[number].kind in (NodeKind.LEAF, NodeKind.CALL, NodeKind.EXTERN)

    def _named(self, scope: Scope, number: int) -> tuple[str, tuple[str, ...]]:
        """Return the name of a node's module and its members, the place in a Sequential among them."""
        node = scope.body.nodes[number]
        target = node.target.removeprefix("@")
        declared = scope.body.modules.get(node.target)
        if declared is None or not target.startswith(declared.name):
            return target, ()
        if re.fullmatch(rf"{re.escape(declared.kind)}_\d+", declared.name):
            return declared.kind, ()  # made and called in one expression: it has no name of its own
        rest = target[len(declared.name) :].strip(".")
        return declared.name, tuple(rest.split(".")) if rest else ()

    def _kind_of(self, node: Node) -> str:
        return node.primitive.name if node.primitive else node.body.name if node.body else node.target

    def _signature(self, scope: Scope) -> Callable[[int], Hashable]:
        def signature(number: int) -> Hashable:
            node = scope.body.nodes[number]
            types = tuple(map(str, node.outputs))
            if not self._is_module(scope, number):
                return node.kind, node.target.split(".")[0], node.primitive.name if node.primitive else "", types
            path = scope.absolute(node.target)
            return node.kind, self._named(scope, number)[0], self._kind_of(node), types, self.owned.count([path]), self.owned.share([path])

        return signature

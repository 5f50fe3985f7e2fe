"""Cuts a program to some of its results: what they don't need is gone, and where asked the tensors that nothing reads then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from ...dsl.program import Body, Condition, EntryPlan, Program
from ...dsl.record import record
from ..census import Bodies, Census, distinct
from ..graph import results
from ..paths import tops
from ..slice import Slicer
from .rebuilding import roots

Wanted = Callable[[Body], Collection[int]]
"""Says which results of a body that runs from the border are kept, by number."""


def every(body: Body) -> Collection[int]:
    """Keep all results."""
    return range(len(results(body)))


def outputs(body: Body) -> Collection[int]:
    """Keep the outputs and the states, and no loss."""
    first = len(body.outputs) + len(body.losses)
    return [*range(len(body.outputs)), *range(first, first + len(body.states))]


def cut(program: Program, wanted: Wanted, of_entries: Wanted, slicer: Slicer, updates: bool = True) -> Program:
    """Return a program with the wanted results alone; with `slicer.keep` all tensors stay, without `updates` no buffer moves any more."""

    def part(body: Body, trains: bool, asked: Wanted) -> Body:
        found = slicer.closed(body, asked(body), updates and trains)
        return found if found is body else replace(found, conditions=_conditions(body, found))

    def plan(each: EntryPlan, asked: Wanted) -> EntryPlan:
        trained = part(each.train, True, asked) if each.train is not None else None
        return EntryPlan(each.name, part(each.eval, trained is None, asked), trained)

    root = plan(EntryPlan("", program.eval, program.train), wanted)
    return replace(
        program,
        eval=root.eval,
        train=root.train,
        entries={name: plan(each, of_entries) for name, each in program.entries.items()},
        variants={name: plan(each, wanted) for name, each in program.variants.items()},
    )


def _conditions(body: Body, found: Body) -> list[Condition]:
    """Return the conditions that still hold of what is left: what operations ask of sizes may have gone with an output, or with a module."""
    whole = len(found.outputs) == len(body.outputs)
    modules = {path for path, _ in Census((found,)).modules()} if any(each.module is not None for each in body.conditions) else set[str]()
    return [each for each in body.conditions if (whole or each.given) and (each.module is None or each.module in modules)]


@record
class Rest:
    """What a program has no longer: tensors by path, how many numbers they hold, the modules that are gone with them, and entries."""

    tensors: tuple[str, ...]
    numbers: int
    modules: tuple[str, ...]
    entries: tuple[str, ...]

    def __str__(self) -> str:
        return f"tensors that are dropped: {len(self.tensors)}, of {self.numbers:,} numbers: {', '.join(self.modules)}"


def without_rest(program: Program, wanted: Wanted, of_entries: Wanted = every) -> tuple[Program, Rest]:
    """Return a program with the wanted results alone, and the tensors alone that they need.

    An entry stays where it has wanted results, and these need no tensor that the model itself needed and now doesn't.
    """
    slicer = Slicer()
    made = cut(program, wanted, of_entries, slicer)
    whole = cut(program, every, of_entries, slicer)
    lost = _paths(roots(replace(whole, entries={}))) - _paths(roots(replace(made, entries={})))
    entries = {name: each for name, each in made.entries.items() if results(each.eval) and not lost & _paths(distinct((each.eval, each.train)))}
    made = replace(made, entries=entries)
    census, left = Census(roots(program)), _paths(roots(made))
    first = {path: next((other for other in group if other in left), group[0]) for group in census.tie_groups for path in group}
    sizes = {tensor.path: tensor.size for tensor in census.tensors()}
    gone = [path for path in (*sizes, *_extern(census)) if path not in left]
    still = {path: first[path] for path in gone if first.get(path) in left}
    dropped = tuple(path for path in gone if path not in still)
    numbers = sum(sizes.get(path, 0) for path in {first.get(path, path) for path in dropped})
    modules = tuple(dict.fromkeys(tops(dropped, left).values()))
    rest = Rest(dropped, numbers, modules, tuple(name for name in program.entries if name not in entries))
    return replace(made, renamed=(*program.renamed, *still.items()), dropped=(*program.dropped, *dropped)), rest


def _paths(bodies: Bodies) -> frozenset[str]:
    """Return the paths of all tensors, and of the modules whose class alone knows theirs."""
    census = Census(bodies)
    return frozenset((*(tensor.path for tensor in census.tensors()), *_extern(census)))


def _extern(census: Census) -> Iterator[str]:
    yield from (path for path, declared in census.modules() if declared.extern is not None)

"""Rewrites the bodies of a program, what is called before what calls it, so that equal calls go on sharing one body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ...dsl.program import Body, EntryPlan, ModuleDecl, Node, Program, Region
from ...dsl.record import changed
from ..census import distinct
from ..graph import Graph, callees, ordered

Rewrite = Callable[[Body], Body]


def rebuild(graph: Graph, rewrite: Rewrite) -> Graph:
    """Return the graph with every body rewritten, or the very graph where no body changed.

    `rewrite` is handed a body whose calls lead to rewritten bodies already; it keeps the body's inputs and results.
    """
    program = graph.program
    new: dict[int, Body] = {}
    for body in ordered(roots(program)):
        new[id(body)] = rewrite(_relinked(body, new))
    if all(new[id(body)] is body for body in roots(program)):
        return graph
    return Graph(with_roots(program, new))


def roots(program: Program) -> tuple[Body, ...]:
    """Return the bodies of a model itself, with those of its entries and of stages that set other arguments."""
    plans = (*program.entries.values(), *program.variants.values())
    return distinct((program.eval, program.train, *(body for plan in plans for body in (plan.eval, plan.train))))


def _relinked(body: Body, new: dict[int, Body]) -> Body:
    if all(new[id(callee)] is callee for callee in callees(body)):
        return body
    nodes = [_linked(node, new) for node in body.nodes]
    return changed(body, nodes=nodes, modules={path: _declared(declared, new) for path, declared in body.modules.items()})


def _linked(node: Node, new: dict[int, Body]) -> Node:
    return changed(node, body=new[id(node.body)]) if node.body is not None and new[id(node.body)] is not node.body else node


def _declared(declared: ModuleDecl, new: dict[int, Body]) -> ModuleDecl:
    if all(new[id(body)] is body for body in declared.bodies):
        return declared
    return changed(declared, bodies=[new[id(body)] for body in declared.bodies])


def with_roots(program: Program, new: Mapping[int, Body]) -> Program:
    """Return a program with other bodies of the model itself, by `id` of those that they stand for."""

    def plan(each: EntryPlan) -> EntryPlan:
        return EntryPlan(each.name, new[id(each.eval)], new[id(each.train)] if each.train is not None else None)

    return replace(
        program,
        eval=new[id(program.eval)],
        train=new[id(program.train)] if program.train is not None else None,
        entries={name: plan(each) for name, each in program.entries.items()},
        variants={name: plan(each) for name, each in program.variants.items()},
    )


def marked(graph: Graph, regions: Mapping[int, Mapping[int, Region]]) -> Graph:
    """Return the graph with steps in regions: by `id` of their body, and by their numbers."""
    olds = iter(ordered(roots(graph.program)))

    def mark(body: Body) -> Body:
        own = regions.get(id(next(olds)), {})
        nodes = [changed(node, region=own[number]) if number in own else node for number, node in enumerate(body.nodes)]
        return replace(body, nodes=nodes) if own else body

    return rebuild(graph, mark)

"""The losses of a body as a tree for selectors, and which of them come with the tasks of a stage."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..holdings import Holding
from ..inspector import Owned
from ..members import member_text
from ..program import Body, LossDecl, Node, NodeKind, Ref
from ..selection import Tree

Part = tuple[str, tuple[object, ...]]


def loss_tree(body: Body, tasks: Iterable[str]) -> Tree:
    """Return the losses by path: the modules that a loss was lifted from, then its name; its task selects it too."""
    return Tree(Holding.of(loss_entry(body, loss) for loss in body.losses), "loss", tasks, (body,))


def loss_entry(body: Body, loss: LossDecl) -> Owned:
    """Return a loss with what selectors look at."""
    parts, kinds = _parts(body, loss)
    return Owned(loss.path, parts, (), False, kinds, (loss.task,) if loss.task else ())


def _parts(body: Body, loss: LossDecl) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    inner = _lifted(body.nodes[loss.ref.node], loss)
    if inner is None or (callee := body.nodes[loss.ref.node].body) is None:
        path = loss.path.removeprefix(f"{loss.task}.") if loss.task else loss.path
        name, *members = path.split(".")
        return ((name, tuple(members)),), ()
    target = body.nodes[loss.ref.node].target
    declared = body.modules.get(target)
    parts, kinds = _parts(callee, inner)
    if declared is None:
        name, *members = target.lstrip("@").split(".")
        return ((name, tuple(members)), *parts), (callee.name, *kinds)
    start = ".".join([declared.name, *map(member_text, declared.members)])
    chain = tuple((word, ()) for word in target[len(start) + 1 :].split(".") if word)
    return ((declared.name, declared.members), *chain, *parts), (*("Sequential" for _ in chain), declared.kind, *kinds)


def _lifted(node: Node, loss: LossDecl) -> LossDecl | None:
    """Return the loss of a called body that a loss is, if it is just that."""
    if node.kind is not NodeKind.CALL or node.body is None:
        return None
    place = loss.ref.index - len(node.body.outputs)
    if not 0 <= place < len(node.body.losses):
        return None
    inner = node.body.losses[place]
    return inner if loss.path.startswith(node.target) and loss.path.endswith(f".{inner.path}") else None


def before(body: Body, refs: Iterable[Ref]) -> set[int]:
    """Return the numbers of the nodes that some values depend on, their own included."""
    seen: set[int] = set()
    stack = [ref.node for ref in refs]
    while stack:
        number = stack.pop()
        if number not in seen:
            seen.add(number)
            for operand in body.nodes[number].inputs.values():
                stack.extend(ref.node for ref in (operand if isinstance(operand, tuple) else (operand,)) if ref is not None)
    return seen


def of_tasks(body: Body, tasks: Collection[str], all_tasks: Collection[str]) -> list[LossDecl]:
    """Return the losses of some tasks, and those of no task that come with them.

    A loss of a block comes with them if its call is needed for their outputs or losses; another one if it reads no input that they
    don't, targets of no task aside.
    """
    own = [loss for loss in body.losses if loss.task in tasks]
    if set(tasks) == set(all_tasks):
        return list(body.losses)
    reached = before(body, [*(loss.ref for loss in own), *(out.ref for out in body.outputs if out.task in tasks)])
    free = {declared.node for declared in body.inputs if declared.is_target and declared.task is None}
    inputs = {declared.node for declared in body.inputs}

    def comes(loss: LossDecl) -> bool:
        if _lifted(body.nodes[loss.ref.node], loss) is not None:
            return loss.ref.node in reached
        return (before(body, [loss.ref]) & inputs) - free <= reached

    return [loss for loss in body.losses if loss.task in tasks or (loss.task is None and comes(loss))]

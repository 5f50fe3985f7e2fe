"""Paths that the text of a model makes, but not with the arguments at hand: in a loop without steps, or an arm that isn't taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .members import member_text
from .program import Body, ModuleDecl
from .selector_members import holds, pick
from .selectors import Anchor, Deep, Item, Miss, Part, Word

KINDS = {"parameter": {"part"}, "loss": {"part", "loss"}, "input": {"input"}, "value": {"part", "loss", "input", "output", "value"}}
"""What a path of each kind of tree may end at."""


def is_unborn(parts: Sequence[Part], bodies: Iterable[Body], noun: str, top: bool = True) -> bool:
    """Tell whether a path to a parameter, loss, input or value leads to a name of a statement that doesn't run; what lies below such a name
    is taken on trust.

    A part or loss that its body does make, for other members, is none: a member that it lacks is as wrong as in any other family.
    """
    if not parts or isinstance(parts[0], Anchor):
        return False
    first, rest = parts[0], parts[1:]
    if isinstance(first, Deep) and not first.items and _lies_below(rest, bodies, noun):
        return True
    if isinstance(first, Deep):
        held = [m for body in _at_or_below(bodies) for m in body.modules.values() if holds(m.members, m.sets, first.items)] if first.items else []
        return is_unborn(rest, _at_or_below(_distinct(held) if first.items else bodies), noun, top=False)
    wanted = (KINDS[noun] if not rest else {"part"}) | ({"task"} if top else set[str]())
    if first.name is not None and any(wanted & body.absent.get(first.name, set()) and first.name not in _made(body) for body in bodies):
        return True
    while rest and isinstance(rest[0], Word) and rest[0].name is not None and rest[0].name.isdigit():
        rest = rest[1:]  # a place in a Sequential
    return is_unborn(rest, _distinct(m for body in bodies for m in _named(body, first)), noun, top=False)


def _lies_below(parts: Sequence[Part], bodies: Iterable[Body], noun: str) -> bool:
    """Tell whether blocks that aren't made would bind the first name behind a `**`, and nothing that is made bears it."""
    name = parts[0].name if parts and isinstance(parts[0], Word) else None
    if name is None:
        return False
    every, wanted = _at_or_below(bodies), KINDS[noun] if len(parts) == 1 else {"part"}
    return any(wanted & body.absent_below.get(name, set()) for body in every) and not any(name in _made(body) for body in every)


def is_unborn_kind(name: str, bodies: Iterable[Body]) -> bool:
    """Tell whether a statement that doesn't run would make a block of a kind."""
    return any("kind" in body.absent_below.get(name, ()) for body in _at_or_below(bodies))


def has_unborn(bodies: Iterable[Body], noun: str) -> bool:
    """Tell whether other arguments might make any parameter, loss, input or value."""
    return any(KINDS[noun] & kinds for body in _at_or_below(bodies) for kinds in body.absent.values())


def _made(body: Body) -> set[str]:
    """Return the names of the modules, parameters and losses of a body."""
    losses = (loss.path.removeprefix(f"{loss.task}.") for loss in body.losses)
    return {own.name for own in (*body.modules.values(), *body.parameters.values())} | {path.split(".")[0] for path in losses}


def _named(body: Body, part: Word) -> list[ModuleDecl]:
    """Return the modules of a body that a part of a path means."""
    families: dict[str, list[ModuleDecl]] = {}
    for declared in body.modules.values():
        if part.name in (None, declared.name):
            families.setdefault(declared.name, []).append(declared)
    return [member for family in families.values() for member in _chosen(family, part.items)]


def _chosen(family: list[ModuleDecl], items: Sequence[Item]) -> list[ModuleDecl]:
    for depth, item in enumerate(items):
        present = {member_text(m.members[depth]): m.members[depth] for m in family if depth < len(m.members)}
        picked = pick(item, present, family[0].name, None) if present else []  # an index of a Sequential's part chooses none of its modules
        if isinstance(picked, Miss):
            return []
        family = [m for m in family if depth >= len(m.members) or member_text(m.members[depth]) in picked]
        if not family:
            return []
    return family


def _distinct(modules: Iterable[ModuleDecl]) -> list[Body]:
    return list({id(body): body for declared in modules for body in declared.bodies}.values())


def _at_or_below(bodies: Iterable[Body]) -> list[Body]:
    found: dict[int, Body] = {}
    waiting = list(bodies)
    while waiting:
        body = waiting.pop()
        if id(body) not in found:
            found[id(body)] = body
            waiting += _distinct(body.modules.values())
    return list(found.values())

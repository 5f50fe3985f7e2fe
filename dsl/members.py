"""Members of index sets as text: what stands in paths and state-dict names."""

from __future__ import annotations

from typing import cast


def member_text(member: object) -> str:
    """Return a member as it stands in a path: 0.5 as `0_5`, -1 as `m1`, a tuple joined by `_`.

    >>> member_text(("a", 3))
    'a_3'
    """
    if isinstance(member, str):
        return member
    if type(member) is int and member >= 0:
        return str(member)
    if isinstance(member, tuple):
        return "_".join(map(member_text, cast("tuple[object, ...]", member)))
    return str(member).replace(".", "_").replace("-", "m")

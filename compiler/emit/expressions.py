"""Steps as Python expressions."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from .steps import Access, Hole, Listed, Member, Number, Real, Step, Text

ATOM = 20
MEMBER = 12
"""How long the name of a member is taken to be where lines are cut."""

BINARY = {
    "add": ("+", 11), "sub": ("-", 11), "mul": ("*", 12), "truediv": ("/", 12), "floordiv": ("//", 12), "mod": ("%", 12), "matmul": ("@", 12),
    "pow": ("**", 14), "and_": ("&", 9), "xor": ("^", 8), "or_": ("|", 7), "lshift": ("<<", 10), "rshift": (">>", 10),
    "lt": ("<", 6), "le": ("<=", 6), "gt": (">", 6), "ge": (">=", 6), "eq": ("==", 6), "ne": ("!=", 6),
}  # fmt: skip
UNARY = {"neg": "-", "invert": "~", "pos": "+"}
SIMPLE = re.compile(r"^-?\w+$")
POWER = re.compile(r"^-?[\w.]+$")
SHORT = (("torch.nn.functional.", "F."), ("torch.nn.", "nn."))

# marks around what a loop may replace, outside of what text holds: `[` member `]`, in keys a part of a string, local values
OPEN, CLOSE = "\ue010", "\ue011"
KEY, REST, END = "\ue012", "\ue013", "\ue014"
APART = "\ue019"  # between a member, how many there are, and its place
BEGIN, NAMED, DONE = "\ue016", "\ue017", "\ue018"
HANDED = re.compile(r", (?:(\w+)=\1|states=caches)(?:\[[^\]]*\])*(?=[,)])")
INNER = "[^\ue010-\ue018]*"
MARKED = re.compile(f"{OPEN}(?P<member>{INNER}){CLOSE}")
KEYED = re.compile(f"{KEY}(?P<before>{INNER}){NAMED}(?P<word>{INNER}){REST}(?P<rest>{INNER}){END}")
ELEMENT = re.compile(f"(?P<base>.*)\\[{OPEN}(?P<member>{INNER}){CLOSE}\\]")
LOCAL = re.compile(f"{BEGIN}(?P<key>{INNER}){NAMED}(?P<name>{INNER}){DONE}")


def member_text(member: Member) -> str:
    """Return a member with marks, so that a loop can put its variable there."""
    if isinstance(member.value, Text):
        return member.value.text
    if isinstance(member.value, tuple):
        return f"({', '.join(map(json.dumps, member.value))})"
    if member.rest or member.before:
        return f"{KEY}{member.before}{NAMED}{json.dumps(str(member.value))}{REST}{member.rest}{END}"
    return f"{OPEN}{json.dumps(member.value)}{APART}{member.count}{APART}{member.place}{CLOSE}"


def local_mark(key: str, name: str) -> str:
    """Return the name of a local value with marks, so that a loop can tell which value is meant."""
    return f"{BEGIN}{key}{NAMED}{name}{DONE}"


def named(text: str) -> str:
    """Return text without the marks around local values."""
    return LOCAL.sub(lambda found: found["name"], text)


def plain(text: str) -> str:
    """Return text without marks."""
    text = MARKED.sub(lambda found: found["member"].split(APART)[0], named(text))
    return KEYED.sub(lambda found: json.dumps(found["before"] + json.loads(found["word"]) + found["rest"]), text)


def size(text: str) -> int:
    """Return the length of a text in which every member is as long, so that the turns of a loop are cut alike; what is handed on
    as it is doesn't count, so that a call with caches is cut like one without.
    """
    bare = HANDED.sub("", plain(text))
    marked = MARKED.sub(lambda found: "M" * MEMBER if found["member"].startswith('"') else "0", text)
    return len(plain(marked)) - len(plain(text)) + len(bare)


class Expressions:
    """Prints values; `names` tells the variable that a step has become, `hole` prints a number of the text."""

    def __init__(self, hole: Callable[[Number], str], helper: Callable[[str], str]) -> None:
        self.hole = hole
        self.helper = helper
        self.names: dict[int, str] = {}
        self.listed: Callable[[Sequence[object]], str] | None = None
        """Prints the members of a set."""
        self.keyed: frozenset[str] = frozenset()
        """Dicts whose keys may count from 0 as the places of a list do."""

    def value(self, value: Any, least: int = 0) -> str:
        """Return a value as text, in parentheses where it binds weaker than `least`."""
        text, strength = self._value(value)
        return f"({text})" if strength < least else text

    def _value(self, value: Any) -> tuple[str, int]:
        if isinstance(value, Step):
            name = self.names.get(id(value))
            return (name, ATOM) if name is not None else self.step(value)
        if isinstance(value, (Hole, Real, Listed)):
            text = self.hole(value)
            return text, ATOM if re.fullmatch(r"[\w.\ue000-\uf8ff]+", text) else 11
        if isinstance(value, Text):
            return value.text, 0 if " if " in value.text else ATOM
        if isinstance(value, Access):
            return self.access(value), ATOM
        if isinstance(value, Member):
            return member_text(value), ATOM
        return self._literal(value)

    def _literal(self, value: Any) -> tuple[str, int]:
        if isinstance(value, dict):
            items = (f"{self.value(k)}: {self.value(v)}" for k, v in cast("dict[Any, Any]", value).items())
            return f"{{{', '.join(items)}}}", ATOM
        if isinstance(value, list):
            items = [self.value(item) for item in cast("list[Any]", value)]
            return self._family(items) or f"[{', '.join(items)}]", ATOM
        if isinstance(value, tuple):
            items = [self.value(item) for item in cast("tuple[Any, ...]", value)]
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})", ATOM
        if value is Ellipsis:
            return "...", ATOM
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return f'float("{value}")', ATOM
        if isinstance(value, str):
            return json.dumps(value, ensure_ascii=False), ATOM
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return repr(value), 13 if value < 0 else ATOM
        if value is None or isinstance(value, bool):
            return repr(value), ATOM
        return str(value), ATOM  # a dtype or a device

    def _family(self, items: Sequence[str]) -> str | None:
        """Return a list that holds all members of a family, in order, as the family itself or as a comprehension."""
        found = [ELEMENT.fullmatch(item) for item in items]
        elements = [(one["base"], *one["member"].split(APART)) for one in found if one is not None]
        bases = {base for base, *_ in elements}
        if len(elements) != len(items) or len(bases) != 1 or [rest for *_, rest in elements] != [str(k) for k in range(len(items))]:
            return None
        base, members = bases.pop(), [json.loads(member) for _, member, *_ in elements]
        if len(items) < 2 or any(count != str(len(items)) for _, _, count, _ in elements) or plain(base) in self.keyed:
            return None
        if members == list(range(len(items))):
            return None if base.startswith("self.") else base
        over = self.listed(members) if self.listed is not None else ""
        word = "task" if over == "TASKS" else "name"
        return f"[{base}[{word}] for {word} in {over}]" if over.isidentifier() and all(isinstance(one, str) for one in members) else None

    def access(self, access: Access) -> str:
        """Return the way to a module or tensor."""
        text = access.base
        for part in access.parts:
            if isinstance(part, Member):
                text += f"[{member_text(part)}]"
            elif isinstance(part, Text):
                text += f".{part.text}"
            elif keyword.iskeyword(part):
                text = f"getattr({text}, {json.dumps(part)})"
            else:
                text += f".{part}"
        return text

    # ------------------------------------------------------------------------------------------------------- steps

    def step(self, step: Step) -> tuple[str, int]:
        """Return the expression of a step and how strongly it binds."""
        if step.kind == "operator":
            return self._operator(step)
        if step.kind in ("item", "index"):
            value, index = step.args
            return f"{self.value(value, ATOM)}[{self._index(index)}]", ATOM
        if step.kind == "element":
            return f"{self.value(step.args[0], ATOM)}[{member_text(step.args[1])}]", ATOM
        if step.kind in ("whole", "family"):
            return self._whole(step), ATOM
        if step.kind == "name":
            return str(step.target), ATOM
        if step.kind == "value":
            return self.value(step.target), ATOM
        if step.kind == "trained":
            value, other = (self.value(arg, 1) for arg in step.args)
            return f"{value} if self.training else {other}", 0
        if step.kind == "trait":
            return f"{self.value(step.args[0], ATOM)}.{step.target}", ATOM
        return self._call(step), ATOM

    def _whole(self, step: Step) -> str:
        """Return a parameter with all its members, or values as a dict or list."""
        if step.kind == "whole":
            found = LOCAL.match(self.value(step.args[0]))
            return found[0] if found is not None else str(step.target)
        values = [self.value(value) for value in step.args]
        if step.target.is_list:
            return f"[{', '.join(values)}]"
        if self.listed is not None and len(values) > 1 and len(set(values)) == 1 and LOCAL.fullmatch(values[0]):
            return f"dict.fromkeys({self.listed(step.target.members)}, {values[0]})"
        keys = (plain(member_text(step.target.member(place))) for place in range(len(values)))
        return f"{{{', '.join(f'{key}: {value}' for key, value in zip(keys, values, strict=True))}}}"

    def _call(self, step: Step) -> str:
        if step.kind == "method":
            first, *args = step.args
            return f"{self.value(first, ATOM)}.{step.target}{self.arguments(args, step.kwargs)}"
        if step.kind == "module":
            target, method = step.target
            way = self.value(target)
            return f"{way if method == 'forward' else f'{way}.{method}'}{self.arguments(step.args, step.kwargs)}"
        return f"{self.function(step.target)}{self.arguments(step.args, step.kwargs)}"

    def function(self, target: str) -> str:
        """Return a function or class by its short name: `F.gelu`."""
        if target.startswith("archloom."):
            return self.helper(target)
        if not target.startswith("torch."):
            return self.helper(target) if "." in target else target
        return next((short + target.removeprefix(long) for long, short in SHORT if target.startswith(long)), target)

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return arguments in parentheses."""
        texts = [self.value(arg) for arg in args] + [f"{name}={self.value(arg)}" for name, arg in kwargs.items()]
        return f"({', '.join(texts)})"

    def _operator(self, step: Step) -> tuple[str, int]:
        if step.target in UNARY:
            return f"{UNARY[step.target]}{self.value(step.args[0], 13)}", 13
        if step.target not in BINARY:
            return f"{self.helper('operator.' + step.target)}{self.arguments(step.args, step.kwargs)}", ATOM
        sign, strength = BINARY[step.target]
        if strength == 14:
            left, right = self.value(step.args[0], 15), self.value(step.args[1], 13)
            hugs = POWER.match(plain(left)) and POWER.match(plain(right))
            return (f"{left}**{right}" if hugs else f"{left} ** {right}"), 14
        above = strength + 1 if strength == 6 else strength
        return f"{self.value(step.args[0], above)} {sign} {self.value(step.args[1], strength + 1)}", strength

    def _index(self, index: Any) -> str:
        if isinstance(index, (tuple, list)) and index:
            texts = [self._index(item) for item in cast("Sequence[Any]", index)]
            return f"[{', '.join(texts)}]" if isinstance(index, list) else ", ".join(texts) + ("," if len(texts) == 1 else "")
        if not isinstance(index, slice):
            return self.value(index)
        part = cast("slice[Any, Any, Any]", index)
        bounds = [None if bound is None else self.value(bound, 1) for bound in (part.start, part.stop, part.step)]
        return _slice(bounds)


def _slice(bounds: list[str | None]) -> str:
    """Write a slice; a colon beside what is no plain name or number has a space on that side."""
    start, stop, step = bounds
    wide = any(bound is not None and not SIMPLE.match(plain(bound)) for bound in bounds)
    gap = " " if wide else ""
    text = f"{start}{gap}:" if start is not None else ":"
    text += f"{gap}{stop}" if stop is not None else ""
    if step is not None:
        text += f"{gap if stop is not None else ''}:{gap}{step}"
    return text

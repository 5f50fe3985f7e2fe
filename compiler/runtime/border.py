"""The border of a model: inputs by declared names, families as dicts, checked before any operation runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from ...dsl.diagnostics import closest
from ...dsl.dims import Dim, Symbol
from ...dsl.program import Condition, InputDecl
from ...dsl.types import SetAxis
from ..lower.builder import TORCH_DTYPES
from ..optimize.interface import ONLY_EVALUATES
from ..solve import solve
from .errors import InputError

CONVERSIONS = {torch.bool: ".bool()", torch.int64: ".long()", torch.int32: ".int()", torch.float32: ".float()"}


class Names:
    """The declared inputs by name, in order: what `forward` takes."""

    def __init__(
        self, declared: Sequence[InputDecl], aliases: Mapping[str, tuple[str, ...]] | None = None, gone: Collection[str] = frozenset()
    ) -> None:
        """Take the declarations, other names by which an input is taken (the input's name, and members of it), and targets that passes left out."""
        self.gone = gone
        self.by_key = {d.key: d for d in declared}
        self.aliases = aliases or {}
        self.families: dict[str, list[InputDecl]] = {}
        for entry in declared:
            self.families.setdefault(entry.name, []).append(entry)
        self.names = tuple(self.families)
        self._plain = {name for name, members in self.families.items() if len(members) == 1 and not members[0].members}

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given values by flat name; raises InputError for a name that isn't declared or comes twice."""
        given = self._by_name(args, kwargs) if args else kwargs
        if self._plain.issuperset(given):
            return {name: value for name, value in given.items() if value is not None}
        flat: dict[str, Any] = {}
        for name, value in given.items():
            if value is None:
                continue
            if name in self._plain:
                flat[name] = value
            elif name in self.families:
                self._spread(name, (), value, flat)
            elif name in self.aliases:
                self._alias(name, value, flat)
            elif name in self.gone:
                raise InputError(f"`{name}` is a target, and this model {ONLY_EVALUATES}")
            else:
                near = closest(name, self.names)
                raise InputError(f"there is no input `{name}`{f', did you mean `{near}`' if near else ''}: the inputs are {self._list(self.names)}")
        return flat

    def _by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if len(args) > len(self.names):
            raise InputError(f"{len(args)} inputs are given by position and there are {len(self.names)}: {self._list(self.names)}")
        given = dict(zip(self.names, args, strict=False))
        if kwargs.keys() & given:
            raise InputError(f"`{min(kwargs.keys() & given)}` is given twice, by position and by name")
        return {**given, **kwargs}

    def __deepcopy__(self, memo: dict[int, Any]) -> Names:
        return self

    def _alias(self, name: str, value: Any, flat: dict[str, Any]) -> None:
        meant, *members = self.aliases[name]
        found: dict[str, Any] = {}
        self._spread(meant, tuple(members), value, found)
        twice = sorted(found.keys() & flat.keys())
        if twice:
            raise InputError(f"`{twice[0]}` is given twice, by its own name and as `{name}`")
        flat.update(found)

    def _spread(self, name: str, members: tuple[str, ...], value: Any, flat: dict[str, Any]) -> None:
        """Take a family's value apart: a dict by member for each of its sets."""
        key = ".".join((name, *members))
        if key in self.by_key:
            flat[key] = value
            return
        below = (d.members for d in self.families[name] if tuple(map(str, d.members[: len(members)])) == members)
        known = list(dict.fromkeys(str(found[len(members)]) for found in below))
        if not isinstance(value, Mapping):
            raise InputError(f"`{key}` is a family: give a dict by member, with {self._list(known)}, not {describe(value)}")
        for member, inner in cast("Mapping[Any, Any]", value).items():
            if str(member) not in known:
                near = closest(str(member), known)
                raise InputError(f"`{key}` has no member `{member}`{f', did you mean `{near}`' if near else ''}: it has {self._list(known)}")
            if inner is not None:
                self._spread(name, (*members, str(member)), inner, flat)

    @staticmethod
    def _list(names: Sequence[str]) -> str:
        return ", ".join(f"`{name}`" for name in names) or "none"


class Border:
    """Checks the values of one call against the declarations and binds the symbols."""

    def __init__(self, declared: Sequence[InputDecl], conditions: Sequence[Condition], anchor: Tensor | None) -> None:
        """Take the inputs of a view, what must hold of their sizes, and a parameter whose dtype and device inputs must have."""
        self.declared = declared
        self.conditions = conditions
        self.dtype = anchor.dtype if anchor is not None else None
        self.device = anchor.device if anchor is not None else None

    def check(self, values: Mapping[str, Any]) -> dict[Symbol, int]:
        """Return the sizes of the symbols; raises InputError that lists everything that is wrong."""
        problems: list[str] = []
        missing = [d for d in self.declared if d.key not in values and not d.optional]
        problems.extend(f"`{d.key}` is missing: {d.type}" for d in missing)
        sound: list[tuple[InputDecl, Tensor]] = []
        for entry in self.declared:
            value = values.get(entry.key)
            if value is not None:
                wrong = self._wrong(entry, value)
                problems.extend([wrong] if wrong else [])
                if not wrong:
                    sound.append((entry, value))
        sizes, mismatches = bind_sizes(sound)
        problems.extend(mismatches)
        if not problems:
            problems.extend(self._broken(sizes))
        if problems:
            raise InputError("\n".join(problems))
        return {symbol: size for symbol, (size, _) in sizes.items()}

    def _wrong(self, entry: InputDecl, value: Any) -> str | None:
        """Say what is wrong with a value by itself: its kind, rank, dtype or device."""
        shown = f"`{entry.key}` is declared {entry.type}"
        if not isinstance(value, Tensor):
            return f"{shown} and is {describe(value)}, not a tensor"
        if value.dim() != entry.type.rank:
            return f"{shown} and is given with {value.dim()} dimensions: {list(value.shape)}"
        wanted = TORCH_DTYPES.get(entry.type.dtype)
        if wanted is None:
            return self._wrong_float(entry, value, shown)
        if value.dtype is not wanted:
            return f"{shown} and is given as {_name(value.dtype)}: convert it, `{entry.name}{CONVERSIONS.get(wanted, f'.to({wanted})')}`"
        return self._wrong_device(value, shown)

    def _wrong_float(self, entry: InputDecl, value: Tensor, shown: str) -> str | None:
        if not value.dtype.is_floating_point:
            return f"{shown} and is given as {_name(value.dtype)}: convert it, `{entry.name}.float()`"
        if self.dtype is not None and value.dtype is not self.dtype and not torch.is_autocast_enabled(value.device.type):
            computes = f"the model computes in {_name(self.dtype)}"
            return f"{shown}, {computes}, and it is given as {_name(value.dtype)}: convert it, `{entry.name}.to({self.dtype})`"
        return self._wrong_device(value, shown)

    def _wrong_device(self, value: Tensor, shown: str) -> str | None:
        if self.device is not None and value.device != self.device:
            return f"{shown} and is on {value.device}, the model is on {self.device}"
        return None

    def _broken(self, sizes: Mapping[Symbol, tuple[int, str]]) -> list[str]:
        named = {symbol.name: bound for symbol, bound in sizes.items()}  # the body of the other mode has symbols of its own
        found: list[str] = []
        for condition in self.conditions:
            symbols = {s for side in (condition.left, condition.right) if isinstance(side, Dim) for s in side.symbols()}
            known = {s: sizes[s] if s in sizes else named[s.name] for s in symbols if s in sizes or s.name in named}
            if symbols <= known.keys() and not holds(condition, {s: size for s, (size, _) in known.items()}):
                at = ", ".join(f"{symbol} = {size} from `{key}`" for symbol, (size, key) in sorted(known.items(), key=lambda bound: bound[0].name))
                why = f" ({condition.reason})" if condition.reason else ""
                found.append(f"`{condition.text}` must hold{why}, {condition.span}, and {at}")
        return found


def bind_sizes(given: Sequence[tuple[InputDecl, Tensor]]) -> tuple[dict[Symbol, tuple[int, str]], list[str]]:
    """Return each symbol's size with the input that told it, and what doesn't agree."""
    sizes: dict[Symbol, tuple[int, str]] = {}
    problems: list[str] = []
    later: list[tuple[InputDecl, Tensor, int, Dim]] = []
    for entry, value in given:
        for axis, declared in enumerate(entry.type.shape):
            size = value.shape[axis]
            if isinstance(declared, Dim) and declared.symbol is None:
                later.append((entry, value, axis, declared))
            elif isinstance(declared, Dim) and declared.symbol is not None:
                known = sizes.setdefault(declared.symbol, (size, entry.key))
                if known[0] != size:
                    problems.append(_clash(entry, value, axis, f"{declared} = {known[0]} from `{known[1]}`"))
                elif size < declared.symbol.least:
                    problems.append(_clash(entry, value, axis, f"{declared} must be at least {declared.symbol.least}"))
            else:
                wanted = declared.size if isinstance(declared, SetAxis) else declared
                if size != wanted:
                    why = f"`{declared}` is {wanted}" if isinstance(declared, SetAxis) else f"it must be {wanted}"
                    problems.append(_clash(entry, value, axis, why))
    for entry, value, axis, declared in later:
        problems.extend(_composite(entry, value, axis, declared, sizes))
    return sizes, problems


def _composite(entry: InputDecl, value: Tensor, axis: int, declared: Dim, sizes: dict[Symbol, tuple[int, str]]) -> list[str]:
    """Check an axis such as `2 * N`, or learn N from it."""
    size = value.shape[axis]
    unknown = [symbol for symbol in declared.symbols() if symbol not in sizes]
    known = {symbol: bound for symbol, (bound, _) in sizes.items()}
    if len(unknown) == 1:
        solved = solve(declared, unknown[0])
        if solved is not None:
            factor, rest = (int(part.value(known)) if isinstance(part, Dim) else part for part in solved)
            found = (size - rest) // factor
            sizes[unknown[0]] = (found, entry.key)
            known[unknown[0]] = found
            unknown = []
    if unknown:
        return []
    wanted = declared.value(known)
    if wanted == size:
        return []
    at = ", ".join(f"{symbol} = {sizes[symbol][0]} from `{sizes[symbol][1]}`" for symbol in declared.symbols())
    return [_clash(entry, value, axis, f"{declared} = {wanted} with {at}")]


def _clash(entry: InputDecl, value: Tensor, axis: int, why: str) -> str:
    return f"`{entry.key}` is declared {entry.type} and is given as {list(value.shape)}: dimension {axis} is {value.shape[axis]}, {why}"


def holds(condition: Condition, sizes: Mapping[Symbol, int]) -> bool:
    """Tell whether a condition holds at these sizes."""
    left, right = (side.value(sizes) if isinstance(side, Dim) else side for side in (condition.left, condition.right))
    match condition.kind:
        case "==":
            return left == right
        case "!=":
            return left != right
        case ">=":
            return left >= right
        case "divides":
            return left != 0 and right % left == 0


def check_range(entry: InputDecl, value: Tensor, sizes: Mapping[Symbol, int]) -> str | None:
    """Say which value is out of the declared range, if one is.  Reads the values, so only CPU tensors are looked at."""
    bounds = value_range(entry)
    if bounds is None or value.numel() == 0 or value.device.type != "cpu":
        return None
    low, high = (int(edge.value(sizes)) if isinstance(edge, Dim) else edge for edge in bounds)
    least, most = (int(edge) for edge in torch.aminmax(value))
    if low <= least and most < high:
        return None
    wrong = least if least < low else most
    return f"`{entry.key}` holds {wrong}, and its values must be in {low}..{high}"


def value_range(entry: InputDecl) -> tuple[int | Dim, int | Dim] | None:
    """Return the lowest value of an input and one past the highest, from its range or its role."""
    if entry.range is not None:
        return entry.range
    if entry.role is not None and entry.role.name == "tokens" and entry.role.arguments.get("vocab") is not None:
        return 0, entry.role.arguments["vocab"]
    return None


def describe(value: Any) -> str:
    """Say what a Python value is, with its shape if it has one."""
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)} of {_name(value.dtype)}"
    return f"a {type(value).__name__}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

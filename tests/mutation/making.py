# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's inputs: made of the declared type, role and range, or drawn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from archloom.dsl import ast

from .arithmetic import is_number
from .checks import need
from .conversions import Slot, bind
from .expressions import evaluate, loosely
from .scopes import Frame
from .values import Late, Set, Wrong, number, size, tidy


class Making:
    """What a run makes at its border."""

    borders: dict[tuple[str | None, str], Tensor]

    def make(self, label: str, dtype: torch.dtype, shape: list[int], statement: Any, frame: Frame, target: bool) -> Tensor:
        """Make an input of the declared type and range."""
        low, high = self.border(statement, None, frame, dtype, shape)
        if dtype == torch.bool:
            made = torch.rand(shape) < 0.7
            made.view(-1)[:1] = True
        elif dtype.is_complex:
            made = torch.complex(torch.randn(shape), torch.randn(shape))
        elif dtype.is_floating_point:
            made = torch.rand(shape, dtype=dtype) if label.startswith("label") else torch.randn(shape, dtype=dtype)  # classes that come as floats
        else:
            low = 0 if low is None else low
            high = low + 2 if high is None else high
            need(high > low or 0 in shape, "an empty range", "run")
            made = torch.randint(low, max(high, low + 1), shape, dtype=dtype)
            made.view(-1)[:1] = max(high - 1, low)  # what is allowed at most shows what doesn't fit into a table
        if target:
            self.borders[frame.task, label] = made
        return made

    def border(self, statement: Any, value: Tensor | None, frame: Frame, dtype: Any = None, shape: Any = None) -> tuple[int | None, int | None]:
        """Read what a declaration says of values: its role and range."""
        low = high = None
        dtype = value.dtype if value is not None else dtype
        rank = value.dim() if value is not None else len(shape)
        role = getattr(statement, "role", None)
        if role is not None:
            name = role.function.id if isinstance(role, ast.Call) else role.id
            arguments = role.arguments if isinstance(role, ast.Call) else ()
            given = {a.name or str(i): evaluate(a.value, frame) for i, a in enumerate(arguments)}
            if name == "tokens":
                need(set(given) <= {"vocab", "0"} and len(given) <= 1, "tokens take a vocab")
                need(dtype in (torch.int64, torch.int32), "tokens are ints")
                if given:
                    high = size(next(iter(given.values())), "vocab")
                    need(high >= 1, "an empty vocabulary")
                low = 0
            elif name == "picture":
                need(set(given) <= {"mean", "std", "0", "1"}, "pictures take mean and std")
                need(rank == 4 and dtype.is_floating_point, "a picture has four axes")
                channels = (value.shape if value is not None else shape)[1]
                for word, numbers in given.items():
                    listed = numbers if isinstance(numbers, (list, tuple)) else [numbers] * channels
                    need(all(is_number(n) for n in listed) and len(listed) == channels, "a number for each channel")
                    need(word not in ("std", "1") or all(n > 0 for n in listed), "values are divided by what is not positive")
            else:
                raise Wrong(f"no role {name}")
        if statement.range is not None:
            need(dtype in (torch.int64, torch.int32) or dtype.is_floating_point, "a range of truths")
            low, high = self._range(statement.range, frame)
        return low, high

    def _range(self, node: Any, frame: Frame) -> tuple[int, int]:
        if isinstance(node, ast.Range):
            need(node.start is not None and node.stop is not None, "an open range")
            ends = [tidy(number(evaluate(e, frame))) for e in (node.start, node.stop)]
            bounds = [e.value if isinstance(e, Late) else e for e in ends]
            need(all(isinstance(b, int) and not isinstance(b, bool) for b in bounds), "a range of no numbers")
            low, high = bounds[0], bounds[1] + node.inclusive
            need(high > low, "a range holds a value", "run" if any(isinstance(e, Late) for e in ends) else "text")
            return low, high
        value = loosely(node, frame)
        need(isinstance(value, Set) and bool(value.members), "a range of no set")
        whole = all(isinstance(m, int) for m in value.members)
        return (min(value.members), max(value.members) + 1) if whole else (0, len(value.members))

    def draw(self, dtype: torch.dtype, shape: list[int], node: Any, frame: Frame) -> Tensor:
        name = node.function.id if isinstance(node, ast.Call) and isinstance(node.function, ast.Name) else getattr(node, "id", None)
        takes = {"normal": ("mean", "std"), "uniform": ("low", "high"), "bernoulli": ("p",), "permutation": ("n",), "gumbel": ()}
        need(name in takes, f"nothing is drawn from {name}")
        given, _ = bind(node.arguments if isinstance(node, ast.Call) else (), [Slot(n, False) for n in takes[name]])
        values = {k: evaluate(v, frame) for k, v in given.items()}
        if name == "permutation":
            need(dtype in (torch.int64, torch.int32) and bool(shape), "a permutation of whole numbers")
            count = size(values["n"], "n") if "n" in values else shape[-1]
            need(count >= shape[-1], "a permutation is too long", "run")
            return torch.rand(*shape[:-1], count).argsort(-1)[..., : shape[-1]].to(dtype)
        numbers = {k: tidy(number(v)) for k, v in values.items()}
        need(all(is_number(v) for v in numbers.values()), "a distribution of no numbers")
        if name == "bernoulli":
            need(0 <= numbers.get("p", 0.5) <= 1, "no chance")
            return (torch.rand(shape) < 0.5).to(dtype)
        if name == "uniform":
            need(dtype != torch.bool and numbers.get("low", 0) < numbers.get("high", 1), "nothing lies between")
            if not dtype.is_floating_point:
                return torch.randint(int(numbers.get("low", 0)), int(numbers.get("high", 2)), shape, dtype=dtype)
        need(dtype.is_floating_point and numbers.get("std", 1) >= 0, "no distribution")
        return torch.randn(shape, dtype=dtype)

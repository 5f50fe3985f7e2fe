"""The steps of one function, as the lowerings of primitives ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from ...dsl.dims import Dim
from ...dsl.types import DType
from ..lower.builder import TORCH_DTYPES
from ..lower.names import identifier
from ..lower.sizes import Sizes
from .idioms import idiomatic
from .steps import Access, Hole, Step, Store, Text
from .tables import Tables, bearers_of_size
from .terms import NOTHING, Wording

ATTENTION = "archloom.compiler.runtime.modes.Attention"
SIZED = ("torch.unflatten", "torch.split", "view", "reshape", "unflatten", "expand", "split")
"""What takes sizes in a list; others take numbers of axes."""

VIEWS = ("torch.unflatten", "view", "reshape", "unflatten")

PARTS = {"rope_table": ("cos", "sin"), "rope_table_interleaved": ("cos", "sin")}
"""What the results of a function are called."""


class Modules(Protocol):
    """What a class keeps for its functions: modules without parameters, and a tensor that tells dtype and device."""

    def operation(self, target: str, arguments: Mapping[str, Any]) -> str: ...
    def anchor(self) -> Access: ...


class StepBuilder:
    """Implements `LoweringBuilder` by writing steps."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self.steps: list[Step | Store] = []
        self.sizes = Sizes(self._operator, self._size)
        self.float_: Any = None
        """The first float input, which tells the dtype."""
        self.any_: Any = None
        """The first input, which tells the device."""
        self.near: Any = None
        """A tensor that told a size in the statement that is written."""
        self.tables = Tables()
        self.words: Wording = NOTHING
        self.live = False
        """Whether the operation that is written draws somewhere, if not here."""
        self.line = 0

    def step(
        self, kind: str, target: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, *, effect: bool = False, label: str = ""
    ) -> Step:
        """Add a step, or return the one that computes the same from sizes alone."""
        if target in SIZED:
            args = tuple(self._sized(cast("Sequence[Any]", arg), target) if isinstance(arg, (list, tuple)) else arg for arg in args)
        step = idiomatic(Step(kind, target, args, kwargs or {}, effect=effect, line=self.line, label=label))
        known = self.tables.once(step)
        if kind != "value" and known is step:
            self.steps.append(step)
        return known

    def _sized(self, sizes: Sequence[Any], target: str) -> list[Any]:
        """Mark sizes; torch finds one of those of a view by itself, unless another is -1 or known at run time alone."""
        free = target in VIEWS and all(isinstance(size, int) and size >= 0 for size in sizes)
        group = object() if free else None
        return [Hole(size, getattr(size, "words", self.words), group=group) if isinstance(size, int) else size for size in sizes]

    def _operator(self, target: str, *args: Any) -> Step:
        return self.call(target, *args)

    def _size(self, handle: Any, axis: int, name: str) -> Step:
        step = self.step("method", "size", (handle, axis))
        step.label = identifier(name.partition("[")[0]).strip("_")
        return step

    def call(self, target: str, *args: Any, **kwargs: Any) -> Step:
        """Call a function, or write an operator."""
        if target == "torch.cat" and len(args[0]) == 1:
            return args[0][0]
        if target == "operator.getitem":
            return self.step("index", None, args)
        module, _, name = target.rpartition(".")
        return self.step("operator" if module == "operator" else "call", name if module == "operator" else target, args, kwargs)

    def method(self, handle: Any, name: str, *args: Any, **kwargs: Any) -> Step:
        """Call a method of a value."""
        return self.step("method", name, (handle, *args), kwargs)

    def item(self, handle: Any, index: int) -> Step:
        """Return one of several results."""
        parts = PARTS.get(str(handle.target).rpartition(".")[2], ()) if isinstance(handle, Step) else ()
        return self.step("item", None, (handle, index), label=parts[index] if index < len(parts) else "")

    def dim(self, extent: int | Dim) -> Any:
        """Return a size: a number that may become a parameter, or what tells it at run time."""
        if isinstance(extent, int):
            return Hole(extent, getattr(extent, "words", self.words))
        size = self.sizes.value(extent)
        self.near = self.near or next(bearers_of_size(size), None)
        return size

    def dtype(self, dtype: DType) -> Any:
        """Return a dtype; `float` is that of the first float input or parameter."""
        if dtype is not DType.FLOAT:
            return Text(str(TORCH_DTYPES[dtype]))
        return self.trait(self.float_, "dtype")

    def device(self) -> Any:
        """Return the device of a tensor that told a size here, of the first input, or of the parameters."""
        return self.trait(self.near or self.any_, "device")

    def trait(self, bearer: Any, trait: str) -> Step:
        found = bearer if bearer is not None else self.step("value", self.modules.anchor())
        return Step("trait", trait, (found,))

    def child(self, target: str, arguments: Mapping[str, Any], *inputs: Any, idle: bool = False) -> Any:
        """Call a module without parameters, unless it is idle at every place; attention that drops weights is written out."""
        if idle and not self.live:
            return inputs[0]
        if target == ATTENTION:
            options = {name: value for name, value in arguments.items() if name != "drop"}
            mask = {"attn_mask": inputs[3]} if len(inputs) > 3 else {}
            drop = Step("trained", None, (arguments["drop"], 0.0))
            function = "torch.nn.functional.scaled_dot_product_attention"
            return self.step("call", function, inputs[:3], {**mask, "dropout_p": drop, **options}, effect=True)
        name = self.modules.operation(target, arguments)
        return self.step("module", (Access((name,)), "forward"), inputs, effect=True, label=name)

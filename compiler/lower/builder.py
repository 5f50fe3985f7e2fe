"""What writes calls into an fx graph: names, places, sizes, traits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import fx

from ...dsl.dims import Dim
from ...dsl.extern import ExternFunction
from ...dsl.program import Body, Operand, Ref, Region
from ...dsl.types import DType, TensorType
from ..paths import is_handed, join, resolve
from .code import Place
from .names import identifier, imported
from .outlining import ASIDE, REGION
from .sizes import Sizes

Handle = Any

RANDOM = "archloom.compiler.runtime.draws.Random"
RANDOM_FUNCTIONS = frozenset(
    [f"torch.{name}" for name in ("randn_like", "rand_like", "bernoulli", "randn", "rand", "randint", "randperm", "multinomial")]
    + ["torch.nn.functional.gumbel_softmax"]
)
"""Functions that draw anew at every call; a block calls each through a module of its own."""

TORCH_DTYPES = {
    DType.FLOAT64: torch.float64,
    DType.FLOAT32: torch.float32,
    DType.FLOAT16: torch.float16,
    DType.BFLOAT16: torch.bfloat16,
    DType.COMPLEX: torch.complex64,
    DType.INT: torch.int64,
    DType.INT32: torch.int32,
    DType.INT8: torch.int8,
    DType.BOOL: torch.bool,
}
"""All but `float`, which is what the model was compiled or moved to."""


class Surroundings(Protocol):
    """What a graph under construction asks of the module that it is for."""

    def callee(self, path: str, body: Body) -> tuple[int, tuple[str, ...]] | None:
        """Return the view of the module at `path` that `body` is, and its inputs in order; None to write the call out in place."""
        ...

    def child(self, prefix: str, target: str, arguments: Mapping[str, Any], name: str = "") -> str:
        """Return the path, below `prefix`, of an own module without parameters: `name`, if it is free, or one for each use."""
        ...

    def anchor(self) -> str:
        """Return the path of a tensor of dtype `float` to read dtype and device from."""
        ...

    def handed(self, path: str) -> Mapping[str, str]:
        """Return the paths of the modules that the module at `path` was handed."""
        ...

    def function(self, declared: ExternFunction) -> Callable[..., Any]:
        """Return an extern function, if the caller allows it."""
        ...

    def watched(self, body: Body) -> Mapping[tuple[int, int], str]:
        """Return the names of the values of a body that a test of claims watches, by number of node and of output."""
        ...


@dataclass(slots=True)
class Frame:
    """A body being written into the graph: the graph's own, or one that is written out in place of a call."""

    body: Body
    prefix: str
    handed: Mapping[str, str]
    sizes: Sizes
    values: dict[tuple[int, int], Handle]
    float_input: Handle | None = None
    any_input: Handle | None = None
    derived: dict[int, tuple[Handle, int]] | None = None  # by node: the call that gives them all, and the place of this one

    def path(self, target: str) -> str:
        """Return the path of a module or tensor below the graph's own module."""
        return resolve(target, self.handed) if is_handed(target) else join(self.prefix, target)

    def value(self, ref: Ref) -> Handle:
        """Return what an earlier node gave."""
        return self.values[ref.node, ref.index]

    def operand(self, operand: Operand) -> Handle:
        """Return what a node reads, a list for several."""
        if operand is None:
            return None
        return self.value(operand) if isinstance(operand, Ref) else [self.value(ref) for ref in operand]


class GraphBuilder:
    """Adds nodes to a graph, each with its place in the text and a name of its own; implements `LoweringBuilder`."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.graph = fx.Graph()
        self.around = surroundings
        self._attributes: dict[str, Handle] = {}
        self._traits: dict[tuple[int, str], Handle] = {}
        self._names: set[str] = set()
        self._renamed: set[fx.Node] = set()
        self._place: Place | None = None
        self._region: tuple[int, Region] | None = None  # of the present step, with what tells apart calls that are written out in place
        self._frames: list[Frame] = []
        self._given: tuple[Any, ...] = ()  # the types of what the present operation reads, and of its results
        self._made: tuple[TensorType, ...] = ()

    def _create(self, op: str, target: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, name: str | None = None) -> Handle:
        unique = self._unique(name or identifier(target if isinstance(target, str) else target.__name__))
        return self._mark(self.graph.create_node(op, target, args, kwargs, unique))

    def _mark(self, node: fx.Node) -> fx.Node:
        self._names.add(node.name)
        if self._place is not None:
            node.meta["place"] = self._place
            node.stack_trace = self._place.stack_trace
        if self._region is not None:
            node.meta[REGION] = self._region
        return node

    def _unique(self, name: str) -> str:
        found, number = name, 0
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        return found

    def _rename(self, handle: Handle, name: str) -> None:
        """Give the last node of a step the name that the text gives its value."""
        if isinstance(handle, fx.Node) and handle.op in ("call_function", "call_method", "call_module") and handle.meta.get("place") is self._place:
            wanted = identifier(name)
            if handle.name != wanted and handle not in self._renamed:
                handle.name = self._unique(wanted)
                self._names.add(handle.name)
            self._renamed.add(handle)

    def _attribute(self, path: str) -> Handle:
        """Read a parameter, a buffer or a module, once for each graph."""
        found = self._attributes.get(path)
        if found is None:
            found = self._attributes[path] = self._create("get_attr", path, name=identifier(path))
        return found

    def _size(self, handle: Handle, axis: int, name: str) -> Handle:
        return self._aside(self._create("call_method", "size", (handle, axis), name=identifier(name)))

    def _reckon(self, target: str, *args: Any, **kwargs: Any) -> Handle:
        """Compute a size from others."""
        return self._aside(self.call(target, *args, **kwargs))

    def _aside(self, made: Handle) -> Handle:
        """Mark what is no step of a region."""
        made.meta[ASIDE] = True
        return made

    def _trait(self, handle: Handle, trait: str) -> Handle:
        """Read the dtype or device of a value, once for each graph."""
        key = (id(handle), trait)
        found = self._traits.get(key)
        if found is None:
            found = self._traits[key] = self._aside(self._create("call_function", getattr, (handle, trait), name=trait))
        return found

    # ---------------------------------------------------------------------------------------- the builder protocol

    def call(self, target: str, *args: Any, **kwargs: Any) -> Handle:
        """Call the function with a dotted name; one that draws is called through a module, so that its path is known."""
        if target in RANDOM_FUNCTIONS:
            path = self.around.child(self._frames[-1].prefix, RANDOM, {"function": target}, target.rpartition(".")[2])
            drawn = self._create("call_module", path, args, kwargs)
            drawn.meta["types"] = self._made
            return drawn
        return self._create("call_function", imported(target), args, kwargs)

    def method(self, handle: Handle, name: str, *args: Any, **kwargs: Any) -> Handle:
        """Call a method of a value."""
        return self._create("call_method", name, (handle, *args), kwargs)

    def item(self, handle: Handle, index: int) -> Handle:
        """Return one of several results."""
        return self._create("call_function", imported("operator.getitem"), (handle, index))

    def dim(self, extent: int | Dim) -> Handle:
        """Return a size as an int or a node."""
        return self._frames[-1].sizes.value(extent)

    def dtype(self, dtype: DType) -> Handle:
        """Return a torch dtype; `float` is that of the first float input or parameter, so that `.half()` is followed."""
        if dtype is not DType.FLOAT:
            return TORCH_DTYPES[dtype]
        if self._frames[-1].float_input is not None:
            return self._trait(self._frames[-1].float_input, "dtype")
        return self._trait(self._attribute(self.around.anchor()), "dtype")

    def device(self) -> Handle:
        """Return the device of the first input, or of the parameters."""
        if self._frames[-1].any_input is not None:
            return self._trait(self._frames[-1].any_input, "device")
        return self._trait(self._attribute(self.around.anchor()), "device")

    def child(self, target: str, arguments: Mapping[str, Any], *inputs: Handle, idle: bool = False) -> Handle:
        """Call an own module without parameters that knows the mode, unless it is idle."""
        if idle:
            return inputs[0]
        path = self.around.child(self._frames[-1].prefix, target, arguments)
        called = self._create("call_module", path, inputs)
        called.meta["types"] = self._given
        return called

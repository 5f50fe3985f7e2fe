"""A model's code with all that it reads from its modules in place: what calls that record nothing run while nothing has changed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from ..lower.block import Block, View, views
from ..lower.code import Code, generate
from .derived import Derived, Together
from .standing import Standing, dispatched
from .trimming import LINEAR, Handle, trim
from .unchanged import Link, unchanged

MOST = 400
"""How many steps are written out: of larger models calling modules is a small part of the time."""
MOST_CHANGES = 32
"""How often the code of a model is written, or doesn't run: where something changes all the time, its modules are called."""
FAILURES = (RuntimeError, AttributeError, IndexError, KeyError, TypeError, ValueError, AssertionError)
"""What comes of modules that aren't what the text has in their places."""
KINDS = ("_parameters", "_buffers", "_modules")
"""Where modules have what they hold."""
_traced: Callable[[], Any] = vars(torch)["_C"]._get_tracing_state


class Settled:
    """The code of one view of a model: blocks and linears are not called but written out, and their tensors are `handed` to it, as other modules are.

    `there` tells whether every module and tensor is still in its place, computes what its class does, and is in the mode of evaluation.  Who asks
    knows already that derived values are what is kept of them, and that no module which was there at first has a hook.
    """

    def __init__(self, code: Code, model: nn.Module, standing: Standing) -> None:
        """Take what is to be written out, the model that it is for, and what tells whether its derived values are what is kept of them."""
        writer = _Writer(standing)
        writer.write(code, model)
        self.function = generate(code.name, writer.graph, code.inputs, code.results).function
        self.handed = tuple(writer.held.values())
        self.there = unchanged(writer.links, called=writer.called)


class Settling:
    """The settled code of a model's views, written at the first call that may run it, and again where something has changed."""

    def __init__(self) -> None:
        self._found: dict[Code, Settled | None] = {}
        self._changes = 0

    def get(self, code: Code, model: nn.Module, standing: Standing) -> Settled | None:
        """Return what stands for a view, None where nothing can, or the modules that are called are being recorded."""
        if _traced():
            return None
        found = self._found.get(code)
        if found is not None and found.there():
            return found
        if found is None and (code in self._found or dispatched()):
            return None
        self._found[code] = self._settle(code, model, standing)
        return self._found[code]

    def fail(self, code: Code) -> None:
        """Note that what was written didn't run: where that happens often, the modules are called."""
        self._changes += 1
        if self._changes > MOST_CHANGES:
            self._found[code] = None

    def _settle(self, code: Code, model: nn.Module, standing: Standing) -> Settled | None:
        self._changes += 1
        if self._changes > MOST_CHANGES:
            return None
        try:
            return Settled(code, model, standing)
        except FAILURES:  # something isn't what the text has there: who calls the modules will say so, or find that they do
            return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Settling:
        return Settling()


class _Writer:
    """Writes the graph: its inputs, then what is handed in, then all steps."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self.graph = fx.Graph()
        self.held: dict[Handle, Any] = {}
        self.links: list[Link] = []
        self.called: list[nn.Module] = []
        self._handed: dict[int, Handle] = {}
        self._kept: dict[Handle, Tensor] = {}  # derived values: it is known of them where they lie, and of no parameter
        self._last: Handle = None  # of what the function takes

    def write(self, code: Code, model: nn.Module) -> None:
        """Write a view of a model."""
        found: dict[Handle, Any] = {}
        for node in code.graph.nodes:
            if node.op == "placeholder":
                found[node] = self._last = self.graph.node_copy(node, found.__getitem__)
        self.graph.output(self._block(code, model, found, _steps(code, model) <= MOST))
        trim(self.graph, self._kept.get, self._view)
        for node in [each for each in self.held if not each.users]:  # views of them are read instead
            self.graph.erase_node(node)
            del self.held[node]

    def _block(self, code: Code, owner: nn.Module, found: dict[Handle, Any], whole: bool) -> Any:
        """Write the steps of a block, of which the inputs are known; return its results."""
        nodes: list[Handle] = list(code.graph.nodes)
        for node in nodes[:-1]:
            if node.op == "get_attr":
                found[node] = self._attribute(owner, node.target)
            elif node.op == "call_module":
                found[node] = self._call(node, owner, found, whole)
            elif node.op != "placeholder":
                found[node] = self._step(node, found)
        return fx.map_arg(nodes[-1].args[0], found.__getitem__)

    def _step(self, node: Handle, found: Mapping[Handle, Any]) -> Any:
        """Write a step, or read one of several results that are known apart."""
        if node.target is operator.getitem and isinstance(several := found[node.args[0]], tuple):
            return cast("tuple[Any, ...]", several)[node.args[1]]
        return self.graph.node_copy(node, found.__getitem__)

    def _call(self, node: Handle, owner: nn.Module, found: Mapping[Handle, Any], whole: bool) -> Any:
        """Write out what a module does, or the call of one that does something else."""
        module = owner.get_submodule(node.target)
        if isinstance(module, Together) and module.kept is not None and module.is_of(self._standing):
            self._rest_on(owner, node.target, (vars(module), "kept", module.kept))
            return tuple(map(self._keep, module.kept))
        if isinstance(module, Derived) and module.rests and module.is_of(self._standing):
            self._rest_on(owner, node.target, (vars(module), "value", module.value))
            return self._keep(module.value)
        args = fx.map_arg(node.args, found.__getitem__)
        if isinstance(module, Block) and whole and _is_plain(module) and _evaluates(module, node):
            return self._inlined(module, node, owner, args)
        self._rest_on(owner, node.target)
        made: Handle = self._leaf(module, args) if _is_plain(module) and not node.kwargs else None
        if made is None:
            made = self.graph.call_method("__call__", (self._hand(module), *args), fx.map_arg(node.kwargs, found.__getitem__))
        if made not in args:
            made.meta = dict(node.meta)
        return made

    def _leaf(self, module: nn.Module, args: tuple[Any, ...]) -> Handle:
        """Write what a leaf module does, if it is one that is known."""
        if type(module) is nn.Dropout and not module.training:
            made, rests = args[0], ("training",)
        elif type(module) is nn.Linear:
            made, rests = self.graph.call_function(LINEAR, (*args, *self._own(module))), ()
        elif type(module) is nn.LayerNorm:
            given = (*args, module.normalized_shape, *self._own(module), module.eps)
            made, rests = self.graph.call_function(torch.layer_norm, given), ("normalized_shape", "eps")
        else:
            return None
        self.called.append(module)
        self.links += ((vars(module), name, vars(module)[name]) for name in rests)
        return made

    def _own(self, module: nn.Module) -> tuple[Handle, Handle]:
        return self._attribute(module, "weight"), self._attribute(module, "bias")

    def _inlined(self, module: Block, node: Handle, owner: nn.Module, args: tuple[Any, ...]) -> Any:
        self._rest_on(owner, node.target)
        self.called.append(module)
        view = _view(module, node)
        if view.eval is not view.train:
            self.links.append((vars(module), "training", False))
        inputs: list[Handle] = [each for each in view.eval.graph.nodes if each.op == "placeholder"]
        given = [*args, *(None for _ in inputs[len(args) :])]
        return self._block(view.eval, module, dict(zip(inputs, given, strict=True)), True)

    def _rest_on(self, owner: nn.Module, name: str, *links: Link) -> None:
        """Rest on each module on the way from one to another, and on what else is linked."""
        for word in name.split("."):
            held: dict[str, Any] = vars(owner)["_modules"]
            self.links.append((held, word, held[word]))
            owner = held[word]
        self.links += links

    def _attribute(self, owner: nn.Module, target: str) -> Handle:
        """Hand in a parameter or buffer, or a module that a step reads them from."""
        above, _, name = target.rpartition(".")
        if above:
            self._rest_on(owner, above)
            owner = owner.get_submodule(above)
        everything: list[dict[str, Any]] = [vars(owner)[kind] for kind in KINDS]
        held = next((each for each in everything if name in each), everything[0])
        self.links.append((held, name, held[name]))
        return self._hand(held[name])

    def _hand(self, value: Any) -> Handle:
        """Let the function take something, once."""
        if value is None:
            return None
        known = self._handed.get(id(value))
        if known is None:
            with self.graph.inserting_after(self._last) if self._last is not None else self.graph.inserting_before():
                known = self._last = self._handed[id(value)] = self.graph.placeholder(f"held_{len(self._handed)}", default_value=None)
            known.target = known.name  # no input's
            self.held[known] = value
        return known

    def _keep(self, value: Tensor | None) -> Handle:
        """Hand in a derived value."""
        made = self._hand(value)
        if value is not None:
            self._kept[made] = value
        return made

    def _view(self, view: Tensor) -> Handle:
        """Hand in a view of a derived value."""
        if type(view) is not Tensor:
            raise TypeError("something stands for tensors for the time of this call")
        return self._hand(view)


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a module computes what its class does, and nothing waits for it."""
    own = vars(module)
    return not ({"forward", "_compiled_call_impl"} & own.keys() or own["_forward_hooks"] or own["_forward_pre_hooks"])


def _evaluates(module: Block, node: Handle) -> bool:
    view = _view(module, node)
    return view.eval is view.train or not module.training


def _view(module: Block, node: Handle) -> View:
    number: int = node.kwargs.get("view", 0)
    return views(type(module))[number]


def _steps(code: Code, owner: nn.Module) -> int:
    """Return how many steps a code has, those of the blocks that it calls counted, or some number that is too large."""
    count = 0
    nodes: list[Handle] = list(code.graph.nodes)
    for node in nodes:
        module = owner.get_submodule(node.target) if node.op == "call_module" else None
        count += _steps(_view(module, node).eval, module) if isinstance(module, Block) else 1
        if count > MOST:
            break
    return count

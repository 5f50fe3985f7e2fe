"""The modules of a compiled model: blocks with generated code, and the families that hold them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from torch import fx, nn
from torch.fx.graph import PythonCode

from .code import Code, generate


@dataclass(slots=True, eq=False)
class View:
    """One way in which a block is called: its code for evaluation and for training, often the same."""

    inputs: tuple[str, ...]
    eval: Code
    train: Code

    def __deepcopy__(self, memo: dict[int, Any]) -> View:
        return self

    def code(self, training: bool) -> Code:
        """Return the code of a mode."""
        return self.train if training else self.eval


class Block(fx.GraphModule):
    """A block instance.  Instances of one body share a class with its generated functions; editing a graph parts them.

    `graph` is that of the present mode, the first way in which the block is called.  It is copied when it is first read, so that an
    edit, followed by `recompile()`, changes this instance alone.
    """

    _views: ClassVar[list[View]]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make an instance of this very class (fx would make a class for each instance)."""
        return object.__new__(cls)

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.meta = dict[str, Any]()
        self._tracer_cls = None
        self._tracer_extras = dict[str, Any]()
        self._replace_hooks = list[Any]()
        self._create_node_hooks = list[Any]()
        self._erase_node_hooks = list[Any]()
        self._deepcopy_hooks = list[Any]()
        self.shape_env = None
        self._edited = dict[bool, fx.Graph]()

    # --------------------------------------------------------------------------------- the graph, copied when it is read

    @property
    def graph(self) -> fx.Graph:
        """Return this instance's own copy of the graph of the present mode."""
        shared = self._first()
        mode = self.training and shared.train is not shared.eval
        if mode not in self._edited:
            own = copy.deepcopy(shared.code(mode).graph)
            own.owning_module = self
            self._edited[mode] = own
        return self._edited[mode]

    @graph.setter
    def graph(self, g: fx.Graph) -> None:
        g.owning_module = self
        shared = self._first()
        self._edited[self.training and shared.train is not shared.eval] = g
        self.recompile()

    def _first(self) -> View:
        """Return the first way in which the block is called."""
        if not self._views:
            raise RuntimeError(f"this `{type(self).__name__}` isn't called by what was compiled, so it has no code")
        return self._views[0]

    @property
    def _graph(self) -> fx.Graph:
        return self.graph

    @property
    def code(self) -> str:
        """Return the generated Python of the present mode."""
        return self._first().code(self.training).source

    @property
    def _code(self) -> str:
        return self.code

    @property
    def _lineno_map(self) -> Mapping[int, int | None]:
        return self._first().code(self.training).lines

    @property
    def _prologue_start(self) -> int:
        return 1

    def recompile(self) -> PythonCode:
        """Generate this instance's code again from the graphs that were read, and so perhaps edited."""
        if self._edited:
            first, *others = self._views
            codes = {mode: self._regenerated(first.code(mode), self._edited.get(mode)) for mode in (False, True)}
            train = codes[True] if first.train is not first.eval else codes[False]
            own: Any = block_class(type(self).__name__, [View(first.inputs, codes[False], train), *others])
            self.__class__ = own
        return PythonCode(self.code, dict(self._first().code(self.training).globals), _lineno_map=dict(self._lineno_map))

    @staticmethod
    def _regenerated(code: Code, graph: fx.Graph | None) -> Code:
        return generate(code.name, graph, code.inputs, code.results) if graph is not None else code

    # ---------------------------------------------------------------------------------------------- copies and modes

    def __deepcopy__(self, memo: dict[int, Any]) -> Block:
        new = type(self)()
        memo[id(self)] = new
        for name, value in self.__dict__.items():
            new.__dict__[name] = dict(value) if name == "_edited" else copy.deepcopy(value, memo)
        for mode, graph in self._edited.items():
            new._edited[mode] = copy.deepcopy(graph)
            new._edited[mode].owning_module = new
        return new

    def __copy__(self) -> Block:
        new = type(self)()
        new.__dict__.update(self.__dict__)
        return new

    def _replicate_for_data_parallel(self) -> Any:
        return nn.Module._replicate_for_data_parallel(self)

    def __reduce__(self) -> Any:
        raise TypeError(f"a `{type(self).__name__}` can't be pickled: save its `state_dict()` as safetensors and compile the text again")

    def extra_repr(self) -> str:
        """Say nothing: the tree says it all."""
        return ""

    def __str__(self) -> str:
        return nn.Module.__repr__(self)


def block_class(name: str, ways: list[View]) -> type[Block]:
    """Return a class of blocks with these ways of being called."""
    made = type(name, (Block,), {"_views": ways, "__module__": Block.__module__})
    install(made)
    return made


def views(made: type[Block]) -> Sequence[View]:
    """Return the ways in which blocks of a class are called, by number."""
    return made._views  # pyright: ignore[reportPrivateUsage] - a method would hide a child of its name


def install(made: type[Block]) -> None:
    """Set `forward` of a class from its views."""
    known = views(made)
    if not known:
        made.forward = _never_called
    elif len(known) == 1:
        made.forward = _by_mode(known[0])
    else:
        made.forward = _by_view([_by_mode(view) for view in known])


def _by_mode(view: View) -> Any:
    if view.eval is view.train:
        return view.eval.function
    evaluate, train = view.eval.function, view.train.function
    if view.eval.inputs == view.train.inputs:

        def forward(self: Block, *args: Any) -> Any:
            return train(self, *args) if self.training else evaluate(self, *args)

    else:

        def forward(self: Block, *args: Any) -> Any:
            """A caller in eval mode leaves out what training alone reads."""
            return train(self, *args) if self.training and all(arg is not None for arg in args) else evaluate(self, *args)

    return forward


def _by_view(functions: list[Any]) -> Any:
    def forward(self: Block, *args: Any, view: int = 0) -> Any:
        return functions[view](self, *args)

    return forward


def _never_called(self: Block, *args: Any) -> Any:
    return self.code  # raises the error that says so


class Family(nn.Module):
    """Members of a family by name or number: `m.trunk[0]`, `m.head["semseg"]`."""

    def __getitem__(self, member: int | str) -> Any:
        key = str(member)
        found = self._modules.get(key, self._parameters.get(key, self._buffers.get(key)))
        if found is None:
            raise KeyError(f"no member `{member}`: there are {', '.join(self._keys())}")
        return found

    def __len__(self) -> int:
        return len(self._keys())

    def __iter__(self) -> Iterator[Any]:
        return iter([self[key] for key in self._keys()])

    def _keys(self) -> list[str]:
        return [*self._parameters, *self._buffers, *self._modules]

    def __repr__(self) -> str:
        """Show equal neighbours once, `(0-23): 24 x DecoderLayer`, and parameters by their shapes."""
        lines = [f"({key}): Parameter{list(value.shape)}" for key, value in self._parameters.items() if value is not None]
        groups: list[list[str]] = []
        texts: list[str] = []
        for key, module in self._modules.items():
            text = repr(module)
            if texts and texts[-1] == text:
                groups[-1].append(key)
            else:
                groups.append([key])
                texts.append(text)
        for keys, text in zip(groups, texts, strict=True):
            inner = text.replace("\n", "\n  ")
            lines.append(f"({keys[0]}): {inner}" if len(keys) == 1 else f"({keys[0]}-{keys[-1]}): {len(keys)} x {inner}")
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"

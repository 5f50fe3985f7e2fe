"""See `Quantize`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, cast

from ...blocks.primitives.quantized import GROUPS
from ...dsl.diagnostics import Diagnostic, Failure, closest
from ...dsl.program import Body, ModuleDecl, Node, NodeKind, Ref
from ...dsl.record import record
from ...dsl.source import Source, Span
from ..census import leaf_specs, sizes
from ..graph import Graph, module_at
from ..optimize.deriving import cone, derived, of_parameters
from ..optimize.instances import Absolute, Choice, rebuild_each
from ..optimize.interface import Journal, Keeps, Pass
from ..optimize.selecting import selected, spelt
from ..optimize.writing import Writer
from ..paths import is_handed, join

ALL = "all"
NOTHING = "A841"
STATIC = "int8_static"
LEAVES = ("Linear", "Conv2d")
OPERATIONS = ("linear", "onednn_linear", "batched_linear", "conv2d")
Range = tuple[float, float] | None


@record
class Kind:
    """The operations that make steps and whole numbers of weights, the linear that reads them, what the whole numbers are called, whether
    there are operators that want them in an order of their own, and the stated error."""

    scale: str
    quantize: str
    linear: str
    bits: str
    group: bool = False
    conv: str = ""
    packs: bool = True
    error: float = 2e-2


KINDS: Mapping[str, Kind] = {
    "int8_dynamic": Kind("int8_scale", "int8_quantize", "int8_linear", "int8"),
    "int8_weight": Kind("int8_scale", "int8_quantize", "int8_weight_linear", "int8", packs=False),
    "int8_static": Kind("int8_scale", "int8_quantize", "int8_static_linear", "int8", conv="int8_static_conv2d"),
    "int4_weight": Kind("int4_scale", "int4_quantize", "int4_linear", "int4", group=True, error=1e-1),
}


@dataclass(frozen=True, slots=True)
class Quantize(Pass):
    """Compute linears by weights of few bits: whole numbers, each row's by a step of their own, in place of floats.

    `to` is `int8_dynamic`, where what the weights are multiplied with is rounded to 8 bits too, at each call: a fraction of the time;
    `int8_weight`, where they are made floats again at each call: a quarter of the size; `int4_weight`, with a step for each `group` of numbers
    along a row: an eighth; or `int8_static`, for convolutions too, where the range of what weights are multiplied with is known: `ranges` holds
    (path of the weight, lowest, highest), as `archloom quantize` finds them on data.  `where` selects parameters as `tune` does:
    `"decoder.** except decoder.head"`; a linear is taken if its weight is selected, one that others were merged into if all of theirs are.
    Weights of fewer than `least` numbers stay: they gain nothing.
    """

    to: str = "int8_dynamic"
    where: str = ALL
    least: int = 16384
    group: int = 32
    ranges: tuple[tuple[str, float, float], ...] = ()

    keeps: ClassVar[Keeps] = Keeps.EVALUATION
    tolerance: ClassVar[float] = 2e-2
    fires: ClassVar[Mapping[str, int]] = {"minilm": 4}
    after: ClassVar[tuple[str, ...]] = (
        *("merge_maps", "sum_linears", "fold_norms", "resize_late", "merge_linears", "merge_attentions", "batch_families", "compose_maps"),
        *("fold_forward", "lay_channels_last", "onednn_linears"),
    )
    example: ClassVar[tuple[str, ...]] = ("merge_linears",)

    def __post_init__(self) -> None:
        if self.to not in KINDS:
            near = closest(self.to, KINDS)
            raise ValueError(f"nothing is quantized to `{self.to}`{f', did you mean `{near}`' if near else ''}: there is {', '.join(KINDS)}")
        if self.group not in GROUPS:
            raise ValueError(f"`group` of the pass `quantize` is one of {', '.join(map(str, GROUPS))}, not {self.group}")
        if (self.to == STATIC) != bool(self.ranges):
            word = "needs" if self.to == STATIC else "takes no"
            raise ValueError(f"`{self.to}` {word} `ranges`, that data has: `archloom quantize` finds them for `{STATIC}`")
        if self.group != Quantize.__dataclass_fields__["group"].default and not KINDS[self.to].group:
            raise ValueError(f"`{self.to}` has a step for each row: `group` is for {', '.join(name for name, kind in KINDS.items() if kind.group)}")

    def error(self) -> float:
        """Return the stated error: four bits cost more than eight."""
        return KINDS[self.to].error

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Rewrite every linear that is selected; raises Failure where `where` selects none that can be quantized, or `ranges` names another thing."""
        chosen, known = selected(graph, "where", self.where), spelt(graph.program) if self.ranges else {}
        quantizer = _Quantizer(chosen, self, journal)
        graph = rebuild_each(graph, quantizer.choose, quantizer.rewrite)
        unread = [path for path in quantizer.ranges if path not in quantizer.weights]
        maps = {join(path, "weight") for path, each in graph.census.modules() if each.kind in LEAVES} if unread else ()
        unknown = tuple(_unknown(path, known, quantizer.weights) for path in unread if path not in maps)
        if unknown:
            raise Failure(unknown)
        for path in unread:
            journal.decline(
                graph.program.eval, f"`ranges` names `{path}`, which no linear or convolution reads after the passes before", graph.program.eval.span
            )
        if not journal.fired and self.where != ALL:
            raise Failure((_nothing(self.where, journal),))
        return graph


def _nothing(where: str, journal: Journal) -> Diagnostic:
    why = f": {journal.declined[0].what}" if journal.declined else ""
    source = Source("where", where)
    help = "select the weights of linears: `archloom summary` lists what there is"
    return Diagnostic(NOTHING, f"`{where}` holds no linear that can be quantized{why}", Span(source, 0, len(where)), help=help)


def _unknown(path: str, known: Mapping[str, str], weights: Iterable[str]) -> Diagnostic:
    """Return an error for a path of `ranges` at which the model has nothing, or nothing that a linear or a convolution multiplies by."""
    near = closest(path, sorted(weights))
    help = f"did you mean `{near}`?" if near else "`archloom quantize` writes the paths of the weights, with their ranges"
    what = "no linear or convolution multiplies by it" if path in known else "the model has no such weight"
    return Diagnostic("A510", f"`ranges` names `{path}`, and {what}", Span(Source("ranges", path), 0, len(path)), help=help)


class _Quantizer:
    """Finds the linears of each module, and writes them anew."""

    def __init__(self, chosen: frozenset[str], options: Quantize, journal: Journal) -> None:
        self.chosen, self.options, self.journal = chosen, options, journal
        self.ranges = {path: (low, high) for path, low, high in options.ranges}
        self.weights: set[str] = set()
        """The paths of all weights of linears and convolutions, selected or not."""
        self._told: set[tuple[int, int]] = set()

    def choose(self, body: Body, absolute: Absolute) -> Choice:
        """Return the linears of a module whose weights are selected."""
        found: dict[int, Range] = {}
        for number, paths in _linears(body).items():
            self.weights.update(map(absolute, paths))
            wanted = [absolute(path) in self.chosen for path in paths]
            if any(wanted):
                ranges = [known for path in paths if (known := self.ranges.get(absolute(path)))]
                why = self._refusal(body, number, paths, wanted, bool(ranges))
                if why is None:
                    found[number] = (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None
                elif (id(body), number) not in self._told:
                    self._told.add((id(body), number))
                    self.journal.decline(body, why, body.nodes[number].span)
        return found

    def _refusal(self, body: Body, number: int, paths: tuple[str, ...], wanted: list[bool], ranged: bool) -> str | None:
        node = body.nodes[number]
        if any(map(is_handed, paths)):
            return f"`{node.target}` belongs to another block, which handed it in"
        if node.target == "batched_linear":
            return f"`{paths[0]}` and others are multiplied in one batch: quantize them without `batch_families`"
        if not all(wanted):
            return f"`{paths[wanted.index(False)]}` isn't selected, and the linear is one with `{paths[wanted.index(True)]}`"
        why = self._conv_refusal(body, node, paths[0])
        if why is not None or (self.options.to == STATIC and not ranged):
            return why or f"`ranges` holds nothing for `{paths[0]}`"
        rows, width = _sizes(body, node)
        if KINDS[self.options.to].group and width % self.options.group:
            return f"`{paths[0]}` has {width} numbers in a row, no multiple of {self.options.group}"
        least = self.options.least
        return f"`{paths[0]}` holds {rows * width} numbers, fewer than {least}" if rows * width < least else None

    def _conv_refusal(self, body: Body, node: Node, path: str) -> str | None:
        """Say why a convolution stays; None for a linear, too."""
        given = _conv_arguments(body, node)
        if given is None:
            return None
        if not KINDS[self.options.to].conv:
            return f"`{path}` is that of a convolution: `{STATIC}` is for those, too"
        plain = given.get("padding_mode", "zeros") == "zeros" and not isinstance(given["padding"], str)
        return None if plain else f"`{path}` is that of a convolution which pads by other values than zeros, or by a word"

    def rewrite(self, body: Body, chosen: Choice) -> Body:
        """Write the chosen linears as those of whole numbers, whose weights are derived values."""
        writer, names = Writer(body), dict[int, str]()
        for number in range(len(body.nodes)):
            if number in chosen:
                self._write(writer, number, names, cast(Range, chosen[number]))
                names_ = ", ".join(f"`{path.removesuffix('.weight')}`" for path in _linears(body)[number])
                self.journal.fire(body, f"{names_} to {self.options.to}", body.nodes[number].span)
            else:
                writer.copy(number)
        return _with_derived(writer.whole(), names)

    def _write(self, writer: Writer, number: int, names: dict[int, str], range_: Range) -> None:
        """Write one linear; `names` gets those of what is computed from its weights."""
        body, node, kind = writer.old, writer.old.nodes[number], KINDS[self.options.to]
        bias = node.inputs.get("bias")
        if node.kind is NodeKind.LEAF:
            held = writer.weights(node.target, cast(ModuleDecl, module_at(body, node.target)), node.span)
            weight, added = held["weight"], held.get("bias")
        else:
            weight, added = writer.at(_weight(node)), writer.at(bias) if isinstance(bias, Ref) else None
        scale = writer.operation(kind.scale, node, x=weight, **({"group": self.options.group} if kind.group else {}))
        whole = writer.operation(kind.quantize, node, x=weight, scale=scale)
        name = _linears(body)[number][0].removesuffix(".weight").replace(".", "_")
        names.update({scale.node: f"{name}_scale", whole.node: f"{name}_{kind.bits}"})
        given: dict[str, Any] = {"bias": added} if added is not None else {}
        if range_ is not None:
            given |= {"low": range_[0], "high": range_[1]}
        conv = _conv_arguments(body, node)
        if conv is not None:
            given |= {name: conv[name] for name in ("stride", "padding", "dilation", "groups")}
        read = cast(Ref, node.inputs["x"])
        operation = kind.conv if conv is not None else kind.linear
        made = writer.operation(operation, node, node.name, x=writer.at(read), weight=whole, scale=scale, **given)
        writer.stand_for(number, [writer.operation("relu", node, x=made) if node.attributes.get("rectify") else made])


def _conv_arguments(body: Body, node: Node) -> Mapping[str, Any] | None:
    """Return the arguments of a convolution; None for a linear."""
    if node.kind is NodeKind.LEAF:
        declared = module_at(body, node.target)
        return declared.arguments if declared is not None and declared.kind == "Conv2d" else None
    return node.attributes if node.target == "conv2d" else None


def _weight(node: Node) -> Ref:
    return cast(Ref, node.inputs["weight"])


def _sizes(body: Body, node: Node) -> tuple[int, int]:
    """Return how many rows the weight of a linear has, and how many numbers are in one."""
    if node.kind is NodeKind.LEAF:
        held = cast(ModuleDecl, module_at(body, node.target))
        rows, *rest = sizes(next(spec.shape for spec in leaf_specs(held) if spec.name == "weight"))
    else:
        rows, *rest = sizes(body.type(_weight(node)).shape)
    return rows, prod(rest)


def _linears(body: Body) -> Mapping[int, tuple[str, ...]]:
    """Return the linears whose weights depend on parameters alone, with the paths of these, kept by body."""
    found: dict[int, tuple[str, ...]] | None = body.found.get("linears")
    if found is None:
        known = of_parameters(body)
        found = body.found["linears"] = {n: paths for n, node in enumerate(body.nodes) if (paths := _paths(body, node, known))}
    return found


def _paths(body: Body, node: Node, known: Mapping[int, int]) -> tuple[str, ...]:
    if node.kind is NodeKind.LEAF:
        kind = node.primitive.name if node.primitive is not None else ""
        return (f"{node.target}.weight",) if kind in LEAVES else ()
    if node.target in OPERATIONS and node.kind is NodeKind.OPERATION and _weight(node).node in known:
        read = [each for number in cone(body, _weight(node).node) for each in _parameters(body.nodes[number])]
        matrices = [each.target for each in read if len(each.outputs[0].shape) > 1]  # not what scales them
        return tuple(dict.fromkeys(matrices or [each.target for each in read]))
    return ()


def _parameters(node: Node) -> list[Node]:
    """Return what a node reads by path."""
    if node.kind is NodeKind.DERIVED:
        return [each for each in node.attributes["recipe"].body.nodes if each.kind is NodeKind.PARAMETER]
    return [node] if node.kind is NodeKind.PARAMETER else []


def _with_derived(body: Body, names: Mapping[int, str]) -> Body:
    """Return a body in which the named values are derived ones."""
    writer = Writer(body)
    for number in range(len(body.nodes)):
        if number in names:
            writer.stand_for(number, [writer.add(derived(body, number, names[number]))])
        else:
            writer.copy(number)
    return writer.body()

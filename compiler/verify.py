"""The one written definition of a legal graph.

1. An operand names an earlier node of its body, and an output that this node has.
2. A node of a kind has what the kind needs: INPUT, STATE and DRAW a declaration, OPERATION a primitive, CALL a body, LEAF and CALL a
   module that the body made or was handed, or one inside of such, PARAMETER a tensor that exists, DERIVED a recipe over such, EXTERN an output.
3. A call gives every input that its body declares, of the same rank and dtype, and has one output for each of the body's results.
4. Results and updates name values that exist; a loss is one float; an update goes to a buffer of its own body.
5. Paths of a body are unique, and none lies below a parameter or a leaf module.
6. No body calls itself, directly or not.
7. Bodies of one module own the same shapes under the same paths.
8. `tie` joins two parameters of one shape; `freeze` names something that exists.
9. What is handed in is no step of a region; what is recomputed updates no buffer.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..dsl.program import Body, Node, NodeKind, Recording, Ref
from ..dsl.record import record
from ..dsl.source import Span
from .census import Census, distinct, is_block, leaf_specs, sizes
from .graph import Graph, callees, operands, results
from .paths import covers, is_handed


@record
class Problem:
    """One way in which a graph isn't legal; `rule` is its number above."""

    rule: int
    body: str
    message: str
    span: Span

    def __str__(self) -> str:
        return f"{self.span}: rule {self.rule}, in `{self.body}`: {self.message}"


def verify(graph: Graph) -> list[Problem]:
    """Return every rule that the graph breaks; an empty list for a legal one."""
    cyclic = list(_recursion(graph))
    if cyclic:
        return cyclic
    problems = [problem for body in graph.bodies for problem in _verify_body(body)]
    problems.extend(_verify_ownership(graph))
    return problems


def _verify_body(body: Body) -> Iterator[Problem]:
    for number, node in enumerate(body.nodes):
        yield from _verify_operands(body, number, node)
        yield from _verify_kind(body, number, node)
        yield from _verify_region(body, number, node)
    yield from _verify_results(body)
    yield from _verify_paths(body)


def _verify_operands(body: Body, number: int, node: Node) -> Iterator[Problem]:
    for argument, ref in operands(node):
        if not 0 <= ref.node < number:
            yield Problem(1, body.name, f"%{number} reads `{argument}` from %{ref.node}, which isn't an earlier node", node.span)
        elif not 0 <= ref.index < len(body.nodes[ref.node].outputs):
            yield Problem(1, body.name, f"%{number} reads `{argument}` from output {ref.index} of %{ref.node}, which hasn't one", node.span)


def _verify_kind(body: Body, number: int, node: Node) -> Iterator[Problem]:
    lacks = _lacks(body, number, node)
    if lacks:
        yield Problem(2, body.name, f"%{number} ({node.kind.value} `{node.target}`) {lacks}", node.span)
    elif node.kind is NodeKind.CALL and node.body is not None:
        yield from _verify_call(body, number, node, node.body)


def _verify_region(body: Body, number: int, node: Node) -> Iterator[Problem]:
    if node.region is not None and node.is_handed_in:
        yield Problem(9, body.name, f"%{number} is handed in, and is {node.region}", node.span)
    elif node.region is not None and node.region.recording is Recording.INPUTS and node.body is not None and _updates(node.body):
        yield Problem(9, body.name, f"%{number} is {node.region}, and `{node.body.name}` updates a buffer", node.span)


def _updates(body: Body) -> bool:
    return bool(body.updates) or any(map(_updates, callees(body)))


def _lacks(body: Body, number: int, node: Node) -> str | None:
    """Say what a node of its kind should have and has not."""
    match node.kind:
        case NodeKind.INPUT | NodeKind.STATE | NodeKind.DRAW:
            known = any(declared.node == number and declared.key == node.target for declared in body.inputs)
            drawn = node.kind is not NodeKind.DRAW or "distribution" in node.attributes
            return None if known and drawn else "has no declaration" if drawn else "has no distribution"
        case NodeKind.CONSTANT:
            return None if "value" in node.attributes else "has no value"
        case NodeKind.EXTERN:
            return None if any(output.ref.node == number for output in body.outputs) else "is no output"
        case NodeKind.OPERATION:
            return None if node.primitive is not None and not node.primitive.is_leaf else "has no primitive"
        case NodeKind.PARAMETER:
            return None if is_handed(node.target) or _tensor_exists(body, node.target) else "names no tensor"
        case NodeKind.DERIVED:
            lost = [path for path in node.attributes["recipe"].paths if not _tensor_exists(body, path)]
            return f"is computed from `{lost[0]}`, which is no tensor" if lost else None
        case NodeKind.LEAF | NodeKind.NORMS:
            paths = node.attributes.get("modules", (node.target,))
            return None if all(_is_module(body, path) for path in paths) else "names no module of this body"
        case NodeKind.CALL:
            if node.body is None:
                return "has no body"
            return None if _is_module(body, node.target) else "names no module of this body"


def _is_module(body: Body, path: str) -> bool:
    """Tell whether a path leads to a module: one that was handed in, one of the body, or one inside of such."""
    return is_handed(path) or path in body.modules or _named(Census((body,)), path)


def _tensor_exists(body: Body, path: str) -> bool:
    census = Census((body,))
    try:
        return any(tensor.path == path for tensor in census.tensors(path)) or _below_extern(body, path)
    except KeyError:
        return _below_extern(body, path)


def _below_extern(body: Body, path: str) -> bool:
    return any(declared.extern is not None and covers(name, path) for name, declared in body.modules.items())


def _verify_call(body: Body, number: int, node: Node, callee: Body) -> Iterator[Problem]:
    for declared in callee.inputs:
        operand = node.inputs.get(declared.key)
        if operand is None and declared.optional:
            continue
        if not isinstance(operand, Ref):
            yield Problem(3, body.name, f"%{number} gives `{callee.name}` no `{declared.key}`", node.span)
            continue
        if not (0 <= operand.node < number and operand.index < len(body.nodes[operand.node].outputs)):
            continue
        given = body.type(operand)
        if given.dtype is not declared.type.dtype or given.rank != declared.type.rank:
            message = f"%{number} gives `{declared.key}` of `{callee.name}` a {given}, declared {declared.type}"
            yield Problem(3, body.name, message, node.span)
    extra = sorted(set(node.inputs) - {declared.key for declared in callee.inputs})
    if extra:
        yield Problem(3, body.name, f"%{number} gives `{callee.name}` inputs that it doesn't declare: {', '.join(extra)}", node.span)
    if len(node.outputs) != len(results(callee)):
        yield Problem(3, body.name, f"%{number} has {len(node.outputs)} outputs, `{callee.name}` gives {len(results(callee))}", node.span)


def _verify_results(body: Body) -> Iterator[Problem]:
    named = [(output.name, output.ref, output.span) for output in body.outputs]
    named += [(loss.path, loss.ref, loss.span) for loss in body.losses] + [(update.path, update.ref, update.span) for update in body.updates]
    named += [(state.key, state.result, state.span) for state in body.states]
    wrong = [(n, s) for n, r, s in named if not (0 <= r.node < len(body.nodes) and 0 <= r.index < len(body.nodes[r.node].outputs))]
    yield from (Problem(4, body.name, f"`{name}` names a value that doesn't exist", span) for name, span in wrong)
    if wrong:
        return
    for loss in body.losses:
        type_ = body.type(loss.ref)
        if type_.rank or not type_.dtype.is_float:
            yield Problem(4, body.name, f"the loss `{loss.path}` is a {type_}, not one float", loss.span)
    for update in body.updates:
        own = body.parameters.get(update.path)
        if own is None or not own.buffer:
            yield Problem(4, body.name, f"`{update.path}` is updated and is no buffer of this body", update.span)


def _verify_paths(body: Body) -> Iterator[Problem]:
    ends = [*body.parameters, *(path for path, declared in body.modules.items() if not is_block(declared))]
    paths = sorted((path, path in ends) for path in {*body.parameters, *body.modules})
    yield from (
        Problem(5, body.name, f"`{path}` is a parameter and a module", body.modules[path].span) for path in body.parameters if path in body.modules
    )
    above: str | None = None
    for path, is_end in paths:
        if above is not None and covers(above, path):
            yield Problem(5, body.name, f"`{path}` lies below `{above}`, which holds tensors itself", body.span)
        elif is_end:
            above = path


def _recursion(graph: Graph) -> Iterator[Problem]:
    done: set[int] = set()
    for root in graph.roots:
        open_: dict[int, None] = {}
        stack: list[tuple[Body, bool]] = [(root, False)]
        while stack:
            body, leave = stack.pop()
            if leave:
                open_.pop(id(body))
                done.add(id(body))
            elif id(body) in open_:
                yield Problem(6, body.name, "it calls itself", body.span)
                return
            elif id(body) not in done:
                open_[id(body)] = None
                stack.append((body, True))
                stack.extend((callee, False) for callee in callees(body))


def _verify_ownership(graph: Graph) -> Iterator[Problem]:
    for body in graph.bodies:
        for declared in body.modules.values():
            yield from _verify_instance(body.name, distinct(declared.bodies), declared.span)
    yield from _verify_instance(graph.program.name, graph.roots, graph.program.eval.span)
    census = graph.census
    known = {tensor.path: tensor for tensor in census.tensors()} if census.ties else {}
    for first, second in census.ties:
        left, right = known.get(first), known.get(second)
        if left is None or right is None or left.shape != right.shape or left.buffer or right.buffer:
            yield Problem(8, graph.program.name, f"`{first}` and `{second}` are tied and aren't two parameters of one shape", graph.program.eval.span)
    for body in graph.bodies:
        inner = Census((body,))
        lost = [frozen for frozen in body.frozen if not _named(inner, frozen.path)]
        yield from (Problem(8, body.name, f"`{frozen.path}` is frozen and names nothing", frozen.span) for frozen in lost)


def _named(census: Census, path: str) -> bool:
    try:
        census.items(path)
    except KeyError:
        return any(_below_extern(body, path) for body in census.roots)
    return True


def _verify_instance(name: str, bodies: tuple[Body, ...], span: Span) -> Iterator[Problem]:
    shapes: dict[str, tuple[int, ...]] = {}
    for body in bodies:
        own = {path: sizes(declared.shape) for path, declared in body.parameters.items()}
        for path, leaf in body.modules.items():
            own.update((f"{path}.{spec.name}", sizes(spec.shape)) for spec in leaf_specs(leaf))
        for path, shape in own.items():
            if shapes.setdefault(path, shape) != shape:
                yield Problem(7, name, f"`{path}` of `{body.name}` has the shapes {shapes[path]} and {shape}", span)

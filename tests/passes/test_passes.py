"""Every pass by being there: its own text before and after, a text on which it does nothing, the examples on which it fires."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from archloom.compiler.api import load_program
from archloom.compiler.graph import Graph, operands
from archloom.compiler.optimize.interface import Keeps
from archloom.compiler.optimize.manager import Optimized, optimize
from archloom.compiler.optimize.pipelines import PIPELINES, pipeline
from archloom.compiler.optimize.registry import passes, split
from archloom.compiler.verify import verify

from .comparing import ROOT, compare, spec

TEXTS = Path(__file__).parent / "texts"
FIRING = [(name, example) for name, each in passes().items() for example in each.fires]
SMALL = ["unifork", "filter", "colm", "scalearn", "taskexpert", "mlore", "invpt", "taskprompter"]
EXAMPLES = ["minilm", *(f"{name}:small" for name in SMALL)]


def ran(path: Path, preset: str | None, asked: str) -> Optimized:
    found = optimize(load_program(path, preset=preset), asked)
    assert verify(Graph(found.program)) == []
    return found


def before(name: str) -> str:
    """Return a pass with its options, and those that make what it looks for."""
    each = passes()[name]
    return ", ".join((*each.example, f"{name}({each.tried})"))


@pytest.mark.parametrize("name", passes())
class TestEach:
    def test_it_says_what_it_does_and_where_it_fires(self, name: str) -> None:
        each = passes()[name]
        assert each.__doc__ and each.__doc__.startswith(("Compute", "Keep", "Leave", "Fold", "Make", "Put", "Read", "Run", "Mix", "Take"))
        assert each.fires and all(count > 0 for count in each.fires.values())

    def test_its_own_text_is_as_before_and_after(self, name: str, golden: Callable[[str, str], None]) -> None:
        graphs: dict[str, str] = {}
        program = load_program(TEXTS / f"{name}.arch")
        found = optimize(program, before(name), lambda step, graph: graphs.update({step: str(graph)}))
        assert found.steps[-1].fired
        earlier = list(graphs)[-2]
        events = "\n".join(event.what for event in found.steps[-1].fired)
        golden(f"{name}.txt", f"{graphs[earlier]}\n\n--- {name}: {events}\n\n{graphs[name]}\n")

    def test_its_own_text_gives_the_same_numbers(self, name: str) -> None:
        compare(TEXTS / f"{name}.arch", None, before(name))

    def test_it_leaves_alone_what_it_must(self, name: str) -> None:
        found = ran(TEXTS / f"{name}.not.arch", None, before(name))
        assert found.steps[-1].fired == ()
        assert found.steps[-1].before == found.steps[-1].after


def test_norms_go_into_mixed_kernels_where_nothing_is_trained() -> None:
    path = TEXTS / "mix_kernels.arch"
    found = ran(path, None, "merge_maps, mix_kernels").steps[-1].fired
    assert [event.what for event in found][0] == "4 maps of one value are one, 2 times, the kernels mixed in one product"
    compare(path, None, "merge_maps, mix_kernels")


DETACHED = """arch 1
model M(dim: int = 6, n: int = 3, rank: int = 4) {
  in x: float[B, 64, dim]
  score, base, first = Linear(dim, n), Linear(dim, dim), Linear(dim, dim)
  for e in 0..n { down, up = Linear(dim, rank), Linear(rank, dim) }
  z = first(x)
  g = softmax(score(mean(z, dim = 1)), dim = -1)
  out y = sum(g[:, e, none, none] * up[e](down[e](z)) for e in 0..n) + base(detach(z))
}
"""


@pytest.mark.parametrize("asked", ["mix_pairs", "mix_kernels(reading = 0)"])
def test_a_map_without_gradient_to_what_it_reads_stays_one(tmp_path: Path, asked: str) -> None:
    path = tmp_path / "m.arch"
    path.write_text(DETACHED)
    assert ran(path, None, asked).steps[-1].fired
    compare(path, None, asked)


GATED = """arch 1
block Expert(dim: int) {
  in x: float[B, dim]
  first, second = Linear(dim, dim), Linear(dim, dim)
  out y = second(relu(first(x)))
}
model M(dim: int = 6, n: int = 8) {
  in x: float[B, dim]
  for e in 0..n { expert = Expert(dim); f = expert(x) }
  for t in {a, b, c} {
    gate = Linear(dim, n)
    g = softmax(gate(x), dim = 1)
    out y = sum(g[:, e, none] * f[e] for e in 0..n)
  }
}
"""


def test_experts_that_are_batched_are_not_put_side_by_side_again(tmp_path: Path) -> None:
    path = tmp_path / "m.arch"
    path.write_text(GATED)
    nodes = ran(path, None, "mix_matmul, batch_families").program.eval.nodes
    (product,) = (node for node in nodes if node.target == "matmul")
    assert [node.target for node in nodes if any(ref.node == nodes.index(product) for _, ref in operands(node))] == ["unbind"]
    assert sum(node.target == "unbind" for node in nodes) == 1
    compare(path, None, "mix_matmul, batch_families")


@pytest.mark.parametrize(("name", "example"), FIRING)
def test_it_fires_as_often_as_it_says(name: str, example: str) -> None:
    assert len(ran(*spec(example), before(name)).steps[-1].fired) == passes()[name].fires[example]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "example"), FIRING)
def test_examples_on_which_it_fires_give_the_same_numbers(name: str, example: str) -> None:
    compare(*spec(example), before(name))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("asked", [name for name in PIPELINES if name != "none"])
def test_examples_give_the_same_numbers_after_a_pipeline(asked: str, example: str) -> None:
    compare(*spec(example), asked)


def test_pipelines_name_passes_in_their_order() -> None:
    assert all(pipeline(name) is not None for name in PIPELINES)
    assert all(each.keeps is Keeps.TRAINING for each in pipeline("default"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("defualt", "there is no pipeline `defualt`, did you mean `default`: there are none, default, inference, max, and the passes "),
        ("cse, pakc", "there is no pass `pakc`, did you mean `pack`: there are "),
        ("fold_parameters(grwth = 3)", "the pass `fold_parameters` has no option `grwth`, did you mean `growth`: it has growth"),
        ("fold_parameters(growth = true)", "isn't a list of options"),
        ("fold_parameters(growth = 'x')", "`growth` of the pass `fold_parameters` is int, not `'x'`"),
        ("fold_parameters(growth = -1)", "`growth` of the pass `fold_parameters` is no negative number, as `-1` is"),
        ("fold_parameters(growth = True)", "`growth` of the pass `fold_parameters` is int, not `True`"),
        ("slice(tasks = (1,))", "`tasks` of the pass `slice` is tuple[str, ...], not `(1,)`"),
        ("slice(tasks = 'a')", "`tasks` of the pass `slice` is tuple[str, ...], not `'a'`"),
        ("quantize(ranges = (('a', 1),))", "`ranges` of the pass `quantize` is tuple[tuple[str, float, float], ...], not `(('a', 1),)`"),
        ("cse(a = 1)", "the pass `cse` has no option `a`: it has none"),
        ("cse(", "`cse(` names no pass: write `name` or `name(option = value)`"),
        ("", "names no pass"),
    ],
)
def test_what_there_is_not_is_said(asked: str, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        pipeline(asked)
    assert says in str(raised.value)


@pytest.mark.parametrize("asked", [None, True, 3])
def test_what_is_no_pipeline_at_all(asked: Any) -> None:
    with pytest.raises(TypeError, match=f"`optimize` is a pipeline's name, passes in one text, or a list of passes, not {asked}"):
        pipeline(asked)


def test_a_text_of_passes_is_split_outside_parentheses() -> None:
    assert split("a, b(c = 1, d = (2, 3)), e") == ["a", "b(c = 1, d = (2, 3))", "e"]


def test_every_text_belongs_to_a_pass() -> None:
    assert {path.name.partition(".")[0] for path in TEXTS.iterdir()} == set(passes())
    assert all((ROOT / "examples" / f"{name.partition(':')[0]}.arch").exists() for name in EXAMPLES)


def test_every_pass_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests" / "bench")
    rows = import_module("each_pass").ROWS
    assert list(rows) == list(passes())
    assert all(name in {each.name() for each in pipeline(row.passes)} for name, own in rows.items() for row in own)

"""What a figure shows of a program: what is one box, what is folded, what is in a task's frame, what is frozen."""

from __future__ import annotations

import pytest

from archloom.compiler.api import load_program
from archloom.compiler.draw.drawing import draw
from archloom.compiler.draw.figure import Cell, Figure, Flow, Kind, Share, outer
from archloom.compiler.draw.labels import label_of
from archloom.dsl.program import NodeKind

from .specs import CACHES, CHAINS, EXPERTS, FORK, LEVELS, MOVING, SKIPS, TEACHER

SEEN = [("concat", "part.1"), ("concat", "part.2"), ("split", "part.0")]  # `concat` joins the chains before


def figure(text: str, stage: str | None = None, task: str | None = None, entry: str | None = None) -> Figure:
    return draw(text, stage=stage, task=task, entry=entry).figure


def boxes(shown: Figure) -> list[str]:
    """Return the boxes as words: title, number of sheets, task."""
    return [f"{cell.title}{f' x{cell.times}' if cell.times > 1 else ''}{f' ({cell.task})' if cell.task else ''}" for cell in shown.cells]


def find(shown: Figure, title: str) -> Cell:
    return next(cell for cell in shown.cells if cell.title == title)


def feeds(shown: Figure) -> set[tuple[str, str]]:
    return {(value.cell.title, cell.title) for cell in shown.cells for value in cell.sources}


def test_a_trunk_is_one_stack_and_each_task_has_its_own() -> None:
    shown = figure(FORK)
    each = [f"{box} ({{}})" for box in ("branch x3", "mean", "head")]
    branches = [box.format(task) for task in ("topic", "tone", "author") for box in each]
    results = [f"{name} ({task})" for name in ("logits", "main") for task in ("topic", "tone", "author")]
    assert boxes(shown) == ["x", "trunk x3", *branches, *results]
    assert {group.title for cell in shown.cells for group in outer(cell.group) if group.is_task} == {"topic", "tone", "author"}
    assert find(shown, "trunk").group is None
    assert find(shown, "main").notes == ["target label"]
    assert find(shown, "main").measures == ["cross_entropy"]


def test_experts_stand_side_by_side_and_the_middle_ones_of_many_are_left_out() -> None:
    assert boxes(figure(EXPERTS))[1:7] == ["gate", "topk_mask", "expert.0", "expert.1", "expert.2", "expert.3"]
    many = figure(EXPERTS.replace("n: int = 4", "n: int = 40"))
    assert [title for title in boxes(many) if title.startswith(("expert", "⋯"))] == ["expert.0", "expert.1", "⋯ x37", "expert.39"]
    assert find(many, "⋯").count == 37 * find(many, "expert.0").count
    assert find(many, "mul").times == 40


def test_a_chain_keeps_a_line_for_each_member() -> None:
    shown = figure(CHAINS)
    assert [value.label for value in find(shown, "up").sources] == ["B × 8", "B × 4"]


def test_a_chain_opened_shows_who_sees_whom() -> None:
    shown = draw(CHAINS, depth=2).figure
    assert [(before, after) for before, after in sorted(feeds(shown)) if after.startswith("part")] == SEEN
    assert [cell.title for cell in shown.cells if cell.kind is Kind.MODULE] == ["part.0", "part.1", "part.2"]
    assert [cell.count for cell in shown.cells if cell.kind is Kind.MODULE] == [8 * 8 + 8, 12 * 4 + 4, 16 * 4 + 4]


def test_caches_are_memories_in_the_frame_of_their_layer_written_back() -> None:
    assert not [cell for cell in figure(CACHES).cells if cell.kind is Kind.MEMORY]
    shown = figure(CACHES, entry="decode")
    assert [cell.title for cell in shown.cells if cell.kind is Kind.MEMORY] == ["attend.keys", "attend.values"]
    flows = {value.cell.title: value.flow for value in find(shown, "attend").sources}
    assert flows == {"norm": Flow.DATA, "attend.keys": Flow.BOTH, "attend.values": Flow.BOTH}
    group = find(shown, "attend").group
    assert group is not None
    assert (group.times, group.is_loop) == (4, True)


def test_a_buffer_that_moves_is_a_memory() -> None:
    shown = figure(MOVING)
    assert find(shown, "seen").kind is Kind.MEMORY
    writer = next(cell for cell in shown.cells if any(value.flow is Flow.BACK for value in cell.sources))
    assert writer.parts == ["+"]
    assert find(shown, "eps").notes == ["~ normal"]


def test_what_a_repeat_hands_on_beside_its_main_value_is_named() -> None:
    shown = figure(LEVELS)
    assert find(shown, "level").carried == "memory"
    assert find(shown, "layer").carried == ""
    assert find(shown, "start.edge").colour == "edge"


def test_a_teacher_is_frozen_and_its_loss_says_what_it_measures() -> None:
    shown = figure(TEACHER)
    shares = {cell.title: cell.share for cell in shown.cells if cell.kind is Kind.MODULE}
    assert shares == {"teacher": Share.FROZEN, "teacher_head": Share.FROZEN, "student": None, "head": None, "align": None}
    warm = {cell.title: cell.share for cell in figure(TEACHER, stage="warm").cells if cell.kind is Kind.MODULE}
    assert warm == {**dict.fromkeys(shares, Share.FROZEN), "align": Share.TRAINED}
    assert {cell.title: (cell.measures, cell.notes) for cell in shown.cells if cell.kind is Kind.LOSS} == {
        "label": (["cross_entropy"], ["target label"]),
        "soft": (["kl_div"], ["weight 0.5"]),
        "feature": (["mse"], ["weight 0.1"]),
    }


def test_skips_are_lines_of_their_own() -> None:
    assert {("down1", "down2"), ("down1", "concat"), ("down2", "concat"), ("middle", "concat")} <= feeds(figure(SKIPS))


def test_a_stage_freezes_what_it_does_not_tune_and_turns_off_other_tasks() -> None:
    shown = figure(FORK, stage="topic")
    assert find(shown, "trunk").share is Share.FROZEN
    assert {cell.task: cell.active for cell in shown.cells if cell.title == "head"} == {"topic": True, "tone": False, "author": False}
    assert shown.stage is not None
    trained, frozen, tasks, losses = shown.stage.rows
    assert trained == ("trained", ("936 in head", "branch"))
    assert frozen == ("frozen", ("264 in trunk",))
    assert tasks == ("tasks", ("topic",))
    assert losses == ("losses", ("0.5 × topic.main",))


def test_one_task_alone_keeps_the_trunk_outside_its_frame() -> None:
    shown = figure(FORK, task="tone")
    assert boxes(shown) == ["x", "trunk x3", "branch x3 (tone)", "mean (tone)", "head (tone)", "logits (tone)", "main (tone)"]
    assert find(shown, "trunk").group is None


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("f = Sequential(Linear(8, 8), gelu, Linear(8, 8)); out y = f(x)", ["x", "f", "y"]),
        ("f = Linear(8, 8); h = x; repeat i in 0..3 carry h { h = f(h) }; out y = h", ["x", "f x3", "y"]),
        ("a = Linear(8, 8); out y = a(x) + a(-x)", ["x", "a", "neg", "add", "y"]),
        ("a, b = Linear(8, 8), Linear(8, 8); out y = b(x) + sigmoid(mean(a(x)) * 0.5)", ["x", "b", "a", "add", "y"]),
    ],
    ids=["a Sequential", "one module in a loop", "two calls", "a chain of operations"],
)
def test_what_is_one_box(text: str, titles: list[str]) -> None:
    assert boxes(figure(f"model M {{ in x: float[B, 8]; {text} }}")) == titles


def test_each_step_of_a_loop_of_tasks_folds_its_own_layers() -> None:
    shown = figure(FORK.replace("z = branch(z) }", "z = branch(z) }\n    tail = Linear(dim, dim)\n    z = tail(z)"))
    assert [box for box in boxes(shown) if box.startswith(("branch", "tail"))] == [
        f"{name} ({task})" for task in ("topic", "tone", "author") for name in ("branch x3", "tail")
    ]


@pytest.mark.parametrize(
    ("declared", "label"),
    [
        ("float[B, 3, H / 16]", "B × 3 × H/16"),
        ("int[B, S]", "int B × S"),
        ("bool[B, S + 2]", "bool B × (S + 2)"),
        ("float[B, (H + 1) * (W + 2) * 3 + 11]", "B × …"),
    ],
)
def test_types_are_written_as_shapes(declared: str, label: str) -> None:
    program = load_program(f"model M {{ in h: float[B, H, W, S]; in x: {declared}; out y = x; out z = h }}", None, None, None)
    node = next(node for node in program.eval.nodes if node.kind is NodeKind.INPUT and node.target == "x")
    assert label_of(node.outputs[0], {}) == label


def test_shapes_inside_a_block_are_in_the_names_of_the_model() -> None:
    text = """
block Two(dim: int) { in x: float[N, dim]; a, b = Linear(dim, 3), Linear(3, dim); out y = b(a(x)) }
block Outer(dim: int) { in x: float[M, dim]; two = Two(dim); out y = two(x) }
model M { in x: float[B, 8]; in more: float[B, 8]; outer = Outer(8); out y = outer(concat([x, more], dim = 0)) }
"""
    shown = draw(text, depth=3).figure
    assert [value.label for cell in shown.cells for value in cell.sources] == ["B × 8", "B × 8", "2·B × 8", "2·B × 3", "2·B × 8"]


LOSSES = """
model M {
  in x: float[B, 8]
  index levels = {low, middle, high, top}
  f = Linear(8, 8)
  h = f(x)
  target goal: float[B, 8]
  target at[l in levels]: float[B, 8]
  apart = square(h - goal)
  loss near = mean(apart) + mean(abs(at[low] - at[high]))
  loss far = 0.5 * mean(log(apart + 1.0))
  for l in levels { part = Linear(8, 8); loss level = mse(part(h), goal) }
  out y = h
}
"""


def test_losses_swallow_what_only_they_need_and_a_long_family_is_one_box() -> None:
    shown = figure(LOSSES)
    losses = [cell for cell in shown.cells if cell.kind is Kind.LOSS]
    assert {cell.title: (cell.times, sorted({value.cell.title for value in cell.sources}), cell.notes) for cell in losses} == {
        "near": (1, ["f"], ["target at ×2, goal"]),
        "far": (1, ["f"], ["weight 0.5", "target goal"]),
        "level.*": (4, ["part.high", "part.low", "part.middle", "part.top"], ["target goal"]),
    }
    assert not [cell for cell in shown.cells if cell.is_target]


def test_many_outputs_of_one_box_bear_no_labels() -> None:
    outs = "; ".join(f"out y{n} = f{n}(x)" for n in range(7))
    made = "; ".join(f"f{n} = Linear(8, {n + 1})" for n in range(7))
    text = f"block Wide {{ in x: float[B, 8]; {made}; {outs} }}\n"
    reads = "; ".join(f"g{n} = Linear({n + 1}, 2); out z{n} = g{n}(r.y{n})" for n in range(7))
    drawing = draw(f"{text}model M {{ in x: float[B, 8]; wide = Wide(); r = wide(x); {reads} }}")
    assert [label.text for label in drawing.layout.labels if label.text != "B × 2"] == ["B × 8"]

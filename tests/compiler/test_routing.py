"""Batches of mixed tasks, routed by sample."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import archloom

SHARED = """
model Fork(classes: map[tasks, int] = {a: 3, b: 2}) {
  index tasks = classes
  trunk = Linear(4, 8)
  for t in tasks {
    in x: float[B[t], 4]
    branch = Linear(8, 5)
    y = branch(relu(trunk(x)))
    task t { out y }
  }
}
"""
TASKS = ["b", "a", "b", "b", "a"]


def test_each_sample_is_answered_by_its_own_branch_in_its_place() -> None:
    model = archloom.compile(SHARED)
    x, routed = torch.randn(5, 4), archloom.by_task(TASKS)
    found = model(**routed.split(x=x))
    answers = routed.join({task: found[task]["y"] for task in routed.rows})
    for row, task in enumerate(TASKS):
        alone = model(x={task: x[row : row + 1]})[task]["y"]
        assert torch.allclose(answers[row], alone[0])


def test_a_mixed_batch_of_unifork() -> None:
    """One question and two prompts: each goes through its own branch, and asks nothing of the other's weights."""
    root = Path(archloom.__file__).parent
    model = archloom.compile(root / "examples" / "unifork.arch", preset="small").eval()
    tasks, generator = ["generate", "understand", "generate"], torch.Generator().manual_seed(0)
    image = torch.randn(3, 3, 32, 32, generator=generator)
    ids = torch.randint(0, 256, (3, 5), generator=generator)
    mask, at = torch.tensor([[True] * 5, [False] + [True] * 4, [True] * 5]), torch.tensor([4, 1, 2])
    routed = archloom.by_task(tasks)
    batch = routed.split(image=image, ids=ids, mask=mask, at=at)
    found = model(**batch, labels=routed.pick("understand", ids))
    assert found.understand.logits.shape[0] == 1 and found.generate.logits.shape[0] == 2
    assert set(found.losses) == {"understand.text", "generate.image"}
    one = archloom.by_task(tasks[2:]).split(image=image[2:], ids=ids[2:], mask=mask[2:], at=at[2:])
    assert torch.allclose(found.generate.logits[1], model(**one).generate.logits[0], atol=1e-5)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith("lm.fork.generate"):
                value.add_(1)
    assert torch.equal(model(**batch).understand.logits, found.understand.logits)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda routed: routed.pick("c", torch.zeros(5)), KeyError, "no sample belongs to the task `c`"),
        (lambda routed: routed.pick("a", torch.zeros(4)), ValueError, "a tensor of 5 rows is split, not one of shape [4]"),
        (lambda routed: routed.join({"a": torch.zeros(2)}), ValueError, "there is no value for `b`"),
        (lambda routed: routed.join({"a": torch.zeros(2), "b": torch.zeros(2)}), ValueError, "the values have 4 rows, and there are 5 samples"),
        (
            lambda routed: routed.join({"a": torch.zeros(2, 3), "b": torch.zeros(3, 2)}),
            ValueError,
            "the values of the tasks differ in more than their rows: `b` [3, 2] torch.float32, `a` [2, 3] torch.float32",
        ),
        (lambda _: archloom.by_task([]), ValueError, "there is no sample: give the task of each"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(call: object, error: type[Exception], message: str) -> None:
    assert callable(call)
    with pytest.raises(error) as caught:
        call(archloom.by_task(TASKS))
    assert caught.value.args[0] == message

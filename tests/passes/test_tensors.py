"""The tensors of a model after passes: the names of the text, whatever is called, and gradients where they are without passes."""

from __future__ import annotations

from typing import Any

import torch

import archloom

TAUGHT = """arch 1
block Learner(dim: int) {
  in x: float[B, dim]
  own = Linear(dim, dim)
  if training {
    extra = Linear(dim, dim)
    y = own(x) + extra(x)
  } else {
    y = own(x)
  }
  out y
}
model Taught(dim: int = 4, direct: bool = false) {
  in x: float[B, dim]
  student, teacher, head = Learner(dim), Learner(dim), Linear(dim, 3)
  if direct {
    h = x
  } else {
    bridge = Linear(dim, dim)
    h = bridge(student(x))
  }
  if training {
    goal = teacher(x)
  } else {
    goal = h
  }
  task kind {
    target label: int[B] in 0..3
    out logits = head(h)
    loss error = cross_entropy(logits, label)
    loss near = mse(h, detach(goal))
  }
}
train Taught {
  stage first {
    set direct = true
    tune head
  }
}
"""


def test_a_model_that_only_evaluates_holds_what_training_calls() -> None:
    plain, other = archloom.compile(TAUGHT), archloom.compile(TAUGHT, optimize="inference")
    names = list(plain.state_dict())
    assert {"teacher.own.weight", "teacher.extra.weight", "student.extra.bias"} <= set(names)
    assert list(other.state_dict()) == names
    other.load_state_dict(plain.state_dict())
    plain.load_state_dict(other.state_dict())
    x = torch.randn(2, 4)
    torch.testing.assert_close(other(x=x).kind.logits, plain.eval()(x=x).kind.logits)


def test_a_folded_value_that_is_a_parameter_itself_has_no_name() -> None:
    text = "arch 1\nmodel M() {\n  in x: float[B, 4, H, W]\n  conv = Conv2d(4, 4, 3, groups = 4)\n  out y = conv(x)\n}\n"
    model = archloom.compile(text, optimize="lay_channels_last(least = 1), fold_parameters")
    names, x = list(model.state_dict()), torch.randn(2, 4, 5, 5)
    wanted = archloom.compile(text)
    wanted.load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(model(x=x).y, wanted(x=x).y)
    assert list(model.state_dict()) == names == list(dict(model.named_parameters()))


TASKS = """arch 1
model Two(dim: int = 4) {
  in x: float[B, dim]
  trunk = Linear(dim, dim)
  for t in {kind, size} {
    task t {
      head = Linear(dim, 3)
      target label: int[B] in 0..3
      out logits = head(relu(trunk(x)))
      loss error = cross_entropy(logits, label)
    }
  }
}
train Two {
  stage both { tune all }
  stage one {
    tune all
    tasks kind
  }
}
"""


def test_a_stage_of_one_task_gives_the_other_no_gradient() -> None:
    """AdamW would decay and move what has a gradient of zeros."""
    ends: list[dict[str, Any]] = []
    torch.manual_seed(0)
    plain, other = (archloom.compile(TASKS, dtype="float64", optimize=asked) for asked in ("none", "default"))
    other.load_state_dict(plain.state_dict())
    for model in (plain, other):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
        for stage in ("both", "one", "one", "both"):
            model.stage(stage)
            optimizer.zero_grad()
            model(**model.example_inputs(B=2)).loss.backward()
            assert (model.head.size.weight.grad is None) == (stage == "one")
            assert all(own.requires_grad for own in model.parameters())
            optimizer.step()
        ends.append(model.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-9, atol=1e-9, msg=name)


def test_chance_decides_nothing_in_a_module_that_passes_leave_out() -> None:
    text = "arch 1\nmodel M() {\n  in x: float[B, 4]\n  drop, rest = Dropout(0.0), Dropout(0.5)\n  y = drop(x)\n  out z = rest(2 * y)\n}\n"
    model, x = archloom.compile(text, optimize="default").train(), torch.ones(3, 4)
    with model.draws() as drawn:
        first = model(x=x).z
    assert list(drawn) == ["rest"]
    with model.draws(drawn):
        assert torch.equal(model(x=x).z, first)

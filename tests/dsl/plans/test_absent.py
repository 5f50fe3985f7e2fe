"""One text for a model of any size: what is named but not made with the arguments at hand is selected by nothing, what is misspelt stays an error."""

from __future__ import annotations

import pytest

from .specs import found, program

SPEC = """
block Stack(n: int, wide: bool) {
  in x: float[B, 4]
  repeat i in 0..n carry x {
    layer = Linear(4, 4)
    x = layer(x)
  }
  if wide { side = Sequential(Linear(4, 4), gelu, Linear(4, 4)); x = x + side(x) }
  out y = x
}
model M(n: int = 0, extra: bool = false) {
  index deep = (0..4)[..n]
  in x: float[B, 4]
  in mask: bool[B] if extra
  repeat i in 0..n carry x {
    early = Linear(4, 4)
    x = early(x)
    seen = x
  }
  late[c in deep] = Linear(4, 4)
  for c in deep { z = late[c](x) }
  stack = Stack(n, extra)
  if extra {
    more = Linear(4, 4)
    x = where(mask[:, none], more(x), x)
    task side { out answer = x; loss gap = mean(x) }
  }
  head = Linear(4, 4)
  part[c in 0..4] = Linear(4, 4)
  y = head(stack(x))
  for c in 0..4 { w = part[c](y) }
  out y = sum(w[*])
  loss main = mean(y)
  assert params(early, late, more, stack.layer, stack.side.0, part[deep]) == RIGHT
  freeze early[0..n]
}
weights official for M from "w" {
  early[i].weight <- "early.{i}"
  late[c].weight <- "late.{c}.weight"
  stack.layer[i] <- "stack.{i}"
  stack.side.2 <- "side"
  more <- "more"
  part[deep] <- "part"
  **.early.bias <- zeros
}
train M {
  stage one { tune part[deep], head }
  stage two { tune **[deep] except head; losses side.gap, main; weight side.gap = 2 }
  stage three { tune stack.layer except stack.layer[n..], more, late[n..] }
  stage four { tune stack.side: Linear, {early, head} except early }
}
golden g for M {
  in x <- "x"
  in mask <- "mask"
  value seen[i] -> "seen.{i}"
  value stack.layer[i] -> "layer.{i}"
  value side.answer -> "answer"
}
"""
NONE = SPEC.replace("RIGHT", "0")


def test_what_is_not_made_is_selected_by_nothing() -> None:
    made = program(NONE)
    assert {name: plan.tuned for name, plan in made.stages.items()} == {
        "one": ("head.weight", "head.bias"),
        "two": (),
        "three": (),
        "four": ("head.weight", "head.bias"),
    }
    assert made.stages["one"].selected == (("part[deep]", 0, 0), ("head", 2, 20))
    assert made.weights["official"].rules == ()
    assert not made.goldens["g"].values and made.goldens["g"].inputs == (("x", "x"),)
    assert not made.eval.frozen


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("tune part[deep]", "tune prt[deep]", ("A510", "`prt[deep]` matches nothing: there is no `prt`")),
        ("tune part[deep]", "tune parts", ("A510", "`parts` matches nothing: there is no `parts`")),
        ("tune part[deep]", "tune stack.layers", ("A510", "`stack.layers` matches nothing: there is no `stack`")),
        ("tune part[deep]", "tune part[2..2]", ("A510", "`part[2..2]` matches nothing: the range `2..2` of `part` is empty")),
        ("tune part[deep]", "tune part[4]", ("A510", "`part[4]` matches nothing: `part` has no member `4`")),
        ("tune part[deep]", "tune head.side", ("A510", "`head.side` matches nothing: there is no `side` in `head`")),
        ("tune part[deep]", "tune x", ("A510", "`x` matches nothing: there is no `x`")),
        ('  more <- "more"', '  mor <- "more"', ("A601", "`mor` matches nothing: there is no `mor`")),
        ("value seen[i]", "value sen[i]", ("A622", "`sen[i]` matches nothing: there is no `sen`")),
        ('in mask <- "mask"', 'in masks <- "mask"', ("A621", "`masks` matches nothing: there is no `masks`")),
        ("weight side.gap", "weight sides.gap", ("A515", "`sides.gap` matches nothing: there is no `sides`")),
    ],
)
def test_what_is_nowhere_in_the_text_stays_an_error(right: str, wrong: str, error: tuple[str, str]) -> None:
    assert right in NONE
    assert [(code, message) for code, message, _ in found(NONE.replace(right, wrong))] == [error]


def test_the_same_text_where_all_of_it_is_made() -> None:
    whole = SPEC.replace("n: int = 0, extra: bool = false", "n: int = 2, extra: bool = true").replace("RIGHT", "20 * 11")
    made = program(whole.replace("early, late, more", "early, late, more, head").replace("freeze early[0..n]", ""))
    assert len(made.weights["official"].rules) == 18
    assert {stored.stored for stored in made.goldens["g"].values} == {"seen.0", "seen.1", "layer.0", "layer.1", "answer"}
    assert made.stages["one"].selected == (("part[deep]", 4, 40), ("head", 2, 20))


HANDED = """
model M(kind: {one, two} = one, taught: bool = false) {
  in x: float[B, 3]
  f = Linear(3, 3)
  y = f(x)
  target label: float[B, 3]
  if kind == one { out first = y } else { out second = y }
  target soft: float[B, 3] if taught and kind == one
  target dim: float[B, 3] if taught and kind == two
  loss main = mse(y, label)
  if taught { loss apart = mse(y, soft if kind == one else dim) }
}
train M {
  stage a { tune all; emit soft = first; emit dim = second }
  stage b { tune all; set taught = true; use soft; use dim }
}
"""


def test_what_is_handed_on_is_what_is_made() -> None:
    for kind, output, target in (("one", "first", "soft"), ("two", "second", "dim")):
        made = program(HANDED.replace("= one, taught", f"= {kind}, taught"))
        assert made.stages["a"].emits == {target: output}
        assert made.stages["b"].uses == {target: f"a.{target}"}


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("emit dim = second", "emit dim = secnd", ("A518", "`secnd` is no output of the model")),
        ("use dim", "use dim = dm", ("A519", "no earlier stage emits `dm`")),
        ("use dim", "use din = dim", ("A519", "the model has no target `din` in the stage `b`")),
        (" if taught and kind == two", "", ("A519", "with these arguments `a.dim` isn't emitted")),
        ("set taught = true; use soft", "use soft", ("A519", "the model has no target `soft` in the stage `b`")),
    ],
)
def test_what_is_handed_on_to_nothing_is_an_error(right: str, wrong: str, error: tuple[str, str]) -> None:
    assert right in HANDED
    assert error in [(code, message) for code, message, _ in found(HANDED.replace(right, wrong))]


PARTIAL = """
block Arm(deep: bool) {
  in x: float[B, 4]
  f = Linear(4, 4)
  y = f(x)
  if deep { g = Linear(4, 4); y = g(y); loss small = mean(y) }
  out z = y
}
model M {
  in x: float[B, 4]
  index tasks = {a, b}
  for t in tasks {
    if t == a { side = Linear(4, 4); w = side(x) }
    arm = Arm(t == a)
    v = arm(x)
    task t {
      out answer = v
      loss other = mean(v)
      if t == a { loss main = mean(square(v)) }
    }
  }
  out u = w[a]
}
train M { stage s { CLAUSES } }
"""


@pytest.mark.parametrize(
    ("clauses", "errors"),
    [
        ("tune all; weight {a.main, **.main} = 2", []),
        ("tune side[a], arm[b].g, arm[a].g; weight arm[b].small = 2", []),  # another argument makes them in that arm
        ("tune side[b], all", [("A510", "`side[b]` matches nothing: `side` has no member `b`")]),
        ("tune arm[c].g, all", [("A510", "`arm[c].g` matches nothing: `arm` has no member `c`")]),
        ("tune all; weight b.main = 2", [("A515", "`b.main` matches nothing: the task `b` has no `main`")]),
        ("tune all; weight arm[a].main = 2", [("A515", "`arm[a].main` matches nothing: there is no `main` in `arm.a`")]),
        ("tune all; weight *.main = 2", [("A515", "`*.main` matches nothing: there is no `main`")]),
    ],
)
def test_what_is_made_for_some_members_is_a_partial_family(clauses: str, errors: list[tuple[str, str]]) -> None:
    """Its other members are absent, with these arguments and with all; a name that no member of a body makes selects nothing there."""
    assert [(code, message) for code, message, _ in found(PARTIAL.replace("CLAUSES", clauses)) if code in ("A510", "A515")] == errors


@pytest.mark.parametrize(("extra", "codes"), [("", ["A515"]), ("; if deep { loss main = mean(x) }", [])])
def test_all_losses_of_a_model_that_has_none(extra: str, codes: list[str]) -> None:
    text = f"model M(deep: bool = false) {{ in x: float[B, 4]; f = Linear(4, 4); out y = f(x){extra} }}"
    assert [code for code, _, _ in found(f"{text}; train M {{ stage s {{ tune f; weight ** = 2 }} }}") if code == "A515"] == codes

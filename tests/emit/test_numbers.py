"""Which numbers of an emitted file are parameters, and under which names."""

from __future__ import annotations

from .comparing import compare


def test_a_number_is_what_stands_at_its_argument_not_what_has_its_value() -> None:
    text = """arch 1
block Low(dim: int, rank: int, kernel: int = 3) {
  in x: float[B, dim, S]
  down = Conv1d(dim, rank, kernel, padding = kernel // 2)
  up = Conv1d(rank, dim, 1)
  out y = up(down(x))
}
block Mix(dim: int, ranks: list[int], special: int, kernel: int = 3) {
  in x: float[B, dim, S]
  n = len(ranks)
  index experts = 0..n
  for e in experts { expert = Low(dim, ranks[e], kernel); y = expert(x) }
  own = Low(dim, special, kernel)
  score = Linear(dim, 2 * n + 1)
  a, b, c = split(score(mean(x, dim = 2)), [n, n, 1], dim = 1)
  out z = own(x) * sum(a * b)[..., none] * c[..., none] + sum(y[*])
}
model M(dim: int = 6, ranks: list[int] = [2 * (j + 1) for j in 0..3], special: int = 3) {
  in x: float[B, dim, S]
  mix = Mix(dim, ranks, special)
  out y = mix(x)
}
"""
    source = compare(text)
    assert "self.own = Low(dim, special, kernel)" in source
    assert "self.expert = nn.ModuleList([Low(dim, rank, kernel) for rank in ranks])" in source
    assert "n = len(ranks)" in source and "a, b, c = torch.split(" in source and "[self.n, self.n, 1]" in source
    assert "ranks = [2 * (j + 1) for j in range(3)] if ranks is None else ranks" in source and "self.mix = Mix(dim, ranks, special)" in source


def test_what_a_block_brings_along_is_handed_on() -> None:
    text = """arch 1
block Layer(dim: int, ffn: int, rate: float = 0.0) {
  in x: float[B, dim]
  a, b = Linear(dim, ffn), Linear(ffn, dim)
  out y = x + drop_path(b(relu(a(x))), rate)
}
block Stack(depth: int, Layer: block, Norm: block, Last: block) {
  in x: float[B, D]
  repeat i in 0..depth carry x { layer = Layer(rate = 0.5 * i / depth); norm = Norm(); x = norm(layer(x)) }
  last = Last()
  out y = last(x)
}
model M(dim: int = 6, ffn: int = 6, depth: int = 3, classes: map[tasks, int] = {a: 2, b: 3, c: 6}) {
  index tasks = classes
  in x: float[B, dim]
  stack = Stack(depth, Layer(dim, ffn, _), LayerNorm(dim), Linear(dim, ffn))
  h = stack(x)
  for t in tasks { head = Linear(ffn, classes[t]); task t { out y = head(h) } }
}
"""
    source = compare(text)
    assert "self.stack = Stack(depth, dim, ffn, dim, ffn)" in source and "self.last = nn.Linear(din, dout)" in source
    assert "[Layer(dim, ffn, 0.5 * i / depth) for i in range(depth)]" in source and source.count("class Layer") == 1
    assert "nn.LayerNorm(dim)" in source and "self.head = nn.ModuleDict({name: nn.Linear(ffn, classes[name]) for name in TASKS})" in source


def test_one_class_for_lists_of_any_length() -> None:
    text = """arch 1
block Chain(parts: index, din: list[int], dout: list[int]) {
  in x[c in parts]: float[B, din[c]]
  for c in parts { f = Linear(sum(din[..=c]), dout[c]); out y = f(concat(x[..=c], dim = -1)) }
}
model M(dim: int = 4, ratio: list[int] = [1, 1]) {
  index parts = 0..2
  whole = sum(ratio)
  width = [dim * r // whole for r in ratio]
  in x[c in parts]: float[B, width[c]]
  one = Chain(parts, width, [8, 8])
  two = Chain(parts, [8, 8], width)
  r = one(x[*])
  out y = two(r[*])
}
"""
    source = compare(text)
    assert "[nn.Linear(sum(din[: c + 1]), dout[c]) for c in range(len(dout))]" in source and source.count("class Chain") == 1
    assert "width = [dim * r // whole for r in ratio]" in source and "self.two = Chain([8, 8], width)" in source


def test_members_that_are_numbers_are_gone_through_as_numbers() -> None:
    text = """arch 1
model M(dim: int = 8) {
  in x: float[B, dim]
  for t in [4, 6] { head = Linear(dim, t); w = Parameter([t]); out y = head(x) * w }
}
"""
    source = compare(text)
    assert "nn.ModuleDict({str(t): nn.Linear(dim, t) for t in (4, 6)})" in source

"""Small texts that have what a pass looks for."""

HALVES = """
model M {
  in x: float[B, 64, 64, 64]
  p, q = split(x, [32, 32], dim = 1)
  out y = concat([relu(p), relu(q)], dim = 1)
}
"""
TWICE = """
model M(dim: int = 256) {
  in x: float[B, dim]
  lift = Linear(dim, dim)
  out y = relu(lift(x)) + 2 * relu(lift(x))
}
"""
NORM = """
model M(dim: int = 256) {
  in x: float[B, dim]
  lift, norm = Linear(dim, dim), BatchNorm1d(dim)
  out y = norm(lift(x))
}
"""
LENGTH = """
model M(dim: int = 512) {
  in x: float[B, dim]
  w, g = Parameter([dim, dim]), Parameter([dim, 1])
  out y = x @ (g * w / sqrt(sum(w ** 2, dim = 1, keepdim = true))).mT
}
"""
QKV = """
model M(dim: int = 256) {
  in x: float[B, S, dim]
  q, k, v = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
  out a, b, c = q(x), k(x), v(x)
}
"""
LORA = """
model M(dim: int = 512, rank: int = 8) {
  in x: float[B, dim]
  base = Linear(dim, dim)
  down, up = Linear(dim, rank, bias = false), Linear(rank, dim, bias = false)
  out y = base(x) + 2 * up(down(x))
}
"""
KERNELS = """
block Expert(dim: int, rank: int) {
  in x: float[B, dim, H, W]
  down, up = Conv2d(dim, rank, 3, padding = 1), Conv2d(rank, dim, 1)
  out y = up(down(x))
}
model M(dim: int = 96, n: int = 6) {
  index experts = 0..n
  in x: float[B, dim, 32, 32]
  in g: float[B, n]
  expert[e in experts] = Expert(dim, 16 * (e + 1))
  out y = sum(g[:, e, none, none, none] * expert[e](x) for e in experts)
}
"""
SIDES = """
model M(dim: int = 256) {
  in x: float[B, dim]
  a, b, c = Parameter([dim, dim]), Parameter([dim, dim]), Parameter([dim, dim])
  out y = linear(x, concat([a, b, c], dim = 0))
}
"""
ATTENTION = """
model M {
  in q, k, v: float[B, 8, S, 32]
  out y = softmax(q @ k.mT * 32 ** -0.5, dim = -1) @ v
}
"""
LANES = """
model M(dim: int = 32, heads: int = 2) {
  index lanes = 0..4
  in x: float[lanes, B, S, heads * dim]
  for l in lanes {
    q, k, v = Linear(heads * dim, heads * dim), Linear(heads * dim, heads * dim), Linear(heads * dim, heads * dim)
    query = rope(rearrange(q(x[l]), "b s (h d) -> b h s d", d = dim))
    key = rope(rearrange(k(x[l]), "b s (h d) -> b h s d", d = dim))
    value = rearrange(v(x[l]), "b s (h d) -> b h s d", d = dim)
    out y = rearrange(attention(query, key, value, causal = true), "b h s d -> b s (h d)")
  }
}
"""
PREFIXES = """
import chain.ChainLinear
model M(dim: int = 96) {
  index chains = 0..4
  width = [dim for c in chains]
  in x: float[chains, B, S, dim]
  q, k, v = ChainLinear(chains, width, width), ChainLinear(chains, width, width), ChainLinear(chains, width, width)
  for c in chains { z = x[c] }
  a, b, d = q(z[*]), k(z[*]), v(z[*])
  for c in chains { out y = a[c] + b[c] + d[c] }
}
"""
NOTHING = """
model M {
  in x: float[B, 512]
  out y = dropout(1.0 * x + 0.0, 0.0) * 1.0
}
"""
SUMMED = """
model M(dim: int = 256, width: int = 32) {
  index sources = 0..8
  in x: float[sources, B, width]
  for s in sources {
    up = Linear(width, dim)
    t = up(x[s])
  }
  out y = sum(t[*])
}
"""
NORMED = """
block Head(dim: int) {
  in x: float[B, dim]
  first, norm, last = Linear(dim, dim), BatchNorm1d(dim), Linear(dim, 4)
  out y = last(relu(norm(first(x))))
}
model M(dim: int = 64) {
  in x: float[B, dim]
  for t in 0..8 {
    head = Head(dim)
    out y = head(x)
  }
}
"""
MAPPED = """
block Head(dim: int) {
  in x: float[B, dim, H, W]
  conv, norm, last = Conv2d(dim, dim, 1, bias = false), BatchNorm2d(dim), Conv2d(dim, 4, 1)
  out y = last(relu(norm(conv(x))))
}
model M(dim: int = 8) {
  in x: float[B, dim, H, W]
  for t in 0..3 {
    head = Head(dim)
    out y = head(x)
  }
}
"""
READ = """
block Two(dim: int) {
  in x: float[B, dim]
  first, second = Linear(dim, dim), Linear(dim, dim)
  out y = first(x)
  out z = second(x)
}
model M(dim: int = 256) {
  in x: float[B, dim]
  two = Two(dim)
  out y = two(x).y
}
"""
SHOWN = """
block Attended {
  in q, k, v: float[B, 8, S, 32]
  weights = softmax(q @ k.mT * 32 ** -0.5, dim = -1)
  out y = weights @ v
  entropy = -sum(weights * log(weights), dim = -1)
}
model M {
  in q, k, v: float[B, 8, S, 32]
  mix = Attended()
  out y = mix(q, k, v)
}
"""
GATED = """
block Gated(dim: int, hidden: int) {
  in x: float[B, dim]
  gate, up, down = Linear(dim, hidden), Linear(dim, hidden), Linear(hidden, dim)
  out y = down(silu(gate(x)) * up(x))
}
model M(dim: int = 512, hidden: int = 2048) {
  in x: float[B, dim]
  mix = Gated(dim, hidden)
  out y = mix(x)
}
"""
ROUTED = """
import moe.SparseMixture
block Expert(dim: int, width: int = 256) {
  in x: float[B, S, dim]
  gate, up, down = Linear(dim, width, bias = false), Linear(dim, width, bias = false), Linear(width, dim, bias = false)
  out y = down(silu(gate(x)) * up(x))
}
model M(dim: int = 256, n: int = 8) {
  index experts = 0..n
  in x: float[B, S, dim]
  mixture = SparseMixture(dim, experts, 2, Expert, balance = 0.0)
  out y = mixture(x)
}
"""
TASKS = """
model M(dim: int = 256) {
  index tasks = {a, b, c, d, e}
  in x: float[B, dim]
  trunk = Linear(dim, dim)
  h = relu(trunk(x))
  for t in tasks {
    task t {
      first, last = Linear(dim, dim), Linear(dim, 40)
      out y = last(relu(first(h)))
    }
  }
}
"""
MATMUL = """
model M(n: int = 5) {
  index experts = 0..n
  in x: float[n, B, 192, 14, 18]
  in g: float[4, B, n]
  for e in experts { f = x[e] }
  for t in 0..4 { out y = sum(g[t][:, e, none, none, none] * f[e] for e in experts) }
}
"""
PAIRS = """
model M(din: int = 256, dout: int = 256, k: int = 6, rank: int = 16) {
  index loras = 0..k
  in x: float[B, N, din]
  base, router = Linear(din, dout), Linear(din, k, bias = false)
  for e in loras { a, b = Parameter([rank, din]), Parameter([dout, rank]) }
  g = softmax(router(x[:, 0]), dim = -1)
  out y = base(x) + 2 * sum(g[:, e, none, none] * (x @ a[e].mT @ b[e].mT) for e in loras)
}
"""
HEAD = """
model M(dim: int = 192) {
  in x: float[B, dim, 14, 18]
  conv = Conv2d(dim, dim, 3, padding = 1)
  out y = conv(resize(x, scale = 4))
}
"""
SUM = """
model M(dim: int = 192) {
  in a: float[B, dim, 8, 8]
  in b: float[B, 96, 16, 16]
  in c: float[B, 48, 32, 32]
  wide_b, wide_c, conv = Conv2d(96, dim, 1), Conv2d(48, dim, 1), Conv2d(dim, dim, 3, padding = 1)
  out y = conv(resize(a, scale = 8) + resize(wide_b(b), scale = 4) + resize(wide_c(c), scale = 2))
}
"""
MAPS = """
block Step(dim: int) {
  in x: float[B, dim, H, W]
  conv, norm = Conv2d(dim, dim, 3, padding = 1, bias = false), BatchNorm2d(dim)
  out y = relu(norm(conv(x)))
}
model M(dim: int = 96) {
  in x: float[B, dim, 32, 32]
  first, second, last = Step(dim), Step(dim), Conv2d(dim, 40, 1)
  out y = resize(last(second(first(x))), scale = 4)
}
"""
REPBN = """
block RepBN(dim: int) {
  in x: float[B, N, dim]
  norm, eta = BatchNorm1d(dim), Parameter([1], init = ones)
  out y = mT(norm(x.mT)) + eta * x
}
model M(dim: int = 256) {
  in x: float[B, N, dim]
  norm, q, k, v = RepBN(dim), Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
  h = norm(x)
  out q = q(h)
  out k = k(h)
  out v = v(h)
}
"""
FUSED = """
model M(cin: int = 384, dim: int = 192) {
  in x: float[B, cin, 14, 18]
  spa, chan, fuse = Conv2d(cin, dim, 1), Conv2d(cin, dim, 1), Conv2d(2 * dim, dim, 1)
  out y = fuse(concat([spa(x), chan(x * x)], dim = 1))
}
"""
TWINS = """
block Encoder(dim: int, depth: int) {
  in x: float[B, dim]
  h = x
  repeat i in 0..depth carry h {
    norm, a, b = LayerNorm(dim), Linear(dim, 2 * dim), Linear(2 * dim, dim)
    h = h + b(gelu(a(norm(h))))
  }
  out y = h
}
model M(dim: int = 256, depth: int = 4) {
  in x, other: float[B, dim]
  encoder, predict = Encoder(dim, depth), Linear(dim, dim)
  out p = predict(encoder(x))
  out near = -mean(p * detach(encoder(other)))
}
"""
"""Two views of a picture by one encoder, of which the second is a target (SimSiam)."""

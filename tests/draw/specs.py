"""Small specs of the shapes that a figure must show."""

from __future__ import annotations

FORK = """
block Layer(dim: int) {
  in x: float[B, S, dim]
  norm = LayerNorm(dim)
  f = Linear(dim, dim)
  out y = x + f(norm(x))
}
model Fork(dim: int = 8, depth: int = 6, shared: int = 3, classes: map[tasks, int] = {topic: 5, tone: 2, author: 9}) {
  index tasks = classes
  in x: float[B, S, dim]
  h = x
  repeat i in 0..shared carry h { trunk = Layer(dim); h = trunk(h) }
  for t in tasks {
    z = h
    repeat i in shared..depth carry z { branch = Layer(dim); z = branch(z) }
    task t {
      target label: int[B] in 0..classes[t]
      head = Linear(dim, classes[t])
      out logits = head(mean(z, dim = 1))
      loss main = cross_entropy(logits, label)
    }
  }
}
train Fork {
  stage align { tune head }
  stage topic { tune all except trunk; tasks topic; weight topic.main = 0.5 }
}
"""

EXPERTS = """
model Mixture(n: int = 4, dim: int = 8) {
  in x: float[B, dim]
  index experts = 0..n
  gate = Linear(dim, n)
  g = softmax(gate(x), dim = -1)
  keep = topk_mask(g, 2, dim = -1)
  for e in experts {
    expert = Sequential(Linear(dim, 4 * dim), gelu, Linear(4 * dim, dim))
    f = expert(x)
  }
  out y = x + sum(g[:, e, none] * f[e] for e in experts where keep[:, e])
  loss balance = 0.01 * mean(square(mean(g, dim = 0)))
}
"""

CHAINS = """
block ChainLinear(chains: index, din: list[int], dout: list[int]) {
  in x[c in chains]: float[..., din[c]]
  for c in chains {
    part = Linear(sum(din[..=c]), dout[c])
    out y = part(concat(x[..=c], dim = -1))
  }
}
model Chains(widths: list[int] = [8, 4, 4]) {
  index chains = 0..len(widths)
  in x: float[B, sum(widths)]
  up = ChainLinear(chains, widths, widths)
  cut = split(x, widths, dim = 1)
  for c in chains { part = cut[c] }
  y = up(part[*])
  out y = concat(y[*], dim = 1)
}
"""

CACHES = """
block Attend(dim: int) {
  in x: float[B, S, dim]
  qkv, o = Linear(dim, 3 * dim), Linear(dim, dim)
  q, k, v = chunk(qkv(x), 3, dim = -1)
  state keys: float[B, P, dim] = empty
  state values: float[B, P, dim] = empty
  keys = append(keys, k, dim = 1)
  values = append(values, v, dim = 1)
  out y = o(softmax(q @ transpose(keys, 1, 2), dim = -1) @ values)
}
model Decoder(vocab: int = 20, dim: int = 8, depth: int = 4) {
  in ids: int[B, S] as tokens(vocab)
  embed = Embedding(vocab, dim)
  h = embed(ids)
  repeat i in 0..depth carry h { norm, attend = RMSNorm(dim), Attend(dim); h = h + attend(norm(h)) }
  head = Linear(dim, vocab, bias = false)
  out logits = head(h)
  entry decode { in ids: int[B, 1]; out next = argmax(logits[:, -1], dim = -1) }
}
"""

LEVELS = """
block Level(tasks: index, dim: int) {
  in x: float[B, dim]
  in memory[t in tasks]: float[B, dim]
  expert = Linear(dim, dim)
  for t in tasks {
    gate = Linear(dim, dim)
    out after = memory[t] + sigmoid(gate(x)) * expert(x)
  }
}
model Carried(dim: int = 8, depth: int = 3) {
  index tasks = {depth, edge}
  in x: float[B, dim]
  h = x
  repeat i in 0..depth carry h { layer = Linear(dim, dim); h = layer(h); seen = h }
  for t in tasks { start = Parameter([dim]); memory = expand(start, [B, dim]) }
  repeat l in 0..depth carry memory { level = Level(tasks, dim); memory = level(seen[l], memory[*]) }
  for t in tasks { task t { head = Linear(dim, 1); out map = head(memory[t]) } }
}
"""

TEACHER = """
model Distil(classes: int = 10) {
  in image: float[B, 3, 8, 8] as picture(mean = 0.5, std = 0.5)
  target label: int[B] in 0..classes
  teacher = Sequential(Conv2d(3, 16, 3, padding = 1), relu, Conv2d(16, 16, 3, padding = 1), relu)
  student = Sequential(Conv2d(3, 8, 3, padding = 1), relu)
  align = Conv2d(8, 16, 1)
  teacher_head, head = Linear(16, classes), Linear(8, classes)
  freeze teacher, teacher_head
  t, s = teacher(image), student(image)
  out logits = head(mean(s, dim = [2, 3]))
  soft = detach(softmax(teacher_head(mean(t, dim = [2, 3])) / 4, dim = -1))
  loss label = cross_entropy(logits, label)
  loss soft = 0.5 * kl_div(log_softmax(logits / 4, dim = -1), soft)
  loss feature = 0.1 * mse(align(s), detach(t))
}
train Distil { stage warm { tune align } }
"""

SKIPS = """
model Skips(dim: int = 4) {
  in x: float[B, 3, 16, 16]
  down1, down2 = Conv2d(3, dim, 3, padding = 1), Conv2d(dim, 2 * dim, 3, stride = 2, padding = 1)
  middle = Conv2d(2 * dim, 4 * dim, 3, stride = 2, padding = 1)
  up2, up1 = Conv2d(6 * dim, 2 * dim, 3, padding = 1), Conv2d(3 * dim, dim, 3, padding = 1)
  a = relu(down1(x))
  b = relu(down2(a))
  c = relu(middle(b))
  d = relu(up2(concat([resize(c, like = b), b], dim = 1)))
  e = relu(up1(concat([resize(d, like = a), a], dim = 1)))
  last = Conv2d(dim, 1, 1)
  out map = last(e)
}
"""

MOVING = """
model Moving {
  in x: float[B, 8]
  draw eps: float[B, 8] ~ normal(0, 1)
  seen = Buffer([], init = zeros)
  update seen = seen * 0.9 + mean(x)
  f = Linear(8, 8)
  out y = f(x - seen) + eps
}
"""

SPECS = {
    "fork": FORK,
    "experts": EXPERTS,
    "many experts": EXPERTS.replace("n: int = 4", "n: int = 40"),
    "chains": CHAINS,
    "caches": CACHES,
    "levels": LEVELS,
    "teacher": TEACHER,
    "skips": SKIPS,
    "moving": MOVING,
}

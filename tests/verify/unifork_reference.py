"""UniFork written out with torch's functions alone, under the authors' names: cases of any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

TOWER = "model.vision_tower.vision_tower.rqvaesiglip.siglip_model.vision_model"
TABLE = "model.vision_tower.vision_tower.rqvaesiglip.quantizer.codebooks.0.weight"
HEAD = "model.vision_tower.vision_tower.rqtransformer"
PICTURE, UNREAD = -200, -100


def linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


class UniFork:
    """Random weights in float64 that float32 holds exactly, and what is computed with them."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.c = config
        self.random = torch.Generator().manual_seed(config["seed"])
        self.w = {name: self.draw(*shape).requires_grad_() for name, shape in self.shapes().items()}

    def draw(self, *shape: int) -> Tensor:
        return (0.5 * torch.randn(shape, generator=self.random)).double()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        c, dim, v = self.c, self.c["hidden"], self.c["vdim"]
        found: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (c["vocab"], dim),
            "model.norm.weight": (dim,),
            "model.norm_gen.weight": (dim,),
        }
        if not c["tie"]:
            found["lm_head.weight"] = (c["vocab"], dim)
        for i in range(c["layers"]):
            found |= self.layer_shapes(f"model.layers.{i}")
        for i in range(c["layers"] - c["num_shared"]):
            found |= self.layer_shapes(f"model.gen_fork_layers.{i}")
        found |= linear("model.mm_projector.linear1", dim, v) | linear("model.mm_projector.linear2", dim, dim)
        found["model.mm_projector.token_embedding.weight"] = (2, dim)
        found[f"{TOWER}.embeddings.patch_embedding.weight"] = (v, 3, c["patch"], c["patch"])
        found[f"{TOWER}.embeddings.patch_embedding.bias"] = (v,)
        found[f"{TOWER}.embeddings.position_embedding.weight"] = (c["grid"] ** 2, v)
        for i in range(c["vlayers"] - 1):
            name = f"{TOWER}.encoder.layers.{i}"
            found |= norm(f"{name}.layer_norm1", v) | norm(f"{name}.layer_norm2", v)
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                found |= linear(f"{name}.self_attn.{part}", v, v)
            found |= linear(f"{name}.mlp.fc1", c["vinter"], v) | linear(f"{name}.mlp.fc2", v, c["vinter"])
        found[TABLE] = (c["n_embed"] + 1, v)
        return found | self.head_shapes()

    def layer_shapes(self, name: str) -> dict[str, tuple[int, ...]]:
        c, dim, kv = self.c, self.c["hidden"], self.c["hidden"] // self.c["heads"] * self.c["kv"]
        found: dict[str, tuple[int, ...]] = {f"{name}.input_layernorm.weight": (dim,), f"{name}.post_attention_layernorm.weight": (dim,)}
        for part, out in (("q", dim), ("k", kv), ("v", kv)):
            found |= linear(f"{name}.self_attn.{part}_proj", out, dim)
        return found | {
            f"{name}.self_attn.o_proj.weight": (dim, dim),
            f"{name}.mlp.gate_proj.weight": (c["inter"], dim),
            f"{name}.mlp.up_proj.weight": (c["inter"], dim),
            f"{name}.mlp.down_proj.weight": (dim, c["inter"]),
        }

    def head_shapes(self) -> dict[str, tuple[int, ...]]:
        c, r, a = self.c, self.c["rq_dim"], self.c["rq_attn_dim"]
        found = linear(f"{HEAD}.in_mlp_1", r, c["vdim"]) | linear(f"{HEAD}.in_mlp_2", r, c["hidden"]) | {f"{HEAD}.pos_emb_d": (1, c["depth"], r)}
        for i in range(c["rq_layers"]):
            name = f"{HEAD}.head_transformer.blocks.{i}"
            found |= norm(f"{name}.ln1", r) | norm(f"{name}.ln2", r) | linear(f"{name}.attn_in_proj", a, r) | linear(f"{name}.attn_out_proj", r, a)
            for part in ("query", "key", "value", "proj"):
                found |= linear(f"{name}.attn.{part}", a, a)
            found |= linear(f"{name}.mlp.0", 4 * r, r) | linear(f"{name}.mlp.2", r, 4 * r)
        return found | norm(f"{HEAD}.classifier_mlp.layer_norm", r) | linear(f"{HEAD}.classifier_mlp.linear", c["n_embed"], r)

    # ---------------------------------------------------------------------------------------------------- parts

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"))

    def norm(self, name: str, x: Tensor, eps: float) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

    def rms(self, name: str, x: Tensor) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + self.c["eps"]).sqrt() * self.w[f"{name}.weight"]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, heads: int, allowed: Tensor | None) -> Tensor:
        """Attend with some heads, [B, S, dim] each; a key's head serves several of the queries'."""
        size = q.shape[-1] // heads
        q, k, v = (t.unflatten(-1, (-1, size)).transpose(1, 2) for t in (q, k, v))
        k, v = (t.repeat_interleave(heads // t.shape[1], dim=1) for t in (k, v))
        scores = q @ k.transpose(-1, -2) / size**0.5
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -1e30)
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)

    def rope(self, x: Tensor) -> Tensor:
        size = self.c["hidden"] // self.c["heads"]
        x = x.unflatten(-1, (-1, size))
        angle = torch.arange(x.shape[1])[:, None, None] / self.c["theta"] ** (torch.arange(0, size, 2).double() / size)
        one, other = x.chunk(2, -1)
        return torch.cat([one * angle.cos() - other * angle.sin(), other * angle.cos() + one * angle.sin()], -1).flatten(2)

    def layer(self, name: str, x: Tensor, real: Tensor) -> Tensor:
        u = self.rms(f"{name}.input_layernorm", x)
        q, k, v = (self.linear(f"{name}.self_attn.{part}_proj", u) for part in "qkv")
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        x = x + self.linear(f"{name}.self_attn.o_proj", self.attend(self.rope(q), self.rope(k), v, self.c["heads"], causal & real[:, None, None]))
        u = self.rms(f"{name}.post_attention_layernorm", x)
        return x + self.linear(f"{name}.mlp.down_proj", F.silu(self.linear(f"{name}.mlp.gate_proj", u)) * self.linear(f"{name}.mlp.up_proj", u))

    def decoder(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the trunk gives, and both branches."""
        shared, layers = self.c["num_shared"], self.c["layers"]
        for i in range(shared):
            x = self.layer(f"model.layers.{i}", x, real)
        one = other = x
        for i in range(shared, layers):
            one = self.layer(f"model.layers.{i}", one, real)
            other = self.layer(f"model.gen_fork_layers.{i - shared}", other, real)
        return x, self.rms("model.norm", one), self.rms("model.norm_gen", other)

    def words(self, h: Tensor) -> Tensor:
        return h @ self.w.get("lm_head.weight", self.w["model.embed_tokens.weight"]).T

    def rows(self, codes: Tensor) -> Tensor:
        """Return the sums of the table's rows over depth."""
        return self.w[TABLE].detach()[codes].cumsum(2)

    def scores(self, h: Tensor, codes: Tensor) -> Tensor:
        """Return the depth head's scores for each place and depth, [B, N, D, K]."""
        u = torch.cat([self.linear(f"{HEAD}.in_mlp_2", h)[:, :, None], self.linear(f"{HEAD}.in_mlp_1", self.rows(codes)[:, :, :-1])], 2)
        u = (u + self.w[f"{HEAD}.pos_emb_d"]).flatten(0, 1)
        causal = torch.ones(u.shape[1], u.shape[1], dtype=torch.bool).tril()
        for i in range(self.c["rq_layers"]):
            name = f"{HEAD}.head_transformer.blocks.{i}"
            z = self.linear(f"{name}.attn_in_proj", self.norm(f"{name}.ln1", u, 1e-5))
            q, k, v = (self.linear(f"{name}.attn.{part}", z) for part in ("query", "key", "value"))
            u = u + self.linear(f"{name}.attn_out_proj", self.linear(f"{name}.attn.proj", self.attend(q, k, v, self.c["rq_heads"], causal)))
            u = u + self.linear(f"{name}.mlp.2", F.gelu(self.linear(f"{name}.mlp.0", self.norm(f"{name}.ln2", u, 1e-5))))
        u = self.norm(f"{HEAD}.classifier_mlp.layer_norm", u, 1e-5)
        return self.linear(f"{HEAD}.classifier_mlp.linear", u).unflatten(0, h.shape[:2])

    @torch.no_grad()
    def codes(self, image: Tensor) -> Tensor:
        name = f"{TOWER}.embeddings.patch_embedding"
        x = F.conv2d(image, self.w[f"{name}.weight"], self.w[f"{name}.bias"], stride=self.c["patch"]).flatten(2).mT
        x = x + self.w[f"{TOWER}.embeddings.position_embedding.weight"]
        for i in range(self.c["vlayers"] - 1):
            name = f"{TOWER}.encoder.layers.{i}"
            u = self.norm(f"{name}.layer_norm1", x, 1e-6)
            q, k, v = (self.linear(f"{name}.self_attn.{part}_proj", u) for part in "qkv")
            x = x + self.linear(f"{name}.self_attn.out_proj", self.attend(q, k, v, self.c["vheads"], None))
            u = F.gelu(self.linear(f"{name}.mlp.fc1", self.norm(f"{name}.layer_norm2", x, 1e-6)), approximate="tanh")
            x = x + self.linear(f"{name}.mlp.fc2", u)
        table = self.w[TABLE][:-1]
        found: list[Tensor] = []
        for _ in range(self.c["depth"]):
            found.append((x[:, :, None] - table).square().sum(-1).argmin(-1))
            x = x - table[found[-1]]
        return torch.stack(found, 2)

    def project(self, z: Tensor) -> Tensor:
        return self.linear("model.mm_projector.linear2", F.gelu(self.linear("model.mm_projector.linear1", z)))

    # ---------------------------------------------------------------------------------------------------- whole

    def task(self, given: dict[str, Tensor], is_gen: bool) -> dict[str, Tensor]:
        """Return what one task's samples of a batch become, by the names of the authors' values without their ending."""
        chosen = (given["is_gen"] == is_gen).nonzero()[:, 0].tolist()
        codes = self.codes(given["images_gen" if is_gen else "images_und"])
        zq = self.rows(codes)[:, :, -1]
        ends = self.w["model.mm_projector.token_embedding.weight"]
        depth, texts, labels = self.c["depth"], list[Tensor](), list[Tensor]()
        for number, row in enumerate(chosen):
            ids = given["input_ids"][row][: int(given["attention_mask"][row].sum())].tolist()
            at = ids.index(PICTURE)
            picture = torch.cat([ends[:1], self.project(zq[number]), ends[1:]])
            before, after = (self.w["model.embed_tokens.weight"][torch.tensor(part, dtype=torch.int64)] for part in (ids[:at], ids[at + 1 :]))
            texts.append(torch.cat([before, picture, after]))
            if is_gen:
                own = torch.full((len(texts[-1]), depth), UNREAD)
                own[at] = -1
                own[at + 1 : at + 1 + len(codes[number])] = codes[number]
            else:
                told = given["labels"][row]
                own = torch.cat([told[:at], torch.full((len(picture),), UNREAD), told[at + 1 : len(ids)]])
            labels.append(own)
        x = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
        label = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=UNREAD)
        mask = torch.arange(x.shape[1]) < torch.tensor([len(text) for text in texts])[:, None]
        h = self.decoder(x, mask)[2 if is_gen else 1]
        found = {"codes": codes, "zq": zq, "inputs_embeds": x, "mask": mask.long(), "labels": label}
        if not is_gen:
            logits = self.words(h)
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), label[:, 1:].flatten(), ignore_index=UNREAD)
            return {**found, "logits": logits, "loss": loss}
        start = (label[:, :, 0] == -1).int().argmax(1)
        states = torch.stack([row[at : at + codes.shape[1]] for row, at in zip(h, start.tolist(), strict=True)])
        logits = self.scores(states, codes).flatten(0, 2)
        return {**found, "logits": logits, "loss": F.cross_entropy(logits, codes.flatten())}

    @torch.no_grad()
    def paint(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Sample the likeliest codes, with everything computed anew for each place."""
        c, rows = self.c, len(ids) // 2
        x = torch.cat([self.w["model.embed_tokens.weight"][ids], self.w["model.mm_projector.token_embedding.weight"][:1].expand(2 * rows, 1, -1)], 1)
        found: dict[str, list[Tensor]] = {"gen_codes": [], "cfg_logits": [], "gen_last_hidden": [], "gen_latent": []}
        for _ in range(c["steps"]):
            mask = torch.cat([mask, torch.ones(2 * rows, x.shape[1] - mask.shape[1], dtype=mask.dtype)], 1)
            h = self.decoder(x, mask.bool())[2][:, -1:]
            codes, scores = torch.zeros(2 * rows, 1, c["depth"], dtype=torch.int64), list[Tensor]()
            for d in range(c["depth"]):
                with_, without = self.scores(h, codes)[:, 0, d].chunk(2)
                scores.append(without + c["cfg"] * (with_ - without))
                codes[:, 0, d] = scores[-1].argmax(-1).repeat(2)
            z = self.rows(codes)[:, :, -1]
            x = torch.cat([x, self.project(z)], 1)
            for name, value in zip(found, (codes[:, 0], torch.stack(scores), h[:, 0], z[:, 0]), strict=True):
                found[name].append(value)
        return {name: torch.stack(values, 0 if name == "cfg_logits" else 1) for name, values in found.items()}


def inputs(model: UniFork, und: int = 2, gen: int = 2, longest: int = 6) -> dict[str, Tensor]:
    """Draw a batch in which tasks are mixed, each text with a picture somewhere, padded on the right."""
    c, count = model.c, und + gen
    is_gen = torch.tensor([1] * gen + [0] * und)[torch.randperm(count, generator=model.random)]
    lengths = torch.randint(3, longest + 1, (count,), generator=model.random)
    lengths[0] = longest
    mask = (torch.arange(longest) < lengths[:, None]).long()
    ids = torch.randint(1, c["vocab"], (count, longest), generator=model.random) * mask
    labels = torch.where(mask.bool(), ids, UNREAD)
    for row, length in enumerate(lengths.tolist()):
        at = int(torch.randint(0, length - 1, (1,), generator=model.random))
        ids[row, at] = labels[row, at] = PICTURE
        labels[row, :at] = UNREAD
    size = c["grid"] * c["patch"]
    images = {f"images_{name}": model.draw(n, 3, size, size) for name, n in (("und", und), ("gen", gen)) if n}
    return {"input_ids": ids, "attention_mask": mask, "is_gen": is_gen, "labels": labels, **images}


def write(folder: Path, kind: str, config: dict[str, Any], counts: tuple[int, int] = (2, 2)) -> Path:
    """Write a case: `decoder`, `training`, or `painting`, whose gradients are those of the stage that trains the branch that draws.

    `counts` are the samples of each task, to understand and to generate.
    """
    model = UniFork(config)
    trained = tuple(model.w) if kind != "painting" else tuple(n for n in model.w if n.startswith(("model.gen_fork", "model.norm_gen", HEAD)))
    for name, value in model.w.items():
        value.requires_grad_(name in trained and not name.startswith(TOWER) and name != TABLE)
    given: dict[str, Tensor]
    if kind == "decoder":
        given = {"inputs_embeds": model.draw(2, 5, config["hidden"]).requires_grad_()}
        given["code"] = torch.randint(config["n_embed"], (2, 5, config["depth"]), generator=model.random)
        trunk, und, gen = model.decoder(given["inputs_embeds"], torch.ones(2, 5, dtype=torch.bool))
        outputs = {
            "trunk_hidden": trunk,
            "und_hidden": und,
            "gen_hidden": gen,
            "und_logits": model.words(und),
            "gen_logits": model.scores(gen, given["code"]),
        }
        named = ("und_hidden", "gen_hidden", "und_logits", "gen_logits")
    else:
        given = inputs(model, *counts)
        tasks = {short: model.task(given, short == "gen") for short in ("und", "gen") if f"images_{short}" in given}
        loss = torch.stack([values["loss"] for values in tasks.values()]).sum()
        if kind == "training":
            outputs = {f"{name}_{short}": value for short, values in tasks.items() for name, value in values.items()} | {"loss": loss}
            named = (*(f"logits_{short}" for short in tasks), "loss")
        else:
            ids = torch.randint(config["vocab"], (4, 5), generator=model.random)
            given |= {"prompt_ids": ids, "prompt_mask": (torch.arange(5) >= torch.tensor([1, 0, 3, 2])[:, None]).long()}
            outputs = model.paint(ids, given["prompt_mask"]) | {"train_loss": loss, "train_codes_gen": tasks["gen"]["codes"]}
            outputs |= {f"train_loss_{short}": values["loss"] for short, values in tasks.items()}
            named = ("train_loss",)
    cotangents = {name: model.draw(*outputs[name].shape) for name in named}
    torch.stack([(outputs[name] * value).sum() for name, value in cotangents.items()]).sum().backward()
    grads = {f"param.{name}": value.grad for name, value in model.w.items() if value.grad is not None}
    grads |= {f"input.{name}": value.grad for name, value in given.items() if value.grad is not None}
    if kind == "decoder":
        model.w = {n: v for n, v in model.w.items() if not n.startswith((TOWER, "model.mm_projector"))}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**config, "mode": "eval", "image_token_id": PICTURE, "ignore_index": UNREAD}))
    stored = {"weights": model.w, "inputs": {**given, **{f"cotangent.{n}": v for n, v in cotangents.items()}}, "outputs": outputs, "grads": grads}
    for name, tensors in stored.items():
        plain = {k: (v.float() if v.is_floating_point() else v).detach().contiguous().clone() for k, v in tensors.items()}
        save_file(plain, folder / f"{name}.safetensors")
    return folder

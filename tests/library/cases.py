"""One small example of every block and function of the library, by its dotted name."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """How a block is made and what it is called with; a function has no `make`."""

    inputs: dict[str, str]
    make: str | None = None
    outputs: tuple[str, ...] = ("y",)
    call: str = ""  # the arguments; the names of the inputs when empty
    without: tuple[str, ...] = field(default=())  # inputs that may be left out
    beside: str | None = None  # another item of its file, named in `make`
    around: str = "{}"  # what is done with the result: a family has to become a value

    def text(self, name: str, *, whole: bool = True) -> str:
        """Return a model around the block, with all its inputs or only those it needs."""
        file, _, item = name.rpartition(".")
        inputs = {k: v for k, v in self.inputs.items() if whole or k not in self.without}
        call = self.call or ", ".join(k if k == first or not self.without else f"{k} = {k}" for first in [next(iter(inputs))] for k in inputs)
        outputs = ", ".join(self.outputs)
        lines = [f"  in {k}: {v}" for k, v in inputs.items()]
        if self.make is not None:
            lines.append(f"  part = {item}({self.make})")
        result = self.around.format(f"{'part' if self.make is not None else item}({call})")
        lines.append(f"  out {outputs} = {result}")
        imported = name if self.beside is None else f"{file}.{{{item}, {self.beside}}}"
        return "\n".join(["arch 1", f"import {imported}", "model Example {", *lines, "}", ""])


SEQUENCE = {"x": "float[B, S, 8]", "mask": "bool[B, S]"}
PAIR = {"x": "float[B, S, 8]", "context": "float[B, T, 6]", "mask": "bool[B, S]", "context_mask": "bool[B, T]"}
TURNED = {**SEQUENCE, "cos": "float[S, 4]", "sin": "float[S, 4]"}
TOKENS = {"ids": "int[B, S] in 0..11", "mask": "bool[B, S]"}
VECTORS = {"x": "float[B, S, 8]"}
MASK = ("mask",)
ROPE = ("mask", "cos", "sin")
LAYER = "8, 2, 1, 12, 4"  # dim, heads, kv_heads, ffn, head_dim
STACK = "11, 8, 2, 2, 1, 12, 4"  # vocab, dim, depth, heads, kv_heads, ffn, head_dim
LABELS = "int[B, S] in 0..5"

PICTURE = {"image": "float[B, 3, 8, 8]"}

CASES: dict[str, Case] = {
    "attention.SelfAttention": Case(SEQUENCE, "8, 2, causal = true, drop = 0.1", without=MASK),
    "attention.CrossAttention": Case({"x": "float[B, S, 8]", "context": "float[B, T, 6]", "mask": "bool[B, T]"}, "8, 2, source = 6", without=MASK),
    "attention.GroupedQueryAttention": Case(TURNED, "8, 2, 1, 4, bias = true", without=ROPE),
    "bert.Embeddings": Case({"ids": "int[B, S] in 0..11", "segments": "int[B, S] in 0..2"}, "11, 8, 16", without=("segments",)),
    "bert.SelfAttention": Case(SEQUENCE, "8, 2", without=MASK),
    "bert.Output": Case({"x": "float[B, S, 6]", "residual": "float[B, S, 8]"}, "6, 8"),
    "bert.Attention": Case(SEQUENCE, "8, 2", without=MASK),
    "bert.Intermediate": Case(VECTORS, "8, 12"),
    "bert.Layer": Case(SEQUENCE, "8, 2, 12", without=MASK),
    "bert.Encoder": Case(SEQUENCE, "8, 2, 2, 12", without=MASK),
    "bert.Pooler": Case(VECTORS, "8"),
    "bert.Transform": Case(VECTORS, "8"),
    "bert.MaskedHead": Case(VECTORS, "8, 11", outputs=("logits",)),
    "decoder.PreNormLayer": Case(PAIR, "8, 2, 12, source = 6", without=("mask", "context_mask")),
    "decoder.PostNormLayer": Case(PAIR, "8, 2, 12, source = 6", without=("mask", "context_mask")),
    "encoder.PreNormLayer": Case(SEQUENCE, "8, 2, 12", without=MASK),
    "encoder.PostNormLayer": Case(SEQUENCE, "8, 2, 12", without=MASK),
    "encoder.Encoder": Case(SEQUENCE, "2, 8, layer = PreNormLayer(8, 2, 12)", without=MASK, beside="PreNormLayer"),
    "ffn.Mlp": Case(VECTORS, "8, 12, dout = 4, activation = relu"),
    "ffn.GatedMlp": Case(VECTORS, "8, 12, drop = 0.1"),
    "ffn.SwiGLU": Case(VECTORS, "8, 12"),
    "ffn.GeGLU": Case(VECTORS, "8, 12"),
    "ffn.ReGLU": Case(VECTORS, "8, 12"),
    "ffn.GLU": Case(VECTORS, "8, 12"),
    "heads.LinearHead": Case(VECTORS, "8, 5", outputs=("logits",)),
    "heads.ClassificationHead": Case({"x": "float[B, 8]"}, "8, 5", outputs=("logits",)),
    "heads.SpanHead": Case(SEQUENCE, "8", outputs=("start", "end"), without=MASK),
    "heads.TiedHead": Case({"x": "float[B, S, 8]", "table": "float[11, 8]"}, "11, 8, bias = true", outputs=("logits",)),
    "heads.MeanPool": Case(SEQUENCE, ""),
    "linear.LowRankLinear": Case(VECTORS, "8, 6, rank = 2"),
    "linear.Adapter": Case(VECTORS, "8, 2"),
    "linear.DeepLinear": Case(VECTORS, "[8, 6, 5, 3]"),
    "llama.DecoderLayer": Case(TURNED, LAYER, without=ROPE),
    "llama.Decoder": Case(TOKENS, STACK, without=MASK),
    "llama.CausalLM": Case(TOKENS, STACK + ", tied = true", outputs=("logits",), without=MASK),
    "loss.next_token": Case({"logits": "float[B, S, 5]", "ids": LABELS, "mask": "bool[B, S]"}),
    "loss.token_class": Case({"logits": "float[B, S, 5]", "labels": LABELS, "mask": "bool[B, S]"}),
    "loss.span": Case({"start": "float[B, S]", "end": "float[B, S]", "first": "int[B] in 0..S", "last": "int[B] in 0..S"}),
    "loss.masked_mse": Case({"x": "float[B, S, 8]", "target_": "float[B, S, 8]", "mask": "bool[B, S]"}),
    "loss.distill": Case({"logits": "float[B, S, 5]", "teacher": "float[B, S, 5]"}, call="logits, teacher, temperature = 2.0"),
    "loss.contrast": Case({"a": "float[B, 8]", "b": "float[B, 8]"}),
    "loss.focal": Case({"logits": "float[B, 5]", "labels": "float[B, 5]"}),
    "norm.LlamaNorm": Case(VECTORS, "8"),
    "norm.ScaleNorm": Case(VECTORS, "8"),
    "norm.AdaptiveNorm": Case({"x": "float[B, S, 8]", "c": "float[B, 6]"}, "8, 6"),
    "norm.LayerScale": Case(VECTORS, "8"),
    "position.sinusoid": Case({"at": "float[S]"}, call="at, 8"),
    "position.counted": Case({"ids": "int[B, S] in 0..11"}, call="ids, padding = 1"),
    "position.Sinusoid": Case(VECTORS, "8"),
    "position.LearnedPositions": Case(VECTORS, "16, 8"),
    "qwen2.Attention": Case(TURNED, "8, 2, 1, 4", without=ROPE),
    "qwen2.DecoderLayer": Case(TURNED, LAYER, without=ROPE),
    "qwen2.Decoder": Case(TOKENS, STACK, without=MASK),
    "qwen2.CausalLM": Case(TOKENS, STACK, outputs=("logits",), without=MASK),
    "roberta.Embeddings": Case({"ids": "int[B, S] in 0..11"}, "11, 8, 32"),
    "roberta.Layer": Case(SEQUENCE, "8, 2, 12", without=MASK),
    "roberta.Encoder": Case(SEQUENCE, "8, 2, 2, 12", without=MASK),
    "rq.ResidualQuantizer": Case(VECTORS, "8, 11, 3", outputs=("codes", "sums", "latent")),
    "rq.DepthBlock": Case({"u": "float[B, T, 8]"}, "8, 12, 3"),
    "rq.DepthHead": Case(
        {"h": "float[B, S, 6]", "s": "float[B, S, 2, 10]"}, "8, 11, 4, hidden = 6, source = 10, heads = 4, blocks = 2", outputs=("logits",),
    ),
    "siglip.Embeddings": Case({"image": "float[B, 3, 12, 12]"}, "8, 12, 4"),
    "siglip.Layer": Case(VECTORS, "8, 2, 12"),
    "siglip.Encoder": Case(VECTORS, "8, 2, 2, 12"),
    "unifork.Tower": Case({"image": "float[B, 3, 12, 12]"}, "8, 3, 2, 12, 11, 3, 12, 4", outputs=("codes", "sums", "latent")),
    "unifork.Projector": Case({"z": "float[B, N, 6]"}, "6, 8"),
    "unifork.ForkedDecoder": Case(SEQUENCE, "{a, b}, 8, 3, 1, 2, 1, 12", without=MASK, around="concat({}[*], dim = 2)"),
    "convnext.Layer": Case({"x": "float[B, 4, 8, 9]"}, "4, init = 1.0, rate = 0.1", outputs=("z",)),
    "convnext.ConvNeXt": Case({"image": "float[B, 3, 16, 24]"}, "[4, 6], [1, 1], 5, init = 1.0", outputs=("logits",), around="{}.logits"),
    "segformer.Layer": Case({"x": "float[B, 8, 4, 6]"}, "8, 2, 2, 12"),
    "segformer.SegFormer": Case({"image": "float[B, 3, 64, 32]"}, "[4, 4, 8, 8], [1, 1, 1, 1], [1, 2, 2, 2], decoder = 8, classes = 5", outputs=("logits",), around="{}.logits"),
    "dense.ConvHead": Case({"x": "float[B, 4, S, T]"}, "4, 5", outputs=("logits",)),
    "dense.DeconvHead": Case({"x": "float[B, 4, S, T]"}, "4, 5", outputs=("logits",)),
    "dense.ConvNorm": Case({"x": "float[B, 4, S, T]"}, "4, 6, 3, stride = 2"),
    "dense.to_map": Case({"x": "float[B, 6, 8]"}, call="x, 2"),
    "dit.TimestepEmbedder": Case({"at": "float[B]"}, "8, 4", call="at"),
    "dit.LabelEmbedder": Case({"label": "int[B] in 0..5"}, "5, 8"),
    "dit.DiTBlock": Case({"x": "float[B, S, 8]", "c": "float[B, 8]"}, "8, 2, 12, init = 0.5"),
    "dit.FinalLayer": Case({"x": "float[B, 6, 8]", "c": "float[B, 8]"}, "8, 2, 3, 2, init = 0.5", outputs=("image",)),
    "mlp.Hidden": Case({"x": "float[B, 8]"}, "8, [6, 5], norm = true"),
    "mlp.MLP": Case({"x": "float[B, 8]"}, "8, [6, 5], 3"),
    "pool.GPO": Case({"x": "float[B, 5, 8]", "mask": "bool[B, 5]"}, "5, 4, 4"),
    "resnet.Basic": Case({"x": "float[B, 4, S, T]"}, "4, 6, stride = 2", outputs=("z",)),
    "resnet.Bottleneck": Case({"x": "float[B, 4, S, T]"}, "4, 2", outputs=("z",)),
    "resnet.ResNet": Case({"image": "float[B, 3, 33, 40]"}, "[1, 2], 5, width = 2", outputs=("logits",), around="{}.logits"),
    "resnet.CifarResNet": Case(PICTURE, "1, 5, width = 2", outputs=("logits",)),
    "resnet.ResNet20": Case(PICTURE, "classes = 5, width = 2", outputs=("logits",)),
    "resnet.ResNet56": Case(PICTURE, "classes = 5, width = 2", outputs=("logits",)),
    "rnn.GRUCell": Case({"x": "float[B, S, 8]", "h": "float[B, S, 6]"}, "8, 6"),
    "rnn.GRU": Case({"x": "float[B, 5, 8]"}, "8, 6, 5, backwards = true"),
    "sparse.entmax": Case(VECTORS, call="x, 1.7"),
    "swin.WindowAttention": Case({"x": "float[6, 4, 8]", "hide": "float[3, 4, 4]"}, "8, 2, 2", without=("hide",)),
    "swin.Layer": Case({"x": "float[B, 24, 8]"}, "8, 2, [4, 6], 2, shift = 1, ffn = 12"),
    "swin.Merge": Case({"x": "float[B, 24, 8]"}, "8, [4, 6]"),
    "swin.Stage": Case({"x": "float[B, 4, 8, 8]"}, "8, 2, 2, [4, 4], 2"),
    "swin.Swin": Case(PICTURE, "4, [2, 1], [2, 2], size = 8, patch = 2, window = [2, 2], classes = 5, attention = [WindowAttention, WindowAttention]", outputs=("logits",), around="{}.logits", beside="WindowAttention"),
    "vit.PatchEmbed": Case({"image": "float[B, 3, 4, 6]"}, "2, 8"),
    "vit.Block": Case(VECTORS, "8, 2, 12, rate = 0.1"),
    "vit.Tokens": Case({"image": "float[B, 3, 4, 6]"}, "8, [4, 6], 2"),
    "vit.ViT": Case(PICTURE, "8, 2, 2, size = 8, patch = 4, ffn = 12", outputs=("cls", "patches")),
    "vit.Taps": Case({"image": "float[B, 3, 4, 6]"}, "8, [0, 1], [4, 6], depth = 2, heads = 2, patch = 2, ffn = 12", around="stack({}[*], dim = 1)"),
    "vit.Hidden": Case(PICTURE, "8, 2, 2, size = 8, patch = 4, ffn = 12", around="stack({}[*], dim = 1)"),
}  # fmt: skip

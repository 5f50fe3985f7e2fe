"""One small example of every block and function of the library, by its dotted name: `archloom explain` shows it, the tests run it."""

from __future__ import annotations

from dataclasses import field

from ..dsl.record import record


@record
class Example:
    """How a block is made and what it is called with; a function has no `make`."""

    inputs: dict[str, str]
    make: str | None = None
    outputs: tuple[str, ...] = ("y",)  # several by the names that the block gives them
    call: str = ""  # the arguments; the names of the inputs when empty
    without: tuple[str, ...] = field(default=())  # inputs that may be left out
    beside: str | None = None  # another block, named in `make`
    needs: str | None = None  # what the model requires of its sizes
    around: str = "{}"  # what is done with the result: a family has to become a value
    training: bool = False  # some of its parameters only matter in training
    penalised: bool = False  # some of its parameters only matter to its losses

    def text(self, name: str, *, whole: bool = True) -> str:
        """Return a model around the block, with all its inputs or only those it needs."""
        item = name.rpartition(".")[2]
        inputs = {k: v for k, v in self.inputs.items() if whole or k not in self.without}
        call = self.call or ", ".join(k if k == first or not self.without else f"{k} = {k}" for first in [next(iter(inputs))] for k in inputs)
        lines = [f"  in {k}: {v}" for k, v in inputs.items()]
        if self.needs is not None:
            lines.append(f"  require {self.needs}")
        if self.make is not None:
            lines.append(f"  part = {item}({self.make})")
        result = self.around.format(f"{'part' if self.make is not None else item}({call})")
        several = [f"  r = {result}", *(f"  out {output} = r.{output}" for output in self.outputs)]
        lines += several if len(self.outputs) > 1 else [f"  out {output} = {result}" for output in self.outputs]
        if self.penalised:
            lines.append("  out penalty = sum(losses(part.**)[*])")
        imports = [f"import {block}" for block in (name, self.beside) if block is not None]
        return "\n".join(["arch 1", *imports, "model Example {", *lines, "}", ""])


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

GATED, EXPERT = "ffn.SwiGLU", "Expert = SwiGLU(hidden = 6, ...)"
PICTURE = {"image": "float[B, 3, 8, 8]"}

CHAINS = {"x[c in 0..2]": "float[B, S, 4]"}

EXAMPLES: dict[str, Example] = {
    "adapter.Bottleneck": Example(VECTORS, "8, 3"),
    "adapter.Bottlenecks": Example(VECTORS, "{nli, qa}, 8, 3, scale = 0.5", around="concat({}[*], dim = -1)"),
    "adapter.HoulsbyLayer": Example(SEQUENCE, "8, 2, 12, 3", without=MASK),
    "adapter.PfeifferLayer": Example(SEQUENCE, "8, 2, 12, 3", without=MASK),
    "adapter.ParallelLayer": Example(SEQUENCE, "8, 2, 12, 3", without=MASK),
    "adapter.AdapterFusion": Example({"x": "float[B, S, 8]", "u[s in {nli, qa}]": "float[B, S, 8]"}, "{nli, qa}, 8", call="x, u[*]"),
    "adapter.Lora": Example(VECTORS, "8, 6, rank = 2, init = 0.1"),
    "adapter.LoraLinear": Example(VECTORS, "8, 6, rank = 2, init = 0.1"),
    "adapter.LoraMixture": Example(VECTORS, "{a, b, c}, 8, 6, rank = 2, init = 0.1"),
    "attention.SelfAttention": Example(SEQUENCE, "8, 2, causal = true, drop = 0.1", without=MASK),
    "attention.CrossAttention": Example({"x": "float[B, S, 8]", "context": "float[B, T, 6]", "mask": "bool[B, T]"}, "8, 2, source = 6", without=MASK),
    "attention.GroupedQueryAttention": Example(TURNED, "8, 2, 1, 4, bias = true", without=ROPE),
    "bert.Embeddings": Example({"ids": "int[B, S] in 0..11", "segments": "int[B, S] in 0..2"}, "11, 8, 16", without=("segments",), needs="S <= 16"),
    "bert.SelfAttention": Example(SEQUENCE, "8, 2", without=MASK),
    "bert.Output": Example({"x": "float[B, S, 6]", "residual": "float[B, S, 8]"}, "6, 8"),
    "bert.Attention": Example(SEQUENCE, "8, 2", without=MASK),
    "bert.Intermediate": Example(VECTORS, "8, 12"),
    "bert.Layer": Example(SEQUENCE, "8, 2, 12", without=MASK),
    "bert.Encoder": Example(SEQUENCE, "8, 2, 2, 12", without=MASK),
    "bert.Pooler": Example(VECTORS, "8"),
    "bert.Transform": Example(VECTORS, "8"),
    "bert.MaskedHead": Example(VECTORS, "8, 11", outputs=("logits",)),
    "chain.ChainLinear": Example(CHAINS, "0..2, [4, 4], [3, 5], bias = true", call="x[*]", around="concat({}[*], dim = -1)"),
    "chain.ChainNorm": Example(CHAINS, "0..2, [4, 4]", call="x[*]", around="concat({}[*], dim = -1)"),
    "chain.ChainAttention": Example(
        {**CHAINS, "mask": "bool[B, S]"}, "0..2, [4, 4], [2, 2], [1, 2], bias = true, causal = false", call="x[*], mask",
        around="concat({}[*], dim = -1)",
    ),
    "chain.ChainFeedForward": Example(CHAINS, "0..2, [4, 4], [6, 3], false, activation = gelu", call="x[*]", around="concat({}[*], dim = -1)"),
    "chain.ChainLayer": Example(CHAINS, "0..2, [4, 4], [2, 2], [2, 2], [6, 3], air = true", call="x[*]", around="concat({}[*], dim = -1)"),
    "conv.ConvNormAct": Example({"x": "float[B, 4, S, T]"}, "4, 6, stride = 2, dilation = 2, activation = gelu", needs="B >= 2"),
    "conv.DepthwiseSeparable": Example({"x": "float[B, 4, S, T]"}, "4, 6", needs="B >= 2"),
    "conv.SqueezeExcite": Example({"x": "float[B, 4, S, T]"}, "4, width = 2, activation = gelu"),
    "conv.InvertedResidual": Example({"x": "float[B, 4, S, T]"}, "4, 4, expand = 2, squeeze = 3, rate = 0.1", needs="B >= 2"),
    "crf.CRF": Example(
        {"scores": "float[B, S, 3]", "labels": "int[B, S] in 0..3", "mask": "bool[B, S]"}, "3", outputs=("path", "nll"), without=MASK,
    ),
    "decoder.PreNormLayer": Example(PAIR, "8, 2, 12, source = 6", without=("mask", "context_mask")),
    "decoder.PostNormLayer": Example(PAIR, "8, 2, 12, source = 6", without=("mask", "context_mask")),
    "encoder.PreNormLayer": Example(SEQUENCE, "8, 2, 12", without=MASK),
    "encoder.PostNormLayer": Example(SEQUENCE, "8, 2, 12", without=MASK),
    "encoder.Encoder": Example(SEQUENCE, "2, 8, layer = PreNormLayer(8, 2, 12)", without=MASK, beside="encoder.PreNormLayer"),
    "ffn.Mlp": Example(VECTORS, "8, 12, dout = 4, activation = relu"),
    "ffn.GatedMlp": Example(VECTORS, "8, 12, drop = 0.1"),
    "ffn.SwiGLU": Example(VECTORS, "8, 12"),
    "ffn.GeGLU": Example(VECTORS, "8, 12"),
    "ffn.ReGLU": Example(VECTORS, "8, 12"),
    "ffn.GLU": Example(VECTORS, "8, 12"),
    "heads.LinearHead": Example(VECTORS, "8, 5", outputs=("logits",)),
    "heads.ClassificationHead": Example({"x": "float[B, 8]"}, "8, 5", outputs=("logits",)),
    "heads.SpanHead": Example(SEQUENCE, "8", outputs=("start", "end"), without=MASK),
    "heads.AttentionPool": Example(SEQUENCE, "8, 6", without=MASK),
    "heads.RegressionHead": Example(VECTORS, "8, 2"),
    "heads.PairHead": Example({"a": "float[B, 8]", "b": "float[B, 8]"}, "8, 3", outputs=("logits",)),
    "heads.BiaffineHead": Example(VECTORS, "8, 6, 2"),
    "heads.TiedHead": Example({"x": "float[B, S, 8]", "table": "float[11, 8]"}, "11, 8, bias = true", outputs=("logits",)),
    "heads.MeanPool": Example(SEQUENCE, ""),
    "linear.LowRankLinear": Example(VECTORS, "8, 6, rank = 2"),
    "linear.Adapter": Example(VECTORS, "8, 2"),
    "linear.DeepLinear": Example(VECTORS, "[8, 6, 5, 3]"),
    "llama.DecoderLayer": Example(TURNED, LAYER, without=ROPE),
    "llama.Decoder": Example(TOKENS, STACK, without=MASK),
    "llama.CausalLM": Example(TOKENS, STACK + ", tied = true", outputs=("logits",), without=MASK),
    "loss.next_token": Example({"logits": "float[B, S, 5]", "ids": LABELS, "mask": "bool[B, S]"}),
    "loss.token_class": Example({"logits": "float[B, S, 5]", "labels": LABELS, "mask": "bool[B, S]"}),
    "loss.span": Example({"start": "float[B, S]", "end": "float[B, S]", "first": "int[B] in 0..S", "last": "int[B] in 0..S"}),
    "loss.masked_mse": Example({"x": "float[B, S, 8]", "target_": "float[B, S, 8]", "mask": "bool[B, S]"}),
    "loss.distill": Example({"logits": "float[B, S, 5]", "teacher": "float[B, S, 5]"}, call="logits, teacher, temperature = 2.0"),
    "loss.contrast": Example({"a": "float[B, 8]", "b": "float[B, 8]"}),
    "loss.focal": Example({"logits": "float[B, 5]", "labels": "float[B, 5]"}),
    "loss.sigmoid_contrast": Example({"a": "float[B, 8]", "b": "float[B, 8]", "scale": "float[]", "bias": "float[]"}),
    "loss.dice": Example({"logits": "float[B, S, T]", "target_": "float[B, S, T]"}),
    "loss.triplet": Example({"a": "float[B, 8]", "same": "float[B, 8]", "other": "float[B, 8]"}),
    "loss.jensen_shannon": Example({"a": "float[B, 5]", "b": "float[B, 5]"}),
    "loss.UncertaintyWeights": Example({"l[t in {tag, parse}]": "float[]"}, "{tag, parse}", call="l[*]"),
    "invpt.CrossTaskAttention": Example(
        {"x[t in {seg, edge}]": "float[B, 4, 8, 4]", "before": "float[B, 2, 4, 4]"}, "{seg, edge}, 4, ratio = 4", call="x[*], before",
        around="stack({}.y[*], dim = 1)",
    ),
    "invpt.CrossTaskBlock": Example(
        {"x[t in {seg, edge}]": "float[B, 4, 8, 4]", "before": "float[B, 2, 4, 4]"}, "{seg, edge}, 4, ratio = 4, ffn = 6", call="x[*], before",
        around="stack({}.y[*], dim = 1)",
    ),
    "mlore.LowRankConv": Example({"x": "float[B, 4, S, T]"}, "4, 2"),
    "mlore.MapSummary": Example({"x": "float[B, 8, 5, 4]"}, "8, 20"),
    "mlore.topk_softmax": Example({"z": "float[B, 5]"}, call="z, 2, before = false"),
    "mlore.LowRankMixture": Example(
        {"x[t in {seg, edge}]": "float[B, 8, 5, 4]"}, "{seg, edge}, 8, 20, [1, 2, 3], special = 2, k = 2, balance = 0.1", call="x[*]",
        around="stack({}[*], dim = 1)", training=True, penalised=True,
    ),
    "mlore.LevelFusion": Example({"x[l in 0..2]": "float[B, 4, S, T]"}, "0..2, 4", call="x[*]", needs="B >= 2"),
    "moe.Gate": Example(VECTORS, "8, {a, b, c}, hidden = 6"),
    "moe.TopKGate": Example(VECTORS, "8, {a, b, c}, k = 2, noise = learned", outputs=("weight", "keep", "p", "logits"), training=True),
    "moe.switch_balance": Example({"p": "float[B, S, 4]", "keep": "bool[B, S, 4]"}),
    "moe.importance": Example({"weight": "float[B, S, 4]"}),
    "moe.router_z": Example({"logits": "float[B, S, 4]"}),
    "moe.SoftMixture": Example(VECTORS, f"8, {{a, b, c}}, {EXPERT}", beside=GATED),
    "moe.SparseMixture": Example(VECTORS, f"8, {{a, b, c}}, k = 2, {EXPERT}, noise = fixed", beside=GATED),
    "moe.MultiGate": Example(VECTORS, f"{{tag, parse}}, {{a, b}}, 8, {EXPERT}", beside=GATED, around="concat({}[*], dim = 2)"),
    "moe.CustomizedGate": Example(
        {"x[t in {tag, parse}]": "float[B, S, 8]", "common": "float[B, S, 8]"}, f"{{tag, parse}}, {{a, b}}, {{own}}, 8, {EXPERT}",
        call="x[*], common", beside=GATED, around="concat({}[*], dim = 2)",
    ),
    "moe.CrossStitch": Example(
        {"x[t in {tag, parse}]": "float[B, S, 8]"}, "{tag, parse}", call="x[*]", around="concat({}[*], dim = 2)",
    ),
    "norm.LlamaNorm": Example(VECTORS, "8"),
    "norm.ScaleNorm": Example(VECTORS, "8"),
    "norm.AdaptiveNorm": Example({"x": "float[B, S, 8]", "c": "float[B, 6]"}, "8, 6"),
    "norm.LayerScale": Example(VECTORS, "8"),
    "position.sinusoid": Example({"at": "float[S]"}, call="at, 8"),
    "position.counted": Example({"ids": "int[B, S] in 0..11"}, call="ids, padding = 1"),
    "position.Sinusoid": Example(VECTORS, "8"),
    "position.LearnedPositions": Example(VECTORS, "16, 8", needs="S <= 16"),
    "pyramid.ASPP": Example({"x": "float[B, 4, S, T]"}, "4, 3, rates = [1, 2]", needs="B >= 2"),
    "pyramid.PyramidPooling": Example({"x": "float[B, 4, 6, 8]"}, "4, 3, bins = [1, 3]", needs="B >= 2"),
    "pyramid.FeaturePyramid": Example({"x[s in 0..2]": "float[B, 4, 6, 8]"}, "[4, 4], 3", call="x[*]", around="concat({}[*], dim = 1)"),
    "qwen2.Attention": Example(TURNED, "8, 2, 1, 4", without=ROPE),
    "qwen2.DecoderLayer": Example(TURNED, LAYER, without=ROPE),
    "qwen2.Decoder": Example(TOKENS, STACK, without=MASK),
    "qwen2.CausalLM": Example(TOKENS, STACK, outputs=("logits",), without=MASK),
    "roberta.Embeddings": Example({"ids": "int[B, S] in 0..11"}, "11, 8, 32", needs="S <= 30"),
    "roberta.Layer": Example(SEQUENCE, "8, 2, 12", without=MASK),
    "roberta.Encoder": Example(SEQUENCE, "8, 2, 2, 12", without=MASK),
    "rq.ResidualQuantizer": Example(VECTORS, "8, 11, 3", outputs=("codes", "sums", "latent")),
    "rq.DepthBlock": Example({"u": "float[B, T, 8]"}, "8, 12, 3"),
    "rq.DepthHead": Example(
        {"h": "float[B, S, 6]", "s": "float[B, S, 2, 10]"}, "8, 11, 4, hidden = 6, source = 10, heads = 4, blocks = 2", outputs=("logits",),
    ),
    "rq.VectorQuantizer": Example(VECTORS, "8, 11", outputs=("code", "y"), penalised=True),
    "rq.ResidualVectorQuantizer": Example(VECTORS, "8, 5, 3", outputs=("codes", "y"), penalised=True),
    "siglip.Embeddings": Example({"image": "float[B, 3, 12, 12]"}, "8, 12, 4"),
    "siglip.Layer": Example(VECTORS, "8, 2, 12"),
    "siglip.Encoder": Example(VECTORS, "8, 2, 2, 12"),
    "siglip.HiddenEncoder": Example(VECTORS, "8, 2, 2, 12", around="concat({}[*], dim = 2)"),
    "siglip.ProbeAttention": Example({"q": "float[B, T, 8]", "x": "float[B, S, 8]"}, "8, 2"),
    "siglip.ProbePool": Example(VECTORS, "8, 2, 12"),
    "siglip.Vision": Example({"image": "float[B, 3, 12, 12]"}, "8, 2, 2, 12, size = 12, patch = 4", outputs=("patches", "pooled")),
    "filter.CutEncoder": Example(
        {"ids[l in {a, b}]": "int[B, S] in 0..11", "mask[l in {a, b}]": "bool[B, S]"}, "{a, b}, 3, 1, 1, Embeddings(11, 8), Layer(8, 2, 12)",
        call="ids[*], mask[*]", beside="roberta.{Embeddings, Layer}", around="{}.y", needs="S <= 512",
    ),
    "filter.row_divergence": Example({"logits": "float[B, S, 5]", "soft": "float[B, S, 5]"}, call="logits, soft, tau = 2.0"),
    "filter.batch_divergence": Example({"logits": "float[B, S]", "soft": "float[B, S]", "mask": "bool[B, S]"}, call="logits, soft, mask, tau = 2.0"),
    "filter.tag_error": Example({"logits": "float[B, S, 5]", "labels": LABELS, "mask": "bool[B, S]"}),
    "filter.span_error": Example({"start": "float[B, S]", "end": "float[B, S]", "first": "int[B] in 0..9", "last": "int[B] in 0..9"}),
    "unifork.Tower": Example({"image": "float[B, 3, 12, 12]"}, "8, 3, 2, 12, 11, 3, 12, 4", outputs=("codes", "sums", "latent")),
    "unifork.Projector": Example({"z": "float[B, N, 6]"}, "6, 8"),
    "unifork.Fork": Example(
        SEQUENCE, "{a, b}, 3, 1, DecoderLayer(8, 2, 1, 12), RMSNorm(8), head_dim = 4", without=MASK, beside="qwen2.DecoderLayer",
        around="concat({}.h[*], dim = 2)",
    ),
    "convnext.Layer": Example({"x": "float[B, 4, 8, 9]"}, "4, init = 1.0, rate = 0.1", outputs=("z",)),
    "convnext.ConvNeXt": Example({"image": "float[B, 3, 16, 24]"}, "[4, 6], [1, 1], 5, init = 1.0", outputs=("logits",), around="{}.logits"),
    "scalearn.Scales": Example({"u[s in {nli, qa}]": "float[B, S, 8]"}, "{nli, qa}, 8, sum_to_one = softmax", outputs=("m",), call="u[*]"),
    "scalearn.ScaledLayer": Example(TURNED, "{nli, qa}, 8, 3, DecoderLayer(8, 2, 1, 12), drop = 0.1", without=ROPE, beside="qwen2.DecoderLayer"),
    "segformer.Layer": Example({"x": "float[B, 8, 4, 6]"}, "8, 2, 2, 12"),
    "segformer.SegFormer": Example(
        {"image": "float[B, 3, 64, 32]"}, "[4, 4, 8, 8], [1, 1, 1, 1], [1, 2, 2, 2], decoder = 8, classes = 5",
        outputs=("logits",), around="{}.logits",
    ),
    "dense.ConvHead": Example({"x": "float[B, 4, S, T]"}, "4, 5", outputs=("logits",), needs="B >= 2"),
    "dense.DeconvHead": Example({"x": "float[B, 4, S, T]"}, "4, 5", outputs=("logits",)),
    "dense.ConvNorm": Example({"x": "float[B, 4, S, T]"}, "4, 6, 3, stride = 2", needs="B >= 2"),
    "dense.to_map": Example({"x": "float[B, 6, 8]"}, call="x, 2"),
    "dense_loss.SemSeg": Example({"pred": "float[B, 4, S, T]", "label": "int[B, S, T] in 0..4"}, ""),
    "dense_loss.Saliency": Example({"pred": "float[B, 2, S, T]", "label": "int[B, S, T] in 0..2"}, ""),
    "dense_loss.Depth": Example({"pred": "float[B, 1, S, T]", "label": "float[B, 1, S, T]"}, ""),
    "dense_loss.Normals": Example({"pred": "float[B, 3, S, T]", "label": "float[B, 3, S, T]"}, ""),
    "dense_loss.Edge": Example({"pred": "float[B, 1, S, T]", "label": "float[B, 1, S, T]"}, "w = 0.9"),
    "dit.TimestepEmbedder": Example({"at": "float[B]"}, "8, 4", call="at"),
    "dit.LabelEmbedder": Example({"label": "int[B] in 0..5"}, "5, 8"),
    "dit.DiTBlock": Example({"x": "float[B, S, 8]", "c": "float[B, 8]"}, "8, 2, 12, init = 0.5"),
    "dit.FinalLayer": Example({"x": "float[B, 6, 8]", "c": "float[B, 8]"}, "8, 2, 3, 2, init = 0.5", outputs=("image",)),
    "mlp.Hidden": Example({"x": "float[B, 8]"}, "8, [6, 5], norm = true", needs="B >= 2"),
    "mlp.MLP": Example({"x": "float[B, 8]"}, "8, [6, 5], 3"),
    "pool.GPO": Example({"x": "float[B, 5, 8]", "mask": "bool[B, 5]"}, "5, 4, 4"),
    "resnet.Basic": Example({"x": "float[B, 4, S, T]"}, "4, 6, stride = 2", outputs=("z",), needs="B >= 2"),
    "resnet.Bottleneck": Example({"x": "float[B, 4, S, T]"}, "4, 2", outputs=("z",), needs="B >= 2"),
    "resnet.ResNet": Example({"image": "float[B, 3, 33, 40]"}, "[1, 2], 5, width = 2", outputs=("logits",), around="{}.logits"),
    "resnet.CifarResNet": Example(PICTURE, "1, 5, width = 2", outputs=("logits",)),
    "resnet.ResNet20": Example(PICTURE, "classes = 5, width = 2", outputs=("logits",)),
    "resnet.ResNet56": Example(PICTURE, "classes = 5, width = 2", outputs=("logits",)),
    "rnn.GRUCell": Example({"x": "float[B, S, 8]", "h": "float[B, S, 6]"}, "8, 6"),
    "rnn.GRU": Example({"x": "float[B, 5, 8]"}, "8, 6, 5, backwards = true"),
    "rnn.LSTMCell": Example(
        {"x": "float[B, S, 8]", "h": "float[B, S, 6]", "c": "float[B, S, 6]"}, "8, 6", outputs=("told", "memory"),
    ),
    "rnn.LSTM": Example({"x": "float[B, 5, 8]"}, "8, 6, 5, backwards = true"),
    "rnn.BiLSTM": Example({"x": "float[B, 3, 8]"}, "8, 6, 3"),
    "sparse.entmax": Example(VECTORS, call="x, 1.7"),
    "sparse.sparsemax": Example(VECTORS),
    "spectrum.dct": Example({"x": "float32[B, S, 7]"}),
    "spectrum.idct": Example({"x": "float32[B, S, 8]"}),
    "swin.WindowAttention": Example({"x": "float[6, 4, 8]", "hide": "float[3, 4, 4]"}, "8, 2, 2", without=("hide",)),
    "swin.Layer": Example({"x": "float[B, 24, 8]"}, "8, 2, [4, 6], 2, shift = 1, ffn = 12"),
    "swin.Merge": Example({"x": "float[B, 24, 8]"}, "8, [4, 6]"),
    "swin.Stage": Example({"x": "float[B, 4, 8, 8]"}, "8, 2, 2, [4, 4], 2"),
    "swin.Swin": Example(
        PICTURE, "4, [2, 1], [2, 2], size = 8, patch = 2, window = [2, 2], classes = 5, attention = [WindowAttention, WindowAttention]",
        outputs=("logits",), around="{}.logits", beside="swin.WindowAttention",
    ),
    "taskexpert.Expert": Example({"x": "float[B, 4, S, T]"}, "4, 6, kernel = 3", needs="B >= 2"),
    "taskexpert.MapGate": Example({"x": "float[B, 4, S, T]"}, "4, {one, two, rest}, hidden = 5, kind = spatial"),
    "taskexpert.MemoryWrite": Example({"memory": "float[B, 4, S, T]", "read": "float[B, 4, S, T]"}, "4, rule = gated"),
    "taskexpert.MemorialMixture": Example(
        {"x": "float[B, 4, S, T]", "memory[t in {seg, edge}]": "float[B, 6, S, T]"},
        "{seg, edge}, {one, two}, 4, 6, Expert, MapGate(hidden = 5, ...)", call="x, memory[*]", beside="taskexpert.{Expert, MapGate}",
        around="stack({}[*], dim = 1)", needs="B >= 2",
    ),
    "taskprompter.PromptAttention": Example(
        {"x": "float[B, 24, 8]", "p": "float[B, 3, 8]"}, "8, 2, rows = 3, grid = [4, 6], side = 2",
        outputs=("patches", "prompts", "spatial", "channel"),
    ),
    "taskprompter.PromptBlock": Example(
        {"x": "float[B, 24, 8]", "p": "float[B, 3, 8]"}, "8, 2, rows = 3, grid = [4, 6], side = 2, rate = 0.1",
        outputs=("patches", "prompts", "spatial", "channel"),
    ),
    "taskprompter.PromptedFeature": Example(
        {"x": "float[B, 8, 4, 6]", "spatial": "float[B, 2, 2, 24]", "channel": "float[B, 8, 2, 2]"}, "8, heads = 2, width = 3, dim = 4",
    ),
    "taskprompter.TaskReweighting": Example(
        {"scores": "float[B, 2, 2]", "f[t in {seg, edge}]": "float[B, 4, S, T]"}, "{seg, edge}, heads = 2", call="scores, f[*]",
    ),
    "taskprompter.PromptDecoder": Example(
        {"x": "float[B, 8, 4, 6]", "spatial": "float[B, 2, 2, 26]", "channel": "float[B, 2, 8, 2, 2]"},
        "{seg, edge}, 8, heads = 2, width = 3, dim = 4, cross = true", around="stack({}[*], dim = 1)",
    ),
    "vit.PatchEmbed": Example({"image": "float[B, 3, 4, 6]"}, "2, 8"),
    "vit.Block": Example(VECTORS, "8, 2, 12, rate = 0.1"),
    "vit.Tokens": Example({"image": "float[B, 3, 4, 6]"}, "8, [4, 6], 2"),
    "vit.ViT": Example(PICTURE, "8, 2, 2, size = 8, patch = 4, ffn = 12", outputs=("cls", "patches")),
    "vit.Taps": Example(
        {"image": "float[B, 3, 4, 6]"}, "8, [1], [4, 6], depth = 2, heads = 2, patch = 2, ffn = 12", around="stack({}[*], dim = 1)",
    ),
    "vit.Hidden": Example(PICTURE, "8, 2, 2, size = 8, patch = 4, ffn = 12", around="stack({}[*], dim = 1)"),
}  # fmt: skip

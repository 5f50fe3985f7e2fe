"""What primitives compute, against references written another way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast

import einops
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from archloom.compiler.runtime.modes import Attention, DropPath

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.set_rng_state(torch.Generator().manual_seed(0).get_state())


@pytest.mark.parametrize(
    ("pattern", "shape", "axes"),
    [
        ("b s (h d) -> b h s d", (2, 5, 6), {"h": 2}),
        ("b (u i v j) -> b u v (i j)", (2, 24), {"u": 2, "i": 3, "v": 2}),
        ("b c (y p) (x q) -> (b y x) c p q", (2, 3, 4, 6), {"p": 2, "q": 3}),
        ("b 1 s -> s b 1 1", (2, 1, 5), {}),
        ("... (a b) -> a ... b", (2, 3, 6), {"a": 3}),
        ("a b c -> (c b) a", (2, 3, 4), {}),
        ("1 (b) -> b ()", (1, 4), {}),
    ],
)
def test_rearrange_agrees_with_einops(run_primitive: Run, pattern: str, shape: tuple[int, ...], axes: dict[str, int]) -> None:
    x = torch.randn(shape)
    assert torch.equal(run_primitive("rearrange", x=x, pattern=pattern, axes=axes), einops.rearrange(x, pattern, **axes))


@pytest.mark.parametrize("kind", ["mean", "sum", "max", "min"])
@pytest.mark.parametrize("pattern", ["b c h w -> b c", "b c (h p) (w q) -> b h w c", "b c h w -> 1 c 1 (b h)", "b ... -> b"])
def test_reduce_agrees_with_einops(run_primitive: Run, pattern: str, kind: str) -> None:
    x = torch.randn(2, 3, 4, 6)
    axes = {"p": 2, "q": 3} if "p" in pattern else {}
    torch.testing.assert_close(
        run_primitive("reduce", x=x, pattern=pattern, kind=kind, axes=axes), cast("Any", einops).reduce(x, pattern, kind, **axes)
    )


@pytest.mark.parametrize(("pattern", "axes"), [("s d -> b s d", {"b": 3}), ("s d -> s (d k)", {"k": 2}), ("s d -> (k s) 1 d", {"k": 2})])
def test_repeat_agrees_with_einops(run_primitive: Run, pattern: str, axes: dict[str, int]) -> None:
    x = torch.randn(4, 5)
    assert torch.equal(run_primitive("repeat", x=x, pattern=pattern, axes=axes), einops.repeat(x, pattern, **axes))


def test_rearrange_reads_open_sizes_from_like(run_primitive: Run) -> None:
    x = torch.randn(2, 3, 4, 6)
    cut = run_primitive("rearrange", x=x, pattern="b c (y p) (z q) -> (b y z) c p q", axes={"p": 2, "q": 3})
    assert torch.equal(run_primitive("rearrange", x=cut, pattern="(b y z) c p q -> b c (y p) (z q)", like=x, axes={}), x)


@pytest.mark.parametrize("pattern", ["b i d, b j d -> b i j", "bid,bjd->bij", "row inner deep, row other deep -> row inner other"])
def test_einsum_takes_names_and_letters(run_primitive: Run, pattern: str) -> None:
    a, b = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    torch.testing.assert_close(run_primitive("einsum", pattern=pattern, tensors=[a, b]), a @ b.mT)


def reference_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Compute attention by its equation; rows that see nothing are zero."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None and mask.dtype != torch.bool:
        scores = scores + mask
    seen = torch.ones(scores.shape, dtype=torch.bool) if mask is None or mask.dtype != torch.bool else mask.expand_as(scores)
    if causal:
        rows, columns = scores.shape[-2:]
        seen = seen & (torch.arange(columns)[None] <= torch.arange(rows)[:, None] + columns - rows)
    return torch.nan_to_num(torch.softmax(scores.masked_fill(~seen, float("-inf")), -1)) @ v


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["none", "padding", "full", "added"])
@pytest.mark.parametrize(("queries", "keys", "kv"), [(5, 5, 4), (5, 5, 2), (3, 7, 4), (1, 7, 1)])
def test_attention_is_its_equation(run_primitive: Run, queries: int, keys: int, kv: int, kind: str, causal: bool) -> None:
    q, k, v = torch.randn(2, 4, queries, 8), torch.randn(2, kv, keys, 8), torch.randn(2, kv, keys, 8)
    padding = torch.ones(2, 1, 1, keys, dtype=torch.bool)
    padding[0, ..., 0], padding[1, ..., -2:] = False, False
    masks = {"none": None, "padding": padding, "full": torch.zeros(1, 1, queries, keys, dtype=torch.bool), "added": torch.randn(queries, keys)}
    mask = masks[kind]
    found = run_primitive("attention", q=q, k=k, v=v, **({} if mask is None else {"mask": mask}), causal=causal)
    torch.testing.assert_close(found, reference_attention(q, k, v, mask, causal), atol=1e-5, rtol=1e-5)


def test_attention_with_drop_is_attention_in_evaluation() -> None:
    q, k, v = (torch.randn(2, 4, 5, 8) for _ in range(3))
    module = Attention(drop=0.5, is_causal=True)
    assert not torch.equal(module(q, k, v), module(q, k, v))
    torch.testing.assert_close(module.eval()(q, k, v), reference_attention(q, k, v, None, True), atol=1e-5, rtol=1e-5)


def test_drop_path_drops_whole_samples() -> None:
    module, x = DropPath(0.25), torch.ones(4000, 2, 3)
    y = module(x)
    kept = y[:, 0, 0] != 0
    assert torch.equal(y, torch.where(kept[:, None, None], torch.tensor(1 / 0.75), 0.0).expand_as(y))
    assert 0.7 < kept.float().mean() < 0.8
    assert torch.equal(DropPath(1.0)(x), torch.zeros_like(x))
    assert module.eval()(x) is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rotary_positions_are_those_of_llama(run_primitive: Run, dtype: torch.dtype) -> None:
    from transformers.models.llama import modeling_llama
    from transformers.models.llama.configuration_llama import LlamaConfig

    config = LlamaConfig(hidden_size=64, num_attention_heads=4, rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
    q, k, at = torch.randn(2, 4, 7, 16, dtype=dtype), torch.randn(2, 2, 7, 16, dtype=dtype), torch.arange(3, 10)[None].expand(2, 7)
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(q, at)
    expected: tuple[Tensor, Tensor] = cast("Any", modeling_llama).apply_rotary_pos_emb(q, k, cos, sin)
    tables = run_primitive("rope_table", at=at, dim=16, theta=500000.0, float_dtype=dtype)
    assert torch.equal(tables[0], cos)
    assert torch.equal(tables[1].abs(), sin.abs())
    tolerance = 0.0 if dtype is torch.float32 else 0.04
    for x, wanted in zip((q, k), expected, strict=True):
        found = run_primitive("apply_rope", x=x, cos=tables[0][:, None], sin=tables[1][:, None], float_dtype=dtype)
        torch.testing.assert_close(found, wanted, atol=max(tolerance, 1e-6), rtol=1e-6)
        torch.testing.assert_close(run_primitive("rope", x=x, theta=500000.0, offset=3, float_dtype=dtype), found)


def test_interleaved_rotation_turns_complex_numbers(run_primitive: Run) -> None:
    x = torch.randn(2, 5, 8)
    angle = torch.arange(5.0)[:, None] / 10000.0 ** (torch.arange(0, 8, 2) / 8)
    wanted = torch.view_as_real(torch.view_as_complex(x.reshape(2, 5, 4, 2)) * torch.polar(torch.ones(5, 4), angle)).flatten(-2)
    torch.testing.assert_close(run_primitive("rope", x=x, interleaved=True), wanted)
    partly = run_primitive("rope", x=x, dim=4)
    assert torch.equal(partly[..., 4:], x[..., 4:])
    torch.testing.assert_close(partly[..., :4], run_primitive("rope", x=x[..., :4].contiguous()))


def test_rms_norm_is_that_of_llama_and_qwen() -> None:
    from transformers.models.llama.modeling_llama import LlamaRMSNorm
    from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

    x = torch.randn(4, 7, 64) * 3
    ours = nn.RMSNorm(64, eps=1e-6)
    for kind in (LlamaRMSNorm, Qwen2RMSNorm):
        theirs = kind(64, eps=1e-6)
        with torch.no_grad():
            theirs.weight.copy_(ours.weight.normal_())
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-6)
        exact = theirs(x.bfloat16().float())
        half, full = theirs.bfloat16()(x.bfloat16()).float(), nn.RMSNorm(64, eps=1e-6).bfloat16()
        with torch.no_grad():
            full.weight.copy_(ours.weight)
        error = (full(x.bfloat16()).float() - exact).abs().mean()
        assert error <= (half - exact).abs().mean() * 1.05


@pytest.mark.parametrize("replace", [0, 1, 3])
def test_splice_joins_around_a_position_of_each_row(run_primitive: Run, replace: int) -> None:
    places = [0, 2, 6 - replace]
    x, part, at = torch.randn(3, 6, 2), torch.randn(3, 4, 2), torch.tensor(places)
    rows = [torch.cat([x[i, :a], part[i], x[i, a + replace :]]) for i, a in enumerate(places)]
    assert torch.equal(run_primitive("splice", x=x, part=part, at=at, replace=replace), torch.stack(rows))


def test_window_and_gather_read_each_row_at_its_own_place(run_primitive: Run) -> None:
    x, start = torch.randn(3, 6, 2), torch.tensor([0, 2, 4])
    assert torch.equal(run_primitive("window", x=x, start=start, length=2), torch.stack([x[i, a : a + 2] for i, a in enumerate(start)]))
    assert torch.equal(run_primitive("gather", x=x, index=start, dim=1), torch.stack([x[i, a] for i, a in enumerate(start)]))
    index = torch.randint(0, 6, (3, 4, 2))
    assert torch.equal(run_primitive("gather", x=x, index=index, dim=1), torch.stack([x[i, index[i]] for i in range(3)]))
    several = torch.randint(0, 3, (2, 5))
    assert torch.equal(run_primitive("take", x=x, index=several), x[several])
    assert torch.equal(run_primitive("take", x=x, index=torch.tensor([5, 0]), dim=1), x[:, [5, 0]])
    assert torch.equal(run_primitive("take", x=x[:, 0].contiguous(), index=several), x[:, 0][several])


def test_segments_are_summed_and_normalised_apart(run_primitive: Run) -> None:
    x, segment = torch.randn(7, 3) * 50, torch.tensor([0, 2, 0, 2, 2, 4, 0])
    sums = torch.stack([x[segment == s].sum(0) for s in range(5)])
    torch.testing.assert_close(run_primitive("segment_sum", x=x, segment=segment, count=5), sums)
    soft = run_primitive("segment_softmax", x=x, segment=segment, count=5)
    for s in (0, 2, 4):
        torch.testing.assert_close(soft[segment == s], torch.softmax(x[segment == s], 0))


def test_masked_mean_counts_what_is_kept(run_primitive: Run) -> None:
    x, mask = torch.randn(3, 5, 2), torch.tensor([[1, 1, 0, 0, 0], [1, 0, 1, 1, 1], [0, 0, 0, 0, 0]]).bool()
    x[0, 2:] = float("inf")
    found = run_primitive("masked_mean", x=x, mask=mask[..., None], dim=1)
    torch.testing.assert_close(found, torch.stack([x[0, :2].mean(0), x[1, [0, 2, 3, 4]].mean(0), torch.zeros(2)]))
    torch.testing.assert_close(run_primitive("masked_mean", x=x, mask=mask[..., None]), x[mask].mean())


def test_topk_mask_marks_exactly_k(run_primitive: Run) -> None:
    x = torch.zeros(3, 6)
    x[:, 4] = 1
    mask = run_primitive("topk_mask", x=x, k=3)
    assert mask.sum(-1).tolist() == [3, 3, 3]
    assert bool(mask[:, 4].all())


def per_place(logits: Tensor, target: Tensor, dim: int) -> Tensor:
    """Compute the cross entropy of each place by its equation."""
    return torch.logsumexp(logits, dim) - logits.gather(dim, target.unsqueeze(dim)).squeeze(dim)


@pytest.mark.parametrize(
    ("shape", "dim"), [((6, 4), 1), ((2, 3, 4), 2), ((2, 4, 3), 1), ((4, 2, 3), 0), ((2, 4, 3, 5), 1), ((2, 3, 5, 4), 3), ((4,), 0)]
)
@pytest.mark.parametrize("reduce", ["mean", "sum", "none"])
def test_cross_entropy_finds_the_axis_of_the_classes(run_primitive: Run, shape: tuple[int, ...], dim: int, reduce: str) -> None:
    logits = torch.randn(shape)
    target = torch.randint(0, 4, shape[:dim] + shape[dim + 1 :])
    wanted = per_place(logits, target, dim)
    expected = {"mean": wanted.mean(), "sum": wanted.sum(), "none": wanted}[reduce]
    torch.testing.assert_close(run_primitive("cross_entropy", logits=logits, target=target, reduce=reduce), expected)
    logs = torch.log_softmax(logits, dim)
    torch.testing.assert_close(run_primitive("nll", logits=logs, target=target, reduce=reduce), expected)


def test_cross_entropy_ignores_only_what_it_is_told_to(run_primitive: Run) -> None:
    logits, target = torch.randn(3, 4), torch.tensor([1, -100, 2])
    wanted = per_place(logits[[0, 2]], target[[0, 2]], 1).mean()
    torch.testing.assert_close(run_primitive("cross_entropy", logits=logits, target=target, ignore=-100), wanted)
    with pytest.raises(IndexError, match="out of bounds"):
        run_primitive("cross_entropy", logits=logits, target=target)


def test_soft_targets_are_likelihoods(run_primitive: Run) -> None:
    logits, target = torch.randn(2, 3, 4), torch.softmax(torch.randn(2, 3, 4), -1)
    wanted = -(target * torch.log_softmax(logits, -1)).sum(-1)
    torch.testing.assert_close(run_primitive("cross_entropy", logits=logits, target=target, dim=-1), wanted.mean())
    torch.testing.assert_close(run_primitive("cross_entropy", logits=logits, target=target, dim=-1, reduce="none"), wanted)


def test_kl_div_means_are_over_what_they_say(run_primitive: Run) -> None:
    x, target = torch.log_softmax(torch.randn(3, 4), -1), torch.softmax(torch.randn(3, 4), -1)
    elements = target * (target.log() - x)
    torch.testing.assert_close(run_primitive("kl_div", x=x, target=target), elements.sum() / 3)
    torch.testing.assert_close(run_primitive("kl_div", x=x, target=target, reduce="mean"), elements.mean())
    torch.testing.assert_close(run_primitive("kl_div", x=x, target=target.log(), log_target=True, reduce="none"), elements)


@pytest.mark.parametrize("mode", ["constant", "replicate", "reflect", "circular"])
def test_pad_takes_axes_in_any_order(run_primitive: Run, mode: str) -> None:
    x = torch.randn(2, 3, 4, 5)
    found = run_primitive("pad", x=x, amount=[1, 2, 3, 0], dim=[3, 2], mode=mode)
    torch.testing.assert_close(found, functional.pad(x, [1, 2, 3, 0], mode=mode))
    torch.testing.assert_close(run_primitive("pad", x=x, amount=[1, 0], dim=1, value=7.0)[:, 0], torch.full((2, 4, 5), 7.0))


@pytest.mark.parametrize(
    "items", [(0,), (slice(None), -1), (..., None), (None, slice(1, None), ..., slice(0, 4, 3)), (slice(None), slice(-2, None), 0), (slice(0, 0),)]
)
def test_index_is_that_of_torch(run_primitive: Run, items: tuple[Any, ...]) -> None:
    x = torch.randn(3, 4, 5)
    assert torch.equal(run_primitive("index", x=x, items=items), x[items])


def test_extremes_with_numbers_and_gradient(run_primitive: Run) -> None:
    x = torch.randn(5)
    assert torch.equal(run_primitive("maximum", a=x, b=0), x.clamp(min=0))
    assert torch.equal(run_primitive("minimum", a=0.5, b=x), x.clamp(max=0.5))
    assert torch.equal(run_primitive("where", condition=x > 0, a=x, b=0), x.relu())
    whole = torch.arange(-4, 5)
    assert torch.equal(run_primitive("remainder", a=whole, b=3), whole % 3)
    assert torch.equal(run_primitive("floor_divide", a=whole, b=2), torch.div(whole, 2, rounding_mode="floor"))


def test_one_hot_is_float_unless_told(run_primitive: Run) -> None:
    found = run_primitive("one_hot", index=torch.tensor([2, 0]), classes=3)
    assert found.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert found.dtype is torch.float32


@pytest.mark.parametrize(("length", "multiple", "wanted"), [(5, 4, 8), (8, 4, 8), (1, 1, 1), (2, 7, 7)])
def test_pad_to_multiple_adds_no_more_than_it_must(run_primitive: Run, length: int, multiple: int, wanted: int) -> None:
    x = torch.randn(2, length, 3)
    found = run_primitive("pad_to_multiple", x=x, multiple=multiple, dim=1, value=-1.0)
    assert torch.equal(found, functional.pad(x, [0, 0, 0, wanted - length], value=-1.0))


@pytest.mark.parametrize(("name", "of"), [("segment_mean", Tensor.mean), ("segment_max", Tensor.amax), ("segment_min", Tensor.amin)])
def test_segments_are_reduced_one_by_one(run_primitive: Run, name: str, of: Callable[..., Tensor]) -> None:
    x, segment = torch.randn(6, 2) - 3, torch.tensor([0, 3, 3, 1, 0, 3])
    found = run_primitive(name, x=x, segment=segment, count=4)
    wanted = torch.stack([of(x[segment == s], dim=0) if (segment == s).any() else torch.zeros(2) for s in range(4)])
    torch.testing.assert_close(found, wanted)


def test_kth_is_a_place_of_the_sorted(run_primitive: Run) -> None:
    x = torch.randn(3, 5)
    for k in range(1, 6):
        assert torch.equal(run_primitive("kth", x=x, k=k), x.sort(descending=True).values[:, k - 1])
        assert torch.equal(run_primitive("kth", x=x, k=k, largest=False), x.kthvalue(k).values)


def test_distances_are_norms_of_differences(run_primitive: Run) -> None:
    a, b = torch.randn(2, 30, 3), torch.randn(27, 3)
    for p in (1.0, 2.0, 3.0):
        torch.testing.assert_close(run_primitive("cdist", a=a, b=b, p=p), (a[:, :, None] - b).norm(p, dim=-1))
    assert run_primitive("cdist", a=a, b=a.clone()).diagonal(dim1=1, dim2=2).abs().max() == 0


def test_scatter_writes_at_positions(run_primitive: Run) -> None:
    x, index = torch.zeros(2, 4), torch.tensor([[3, 1], [0, 2]])
    found = run_primitive("scatter", x=x, index=index, value=torch.tensor([[5.0, 6.0], [7.0, 8.0]]), dim=1)
    assert found.tolist() == [[0, 6, 0, 5], [7, 0, 8, 0]]


@pytest.mark.parametrize("lengths", [None, [4, 1, 3]], ids=["whole", "padded"])
def test_chains_are_sums_and_maxima_over_all_paths(run_primitive: Run, lengths: list[int] | None) -> None:
    rows, places, tags = 3, 4, 3
    scores, move, first, last = (torch.randn(*shape).double() for shape in ((rows, places, tags), (tags, tags), (tags,), (tags,)))
    chain = {"scores": scores, "move": move, "first": first, "last": last}
    if lengths is not None:
        chain["mask"] = torch.arange(places) < torch.tensor(lengths)[:, None]
    total = run_primitive("chain_logsumexp", **chain, float_dtype=torch.float64)
    best = run_primitive("viterbi", **chain, float_dtype=torch.float64)
    for row, length in enumerate(lengths or [places] * rows):

        def score(path: tuple[int, ...], row: int = row) -> Tensor:
            steps = sum((scores[row, s, t] for s, t in enumerate(path)), first[path[0]] + last[path[-1]])
            return steps + sum((move[a, b] for a, b in itertools.pairwise(path)), torch.zeros(()))

        paths = list(itertools.product(range(tags), repeat=length))
        every = torch.stack([score(path) for path in paths])
        torch.testing.assert_close(total[row], every.logsumexp(0))
        assert best[row].tolist() == [*paths[int(every.argmax())], *[0] * (places - length)]

"""The blocks of a transformer, and what all of them share in one forward pass.

Shape suffixes: B batch, T columns, Q query columns, H heads, D head dim, C width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arithtf.attention import Positions, attention, attention_step, reference
from arithtf.attention.call import checked
from arithtf.attention.triton import IMPLEMENTATIONS, step_obstacle
from arithtf.encodings import Encoding
from arithtf.model.cache import Cache
from arithtf.model.config import GATED, ModelConfig
from arithtf.model.trace import Trace

NORM_EPS = 1e-6
LAYER_NORM_EPS = 1e-5  # GPT-2's

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu_,
    "gelu": F.gelu,
    "gelu-tanh": partial(F.gelu, approximate="tanh"),
    "geglu": F.gelu,
    "swiglu": F.silu,
}


class ByToken(NamedTuple):
    """A stream that is still a function of the token alone: tokens [B, T], a table [V, C].

    Then queries, keys and values are so too: computed once per vocabulary entry and looked up,
    which replaces three products over all columns by three over V rows.
    """

    tokens: Tensor
    table: Tensor

    def columns(self, part: slice) -> Tensor:
        """The stream [B, T, C] of some columns."""
        return F.embedding(self.tokens[:, part], self.table)


@dataclass
class Pass:
    """What all blocks share in one forward pass.

    Args:
        query_ids, key_ids: int32 [B or 1, L, T], of all columns.
        begin: the first column whose tokens are given; earlier ones are in the cache.
        impl: implementation of attention.
        cache, trace: as in `Transformer.forward`.
        dropout: share of entries that `drop` drops.
        generator: what it draws them from; None: nothing is dropped.
    """

    query_ids: Tensor
    key_ids: Tensor
    begin: int = 0
    impl: str = "auto"
    cache: Cache | None = None
    trace: Trace | None = None
    dropout: float = 0.0
    generator: torch.Generator | None = None

    def hook(self, prefix: str, name: str, x: Tensor) -> Tensor:
        """The tensor that the pass goes on with, which a trace may read and replace."""
        return x if self.trace is None else self.trace(prefix + name, x)

    def drop(self, x: Tensor) -> Tensor:
        """The tensor with dropout (in training)."""
        if self.generator is None:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.dropout, generator=self.generator)
        return x * kept.div_(1 - self.dropout)


def norm(config: ModelConfig) -> nn.RMSNorm | nn.LayerNorm:
    """The layer before each block and the unembedding."""
    if config.norm == "rms":
        return nn.RMSNorm(config.width, eps=NORM_EPS)
    return nn.LayerNorm(config.width, eps=LAYER_NORM_EPS, bias=config.bias)


class Attention(nn.Module):
    """One attention block: norm, projections, `arithtf.attention`, output projection.

    Args:
        config: sizes.
        encoding: how ids act in this block.
        layer: its number in names of a trace.
        closes: no MLP belongs to its layer.
    """

    def __init__(
        self, config: ModelConfig, encoding: Encoding, layer: int = 0, closes: bool = True
    ) -> None:
        super().__init__()
        width, heads, self.head_dim = config.width, config.heads, config.head_dim
        self.encoding, self.causal, self.heads = encoding, config.causal, heads
        self.prefix, self.closes = f"blocks.{layer}.", closes
        narrow = (config.key_heads or heads) * self.head_dim
        self.norm = norm(config)
        self.query = nn.Linear(width, width, bias=config.bias)
        self.key = nn.Linear(width, narrow, bias=config.bias)
        self.value = nn.Linear(width, narrow, bias=config.bias)
        self.out = nn.Linear(width, width, bias=config.bias)
        self.mechanism = encoding.build(heads, self.head_dim)

    @property
    def hook_names(self) -> list[str]:
        """Names of a trace, in order."""
        inner = [f"attn.hook_{name}" for name in ("q", "k", "v", "attn_scores", "pattern", "z")]
        after = "hook_resid_post" if self.closes else "hook_resid_mid"
        names = ("hook_resid_pre", "ln1.hook_normalized", *inner, "hook_attn_out", after)
        return [self.prefix + name for name in names]

    def forward(self, stream: Tensor | ByToken, run: Pass, first: int, end: int) -> Tensor:
        """The stream after the block, of the columns first .. end-1.

        Args:
            stream: [B, T, C] from column run.begin on, or what it is a function of.
            run: the pass.
            first, end: the query columns.

        Returns:
            [B, end - first, C].
        """
        hook, part = partial(run.hook, self.prefix), slice(first - run.begin, end - run.begin)
        if isinstance(stream, ByToken):
            n_VC = self.norm(stream.table)
            query = F.embedding(stream.tokens[:, part], self.query(n_VC))
            key = F.embedding(stream.tokens, self.key(n_VC))
            value = F.embedding(stream.tokens, self.value(n_VC))
        else:
            stream = hook("hook_resid_pre", stream)
            n_BTC = hook("ln1.hook_normalized", self.norm(stream))
            query = self.query(n_BTC[:, part])
            key, value = self.key(n_BTC), self.value(n_BTC)
        query_BQHD, key_BTHD, value_BTHD = (
            hook(f"attn.hook_{name}", x.unflatten(-1, (-1, self.head_dim)))
            for name, x in (("q", query), ("k", key), ("v", value))
        )
        mixed_BHQD = self._mix(query_BQHD, key_BTHD, value_BTHD, run, first)
        z_BQHD = hook("attn.hook_z", mixed_BHQD.transpose(1, 2))
        added = hook("hook_attn_out", run.drop(self.out(z_BQHD.flatten(2))))
        before = stream.columns(part) if isinstance(stream, ByToken) else stream[:, part]
        return hook("hook_resid_post" if self.closes else "hook_resid_mid", before + added)

    def _mix(self, query: Tensor, key: Tensor, value: Tensor, run: Pass, first: int) -> Tensor:
        """Values [B, H, Q, D] mixed for queries [B, Q, H, D] of the columns from `first` on."""
        mechanism, scale, touch = self.mechanism(), self.mechanism.scale(), self._touch(run)
        query_ids = run.query_ids[..., first : first + query.shape[1]]
        end, by_head = run.begin + key.shape[1], self._by_head
        key_ids = run.key_ids[..., :end]
        if run.cache is not None:
            step = key.shape[1] == 1 and touch is None
            keys, values = run.cache.extend(self, key, value, run.key_ids.shape[-1])
            if step and self._steps_fused(by_head(query), run.impl):
                positions = self.positions(query_ids, run.key_ids)
                order = run.cache.order(self.encoding, positions)
                column = torch.tensor([first], dtype=torch.int32, device=query.device)
                given = (by_head(query), by_head(keys), by_head(values), positions, order, column)
                return attention_step(*given, mechanism=mechanism, scale=scale, impl=run.impl)
            if step and self.encoding.finite:
                reach = run.cache.reach(self.encoding, run.query_ids, run.key_ids, len(query))
                seen, key_ids = reach.columns(first)
                index = seen[..., None, None].expand(-1, -1, *key.shape[2:])
                key, value = keys.gather(1, index), values.gather(1, index)
                first = seen.shape[1] - 1
            else:
                key, value = keys[:, :end], values[:, :end]
        positions = self.positions(query_ids, key_ids, first)
        tensors = (by_head(query), by_head(key), by_head(value), positions)
        if touch is None:
            return attention(*tensors, mechanism=mechanism, scale=scale, impl=run.impl)
        call = checked(*tensors, mechanism=mechanism, scale=scale)
        return reference.attention(call, touch=touch)

    def _touch(self, run: Pass) -> reference.Touch | None:
        """What is done to scores and weights, if anything is."""
        names = {name: f"{self.prefix}attn.hook_{name}" for name in ("attn_scores", "pattern")}
        traced = run.trace is not None and any(run.trace.wants(name) for name in names.values())
        if not traced and run.generator is None:
            return None
        if run.impl not in ("auto", "reference"):
            raise ValueError(
                "expected impl 'auto' or 'reference' where attention weights are traced or "
                f"dropped, for these are the reference's alone, got {run.impl!r}"
            )

        def touch(name: str, x: Tensor) -> Tensor:
            x = run.hook("", names[name], x)
            return run.drop(x) if name == "pattern" else x

        return touch

    def _steps_fused(self, query: Tensor, impl: str) -> bool:
        """Whether the kernel for steps is to be used: asked for, or what "auto" takes."""
        wanted = impl in IMPLEMENTATIONS or (impl == "auto" and query.device.type == "cuda")
        return wanted and step_obstacle(query, self.mechanism()) is None

    def positions(self, query_ids: Tensor, key_ids: Tensor, first: int = 0) -> Positions:
        """Who sees whom in this block, for queries of the columns from `first` on.

        Args:
            query_ids, key_ids: int32 [B or 1, L, Q] and [B or 1, L, T].
            first: column of the first query.
        """
        return Positions(
            query_ids,
            key_ids,
            windows=self.encoding.windows,
            head_levels=self.encoding.levels_of_heads(self.heads),
            sinks=self.encoding.sinks,
            causal=self.causal,
            query_start=first,
        )

    def _by_head(self, x_BTHD: Tensor) -> Tensor:
        """[B, T, H', D] -> [B, H, T, D], a head of keys once for each head of queries."""
        x_BHTD = x_BTHD.transpose(1, 2)
        times = self.heads // x_BHTD.shape[1]
        return x_BHTD if times == 1 else x_BHTD.repeat_interleave(times, 1)


class MLP(nn.Module):
    """One position-wise block: norm, a layer with an activation, projection back.

    ReLU by default and not a smoother function: its rounding error is zero, which keeps the error
    bound of a certificate small and free of assumptions about a math library.

    Args:
        config: sizes and activation.
        layer: its number in names of a trace.
        opens: no attention belongs to its layer.
    """

    def __init__(self, config: ModelConfig, layer: int = 0, opens: bool = True) -> None:
        super().__init__()
        self.prefix, self.opens = f"blocks.{layer}.", opens
        self.activation = ACTIVATIONS[config.activation]
        self.norm = norm(config)
        self.up = nn.Linear(config.width, config.hidden, bias=config.bias)
        gated = config.activation in GATED
        self.gate = nn.Linear(config.width, config.hidden, bias=config.bias) if gated else None
        self.down = nn.Linear(config.hidden, config.width, bias=config.bias)

    @property
    def hook_names(self) -> list[str]:
        """Names of a trace, in order."""
        linear = [] if self.gate is None else ["mlp.hook_pre_linear"]
        names = ["ln2.hook_normalized", "mlp.hook_pre", *linear, "mlp.hook_post"]
        names = [*(["hook_resid_pre"] if self.opens else []), *names]
        return [self.prefix + name for name in (*names, "hook_mlp_out", "hook_resid_post")]

    def forward(self, stream: Tensor | ByToken, run: Pass) -> Tensor:
        """The stream [B, T, C] after the block."""
        hook = partial(run.hook, self.prefix)
        x_BTC = stream.columns(slice(None)) if isinstance(stream, ByToken) else stream
        if self.opens:
            x_BTC = hook("hook_resid_pre", x_BTC)
        n_BTC = hook("ln2.hook_normalized", self.norm(x_BTC))
        pre = hook("mlp.hook_pre", (self.gate or self.up)(n_BTC))
        # ReLU works in place, on what a trace may have kept.
        post = self.activation(pre if run.trace is None else pre.clone())
        if self.gate is not None:
            post = post * hook("mlp.hook_pre_linear", self.up(n_BTC))
        added = run.drop(self.down(hook("mlp.hook_post", post)))
        return hook("hook_resid_post", x_BTC + hook("hook_mlp_out", added))

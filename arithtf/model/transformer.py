"""The transformer, from top to bottom.

A pre-norm decoder whose blocks are listed one by one, so that one windowed attention layer with
several position-wise layers (the shape a certificate needs) is as easy to write as the usual
alternation. Positions enter through the ids alone (see `arithtf.encodings`).

Shape suffixes: B batch, T columns, Q query columns, L levels, H heads, D head dim, C width,
V vocabulary.

Initialisation, from the seed's generator, in the order of `named_parameters`:

| parameter | values |
|---|---|
| token embedding [V, C] | normal, standard deviation 1 |
| every linear weight [out, in] | normal, standard deviation in^-1/2 |
| norm gains | 1 |
| encoding parameters | as the encoding's source says (`arithtf.encodings`) |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arithtf.attention import KeyOrder, Positions, attention, attention_step
from arithtf.encodings import Encoding
from arithtf.model.base import Model
from arithtf.origin import Registry

Block = Literal["attention", "mlp"]
NORM_EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of a transformer.

    Args:
        vocabulary: number of tokens V.
        levels: number of id systems L the task's coupling hands out.
        width: residual width C; a multiple of `heads`.
        heads: attention heads H.
        hidden: width of the ReLU layer inside an MLP block.
        blocks: "attention" and "mlp" blocks in order.
        encoding: how ids act in attention.

    Raises:
        ValueError: sizes that do not fit each other.
    """

    vocabulary: int
    levels: int = 1
    width: int = 64
    heads: int = 4
    hidden: int = 256
    blocks: tuple[Block, ...] = ("attention", "mlp")
    encoding: Encoding = field(default_factory=Encoding)

    registry: ClassVar[Registry[type[ModelConfig]]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        for name in ("vocabulary", "levels", "width", "heads", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads, got width={self.width}, heads={self.heads}"
            )
        unknown = set(self.blocks) - {"attention", "mlp"}
        if unknown or "attention" not in self.blocks:
            raise ValueError(
                "blocks must be 'attention' and 'mlp' with at least one 'attention', "
                f"got {self.blocks}"
            )
        if len(self.encoding.windows) != self.levels:
            raise ValueError(
                f"the encoding needs one window per level: {self.levels} levels, "
                f"{len(self.encoding.windows)} windows; give windows=(...) of that length"
            )

    @property
    def windowed(self) -> bool:
        """A prediction depends on the keys in the query's windows and nothing else.

        So with one attention block, windows on every level and all other blocks position-wise. Of
        other people's models nothing is known.
        """
        own = type(self) is ModelConfig
        return own and self.blocks.count("attention") == 1 and self.encoding.finite

    def build(self, *, seed: int = 0) -> Model:
        """The model with its initial weights.

        Args:
            seed: of the weights; the global generator is left alone.
        """
        return Transformer(self, seed=seed)


ModelConfig.registry = Registry(
    "model",
    "a subclass of ModelConfig",
    lambda v: isinstance(v, type) and issubclass(v, ModelConfig),
)
ModelConfig.registry.add("transformer", ModelConfig)


class Attention(nn.Module):
    """One attention block: norm, projections, `arithtf.attention`, output projection."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.encoding = config.encoding
        self.norm = nn.RMSNorm(width, eps=NORM_EPS)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mechanism = config.encoding.build(config.heads, width // config.heads)

    def forward(
        self,
        source: Tensor | tuple[Tensor, Tensor],
        query_ids: Tensor,
        key_ids: Tensor,
        first: int,
        end: int,
        impl: str = "auto",
    ) -> Tensor:
        """Attention output for query columns first .. end-1.

        Args:
            source: the residual stream [B, T, C]; or tokens [B, T] with the table [V, C] of which
                the stream still holds one row per token. Then queries, keys and values are
                functions of the token alone: computed once per vocabulary entry and looked up,
                which replaces three products over all columns by three over V rows.
            query_ids, key_ids: int32 [B or 1, L, T].
            first, end: the query columns.
            impl: see `arithtf.attention`.

        Returns:
            [B, end - first, C].
        """
        if isinstance(source, tuple):
            tokens_BT, table_VC = source
            n_VC = self.norm(table_VC)
            query = F.embedding(tokens_BT[:, first:end], self.query(n_VC))
            key = F.embedding(tokens_BT, self.key(n_VC))
            value = F.embedding(tokens_BT, self.value(n_VC))
        else:
            n_BTC = self.norm(source)
            query = self.query(n_BTC[:, first:end])
            key, value = self.key(n_BTC), self.value(n_BTC)
        return self.attend(query, key, value, query_ids[..., first:end], key_ids, first, impl)

    def attend(
        self,
        query_BQC: Tensor,
        key_BTC: Tensor,
        value_BTC: Tensor,
        query_ids: Tensor,
        key_ids: Tensor,
        first: int,
        impl: str = "auto",
    ) -> Tensor:
        """The block's attention over projected columns, which a decoder may have cached.

        Args:
            query_BQC: projected queries of the columns first .. first + Q - 1.
            key_BTC, value_BTC: projected keys and values.
            query_ids, key_ids: int32 [B or 1, L, Q] and [B or 1, L, T].
            first: column of the first query among the keys.
            impl: see `arithtf.attention`.

        Returns:
            [B, Q, C].
        """
        mixed_BHQD = attention(
            self._split(query_BQC),
            self._split(key_BTC),
            self._split(value_BTC),
            self.positions(query_ids, key_ids, first),
            mechanism=self.mechanism(),
            scale=self.mechanism.scale(),
            impl=impl,
        )
        return self.out(mixed_BHQD.transpose(1, 2).flatten(2))

    def attend_step(
        self,
        query_B1C: Tensor,
        key_BTC: Tensor,
        value_BTC: Tensor,
        query_ids: Tensor,
        key_ids: Tensor,
        order: KeyOrder,
        column: Tensor,
        impl: str = "auto",
    ) -> Tensor:
        """`attend` for one column whose keys are in a cache that is sorted already.

        Args:
            query_B1C: projected queries of the column.
            key_BTC, value_BTC: the whole cache; columns after this one may hold anything.
            query_ids, key_ids: int32 [B or 1, L, 1] and [B or 1, L, T], the cache's.
            order: of the cache's ids.
            column: int32 [1] on the device.
            impl: see `arithtf.attention.attention_step`.

        Returns:
            [B, 1, C].
        """
        mixed_BHQD = attention_step(
            self._split(query_B1C),
            self._split(key_BTC),
            self._split(value_BTC),
            self.positions(query_ids, key_ids),
            order,
            column,
            mechanism=self.mechanism(),
            scale=self.mechanism.scale(),
            impl=impl,
        )
        return self.out(mixed_BHQD.transpose(1, 2).flatten(2))

    def positions(self, query_ids: Tensor, key_ids: Tensor, first: int = 0) -> Positions:
        """Who sees whom in this block, for queries of the columns from `first` on.

        Args:
            query_ids, key_ids: int32 [B or 1, L, Q] and [B or 1, L, T].
        """
        return Positions(
            query_ids,
            key_ids,
            windows=self.encoding.windows,
            head_levels=self.encoding.levels_of_heads(self.heads),
            sinks=self.encoding.sinks,
            query_start=first,
        )

    def _split(self, x_BTC: Tensor) -> Tensor:
        return x_BTC.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class MLP(nn.Module):
    """One position-wise block: norm, ReLU layer, projection back.

    ReLU and not a smoother function: its rounding error is zero, which keeps the error bound of a
    certificate small and free of assumptions about a math library.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.width, eps=NORM_EPS)
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C]."""
        return self.down(F.relu_(self.up(self.norm(x_BTC))))


class Transformer(Model):
    """A decoder over tokens and ids.

    Args:
        config: sizes and encoding.
        seed: seed of the initial weights; the global generator is left alone.
    """

    def __init__(self, config: ModelConfig, *, seed: int = 0) -> None:
        super().__init__(config)
        with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws from it
            self._build(config)
        self._initialise(seed)

    def _build(self, config: ModelConfig) -> None:
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        spec = config.encoding.embedding
        read = config.levels if spec is None or spec.levels is None else len(spec.levels)
        self.positions = None if spec is None else spec.build(read, config.width)
        self.blocks = nn.ModuleList(
            Attention(config) if block == "attention" else MLP(config) for block in config.blocks
        )
        self.norm = nn.RMSNorm(config.width, eps=NORM_EPS)
        self.unembedding = nn.Linear(config.width, config.vocabulary, bias=False)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.embedding.weight, std=1.0, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=generator)
        for module in self.modules():
            initialise = getattr(module, "initialise", None)
            if callable(initialise):
                initialise(generator)

    def forward(
        self,
        tokens_BT: Tensor,
        query_ids_BLT: Tensor,
        key_ids_BLT: Tensor,
        *,
        start: int = 0,
        stop: int | None = None,
        impl: str = "auto",
    ) -> Tensor:
        """Next-token logits of columns start .. stop-1.

        Args:
            tokens_BT: integer tokens [B, T].
            query_ids_BLT: int32 [B or 1, L, T], ids of what the next token needs.
            key_ids_BLT: int32 [B or 1, L, T], ids of what each token is.
            start: first column whose next token is wanted. Earlier columns serve as keys only,
                so the last attention block and all after it skip them.
            stop: one past the last such column; T if None.
            impl: implementation of attention, see `arithtf.attention`.

        Returns:
            Logits [B, stop - start, V].
        """
        columns = tokens_BT.shape[1]
        stop = columns if stop is None else stop
        tokens_BT = tokens_BT.int()
        last = max(i for i, kind in enumerate(self.config.blocks) if kind == "attention")
        # None stands for "still a function of the token alone", see Attention.forward.
        x: Tensor | None = None
        if self.positions is not None:
            read = self.config.encoding.embedded(key_ids_BLT)
            x = self.embedding(tokens_BT) + self.positions(read)
        for i, block in enumerate(self.blocks):
            if isinstance(block, Attention):
                first, end = (start, stop) if i == last else (0, columns)
                source = (tokens_BT, self.embedding.weight) if x is None else x
                mixed = block(source, query_ids_BLT, key_ids_BLT, first, end, impl)
                before = self.embedding(tokens_BT[:, first:end]) if x is None else x[:, first:end]
                x = before + mixed
            else:
                x = self.embedding(tokens_BT) if x is None else x
                x = x + block(x)
        return self.unembedding(self.norm(x))

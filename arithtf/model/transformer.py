"""The transformer, from top to bottom.

A pre-norm decoder whose blocks are listed one by one, so that one windowed attention layer with
several position-wise layers (the shape a certificate needs) is as easy to write as the usual
alternation. Positions enter through the ids alone (see `arithtf.encodings`).

Shape suffixes: B batch, T columns, F factors of a token, L levels, C width, V vocabulary.

Initialisation, from the seed's generator, in the order of `named_parameters`:

| parameter | init="fan-in" | init="gpt2" |
|---|---|---|
| token embedding [V, C] | normal, standard deviation 1 | 0.02 |
| linear weight [out, in] | normal, standard deviation in^-1/2 | 0.02 |
| the last one of a block | the same | 0.02 / sqrt(number of blocks) |
| gains; biases | 1; 0 | 1; 0 |
| position embedding | as its source says | 0.02 times that |
| tensors of mechanisms | as their source says | the same |
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arithtf.model.base import Model
from arithtf.model.blocks import MLP, Attention, ByToken, Pass, norm
from arithtf.model.cache import Cache
from arithtf.model.config import ModelConfig
from arithtf.model.trace import Trace

__all__ = ["MLP", "Attention", "Transformer"]

GPT2_STD = 0.02


class Transformer(Model):
    """A decoder over tokens and ids.

    Args:
        config: sizes and encoding.
        seed: seed of the initial weights and of dropout; the global generator is left alone.
    """

    offsets: Tensor

    def __init__(self, config: ModelConfig, *, seed: int = 0) -> None:
        super().__init__(config)
        self.seed = seed
        self._step: int | None = None
        with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws from it
            self._build(config)
        self._initialise(seed)

    def _build(self, config: ModelConfig) -> None:
        # Of tokens with factors each factor has its own rows, one below the other.
        rows = sum(config.factors)
        self.embedding = nn.Embedding(rows, config.width)
        offsets = torch.tensor([0, *config.factors[:-1]]).cumsum(0).int()
        self.register_buffer("offsets", offsets, persistent=False)
        spec = config.encoding.embedding
        read = config.levels if spec is None or spec.levels is None else len(spec.levels)
        self.positions = None if spec is None else spec.build(read, config.width)
        self.blocks = nn.ModuleList(_blocks(config))
        self.norm = norm(config)
        self.unembedding = None if config.tied else nn.Linear(config.width, rows, bias=False)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        small = GPT2_STD if self.config.init == "gpt2" else None
        nn.init.normal_(self.embedding.weight, std=small or 1.0, generator=generator)
        last = [block.out if isinstance(block, Attention) else block.down for block in self.blocks]
        for module in self.modules():
            if isinstance(module, nn.Linear):
                std = small or module.in_features**-0.5
                if small and module in last:
                    std /= len(last) ** 0.5
                nn.init.normal_(module.weight, std=std, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            initialise = getattr(module, "initialise", None)
            if callable(initialise):
                initialise(generator)
        if small and self.positions is not None:
            for parameter in self.positions.parameters():
                parameter.mul_(small)

    def forward(
        self,
        tokens: Tensor,
        query_ids: Tensor,
        key_ids: Tensor,
        *,
        start: int = 0,
        stop: int | None = None,
        impl: str = "auto",
        cache: Cache | None = None,
        trace: Trace | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        """Logits of columns start .. stop-1: of their next token, or of what a task asks there.

        Args:
            tokens, query_ids, key_ids, stop, impl: as `Model.forward`.
            start: first column that is asked. Earlier columns serve as keys only, so the last
                attention block and all after it skip them.
            cache: what is kept of columns read before. Tokens are those of the columns after them,
                ids those of all, of columns to come as well.
            trace: what to read and replace on the way.

        Returns:
            [B, stop - start, V]; a tuple of such tensors where tokens have factors.

        Raises:
            ValueError: a cache of a model that sees later columns; names that no tensor has;
                training with dropout without `train_step`.
        """
        run = self._pass(query_ids, key_ids, impl, cache, trace)
        begin, end = run.begin, run.begin + tokens.shape[1]
        start, stop = max(start, begin), end if stop is None else stop
        last = max(i for i, kind in enumerate(self.config.blocks) if kind == "attention")
        stream = self._embed(tokens.int(), run)
        for i, block in enumerate(self.blocks):
            if isinstance(block, Attention):
                first, over = (start, stop) if i == last else (begin, end)
                stream = block(stream, run, first, over)
            else:
                stream = block(stream, run)
        if cache is not None:
            cache.length = end
        normed = run.hook("ln_final.", "hook_normalized", self.norm(stream))
        output = self.unembedding
        logits = F.linear(normed, self.readout) if output is None else output(normed)
        whole = isinstance(self.config.vocabulary, int)
        return logits if whole else logits.split(self.config.factors, -1)

    def _pass(
        self,
        query_ids: Tensor,
        key_ids: Tensor,
        impl: str,
        cache: Cache | None,
        trace: Trace | None,
    ) -> Pass:
        """What the blocks share, checked."""
        if cache is not None and not self.config.causal:
            raise ValueError(
                "expected no cache: the model is not causal, so what it makes of a column changes "
                "with each column after it"
            )
        if trace is not None:
            trace.begin(self.hook_names)
        dropout = self.config.dropout if self.training else 0.0
        generator = None
        if dropout:
            if self._step is None:
                raise ValueError(
                    "dropout is addressed by the step: call model.train_step(step) before a "
                    "training step's forward passes, or model.eval() where nothing is trained"
                )
            seed = np.random.SeedSequence([self.seed, self._step]).generate_state(1, np.uint64)
            generator = torch.Generator(self.device).manual_seed(int(seed[0]))
        begin = 0 if cache is None else cache.length
        return Pass(query_ids, key_ids, begin, impl, cache, trace, dropout, generator)

    def _embed(self, tokens: Tensor, run: Pass) -> Tensor | ByToken:
        """The stream before the first block."""
        ids = self.positions is not None
        untouched = run.trace is None and run.generator is None and not ids
        table = self.embedding.weight
        if untouched and tokens.dim() == 2 and tokens.numel() >= len(table):
            return ByToken(tokens, table)
        x_BTC = self.embedding(tokens if tokens.dim() == 2 else tokens + self.offsets)
        x_BTC = run.hook("", "hook_embed", x_BTC if tokens.dim() == 2 else x_BTC.sum(2))
        if self.positions is not None:
            read = self.config.encoding.embedded(run.key_ids)
            added = self.positions(read[..., run.begin : run.begin + tokens.shape[1]])
            x_BTC = x_BTC + run.hook("", "hook_pos_embed", added)
        return run.drop(x_BTC)

    def train_step(self, step: int) -> None:
        """Called before the forward passes of each training step.

        What is random in a step, which is dropout, is addressed by the seed and `step`, so that a
        resumed run goes on with the same bytes.
        """
        self._step = step

    @property
    def hook_names(self) -> list[str]:
        """Names of all that a trace can read and replace, in order."""
        added = [] if self.positions is None else ["hook_pos_embed"]
        names = ["hook_embed", *added]
        for block in self.blocks:
            assert isinstance(block, Attention | MLP)
            names += block.hook_names
        return [*names, "ln_final.hook_normalized"]

    @property
    def readout(self) -> Tensor:
        """The matrix [V, C] that gives logits."""
        return (self.unembedding or self.embedding).weight


def _blocks(config: ModelConfig) -> list[Attention | MLP]:
    """The blocks; an MLP right after attention is of its layer (see `arithtf.model.trace`)."""
    made: list[Attention | MLP] = []
    encodings, layer = iter(config.encodings), -1
    for kind, following in zip(config.blocks, (*config.blocks[1:], None), strict=True):
        joined = kind == "mlp" and bool(made) and isinstance(made[-1], Attention)
        layer += not joined
        if kind == "attention":
            made.append(Attention(config, next(encodings), layer, closes=following != "mlp"))
        else:
            made.append(MLP(config, layer, opens=not joined))
    return made

"""`ModelConfig`: sizes and parts of a transformer, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from arithtf.encodings import Encoding
from arithtf.origin import Registry

if TYPE_CHECKING:
    from arithtf.model.base import Model

Block = Literal["attention", "mlp"]
Norm = Literal["rms", "layer"]
Activation = Literal["relu", "gelu", "gelu-tanh", "geglu", "swiglu"]
Init = Literal["fan-in", "gpt2"]
GATED = ("geglu", "swiglu")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and parts of a transformer.

    The defaults are what a certificate needs: RMSNorm, ReLU, no biases, causal order.

    Args:
        vocabulary: number of tokens V; several numbers where a token has factors: of each factor.
        levels: number of id systems L that the task's coupling hands out.
        width: residual width C; a multiple of `heads`.
        heads: attention heads H.
        hidden: width of the layer inside an MLP block.
        blocks: "attention" and "mlp" blocks in order.
        encoding: how ids act.
        block_encodings: one per attention block, where they differ; `encoding` then gives the
            embedding alone. Empty: `encoding` for all.
        key_heads: heads of keys and values, each read by heads / key_heads queries (grouped-query
            attention, arXiv 2305.13245); None: as many as heads.
        causal: a query sees no later column. Otherwise order hides nothing, windows still do.
        norm: "rms" (arXiv 1910.07467) or "layer" (1607.06450), before each block and at the end.
        activation: of MLP blocks; "gelu-tanh" is GPT-2's, "gelu" exact. "geglu" and "swiglu"
            multiply a second projection in (2002.05202).
        bias: linear layers and layer norms add a vector.
        dropout: share of entries set to 0 in training: of embeddings, attention weights and what
            a block adds to the stream (as in GPT-2).
        tied: the embedding is the unembedding too.
        init: how weights start, see `arithtf.model.transformer`.

    Raises:
        ValueError: sizes that do not fit each other.
    """

    registry: ClassVar[Registry[Any]] = Registry(
        "model",
        "a subclass of ModelConfig",
        lambda found: isinstance(found, type) and issubclass(found, ModelConfig),
    )

    vocabulary: int | tuple[int, ...]
    levels: int = 1
    width: int = 64
    heads: int = 4
    hidden: int = 256
    blocks: tuple[Block, ...] = ("attention", "mlp")
    encoding: Encoding = field(default_factory=Encoding)
    block_encodings: tuple[Encoding, ...] = ()
    key_heads: int | None = None
    causal: bool = True
    norm: Norm = "rms"
    activation: Activation = "relu"
    bias: bool = False
    dropout: float = 0.0
    tied: bool = False
    init: Init = "fan-in"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        self._check_sizes()
        for name, kind in (("norm", Norm), ("activation", Activation), ("init", Init)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"expected {name} one of {', '.join(get_args(kind))}, "
                    f"got {getattr(self, name)!r}"
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected 0 <= dropout < 1, got {self.dropout}")
        count = self.blocks.count("attention")
        if self.block_encodings:
            if count < 2 or len(self.block_encodings) != count:
                raise ValueError(
                    f"expected block_encodings for {count} attention blocks, two at least, got "
                    f"{len(self.block_encodings)}; where they do not differ give encoding alone"
                )
            if any(encoding.embedding for encoding in self.block_encodings):
                raise ValueError(
                    "expected no embedding in block_encodings: ids are added to the stream once, "
                    "before the first block; give it in encoding"
                )
        for encoding in (self.encoding, *self.block_encodings):
            if len(encoding.windows) != self.levels:
                raise ValueError(
                    f"the encoding needs one window per level: {self.levels} levels, "
                    f"{len(encoding.windows)} windows; give windows=(...) of that length"
                )

    def _check_sizes(self) -> None:
        sizes = {name: getattr(self, name) for name in ("levels", "width", "heads", "hidden")}
        for name, size in (*sizes.items(), *(("vocabulary", v) for v in self.factors)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads, got width={self.width}, heads={self.heads}"
            )
        if self.key_heads is not None and (self.key_heads < 1 or self.heads % self.key_heads):
            raise ValueError(
                f"heads must be a multiple of key_heads, got heads={self.heads}, "
                f"key_heads={self.key_heads}"
            )
        unknown = set(self.blocks) - set(get_args(Block))
        if unknown or "attention" not in self.blocks:
            raise ValueError(
                "blocks must be 'attention' and 'mlp' with at least one 'attention', "
                f"got {self.blocks}"
            )

    def build(self, *, seed: int = 0) -> Model:
        """The model with its initial weights.

        Args:
            seed: of the weights and of dropout; the global generator is left alone.
        """
        from arithtf.model.transformer import Transformer  # which is built of a config

        return Transformer(self, seed=seed)

    @property
    def windowed(self) -> bool:
        """A prediction depends on the keys in the query's windows and nothing else.

        So with one attention block in causal order, windows on every level and all other blocks
        position-wise. Of other people's models nothing is known.
        """
        known = type(self) is ModelConfig and self.causal
        return known and self.blocks.count("attention") == 1 and self.encoding.finite

    @property
    def local(self) -> bool:
        """A prediction is a function of its local context: windowed, of id differences only."""
        alone = self.windowed and self.encoding.sinks <= 1
        return alone and self.encoding.translation_invariant

    @property
    def factors(self) -> tuple[int, ...]:
        """Size of the vocabulary of each factor of a token; of an ordinary token, one number."""
        return self.vocabulary if isinstance(self.vocabulary, tuple) else (self.vocabulary,)

    @property
    def head_dim(self) -> int:
        """Width D of a head."""
        return self.width // self.heads

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """The encoding of each attention block."""
        return self.block_encodings or (self.encoding,) * self.blocks.count("attention")


ModelConfig.registry.add("transformer", ModelConfig)

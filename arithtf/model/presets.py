"""Sizes of published models, to train them on a task's tokens and a coupling's ids.

| preset | blocks of attention and MLP, heads, width | of |
|---|---|---|
| nano | 3, 3, 48 | minGPT; addition in arXiv 2308.08268 and 2407.17963 |
| micro | 4, 4, 128 | minGPT |
| mini | 6, 6, 192 | minGPT; multiplication in arXiv 2308.08268 |
| gpt2 | 12, 12, 768 | GPT-2 |
| llama_like | 6, 6, 192 | parts of arXiv 2302.13971: RMSNorm, rotary, SwiGLU |
| deberta_like | 6, 6, 192 | parts of arXiv 2006.03654: both directions, disentangled |

Each takes the vocabulary, the number of levels, and any field of `ModelConfig` to set otherwise. So
arXiv 2407.17963, whose models are nanoGPT's, is

    mini(task, width=384, hidden=1536, bias=False, tied=True, activation="gelu", dropout=0.2)
"""

from __future__ import annotations

from functools import partial
from typing import Any

from arithtf.encodings import Disentangled, Encoding, Learned, RoPE
from arithtf.model.config import ModelConfig
from arithtf.tasks import Task

VocabularyLike = Task | int | tuple[int, ...]


def gpt(
    vocabulary: VocabularyLike,
    levels: int = 1,
    *,
    depth: int,
    heads: int,
    width: int,
    max_position: int = 1023,
    **changes: Any,
) -> ModelConfig:
    """GPT-2 as minGPT has it: learned positions, layer norms, biases, dropout of a tenth.

    Args:
        vocabulary: a task, or the number of its tokens.
        levels: id systems of the coupling.
        depth: blocks of attention, and of MLPs.
        heads, width: see `ModelConfig`.
        max_position: the largest id.
        changes: other fields.
    """
    encoding = Encoding(embedding=Learned(max_position=max_position), windows=(None,) * levels)
    parts = {
        "encoding": encoding,
        "hidden": 4 * width,
        "norm": "layer",
        "activation": "gelu-tanh",
        "bias": True,
        "dropout": 0.1,
        "init": "gpt2",
    }
    return _stacked(vocabulary, levels, depth, heads=heads, width=width, **parts | changes)


nano = partial(gpt, depth=3, heads=3, width=48)
"""Some 90,000 parameters; see `gpt`."""

micro = partial(gpt, depth=4, heads=4, width=128)
"""Some 800,000 parameters; see `gpt`."""

mini = partial(gpt, depth=6, heads=6, width=192)
"""Some 2.7 million parameters; see `gpt`."""

gpt2 = partial(gpt, depth=12, heads=12, width=768)
"""Some 85 million parameters; see `gpt`."""


def llama_like(
    vocabulary: VocabularyLike,
    levels: int = 1,
    *,
    depth: int = 6,
    heads: int = 6,
    width: int = 192,
    **changes: Any,
) -> ModelConfig:
    """RMSNorm, rotary ids, SwiGLU of 8/3 the width, no biases; `key_heads` groups queries."""
    parts = {
        "encoding": Encoding(mechanism=RoPE(), windows=(None,) * levels),
        "hidden": -(-8 * width // 3 // 16) * 16,
        "activation": "swiglu",
        "init": "gpt2",
    }
    return _stacked(vocabulary, levels, depth, heads=heads, width=width, **parts | changes)


def deberta_like(
    vocabulary: VocabularyLike, levels: int = 1, *, reach: int = 64, **changes: Any
) -> ModelConfig:
    """Every token sees all others, by content and by id difference; layer norms, GELU, biases.

    Norms stand before the blocks, not after them as in DeBERTa, and scores have the scale of
    `Disentangled`.

    Args:
        reach: differences are told apart up to here.
        others: as in `gpt`.
    """
    encoding = Encoding(mechanism=Disentangled(reach=reach), windows=(None,) * levels)
    parts: dict[str, Any] = {"encoding": encoding, "causal": False, "activation": "gelu"}
    return mini(vocabulary, levels, **parts | changes)


def _stacked(vocabulary: VocabularyLike, levels: int, depth: int, **fields: Any) -> ModelConfig:
    if isinstance(vocabulary, Task):
        vocabulary = vocabulary.vocabulary.size
    fields.setdefault("blocks", ("attention", "mlp") * depth)
    return ModelConfig(vocabulary=vocabulary, levels=levels, **fields)

"""Encodings: how position ids act in a model. An encoding is ids x mechanism x window.

A coupling hands out the ids (`arithtf.tasks.Coupling`). An `Encoding` says what they do: vectors
that they add to token embeddings (an embedding), how their differences act on scores (a mechanism),
and which tokens they hide (windows, per level of ids). All three combine.

| encoding in the literature | ids (coupling) | embedding | mechanism | windows |
|---|---|---|---|---|
| NoPE (arXiv 2305.19466) | any | | NoPE | None |
| learned absolute (1705.03122) | index | Learned | NoPE | None |
| sinusoidal absolute (1706.03762) | index | Sinusoidal | NoPE | None |
| randomized positions (2305.16843) | sorted random sample | any | any | None |
| Abacus (2405.17399) | place in its number, one random start a batch | Learned | NoPE | None |
| Abacus with FIRE or RoPE (2405.17399) | Abacus; index | Learned(levels=(0,)) | FIRE, RoPE | None |
| position coupling (2405.20671) | coupled, random start | Learned | NoPE | None |
| multi-level position coupling (2410.15787) | coupled on several levels | Learned | NoPE | None |
| RoPE (2104.09864) | index or coupled | | RoPE | None |
| ALiBi (2108.12409) | index or coupled | | ALiBi | None |
| Kerple (2205.09921) | index or coupled | | KERPLE | None |
| T5 (1910.10683) | index or coupled | | T5 | None |
| FIRE (2310.04418) | index or coupled | | FIRE | None |
| Shaw et al. (1803.02155) | index or coupled | | Shaw | None |
| DeBERTa (2006.03654) | index or coupled | | Disentangled | None |
| Hard-ALiBi (2402.01032), sliding window | index | | ALiBi or NoPE | w |
| coupled window | coupled, several levels | | Table or Shaw | w per level |
| cyclic ids | coupled, modulo a period | any | any | any |
"""

from arithtf.encodings.embeddings import (
    Learned,
    LearnedEmbedding,
    Sinusoidal,
    SinusoidalEmbedding,
)
from arithtf.encodings.encoding import LOGIT_SCALES, Encoding
from arithtf.encodings.mechanisms import (
    FIRE,
    KERPLE,
    T5,
    ALiBi,
    Disentangled,
    MechanismModule,
    NoPE,
    RoPE,
    Shaw,
    Table,
    alibi_slopes,
)
from arithtf.encodings.spec import EmbeddingSpec, MechanismSpec

__all__ = [
    "FIRE",
    "KERPLE",
    "LOGIT_SCALES",
    "T5",
    "ALiBi",
    "Disentangled",
    "EmbeddingSpec",
    "Encoding",
    "Learned",
    "LearnedEmbedding",
    "MechanismModule",
    "MechanismSpec",
    "NoPE",
    "RoPE",
    "Shaw",
    "Sinusoidal",
    "SinusoidalEmbedding",
    "Table",
    "alibi_slopes",
]

"""Encodings: how position ids act in a model. An encoding is ids x mechanism x window.

Tasks hand out the ids (see `arithtf.tasks.Coupling`), an `Encoding` names mechanism and windows,
`build_mechanism` and `build_position_embedding` make the modules that own the parameters.

| encoding in the literature | ids (coupling) | mechanism | windows |
|---|---|---|---|
| NoPE (arXiv 2305.19466) | any | none | None |
| learned absolute (1705.03122) | index | learned | None |
| sinusoidal absolute (1706.03762) | index | sinusoidal | None |
| randomized positions (2305.16843) | sorted random sample | any | None |
| Abacus (2405.17399) | place in its number, one random start a batch | learned | None |
| position coupling (2405.20671) | coupled, random start | learned | None |
| multi-level position coupling (2410.15787) | coupled on several levels | learned | None |
| RoPE (2104.09864) | index | rotary | None |
| coupled RoPE | coupled | rotary | None |
| ALiBi (2108.12409) | index or coupled | alibi, alibi-learned | None |
| Kerple (2205.09921) | index or coupled | kerple-log, kerple-power | None |
| T5 (1910.10683) | index or coupled | t5 | None |
| FIRE (2310.04418) | index or coupled | fire | None |
| Shaw et al. (1803.02155) | index or coupled | shaw | None |
| DeBERTa (2006.03654) | index or coupled | disentangled | None |
| Hard-ALiBi (2402.01032), sliding window | index | alibi or none | w |
| coupled window | coupled, several levels | table or shaw | w per level |
| cyclic ids | coupled, modulo a period | any | any |

Shaw's vectors act on keys only: the authors found those on values to add nothing (section 4.3).
DeBERTa's scores are divided by sqrt(3D) there; here the logit scale is 1/sqrt(D) or learned.
"""

from arithtf.encodings.embeddings import (
    LearnedEmbedding,
    SinusoidalEmbedding,
    build_position_embedding,
)
from arithtf.encodings.modules import MechanismModule, alibi_slopes, build_mechanism
from arithtf.encodings.spec import LOGIT_SCALES, MECHANISMS, Encoding

__all__ = [
    "LOGIT_SCALES",
    "MECHANISMS",
    "Encoding",
    "LearnedEmbedding",
    "MechanismModule",
    "SinusoidalEmbedding",
    "alibi_slopes",
    "build_mechanism",
    "build_position_embedding",
]

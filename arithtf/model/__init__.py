"""The transformer, its sizes, and what one forward pass can keep, read and replace."""

from arithtf.model.base import Model
from arithtf.model.cache import Cache
from arithtf.model.config import ModelConfig
from arithtf.model.local import ContextSet, collect, context_logits, local_inputs
from arithtf.model.trace import Trace
from arithtf.model.transformer import Transformer

__all__ = [
    "Cache",
    "ContextSet",
    "Model",
    "ModelConfig",
    "Trace",
    "Transformer",
    "collect",
    "context_logits",
    "local_inputs",
]

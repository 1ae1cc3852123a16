"""The transformer."""

from arithtf.model.base import Model
from arithtf.model.local import context_logits, local_inputs
from arithtf.model.transformer import ModelConfig, Transformer

__all__ = ["Model", "ModelConfig", "Transformer", "context_logits", "local_inputs"]

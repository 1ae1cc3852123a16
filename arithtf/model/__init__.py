"""The transformer."""

from arithtf.model.transformer import ModelConfig, Transformer

__all__ = ["ModelConfig", "Transformer"]

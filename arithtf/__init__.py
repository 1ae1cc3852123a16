"""arithtf: train small transformers on short arithmetic, prove them exact at every length."""

__version__ = "0.1.0"

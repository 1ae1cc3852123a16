"""Models that leave the house: what runs without arithtf."""

from arithtf.export.integers import IntegerCertificate, export_integers

__all__ = ["IntegerCertificate", "export_integers"]

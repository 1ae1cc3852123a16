"""Triton kernels of arithtf, imported as `arithtf.kernels`.

Importing this package never imports Triton: launchers import it when they are called.
"""

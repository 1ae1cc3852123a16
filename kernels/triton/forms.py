"""The forms of mechanisms that kernels know."""

from enum import IntEnum


class Form(IntEnum):
    """What is added to a score; the numbers are the kernels' KIND.

    A mechanism of `arithtf.attention` says its form by name.
    """

    NONE = 0
    TABLE = 1
    ALIBI = 2
    KERPLE_LOG = 3
    KERPLE_POWER = 4
    FIRE = 5
    # Content terms: numbers per query, per key, or both; they come before the logit factor.
    BY_QUERY = 6
    BY_KEY = 7
    BY_BOTH = 8


BY_NAME = dict(Form.__members__)
SCALARS = (Form.ALIBI, Form.KERPLE_LOG, Form.KERPLE_POWER)
"""Formulas of the distance with one or two numbers a head."""

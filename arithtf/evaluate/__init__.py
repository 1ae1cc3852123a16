"""Evaluation: one-pass verification, greedy decoding, solving text, suites, statistics."""

from arithtf.evaluate.decode import MemoDecoder, greedy
from arithtf.evaluate.local import is_local, is_windowed
from arithtf.evaluate.solve import Answer, Solver
from arithtf.evaluate.statistics import Interval, Spread, clopper_pearson, spread, wilson
from arithtf.evaluate.verify import Verdict, verify, verify_operands

__all__ = [
    "Answer",
    "Interval",
    "MemoDecoder",
    "Solver",
    "Spread",
    "Verdict",
    "clopper_pearson",
    "greedy",
    "is_local",
    "is_windowed",
    "spread",
    "verify",
    "verify_operands",
    "wilson",
]

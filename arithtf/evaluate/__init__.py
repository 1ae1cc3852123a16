"""Evaluation: one-pass verification, greedy decoding, solving text, suites, statistics."""

from arithtf.evaluate.decode import MemoDecoder, greedy
from arithtf.evaluate.loaded import LoadedRun, load
from arithtf.evaluate.local import is_local, is_windowed
from arithtf.evaluate.results import Row, record
from arithtf.evaluate.sample import evaluate
from arithtf.evaluate.solve import Answer, Solver
from arithtf.evaluate.statistics import Interval, clopper_pearson, wilson
from arithtf.evaluate.suites import SUITES, stress
from arithtf.evaluate.verify import Verdict, verify, verify_operands

__all__ = [
    "SUITES",
    "Answer",
    "Interval",
    "LoadedRun",
    "MemoDecoder",
    "Row",
    "Solver",
    "Verdict",
    "clopper_pearson",
    "evaluate",
    "greedy",
    "is_local",
    "is_windowed",
    "load",
    "record",
    "stress",
    "verify",
    "verify_operands",
    "wilson",
]

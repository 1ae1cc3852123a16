"""Tasks: problems with exact answers as tokens, position ids and targets."""

from arithtf.tasks import couplings
from arithtf.tasks.addition import KINDS, Addition
from arithtf.tasks.base import IGNORE, Split, Task
from arithtf.tasks.batch import Batch, Operands
from arithtf.tasks.calculator import Calculator
from arithtf.tasks.coupling import NO_ID, Coupling, Level, Place
from arithtf.tasks.division import Division
from arithtf.tasks.modular import ModularAddition
from arithtf.tasks.multiplication import Multiplication
from arithtf.tasks.numbers import Increment, TimesDigit
from arithtf.tasks.registry import TASKS, task_from_dict
from arithtf.tasks.residues import PlainResidueAddition, ResidueAddition
from arithtf.tasks.running_sum import RunningSum
from arithtf.tasks.show import form_text, show, symbols_text
from arithtf.tasks.signs import Comparison, Subtraction
from arithtf.tasks.strings import Copy, Parity, Reverse
from arithtf.tasks.vocabulary import Vocabulary

__all__ = [
    "IGNORE",
    "KINDS",
    "NO_ID",
    "TASKS",
    "Addition",
    "Batch",
    "Calculator",
    "Comparison",
    "Copy",
    "Coupling",
    "Division",
    "Increment",
    "Level",
    "ModularAddition",
    "Multiplication",
    "Operands",
    "Parity",
    "Place",
    "PlainResidueAddition",
    "ResidueAddition",
    "Reverse",
    "RunningSum",
    "Split",
    "Subtraction",
    "Task",
    "TimesDigit",
    "Vocabulary",
    "couplings",
    "form_text",
    "show",
    "symbols_text",
    "task_from_dict",
]

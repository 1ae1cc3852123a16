"""Tasks: problems with exact answers as tokens and targets; couplings, which give them ids."""

from arithtf.tasks import couplings
from arithtf.tasks.arithmetic.addition import Addition
from arithtf.tasks.arithmetic.calculator import Calculator
from arithtf.tasks.arithmetic.carried_addition import CarriedAddition
from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.comparison import Comparison
from arithtf.tasks.arithmetic.division import Division
from arithtf.tasks.arithmetic.increment import Increment
from arithtf.tasks.arithmetic.modular_addition import ModularAddition
from arithtf.tasks.arithmetic.multiplication import Multiplication
from arithtf.tasks.arithmetic.operands import Operands
from arithtf.tasks.arithmetic.residue_addition import ResidueAddition
from arithtf.tasks.arithmetic.running_sum import RunningSum
from arithtf.tasks.arithmetic.strings import Copy, Parity, Reverse
from arithtf.tasks.arithmetic.subtraction import Subtraction
from arithtf.tasks.arithmetic.task import ALONE, PAIRS, ArithmeticTask, as_arithmetic
from arithtf.tasks.arithmetic.times_digit import TimesDigit
from arithtf.tasks.arithmetic.transducer import ABSENT, Pass, Rule
from arithtf.tasks.arithmetic.view import View
from arithtf.tasks.base import TASKS, Address, Draw, Split, Task
from arithtf.tasks.coupling import NO_ID, Coupling, Level, Place
from arithtf.tasks.instances import IGNORE, Batch, Ids, Instances, Segments
from arithtf.tasks.registry import task_from_dict, task_to_dict
from arithtf.tasks.show import form_text, segments_text, show, symbols_text
from arithtf.tasks.vocabulary import FactoredVocabulary, Vocabulary

__all__ = [
    "ABSENT",
    "ALONE",
    "IGNORE",
    "NO_ID",
    "PAIRS",
    "TASKS",
    "Addition",
    "Address",
    "ArithmeticTask",
    "Batch",
    "Calculator",
    "CarriedAddition",
    "ColumnTask",
    "Comparison",
    "Copy",
    "Coupling",
    "Division",
    "Draw",
    "FactoredVocabulary",
    "Ids",
    "Increment",
    "Instances",
    "Level",
    "ModularAddition",
    "Multiplication",
    "Operands",
    "Parity",
    "Pass",
    "Place",
    "ResidueAddition",
    "Reverse",
    "Rule",
    "RunningSum",
    "Segments",
    "Split",
    "Subtraction",
    "Task",
    "TimesDigit",
    "View",
    "Vocabulary",
    "as_arithmetic",
    "couplings",
    "form_text",
    "segments_text",
    "show",
    "symbols_text",
    "task_from_dict",
    "task_to_dict",
]

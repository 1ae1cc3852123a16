"""Training: loop, objectives, schedules and what a step is fed.

| module | holds |
|---|---|
| loop | `train`: steps, checkpoints, resuming, interruption |
| objectives | what a step makes small, by name |
| schedules | the learning rate of a step, by name |
| data | batches of instances or of local contexts, by address |
| metrics | one line of metrics.jsonl |
"""

from arithtf.callable import make_callable
from arithtf.train.data import Inputs, LocalContexts, batches
from arithtf.train.interrupt import Interrupted, terminable
from arithtf.train.loop import STATE_FORMAT, Loop, TrainingDiverged, train
from arithtf.train.metrics import Metrics
from arithtf.train.objectives import OBJECTIVES
from arithtf.train.schedules import SCHEDULES

__all__ = [
    "OBJECTIVES",
    "SCHEDULES",
    "STATE_FORMAT",
    "Inputs",
    "Interrupted",
    "LocalContexts",
    "Loop",
    "Metrics",
    "TrainingDiverged",
    "batches",
    "terminable",
    "train",
]

make_callable(__name__)

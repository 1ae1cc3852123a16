"""Studies: grids of recipes and seeds as resumable run directories, and boards made of them.

| module | holds |
|---|---|
| study | `Study`, its cells, studies by name |
| builtin | the studies that come with arithtf |
| evaluations | what is measured of a finished run |
| worker | what goes through the cells; any number of them |
| shards | which cells and which GPU are for a process |
| claims | who works on which cell, in a folder that machines share |
| cells | a cell on disk |
| predictions | what is expected, written before anything is trained |
| board, pages | what was measured; as text, Markdown and HTML |
| provenance | by which code |
"""

from arithtf.studies import builtin as builtin
from arithtf.studies.board import Board, Status, board_of, status_of
from arithtf.studies.evaluations import Certify, ExactMatch, Exposure, measured
from arithtf.studies.predictions import predict
from arithtf.studies.shards import Shard
from arithtf.studies.study import STUDIES, Cell, Study, get_study
from arithtf.studies.worker import Outcome, run_study

__all__ = [
    "STUDIES",
    "Board",
    "Cell",
    "Certify",
    "ExactMatch",
    "Exposure",
    "Outcome",
    "Shard",
    "Status",
    "Study",
    "board_of",
    "get_study",
    "measured",
    "predict",
    "run_study",
    "status_of",
]

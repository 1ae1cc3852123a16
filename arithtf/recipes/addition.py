"""Recipes that train addition: by coupled ids with a window, and by the field's encodings.

The encodings show what the window of the main recipe buys: same task, data, model and steps for
all. Sizes and steps are the main recipe's, not the papers', so figures are comparable with each
other and not with those published. A token without an id is seen by no head: in a single attention
block this hides the operator and nothing else.
"""

from __future__ import annotations

from arithtf import encodings
from arithtf.encodings import Encoding, Learned, MechanismSpec, Table
from arithtf.recipes.functions import RecipeFunction, recipe
from arithtf.recipes.recipe import Recipe, build
from arithtf.tasks import Addition, Coupling, couplings

POSITIONS = 256  # ids a learned or randomized encoding can use: sums of about 100 digits
COLUMNS = Encoding(mechanism=Table(reach=1), windows=((1, 0),), sinks=1)
LEARNED = Encoding(embedding=Learned(max_position=POSITIONS), sinks=1)


@recipe(Addition())
def addition(task: Addition) -> Recipe:
    """Addition in the natural format, by coupled ids and a window of two columns.

    The query that writes column j sees the operands' digits of columns j and j-1 and nothing else.
    Its own token is the answer's digit j-1, and from the three follows the carry. The local
    contexts are finitely many, so the trained model can be certified. Larger bases have more.
    """
    columns = couplings.operand_columns(task)
    if task.base == 10:
        return build(task, columns, COLUMNS)
    if task.base < 10:
        return build(task, columns, COLUMNS, steps=500, weight_decay=0.3)
    return build(task, columns, COLUMNS, hidden=512, batch=128, steps=1600, weight_decay=0.3)


@recipe(Addition())
def addition_symmetric(task: Addition) -> Recipe:
    """Addition with the symmetric window |difference| <= 1: the next column is seen as well."""
    encoding = Encoding(mechanism=Table(reach=1), windows=(1,), sinks=1)
    return build(task, couplings.columns(task), encoding)


@recipe(Addition())
def addition_cyclic(task: Addition) -> Recipe:
    """The main window on ids modulo 64: beyond 63 digits, columns 64 apart are confused."""
    return build(task, couplings.cyclic(task, 64), COLUMNS)


@recipe(Addition(reverse_operands=True))
def addition_abacus(task: Addition) -> Recipe:
    """Abacus (arXiv 2405.17399): operands least significant digit first, as the paper has them."""
    return build(task, couplings.abacus(task, 100), LEARNED)


def _dense(mechanism: MechanismSpec) -> Encoding:
    return Encoding(mechanism=mechanism, sinks=1)


def _rows(task: Addition) -> dict[str, tuple[Coupling, Encoding]]:
    index, columns = couplings.index(task), couplings.columns(task)
    coupled = couplings.position_coupling(task, POSITIONS, longest=10)
    return {
        "nope": (index, _dense(encodings.NoPE())),
        "learned": (index, LEARNED),
        "sinusoidal": (index, Encoding(embedding=encodings.Sinusoidal(), sinks=1)),
        "randomized": (couplings.randomized(task, POSITIONS), LEARNED),
        "position-coupling": (coupled, LEARNED),
        "rotary": (index, _dense(encodings.RoPE())),
        "coupled-rotary": (coupled, _dense(encodings.RoPE())),
        "alibi": (index, _dense(encodings.ALiBi())),
        "kerple": (index, _dense(encodings.KERPLE())),
        "t5": (index, _dense(encodings.T5())),
        "fire": (index, _dense(encodings.FIRE())),
        "shaw": (index, _dense(encodings.Shaw())),
        "disentangled": (index, _dense(encodings.Disentangled())),
        "coupled-bias": (columns, _dense(Table())),
        "sliding-window": (index, Encoding(mechanism=Table(), windows=(16,), sinks=1)),
    }


def _by(row: str) -> RecipeFunction[Addition]:
    def function(task: Addition) -> Recipe:
        return build(task, *_rows(task)[row])

    return RecipeFunction(function, Addition(), f"addition-{row}")


ENCODINGS = tuple(_by(row) for row in _rows(Addition()))

"""The encodings of the literature on addition: same task, data, model and steps for all.

They show what the window of the main recipe buys. Sizes and steps are the main recipe's, not the
papers', so figures are comparable with each other and not with those published. A token without an
id is seen by no head: in a single attention block this hides the operator and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from arithtf.encodings import (
    FIRE,
    KERPLE,
    T5,
    ALiBi,
    Disentangled,
    Encoding,
    Learned,
    MechanismSpec,
    NoPE,
    RoPE,
    Shaw,
    Sinusoidal,
    Table,
)
from arithtf.recipes.addition import addition, build
from arithtf.recipes.recipe import Recipe
from arithtf.tasks import Addition, Coupling, couplings

POSITIONS = 256  # ids a learned or randomized encoding can use: sums of about 100 digits


def _rows(task: Addition) -> dict[str, tuple[Coupling, Encoding]]:
    index, columns = couplings.index(task), couplings.columns(task)
    coupled = couplings.position_coupling(task, POSITIONS, longest=10)

    learned = Encoding(embedding=Learned(max_position=POSITIONS), sinks=1)

    def dense(mechanism: MechanismSpec) -> Encoding:
        return Encoding(mechanism=mechanism, sinks=1)

    return {
        "nope": (index, dense(NoPE())),
        "learned": (index, learned),
        "sinusoidal": (index, Encoding(embedding=Sinusoidal(), sinks=1)),
        "randomized": (couplings.randomized(task, POSITIONS), learned),
        "position-coupling": (coupled, learned),
        "rotary": (index, dense(RoPE())),
        "coupled-rotary": (coupled, dense(RoPE())),
        "alibi": (index, dense(ALiBi())),
        "kerple": (index, dense(KERPLE())),
        "t5": (index, dense(T5())),
        "fire": (index, dense(FIRE())),
        "shaw": (index, dense(Shaw())),
        "disentangled": (index, dense(Disentangled())),
        "coupled-bias": (columns, dense(Table())),
        "sliding-window": (index, Encoding(mechanism=Table(), windows=(16,), sinks=1)),
    }


def _recipe(name: str) -> Callable[[], Recipe]:
    def make() -> Recipe:
        task = Addition()
        return build(f"addition-{name}", task, *_rows(task)[name])

    return make


def abacus() -> Recipe:
    """Abacus (arXiv 2405.17399): operands least significant digit first, as the paper has them."""
    task = Addition(reverse_operands=True)
    encoding = Encoding(embedding=Learned(max_position=POSITIONS), sinks=1)
    return build("addition-abacus", task, couplings.abacus(task, 100), encoding)


def cyclic() -> Recipe:
    """The main window on ids modulo 64: beyond 63 digits, columns 64 apart are confused."""
    main = addition()
    task = Addition()
    return replace(main, name="addition-cyclic", coupling=couplings.cyclic(task, 64))


RECIPES: dict[str, Callable[[], Recipe]] = {
    **{f"addition-{name}": _recipe(name) for name in _rows(Addition())},
    "addition-abacus": abacus,
    "addition-cyclic": cyclic,
}

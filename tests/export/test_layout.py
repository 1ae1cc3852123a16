"""An exported layout against the C++ core: the same local contexts in the same problems."""

import pytest

from arithtf.certify.contexts import ContextSet, collect
from arithtf.export import interpreter
from arithtf.export.layout import layout
from arithtf.recipes import RECIPES, get_recipe
from arithtf.tasks import Address, Batch, Calculator, Draw, Operands, View

FINITE = [
    name
    for name in RECIPES
    if get_recipe(name).model.encoding.finite and not isinstance(get_recipe(name).task, View)
]


def core_contexts(task, coupling, encoding, operands):
    """Local contexts of one problem as the core collects them."""
    batch = Batch.of(task.instances(operands), coupling)
    found = ContextSet(**collect([batch], encoding.pairs(), encoding.sinks).contexts())
    return {
        (int(query), *sorted(found.entries(i))): int(found.target[i])
        for i, query in enumerate(found.query_token)
    }


class Oracle:
    """Writes the true answer and notes what it is shown."""

    def __init__(self, core):
        self.core, self.shown = core, {}

    def __call__(self, network):
        return self

    def logits(self, query, seen):
        context = (query, *sorted(seen))
        token = self.core[context]
        self.shown[context] = token
        return [int(i == token) for i in range(256)]


@pytest.mark.parametrize("name", FINITE)
def test_same_contexts_as_the_core(name, monkeypatch):
    recipe = get_recipe(name)
    task, encoding = recipe.arithmetic, recipe.model.encoding
    data = {**layout(task, recipe.coupling, encoding), "network": {"sinks": encoding.sinks}}
    size = 4 * (8 if isinstance(task, Calculator) else 3)
    drawn = task.operands(Address(0, "all", 0), Draw((1, 5), size))
    for i in range(len(drawn)):
        operands = Operands.from_digits([drawn.problem(i)], arity=drawn.arity)
        oracle = Oracle(core_contexts(task, recipe.coupling, encoding, operands))
        monkeypatch.setattr(interpreter, "Network", oracle)
        question = _question(task, operands.problem(0))
        written = interpreter.solve(data, question)[1]
        assert oracle.shown == oracle.core
        tokens = [data["words"].index(word) for word, *_ in written]
        assert tokens == task.answer(operands)[0].tolist()
        reads = data["parts"][0]["reads"]
        assert reads == "text" or interpreter.answer(data, question) == task.render(tokens)


def _question(task, problem):
    sign = task.sign
    if isinstance(task, Calculator):
        sign, problem = "+-*/"[problem[0][0]], problem[1:]
    return sign.join("".join(interpreter.DIGITS[d] for d in digits) for digits in problem)


@pytest.mark.parametrize("line", ["12", "1+2+3", "1+a", "+", "", "1-2"])
def test_lines_that_are_no_sums(line):
    recipe = get_recipe("addition")
    data = layout(recipe.arithmetic, recipe.coupling, recipe.model.encoding)
    with pytest.raises(ValueError, match="expected"):
        interpreter.read(data, line)

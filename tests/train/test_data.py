"""Local contexts as a training set: which there are, in which order, and what is learnt of them."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from arithtf.certify.contexts import ContextSet, collect
from arithtf.model import Transformer
from arithtf.recipes import get_recipe
from arithtf.runs import weights_hash
from arithtf.tasks import IGNORE
from arithtf.train import train
from arithtf.train.data import LocalContexts, Turns, drawn, instances

CPU = torch.device("cpu")


@pytest.fixture
def recipe():
    """A small training set: four batches of running sums."""
    return replace(get_recipe("running-sum"), local_batches=4, batch=20, local=50, steps=6)


def rows(inputs):
    """Each context as a tuple: its tokens, where they are seen, its target."""
    parts = (inputs.tokens, inputs.key_ids.flatten(1), inputs.targets)
    return [tuple(row) for row in torch.cat(parts, 1).tolist()]


def test_the_set_is_what_the_first_batches_show_each_once(recipe):
    found = LocalContexts(recipe, CPU)
    windows = [w for w in recipe.model.encoding.pairs() if w is not None]
    shown = collect([drawn(recipe, step) for step in (1, 2, 3, 4)], windows, 0)
    contexts = ContextSet(**shown.contexts())
    assert len(found) == len(contexts.target)
    assert len(set(rows(found.all))) == len(found)
    by_query = Counter(found.all.tokens[:, -1].tolist())
    assert by_query == Counter(contexts.query_token.tolist())


def test_every_turn_goes_through_all_contexts_once_in_an_order_of_its_own(recipe):
    found = LocalContexts(recipe, CPU)
    assert len(found) % recipe.local, "turns should end within a step here"
    steps = range(1, 2 + 2 * len(found) // recipe.local)
    order = [row for step in steps for row in rows(found.step(step))]
    first, second = order[: len(found)], order[len(found) : 2 * len(found)]
    assert sorted(first) == sorted(second) == sorted(rows(found.all))
    assert first != second


def test_steps_may_be_larger_than_the_set(recipe):
    found = LocalContexts(replace(recipe, local=3000), CPU)
    each = Counter(rows(found.step(1)))
    assert sum(each.values()) == 3000
    assert max(each.values()) - min(each.values()) <= 1


def test_a_pool_is_all_that_is_drawn_from():
    recipe = replace(get_recipe("addition"), pool=10, batch=40, steps=6)
    shown = {bytes(row) for step in range(1, 7) for row in drawn(recipe, step).tokens}
    assert 5 < len(shown) <= 10
    other = {bytes(row) for row in drawn(replace(recipe, seed=1), 1).tokens}
    assert not shown & other
    with pytest.raises(ValueError, match="a pool of problems is drawn"):
        replace(recipe, problems=("1+2",))


def test_the_order_is_that_of_the_seed(recipe):
    found, again = LocalContexts(recipe, CPU), LocalContexts(recipe, CPU)
    again.step(1)
    assert rows(found.step(30)) == rows(again.step(30))
    assert (Turns(0, 100).take(30, 50) != Turns(1, 100).take(30, 50)).any()


def test_contexts_and_columns_have_the_same_logits(recipe):
    recipe = replace(recipe, local_batches=1)
    model = Transformer(recipe.model, seed=3)
    losses = []
    for inputs in (LocalContexts(recipe, CPU).all, instances(drawn(recipe, 1))):
        stop = inputs.start + inputs.targets.shape[1]
        logits = model(
            inputs.tokens, inputs.query_ids, inputs.key_ids, start=inputs.start, stop=stop
        )
        counted = inputs.targets != IGNORE
        each = torch.nn.functional.cross_entropy(
            logits[counted], inputs.targets[counted].long(), reduction="none"
        )
        losses.append({round(x, 4) for x in each.tolist()})
    # Rounded values may fall on either side of a step; all but those few must agree.
    assert len(losses[0] ^ losses[1]) <= 0.05 * len(losses[0])


def test_a_run_that_is_resumed_ends_in_the_same_bytes(recipe, tmp_path):
    recipe = replace(recipe, checkpoint_every=2)

    class Stopped(Exception):
        """What cuts the run off."""

    def stop(metrics):
        if metrics.step == 4:
            raise Stopped

    with pytest.raises(Stopped):
        train(replace(recipe, log_every=1), tmp_path, device="cpu", progress=stop)
    resumed = train(replace(recipe, log_every=1), tmp_path, resume=True, device="cpu")
    assert weights_hash(resumed) == weights_hash(train(recipe, device="cpu"))


def test_contexts_with_two_right_answers_are_refused(recipe):
    """Without its last level a query for a digit and one for a carry are the same."""
    coupling, encoding = recipe.coupling, recipe.model.encoding
    levels = tuple(replace(level, query={}) for level in coupling.levels[:3])
    blind = replace(coupling, levels=(*levels, *coupling.levels[3:]))
    assert encoding.finite
    with pytest.raises(ValueError, match="two problems show the same one"):
        LocalContexts(replace(recipe, coupling=blind), CPU)


def test_local_needs_a_model_of_local_contexts(recipe):
    windows = (None, *recipe.model.encoding.windows[1:])
    dense = replace(recipe.model, encoding=replace(recipe.model.encoding, windows=windows))
    with pytest.raises(ValueError, match="a window on every level"):
        replace(recipe, model=dense)
    with pytest.raises(ValueError, match="must not be negative"):
        replace(recipe, local=-1)
    with pytest.raises(ValueError, match="local_batches must be at least 1"):
        replace(recipe, local_batches=0)

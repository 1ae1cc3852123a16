"""Tasks that are not on operands: what a step is fed, and that it is learnt."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from arithtf.encodings import Encoding
from arithtf.evaluate import verify
from arithtf.recipes import build
from arithtf.tasks import (
    Address,
    Batch,
    Coupling,
    Draw,
    Instances,
    Level,
    Place,
    Segments,
    Task,
    Vocabulary,
)
from arithtf.train import train
from arithtf.train.data import drawn, instances


@dataclass(frozen=True)
class LeftNeighbour(Task):
    """A row of bits; each but the first is asked, in its own column, for the bit to its left."""

    asked: bool = True

    name = "left-neighbour"

    @property
    def vocabulary(self):
        return Vocabulary("01")

    @property
    def segments(self):
        return Segments(("bit",), ("bit",))

    def sample(self, address, draw, *, threads=0):
        rng = np.random.default_rng([address.seed, address.step])
        return self.instances(rng.integers(0, 2, (draw.size, draw.lengths[1]), np.uint8))

    def instances(self, problems, *, solved=True):
        targets = np.full_like(problems, 255)
        if self.asked:
            targets[:, 1:] = problems[:, :-1]
        segment = np.zeros(problems.shape, np.int64)
        return Instances.of(problems, targets, segment, self.segments, start=1, ahead=0)

    def parse(self, line):
        return np.array([int(bit) for bit in line], np.uint8)

    def render(self, answer_tokens):
        return self.vocabulary.text(answer_tokens)


def recipe_of(task, length):
    query = Place(left=1, offset=-1)
    level = Level(name="place", key={"bit": Place(left=1)}, query={"bit": query})
    return build(
        task,
        Coupling("left", (level,)),
        Encoding(windows=((0, 0),)),
        width=16,
        heads=2,
        hidden=16,
        lengths=(length, length),
        batch=16,
        steps=60,
        warmup=5,
        learning_rate=3e-2,
    )


def test_targets_at_the_token_itself_are_all_asked():
    """The last column has a target too: of rows of two bits it is the only one."""
    recipe = recipe_of(LeftNeighbour(), 2)
    batch = drawn(recipe, 1)
    assert (batch.start, batch.stop) == (1, 2)
    assert instances(batch).targets.tolist() == batch.tokens[:, :1].tolist()
    later = replace(batch.instances, ahead=1)
    assert Batch.of(later, recipe.coupling).stop == 1
    assert batch._replace(instances=None).stop == 1


@pytest.mark.parametrize("length", [2, 5])
def test_targets_at_the_token_itself_are_learnt(length):
    recipe = recipe_of(LeftNeighbour(), length)
    logged = []
    model = train(recipe, device="cpu", progress=logged.append)
    assert logged[-1].exact == 1
    assert logged[-1].loss < 0.1
    made = recipe.task.sample(Address(9, "all", 1), Draw((length, length), 40))
    batch = Batch.of(made, recipe.coupling)
    verdict = verify(model, batch)
    assert verdict.exact.all()
    assert (verdict.tokens == length - 1).all()
    np.testing.assert_array_equal(verify(model, batch, chunk=1).tokens, verdict.tokens)
    with torch.inference_mode():  # by plain reading, column by column
        ids = (torch.from_numpy(ids) for ids in (batch.query_ids, batch.key_ids))
        read = model(torch.from_numpy(batch.tokens), *ids).argmax(-1)
    assert read[:, 1:].tolist() == batch.tokens[:, :-1].tolist()


def test_a_batch_without_targets_is_refused():
    recipe = recipe_of(LeftNeighbour(asked=False), 3)
    with pytest.raises(
        ValueError, match=r"a target in some column 1 \.\. 2 of the batch, got none"
    ):
        train(recipe, device="cpu")

"""Learning rates against their formulas, and against PyTorch's own schedulers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from arithtf.recipes import get_recipe
from arithtf.train import SCHEDULES, train
from arithtf.train.schedules import schedule


@pytest.fixture
def rates():
    """Rates of steps 1 .. 110 with a warm-up of 10, a peak of 0.5 and a last rate of 0.05."""

    def of(name, **changes):
        settings = {"steps": 110, "warmup": 10, "learning_rate": 0.5, "final_rate": 0.1}
        recipe = replace(get_recipe("addition"), schedule=name, **settings | changes)
        return [schedule(recipe)(step) for step in range(1, recipe.steps + 1)]

    return of


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_rises_linearly_to_the_peak_and_does_not_pass_it(rates, name):
    found = rates(name)
    assert found[:10] == pytest.approx([0.05 * step for step in range(1, 11)])
    assert max(found) == found[9] == 0.5
    assert np.all(np.diff(found[9:]) <= 0)
    assert min(found[9:]) >= 0.05 - 1e-12
    assert 0 < rates(name, warmup=0)[0] <= 0.5


def test_linear_falls_by_the_same_amount_each_step(rates):
    assert np.diff(rates("linear")[9:]) == pytest.approx(-0.45 / 100)
    assert rates("linear")[-1] == pytest.approx(0.05)
    assert rates("linear", warmup=0)[0] == pytest.approx(0.5 - 0.45 / 110)


def test_linear_is_to_the_bit_what_runs_were_trained_by(rates):
    """The committed certificates are about weights of this very arithmetic."""
    assert rates("linear")[9:] == [
        0.5 * (1.0 - (1.0 - 0.1) * ((step - 10) / 100)) for step in range(10, 111)
    ]
    assert rates("linear")[2] == 0.5 * 3 / 10


def test_cosine_is_that_of_pytorch(rates):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100, eta_min=0.05)
    for rate in rates("cosine")[9:]:
        assert rate == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


def test_constant_and_inverse_square_root(rates):
    assert set(rates("constant")[9:]) == {0.5}
    found = rates("inverse-sqrt")
    assert found[39] == pytest.approx(0.25)  # four times the warm-up: half the peak
    assert found[109] == pytest.approx(0.5 * math.sqrt(10 / 110))
    assert rates("inverse-sqrt", steps=2000)[-1] == 0.05
    assert rates("inverse-sqrt", warmup=0)[3] == pytest.approx(0.25)


def test_an_unknown_name_is_refused_before_anything_is_written(tiny, tmp_path):
    with pytest.raises(
        ValueError, match=r"no schedule is named 'cosin'; did you mean cosine; .*linear, cosine"
    ):
        train(replace(tiny, schedule="cosin"), tmp_path / "run")
    assert not (tmp_path / "run").exists()

"""Tasks read back from JSON."""

import json

import pytest

from arithtf.tasks import Addition, task_from_dict, task_to_dict


@pytest.mark.parametrize("format", ["natural", "padded"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("base", [2, 10])
def test_round_trip_through_json(base, format, reverse):
    task = Addition(base=base, format=format, reverse_operands=reverse)
    assert task_from_dict(json.loads(json.dumps(task_to_dict(task)))) == task


def test_unknown_task_is_named():
    with pytest.raises(ValueError, match="'logarithm'"):
        task_from_dict({"task": "logarithm"})


def test_unknown_field_is_named():
    with pytest.raises(ValueError, match="bases"):
        task_from_dict({"task": "addition", "bases": 10})

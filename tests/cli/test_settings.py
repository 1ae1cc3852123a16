"""Recipes and tasks as the command line names them: by name, with fields, from files."""

import json


def test_unknown_recipes_are_answered_with_those_that_are_like_it(arithtf):
    for command in ("train", "data"):
        ended = arithtf(command, "multiplicatoin")
        assert "did you mean multiplication; `arithtf data` lists all" in ended.err
        assert len(ended.err) < 180
    assert arithtf("train", "xyz").err == (
        "arithtf train: no recipe is named 'xyz'; `arithtf data` lists all; "
        "one of your own is file.py:name or package.module:name\n"
    )


def test_fields_can_be_set_before_and_after_options(arithtf, tmp_path):
    for settings in (("--seed", 3, "task.base=3"), ("task.base=3", "--seed", 3), ("seed=3",)):
        run = tmp_path / str(settings[0])
        ended = arithtf("train", "addition", *settings, "--steps", 1, "--out", run, "batch=4")
        assert ended.code == 0, ended.err
        config = json.loads((run / "config.json").read_text())
        base = 3 if "task.base=3" in settings else 10
        assert (config["task"]["base"], config["seed"], config["batch"]) == (base, 3, 4)
        assert config["name"] == ("addition-base-3" if base == 3 else "addition")


def test_data_of_another_base(arithtf):
    ended = arithtf("data", "addition", "task.base=2", "--show", 1, "lengths=3-3")
    assert ended.out.startswith("recipe addition-base-2: Addition in the natural format")
    problem = ended.out.split("\n\n")[1].splitlines()[0]
    left, right = problem.partition("=")[0].split("+")
    assert len(left) == 3
    assert int(left, 2) + int(right, 2) == int(problem.partition("=")[2], 2)

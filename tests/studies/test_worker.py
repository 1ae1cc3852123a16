"""Workers: what they finish, skip, leave to each other, and what is left when they die."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace

import pytest

from arithtf.runs import load_model, lock, read_json, read_lines
from arithtf.studies import Outcome, Shard, Study, run_study, worker
from arithtf.studies.cells import look
from arithtf.studies.claims import Claim, Claims
from arithtf.train import Interrupted, train


def test_every_cell_becomes_an_ordinary_run(study, sizes, tmp_path):
    made, told = study(sizes), []
    assert run_study(made, tmp_path, tell=told.append) == Outcome(6, 0, 0)
    assert [line.partition(": ")[0] for line in told] == [
        f"width {width}, seed {seed}" for width in (8, 16) for seed in range(3)
    ]
    for cell in made.cells():
        run = tmp_path / cell.name
        assert load_model(run)[1] == cell.recipe
        rows = read_lines(run / "eval.jsonl")
        assert [row["measure"] for row in rows] == ["bytes", "even"]
        assert {row["evaluation"] for row in rows} == {"size"}
        record = read_json(run / "cell.json")
        assert record["study"] == "t"
        assert (record["trained"], list(record["evaluations"])) == (True, ["size"])
        (code,) = record["code"]
        assert code.keys() == {"version", "commit", "dirty", "sources"}
    train(made.cells()[0].recipe, tmp_path / "alone", device="cpu")
    weights = (tmp_path / "alone" / "model.safetensors").read_bytes()
    assert (tmp_path / made.cells()[0].name / "model.safetensors").read_bytes() == weights


def test_what_is_finished_is_left_alone_and_a_new_evaluation_is_done_alone(
    study, sizes, contents, tmp_path
):
    run_study(study(sizes), tmp_path)
    before = contents(tmp_path, study())
    told, trained = [], []
    assert run_study(study(sizes), tmp_path, tell=told.append).finished == 6
    assert told == []

    def second(run):
        trained.append(run)
        yield {"measure": "second", "value": 2}

    assert run_study(study(sizes, second), tmp_path).finished == 6
    assert len(trained) == 6
    after = contents(tmp_path, study())
    for place, data in before.items():
        assert after[place].startswith(data)
    rows = read_lines(tmp_path / study().cells()[0].name / "eval.jsonl")
    assert [row["evaluation"].rpartition(".")[2] for row in rows] == ["size", "size", "second"]


def test_an_evaluation_that_was_cut_off_is_done_again_in_place_of_its_rows(
    study, sizes, contents, tmp_path
):
    made = study(sizes, seeds=(0,), widths=(8,))
    run_study(made, tmp_path)
    before = contents(tmp_path, made)
    run = tmp_path / made.cells()[0].name
    record = read_json(run / "cell.json")
    (run / "cell.json").write_text(json.dumps(record | {"evaluations": {}}))
    assert look(made, tmp_path, made.cells()[0]).state == "begun"
    run_study(made, tmp_path)
    assert contents(tmp_path, made) == before


def test_failures_are_recorded_and_the_study_goes_on(study, tmp_path):
    attempts = []

    def odd(run):
        attempts.append(run.name)
        if "-s1-" in run.name and len(attempts) < 10:
            raise ArithmeticError("it is odd")
        yield {"measure": "odd", "value": False}

    made, told = study(odd), []
    assert run_study(made, tmp_path, tell=told.append) == Outcome(4, 2, 0)
    assert sum("failed: ArithmeticError: it is odd" in line for line in told) == 2
    said = read_json(tmp_path / made.cells()[1].name / "failure.json")
    assert (said["error"], said["message"]) == ("ArithmeticError", "it is odd")
    assert 'raise ArithmeticError("it is odd")' in said["traceback"]
    assert run_study(made, tmp_path) == Outcome(4, 2, 0)
    assert len(attempts) == 6, "what failed is not tried again unasked"
    assert run_study(made, tmp_path, retry=True) == Outcome(4, 2, 0)
    assert len(attempts) == 8
    attempts += [""] * 2
    assert run_study(made, tmp_path, retry=True) == Outcome(6, 0, 0)
    assert not list(tmp_path.glob("*/failure.json"))


def test_a_training_that_diverges_is_a_failure(study, tiny, tmp_path):
    wild = replace(tiny, learning_rate=1e38, warmup=0)
    made = Study(name="t", recipes=lambda: [wild, tiny], seeds=(0,))
    assert run_study(made, tmp_path) == Outcome(1, 1, 0)
    (failure,) = tmp_path.glob("*/failure.json")
    assert read_json(failure)["error"] == "TrainingDiverged"


def test_shards_share_the_cells(study, sizes, tmp_path):
    made = study(sizes)
    names = [cell.name for cell in made.cells()]
    assert run_study(made, tmp_path, shard=Shard(1, 4)) == Outcome(2, 0, 0)
    assert {path.parent.name for path in tmp_path.glob("*/cell.json")} == {names[1], names[5]}
    for i in (0, 2, 3):
        run_study(made, tmp_path, shard=Shard(i, 4))
    assert run_study(made, tmp_path) == Outcome(6, 0, 0)


def test_cells_of_others_are_left_to_them(study, sizes, tmp_path):
    made = study(sizes)
    claims, first = Claims(tmp_path / ".claims"), made.cells()[0]
    with claims.take(first.name):
        assert run_study(made, tmp_path) == Outcome(5, 0, 1)
        assert not (tmp_path / first.name).exists()
    assert run_study(made, tmp_path) == Outcome(6, 0, 0)


@pytest.mark.parametrize("fails", [False, True])
def test_a_cell_that_another_worker_ends_meanwhile_is_not_done_again(
    study, tmp_path, monkeypatch, fails
):
    """Between this worker's look at the cell and its claim."""
    begun, done, told = [], [], []

    def note(run):
        done.append(run.name)
        if fails:
            raise ArithmeticError
        yield {"measure": "done", "value": True}

    made = study(note, seeds=(0, 1), widths=(8,))

    class Late(Claims):
        def take(self, cell):
            if not begun:
                begun.append(cell)
                run_study(made, tmp_path)
            return super().take(cell)

    monkeypatch.setattr(worker, "Claims", Late)
    ended = run_study(made, tmp_path, tell=told.append)
    assert ended == (Outcome(0, 2, 0) if fails else Outcome(2, 0, 0))
    assert done == [cell.name for cell in made.cells()]
    assert told == []


def test_a_locked_run_is_left_to_whoever_writes_there(study, sizes, tmp_path):
    """As of `arithtf train --resume` in a cell, which knows nothing of claims."""
    made, told = study(sizes, seeds=(0,)), []
    run = tmp_path / made.cells()[0].name
    run.mkdir()
    with lock(run):
        assert run_study(made, tmp_path, tell=told.append) == Outcome(1, 0, 1)
    assert "left to another worker: another process is writing" in told[0]
    assert not (run / "failure.json").exists()


def test_a_worker_that_was_followed_stops(study, sizes, tmp_path):
    """A machine that slept: another worker has the cell, so this one lets it be."""
    made = study(sizes, seeds=(0,), widths=(8,))
    cell, claims = made.cells()[0], Claims(tmp_path / ".claims")

    def followed(run):
        os.utime(tmp_path / ".claims" / f"{cell.name}.1", (1000, 1000))
        assert claims.take(cell.name) is not None
        yield {"measure": "late", "value": 1}

    told = []
    made = study(followed, seeds=(0,), widths=(8,))
    assert run_study(made, tmp_path, tell=told.append) == Outcome(0, 0, 1)
    assert "left to another worker: another worker has taken over" in told[0]
    assert read_lines(tmp_path / cell.name / "eval.jsonl") == []


def test_recipes_can_be_looked_at_untrained(study, tmp_path):
    def width(run):
        yield {"measure": "width", "value": read_json(run / "config.json")["model"]["width"]}

    made = study(width, trained=False, seeds=(0,))
    assert run_study(made, tmp_path) == Outcome(2, 0, 0)
    assert not list(tmp_path.glob("*/model.safetensors"))
    rows = [read_lines(tmp_path / cell.name / "eval.jsonl") for cell in made.cells()]
    assert [row["value"] for (row,) in rows] == [8, 16]


def forked(work):
    """A worker in a child process."""
    with warnings.catch_warnings():
        # Python 3.12 warns of threads that a fork loses; the child asks for none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def test_workers_at_once_do_each_cell_once(study, tmp_path):
    """Four workers without shards; an evaluation notes who was there, and takes its time."""

    def note(run):
        with open(tmp_path / "log", "a") as file:
            file.write(f"{run.name} {os.getpid()}\n")
        time.sleep(0.05)
        yield {"measure": "pid", "value": os.getpid()}

    made = study(note, seeds=range(6))
    workers = [forked(lambda: run_study(made, tmp_path)) for _ in range(4)]
    assert [os.waitstatus_to_exitcode(os.waitpid(w, 0)[1]) for w in workers] == [0] * 4
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(name for name, _ in lines) == sorted(cell.name for cell in made.cells())
    assert len({pid for _, pid in lines}) > 1
    assert run_study(made, tmp_path) == Outcome(12, 0, 0)


def test_a_killed_workers_cell_is_taken_over_and_ends_in_the_same_bytes(
    study, sizes, contents, tmp_path
):
    whole = study(sizes)
    run_study(whole, tmp_path / "whole")

    def killing(run):
        if "-s1-" in run.name:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from sizes(run)

    killing.__qualname__ = "size"
    worker = forked(lambda: run_study(study(killing), tmp_path / "killed"))
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == -signal.SIGKILL
    cells = whole.cells()
    states = [look(whole, tmp_path / "killed", cell).state for cell in cells]
    assert states == ["finished", "begun", *["waiting"] * 4]
    assert run_study(whole, tmp_path / "killed") == Outcome(6, 0, 0)
    assert contents(tmp_path / "killed", whole) == contents(tmp_path / "whole", whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["training", "evaluation"])
def test_a_signal_saves_the_state_and_gives_the_cell_back(
    study, sizes, contents, tmp_path, monkeypatch, number, where
):
    whole = study(sizes, seeds=(0, 1), widths=(8,))
    run_study(whole, tmp_path / "whole")
    folder, first = tmp_path / "stopped", whole.cells()[0].name
    calls = []

    def sending(claim):
        """Called after each of seven steps, then before and after the evaluation."""
        calls.append(None)
        if len(calls) == (3 if where == "training" else 8):
            os.kill(os.getpid(), number)

    # A shell's background jobs ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Claim, "check", sending)
            with pytest.raises(Interrupted, match="seed 0; the same command goes on") as stopped:
                run_study(whole, folder)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.value.code == 128 + number
    assert (folder / first / "state.pt").exists()
    assert (folder / first / "model.safetensors").exists() == (where == "evaluation")
    assert Claims(folder / ".claims").holder(first).free
    assert run_study(whole, folder) == Outcome(2, 0, 0)
    assert contents(folder, whole) == contents(tmp_path / "whole", whole)


def test_two_commands_at_once_and_torchruns_variables(tmp_path):
    """Processes of their own, as a person or torchrun starts them."""
    command = [
        sys.executable,
        "-m",
        "arithtf",
        "study",
        "run",
        "exposure",
        "recipes=parity,copy,reverse",
        "--out",
        tmp_path / "out",
    ]
    ranks = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    said = [rank.communicate()[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    assert re.findall(r"shard \d/2: \d cells", "".join(said)) == [
        "shard 0/2: 2 cells",
        "shard 1/2: 1 cells",
    ]
    assert len(list((tmp_path / "out").glob("*/cell.json"))) == 3

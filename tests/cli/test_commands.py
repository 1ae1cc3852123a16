"""Every command: its exit code, what it prints, what it leaves behind."""

import importlib
import json
import shutil

import pytest

from arithtf import __version__
from arithtf.cli import parsed, parser
from arithtf.commands import COMMANDS, training

RUNS = ("addition", "subtraction", "multiplication")
FILES = ("sums.txt", "runs/addition/certificate.json")


def no_traceback(ended):
    assert "Traceback" not in ended.err
    return ended


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_are_understood(arithtf, command, tmp_path, monkeypatch):
    for name in RUNS:
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text("{}")
    for name in FILES:
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    ended = arithtf(command, "--help")
    assert ended.code == 0
    for line in COMMANDS[command].examples:
        assert f"  {line}\n" in ended.out
        words = line.rpartition("arithtf ")[2].split()
        arguments = parsed(words)
        assert arguments.command == command
        for setting in getattr(arguments, "settings", ()):
            assert "=" in setting


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_there(command):
    module, _, name = COMMANDS[command].run.partition(":")
    assert callable(getattr(importlib.import_module(f"arithtf.commands.{module}"), name))


def test_help_lists_every_command(arithtf):
    ended = arithtf("--help")
    assert ended.code == 0
    listed = {line.split()[0] for line in ended.out.splitlines() if line.startswith("    ")}
    assert set(COMMANDS) <= listed


def test_training_begins_with_the_conflict_check(arithtf, tmp_path):
    checked = arithtf("train", "parity", "--steps", 1, "--out", tmp_path / "parity")
    assert "checked: 8 local contexts at all lengths, no conflict" in checked.out
    clash = no_traceback(
        arithtf("train", "plain-residue-addition", "--steps", 1, "--out", tmp_path / "plain")
    )
    assert clash.code == 1
    assert "show the same local context but need different tokens" in clash.err
    assert not (tmp_path / "plain").exists()
    anyway = arithtf(
        "train", "plain-residue-addition", "--steps", 1, "--out", tmp_path / "plain", "--anyway"
    )
    assert anyway.code == 0
    unbounded = arithtf("train", "addition-rotary", "--steps", 1, "--out", tmp_path / "rotary")
    assert "not checked for conflicts" in unbounded.out


def test_version(arithtf):
    assert arithtf("--version").out == f"arithtf {__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("sing",),
        ("train",),
        ("train", "addition", "--steps", "0"),
        ("train", "addition", "--seed", "-1"),
        ("train", "no-such-recipe"),
        ("train", "no-such-file.py"),
        ("train", "addition", "model.widht=3"),
        ("train", "addition", "model.width=many"),
        ("train", "addition", "x"),
        ("train", "addition", "--seed", "3", "seed=4"),
        ("discover", "no-such-task"),
        ("discover", "copy", "step=3"),
        ("doctor", "seed=3"),
        ("data", "no-such-recipe"),
        ("evaluate", "no-such-run"),
        ("certify", "no-such-run"),
        ("report", "no-such-run"),
        ("verify-certificate", "no-such-file", "no-such-run"),
        ("table",),
        ("table", "no-such-run"),
        ("stress", "no-such-run", "--suite", "all"),
        ("solve",),
        ("demo", "--max-digits", "many"),
        ("demo", "--max-digits", "100000001"),
        ("demo", "--out", ""),
        ("train", "parity", "--out", ""),
        ("train", "parity", "--seed", "9" * 19),
        ("discover", "parity", "--out", ""),
        ("data", "parity", "--show", "10001"),
    ],
)
def test_misuse_is_2(arithtf, argv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = no_traceback(arithtf(*argv))
    assert ended.code == 2
    assert ended.err
    assert ended.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argv",
    [
        ("stress", "RUN", "--suite", "poetry"),
        ("evaluate", "RUN", "--lengths", "10,,20"),
        ("evaluate", "RUN", "--lengths", "ten"),
        ("evaluate", "RUN", "--count", "0"),
        ("solve", "RUN", "--input", "no-such-file"),
        ("solve", "RUN", "--output", "no/such/file"),
        ("certify", "RUN", "--out", "no/such/file"),
        ("certify", "RUN", "--out", "."),
        ("certify", "RUN", "--out", ""),
        ("solve", "RUN", "--output", ""),
        ("table", "RUN", "--out", "no/such/file"),
        ("verify-certificate", "no-such-file", "RUN"),
        ("verify-certificate", "RUN", "RUN"),
        ("stress", "RUN", "--max-tokens", "0"),
    ],
)
def test_misuse_of_a_run_is_2(arithtf, raw_run, argv):
    ended = no_traceback(arithtf(*(raw_run if word == "RUN" else word for word in argv)))
    assert ended.code == 2
    assert ended.err


def test_train_makes_a_run_and_refuses_to_overwrite_it(arithtf, tmp_path):
    run = tmp_path / "deep" / "run"
    ended = arithtf("train", "addition", "--out", run, "--steps", 4, "--seed", 7)
    assert ended.code == 0, ended.err
    config = json.loads((run / "config.json").read_text())
    assert (config["steps"], config["seed"]) == (4, 7)
    assert "train addition 4/4" in ended.out
    weights = (run / "model.safetensors").read_bytes()
    again = no_traceback(arithtf("train", "addition", "--out", run, "--steps", 4, "--seed", 7))
    assert again.code == 1
    assert "--resume" in again.err
    assert len(again.err.splitlines()) == 1
    resumed = arithtf("train", "addition", "--out", run, "--steps", 4, "--seed", 7, "--resume")
    assert resumed.code == 0
    assert (run / "model.safetensors").read_bytes() == weights
    other = arithtf("train", "addition", "--out", run, "--steps", 5, "--seed", 7, "--resume")
    assert other.code == 1
    assert "another recipe, seed or number of steps" in other.err


def test_train_goes_to_runs_recipe(arithtf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "train_shown", lambda recipe, out, resume: made.append(out))
    made = []
    variants = ([], ["task.base=3"], ["model.width=96"], ["seed=3"], ["--seed", 3, "task.base=3"])
    for settings in (*variants, ["model.width=96", "seed=3"], ["lengths=1-8"]):
        assert arithtf("train", "addition", *settings).code == 0
    assert [str(out) for out in made[:2]] == ["runs/addition", "runs/addition-base-3"]
    assert made[4].name.startswith("addition-base-3-s3-")
    assert len(set(made)) == len(made)
    for again in (["seed=3", "model.width=96"], ["--seed", 3, "model.width=96"]):
        assert arithtf("train", "addition", *again, "--resume").code == 0
    assert made[-1] == made[-2] == made[5]


def test_train_where_a_file_is(arithtf, tmp_path):
    (tmp_path / "file").write_text("mine")
    ended = no_traceback(arithtf("train", "addition", "--out", tmp_path / "file" / "run"))
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_certify_says_no(arithtf, raw_run, tmp_path):
    ended = arithtf("certify", raw_run, "--out", tmp_path / "c.json")
    assert ended.code == 1
    assert "not certified: wrong in" in ended.out
    assert json.loads((tmp_path / "c.json").read_text())["verdict"] == "wrong"
    assert not (raw_run / "certificate.json").exists()


def test_certify_refuses_a_model_without_windows(arithtf, tmp_path):
    from dataclasses import replace

    from arithtf.encodings import Encoding, Table
    from arithtf.recipes import get_recipe
    from arithtf.train import train

    recipe = get_recipe("addition")
    model = replace(recipe.model, encoding=Encoding(mechanism=Table(), sinks=1))
    train(replace(recipe, model=model, steps=1), tmp_path / "run", device="cpu")
    ended = arithtf("certify", tmp_path / "run")
    assert ended.code == 1
    assert "window" in ended.out


def test_certify_says_yes(arithtf, trained_run, tmp_path):
    ended = arithtf("certify", trained_run, "--out", tmp_path / "c.json")
    assert ended.code == 0, ended.out
    assert "certified: exact at every operand length" in ended.out
    for word in ("contexts", "smallest margin", "worst problem", "rounding"):
        assert word in ended.out
    verified = arithtf("verify-certificate", tmp_path / "c.json", trained_run)
    assert verified.code == 0, verified.out
    assert "holds" in verified.out


def test_verify_certificate_of_the_run_itself(arithtf, trained_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / "certificate.json").unlink(missing_ok=True)
    ended = no_traceback(arithtf("verify-certificate", run))
    assert ended.code == 2
    assert f"arithtf certify {run}" in ended.err
    arithtf("certify", run)
    ended = arithtf("verify-certificate", run, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)[0]["valid"]


def test_verify_certificate_of_another_run(arithtf, trained_run, raw_run, tmp_path):
    arithtf("certify", trained_run, "--out", tmp_path / "c.json")
    ended = no_traceback(arithtf("verify-certificate", tmp_path / "c.json", raw_run))
    assert ended.code == 1
    assert "does not hold" in ended.out


def test_evaluate_prints_and_records(arithtf, raw_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(raw_run, run)
    ended = arithtf("evaluate", run, "--lengths", "2,30", "--count", 8, "--seed", 5)
    assert ended.code == 0
    lines = [json.loads(line) for line in (run / "eval.jsonl").read_text().splitlines()]
    assert [(row["length"], row["count"], row["grade"]) for row in lines] == [
        (2, 8, "sampled"),
        (30, 8, "sampled"),
    ]
    shown = [line.split() for line in ended.out.splitlines() if "sampled" in line]
    assert [line[0] for line in shown] == ["2", "30"]
    assert ended.out.startswith("evaluate 1/2  2 digits: ")


def test_stress_of_a_wrong_model_is_1(arithtf, raw_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(raw_run, run)
    ended = arithtf("stress", run, "--suite", "ladder", "--max-digits", 20)
    assert ended.code == 1
    assert "wrong: ladder" in ended.out
    assert (run / "eval.jsonl").exists()


def test_stress_of_a_right_model_is_0(arithtf, trained_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    ended = arithtf("stress", run, "--suite", "ladder", "--max-digits", 200)
    assert ended.code == 0, ended.out
    assert "stressed" in ended.out


def test_report_without_evaluations(arithtf, raw_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(raw_run, run)
    ended = arithtf("report", run)
    assert ended.code == 0
    assert str(run / "report.html") in ended.out
    page = (run / "report.html").read_text()
    assert "arithtf certify" in page
    assert "arithtf stress" in page


def test_a_verdict_is_said_even_if_the_disk_is_full(arithtf, raw_run):
    ended = arithtf("certify", raw_run, "--out", "/dev/full")
    assert ended.code == 1
    assert "not certified" in ended.out
    assert ended.err == "arithtf certify: No space left on device: /dev/full\n"


def test_data_shows_the_coupling(arithtf):
    ended = arithtf("data", "addition", "--show", 2)
    assert ended.code == 0
    blocks = ended.out.split("\n\n")
    assert len(blocks) == 3
    assert "a: right, b: right" in blocks[0]
    assert "right: that index from the right" in blocks[0]
    for block in blocks[1:]:
        problem, *lines = block.strip("\n").splitlines()
        left, right = problem.partition("=")[0].split("+")
        assert int(left) + int(right) == int(problem.partition("=")[2])
        # Aligned: all lines of a block are of one length.
        assert len({len(line) for line in lines}) == 1
        assert {line.split()[0] for line in lines} >= {"token", "target"}


def test_data_of_a_scratchpad(arithtf):
    """Its forms with the stride of the scratchpad's rows, and what its steps learn from."""
    ended = arithtf("data", "multiplication", "--show", 1)
    assert ended.code == 0
    assert "sum: left + row_stride + cell - 1" in ended.out
    assert "cell: row * row_stride" in ended.out
    assert (
        "trained on 7 digits, 1,600 steps of 768 of the distinct local contexts of 65,536 problems"
    ) in ended.out
    assert "\ntrained on 3 operands of 1 to 4 digits, 600 " in arithtf("data", "running-sum").out
    plain = "\ntrained on 1 to 10 digits, 1,000 steps of 64 problems\n"
    assert plain in arithtf("data", "addition").out


def test_data_lists_recipes(arithtf):
    ended = arithtf("data")
    assert ended.code == 0
    assert ended.out.startswith("addition ")


def test_every_option_is_described():
    for action in parser()._subparsers._group_actions[0].choices.values():
        for option in action._actions:
            assert option.help, (action.prog, option.dest)


def test_damaged_runs_are_1_with_one_line(arithtf, raw_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(raw_run, run)
    (run / "model.safetensors").write_bytes(b"nothing")
    for command in ("evaluate", "stress", "certify", "solve", "report"):
        ended = no_traceback(arithtf(command, run))
        assert ended.code == 1, command
        assert len(ended.err.splitlines()) == 1
    for config, word in (("{", "JSON"), ("null", "object, got null"), ("[1]", "got [1]")):
        (run / "config.json").write_text(config)
        ended = no_traceback(arithtf("evaluate", run))
        assert ended.code == 1
        assert word in ended.err
        assert len(ended.err.splitlines()) == 1


def test_full_disk(arithtf, raw_run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr("arithtf.report.build.write_text", full)
    ended = no_traceback(arithtf("report", raw_run))
    assert ended.code == 1
    assert ended.err == "arithtf report: No space left on device: report.html\n"


def test_interrupt_is_130(arithtf, raw_run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("arithtf.commands.evidence.evaluate_model", interrupt)
    ended = no_traceback(arithtf("evaluate", raw_run))
    assert ended.code == 130
    assert "interrupted" in ended.err


def test_defects_are_not_hidden(arithtf, raw_run, monkeypatch):
    def defect(*_, **__):
        raise AssertionError("a defect")

    monkeypatch.setattr("arithtf.commands.evidence.evaluate_model", defect)
    with pytest.raises(AssertionError, match="a defect"):
        arithtf("evaluate", raw_run)


def test_stress_records_what_it_has_before_it_fails(arithtf, raw_run, tmp_path, monkeypatch):
    from arithtf.evaluate import suites

    def unable(*_):
        raise ValueError("the model cannot take the length")
        yield

    run = tmp_path / "run"
    shutil.copytree(raw_run, run)
    monkeypatch.setitem(suites._RUN, "grid", unable)
    ended = no_traceback(arithtf("stress", run, "--max-digits", 10))
    assert ended.code == 2
    assert "cannot take the length" in ended.err
    recorded = {json.loads(line)["suite"] for line in (run / "eval.jsonl").read_text().splitlines()}
    assert recorded == {"carry", "adversarial", "ladder"}

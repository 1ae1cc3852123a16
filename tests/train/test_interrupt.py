"""SIGINT and SIGTERM: the step ends, its state is saved, and the run goes on to the same bytes."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from arithtf.runs import load_state
from arithtf.train import Interrupted, train

BOTH = [signal.SIGINT, signal.SIGTERM]


def signalling(number, step, times=1):
    """A progress function that sends this process a signal at a step."""

    def progress(metrics):
        if metrics.step == step:
            for _ in range(times):
                os.kill(os.getpid(), number)

    return progress


@pytest.fixture(autouse=True)
def heeded():
    """As on a terminal: a process that a shell starts in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def every_step(tiny):
    return replace(tiny, log_every=1, checkpoint_every=100)  # more than the run has steps


@pytest.mark.parametrize("number", BOTH)
def test_the_state_of_the_step_is_saved_and_resumed_to_the_same_bytes(
    every_step, tmp_path, contents, number
):
    run, before = tmp_path / "run", [signal.getsignal(n) for n in BOTH]
    with pytest.raises(Interrupted, match=r"^interrupted at step 4; --resume goes on$") as stopped:
        train(every_step, run, device="cpu", progress=signalling(number, 3))
    assert stopped.value.code == 128 + number
    assert [signal.getsignal(n) for n in BOTH] == before
    assert load_state(run / "state.pt", torch.device("cpu"))["step"] == 4
    assert not (run / "model.safetensors").exists()
    train(every_step, run, resume=True, device="cpu")
    train(every_step, tmp_path / "whole", device="cpu")
    assert contents(run) == contents(tmp_path / "whole")


def test_a_second_signal_does_not_wait(every_step, tmp_path):
    with pytest.raises(KeyboardInterrupt) as stopped:
        train(every_step, tmp_path, device="cpu", progress=signalling(signal.SIGINT, 3, times=2))
    assert not isinstance(stopped.value, Interrupted)
    assert not (tmp_path / "state.pt").exists()


def test_a_signal_in_the_last_step_acts_when_the_run_is_whole(every_step, tmp_path, contents):
    with pytest.raises(KeyboardInterrupt):
        train(every_step, tmp_path / "run", device="cpu", progress=signalling(signal.SIGINT, 7))
    train(every_step, tmp_path / "whole", device="cpu")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_in_memory_a_signal_acts_at_once(every_step):
    with pytest.raises(KeyboardInterrupt) as stopped:
        train(every_step, device="cpu", progress=signalling(signal.SIGINT, 3))
    assert not isinstance(stopped.value, Interrupted)


def test_signals_that_the_process_ignores_stay_ignored(every_step, tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        train(every_step, tmp_path, device="cpu", progress=signalling(signal.SIGINT, 3))
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_says_so_and_leaves_with_the_signals_code(tmp_path, number, code):
    command = [sys.executable, "-m", "arithtf", "train", "parity", "--out", tmp_path]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not process.stdout.readline().startswith("train parity "):
            pass
        process.send_signal(number)
        _, error = process.communicate()
    assert process.returncode == code
    assert re.fullmatch(r"arithtf train: interrupted at step \d+; --resume goes on\n", error)
    assert (tmp_path / "state.pt").exists()

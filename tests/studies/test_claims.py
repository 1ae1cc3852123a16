"""Claims: one holder at a time, whatever dies, sleeps, is slow or answers twice."""

import errno
import json
import os
import platform
import signal
import threading
import time
import warnings

import pytest

from arithtf.studies import claims
from arithtf.studies.claims import Claim, ClaimLost, Claims


@pytest.fixture
def here(tmp_path):
    return Claims(tmp_path / "claims")


def in_child(work):
    """Run work in a forked child; its process and a pipe that gets one byte when it is done."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads that a fork loses; the child asks for none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            answer = work()
            os.write(writing, b"1" if answer else b"0")
            signal.pause()  # holds what it has until it is killed
        finally:
            os._exit(1)
    os.close(writing)
    return child, reading


def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def other_machine(here, cell, number=1, age=0.0):
    """A claim of a process elsewhere, whose last sign of life was `age` seconds ago."""
    here._folder.mkdir(exist_ok=True)
    path = here._folder / f"{cell}.{number}"
    path.write_text(json.dumps({"host": "far", "machine": "other", "pid": 1, "started": "1"}))
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def test_one_holds_and_then_the_next(here):
    assert here.holder("a") is None
    first = here.take("a")
    assert here.take("a") is None
    assert here.take("b") is not None
    assert here.holder("a")[:2] == (platform.node(), os.getpid())
    assert not here.holder("a").free
    with first:
        first.check()
    assert here.holder("a").free
    second = here.take("a")
    assert second is not None
    with pytest.raises(ClaimLost, match="taken over a"):
        first.check()
    second.check()
    assert sorted(path.name for path in here._folder.iterdir()) == ["a.1", "a.2", "b.1"]


@pytest.mark.parametrize("before", ["nothing", "old"])
def test_of_many_at_once_one_is_first(tmp_path, before):
    """All have seen that the cell is free before any of them makes its claim."""
    for turn in range(5):
        here = Claims(tmp_path / f"claims-{turn}")
        if before == "old":
            other_machine(here, "a", age=1000)
        ready, go = os.pipe(), os.pipe()

        def work(here=here, ready=ready, go=go):
            def together(folder, cell):
                number = newest(folder, cell)
                os.write(ready[1], b"r")
                os.read(go[0], 1)
                return number

            newest, claims._newest = claims._newest, together
            return here.take("a")

        children = [in_child(work) for _ in range(8)]
        for _ in children:
            os.read(ready[0], 1)
        os.write(go[1], b"g" * len(children))
        answers = [os.read(reading, 1) for _, reading in children]
        for child, reading in children:
            end(child)
            os.close(reading)
        for end_of_pipe in (*ready, *go):
            os.close(end_of_pipe)
        assert answers.count(b"1") == 1


def test_a_dead_process_holds_nothing(tmp_path):
    here = Claims(tmp_path, stale=1e9)
    child, reading = in_child(lambda: here.take("a"))
    assert os.read(reading, 1) == b"1"
    os.close(reading)
    assert here.take("a") is None
    os.kill(child, signal.SIGKILL)
    for _ in range(3000):  # not yet waited for, it is a zombie, and gone all the same
        if here.holder("a").free:
            break
        time.sleep(0.01)
    assert here.holder("a").free
    os.waitpid(child, 0)
    assert here.holder("a").free
    assert here.take("a") is not None


def test_another_process_with_the_number_of_a_dead_one_is_not_it(here, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(claims, "_started", lambda pid: "12345")  # another process of our number
        assert here.take("a") is not None
    assert here.take("a") is not None


def test_a_process_elsewhere_is_gone_when_it_was_silent_too_long(here):
    other_machine(here, "a", age=claims.STALE - 30)
    assert here.take("a") is None
    assert here.holder("a").host == "far"
    other_machine(here, "a", age=claims.STALE + 30)
    assert here.take("a") is not None
    assert here.holder("a").host == platform.node()


def test_clocks_of_workers_play_no_part(here, monkeypatch):
    """Ages are differences of times that one file server wrote."""
    other_machine(here, "a")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert here.take("a") is None


def test_a_holder_gives_signs_of_life(tmp_path):
    here = Claims(tmp_path, beat=0.01)
    with here.take("a"):
        path = tmp_path / "a.1"
        os.utime(path, (1000, 1000))
        while path.stat().st_mtime == 1000:
            time.sleep(0.01)
        assert here.take("a") is None
    assert path.stat().st_mtime == 0


def test_a_holder_that_slept_learns_that_it_was_followed_and_leaves_the_next_alone(tmp_path):
    here = Claims(tmp_path, beat=1e6)
    sleeper = here.take("a")
    with sleeper:
        os.utime(tmp_path / "a.1", (1000, 1000))
        follower = here.take("a")
        with pytest.raises(ClaimLost):
            sleeper.check()
    # What the sleeper lets go of is its own claim alone.
    follower.check()
    assert here.take("a") is None


def test_the_newest_claim_is_the_largest_number(here):
    for number in (9, 10, 2):
        other_machine(here, "a", number, age=0 if number == 10 else 1000)
    assert here.take("a") is None
    other_machine(here, "a", 10, age=1000)
    assert here.take("a") is not None
    assert (here._folder / "a.11").exists()


def test_names_that_begin_alike_are_other_cells(here):
    here.take("a-s1-ff")
    assert here.take("a-s1-f") is not None
    assert here.take("a-s1") is not None


def test_a_claim_that_was_not_written_yet_is_one(here):
    """Another worker looks between the making of the file and its content."""
    here.take("a")
    (here._folder / "b.1").touch()
    assert here.take("b") is None
    assert not here.holder("b").free


def test_a_claim_that_a_full_disk_left_empty_holds_nothing(here, monkeypatch):
    def full(data, file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(json, "dump", full)
        with pytest.raises(OSError, match="No space left"):
            here.take("a")
    assert here.holder("a").free
    assert here.take("a") is not None


def test_nothing_else_is_left_in_the_folder(here):
    here.take("a")
    here.take("a")
    assert [path.name for path in here._folder.iterdir()] == ["a.1"]


def test_a_claim_is_a_context_that_ends_its_thread(here):
    before = threading.active_count()
    claim = here.take("a")
    assert isinstance(claim, Claim)
    with claim:
        assert threading.active_count() == before + 1
    assert threading.active_count() == before

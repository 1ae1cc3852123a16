"""Train in child processes that die by SIGKILL; started by test_kill.py, never imported.

    python killer.py RECIPE.json FOLDER

Children are forked from a process that has everything loaded, so that hundreds of them are cheap.
Prints one JSON line per run directory: {"run": NAME, "deaths": [...]}; "whole" was never killed.
"""

import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import torch
from safetensors.numpy import load_file

from arithtf.certify.verify.fields import hash_weights
from arithtf.recipes import Recipe
from arithtf.train import train

FILE_EVENTS = {"open", "os.rename", "os.chmod", "os.remove", "tempfile.mkstemp"}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_event(run, number, report):
    """Be killed just before the number-th thing that is done to a file of the run."""
    count = 0

    def event(what, path):
        nonlocal count
        count += 1
        if count == number:
            os.write(report, f"{what} {Path(path).name}".encode())
            die()

    def hook(name, args):
        if name in FILE_EVENTS and isinstance(args[0], str | os.PathLike):
            path = os.fspath(args[0])
            if isinstance(path, str) and path.startswith(str(run)):
                event(name, path)

    fsync = os.fsync

    def watched_fsync(fd):
        event("fsync", os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    sys.addaudithook(hook)
    os.fsync = watched_fsync


def die_at_size(size, report):
    """Be killed by the kernel in the middle of writing a file that grows beyond `size` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    os.write(report, f"a file of more than {size} bytes".encode())


def attempt(recipe, run, doom=None, delay=None):
    """Train in a child, resuming what is there; how it died, or None if it finished."""
    reading, report = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if doom is not None:
                doom(report)
            train(recipe, run, resume=True, device="cpu")
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(report)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    told = os.read(reading, 200).decode()
    os.close(reading)
    if os.WIFSIGNALED(status):
        check_hashes(run)
        return told or f"after {delay:.4f} s"
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"training in {run} failed; its traceback is above")
    return None


def check_hashes(run):
    """Whatever the moment of death, what stands there has its hash beside it."""
    hashes = run / "hashes.json"
    found = json.loads(hashes.read_text()) if hashes.exists() else {}
    if (run / "config.json").exists() and len(found["recipe"]) != 64:
        raise SystemExit(f"{run} has a recipe without its hash")
    weights = run / "model.safetensors"
    if weights.exists() and found["weights"] != hash_weights(load_file(weights)):
        raise SystemExit(f"{run} has weights without their hash")


def finish(recipe, run, *deaths):
    if attempt(recipe, run) is not None:
        raise SystemExit(f"the last attempt in {run} did not finish")
    print(json.dumps({"run": run.name, "deaths": deaths}), flush=True)


def killed_at_every_event(recipe, folder, rng):
    """One run directory for each moment between two file operations, killed there and once more."""
    for number in range(1, 1000):
        run = folder / f"event-{number}"
        first = attempt(recipe, run, lambda out, r=run, n=number: die_at_event(r, n, out))
        if first is None:
            return
        deaths = [first]
        if number % 3 == 0:
            again = rng.randrange(1, 40)
            deaths.append(attempt(recipe, run, lambda out, r=run, n=again: die_at_event(r, n, out)))
        finish(recipe, run, *deaths)
    raise SystemExit("training does not end")


def killed_inside_writes(recipe, folder, whole):
    """Killed by the kernel with part of a file on the disk."""
    largest = max(path.stat().st_size for path in whole.iterdir())
    for size in (0, 1, 100, 500, 1000, largest // 4, largest // 2, largest - 1):
        run = folder / f"size-{size}"
        finish(recipe, run, attempt(recipe, run, lambda out, s=size: die_at_size(s, out)))


def killed_any_time(recipe, folder, rng, runs):
    """Killed at random moments, several times in a row."""
    seconds = []
    for number in range(3):
        began = time.perf_counter()
        finish(recipe, folder / f"timed-{number}")
        seconds.append(time.perf_counter() - began)
    for number in range(runs):
        run = folder / f"time-{number}"
        kills = rng.randrange(1, 4)
        delays = [rng.uniform(0, min(seconds)) for _ in range(kills)]
        deaths = [attempt(recipe, run, delay=delay) for delay in delays]
        finish(recipe, run, *deaths)


def main():
    recipe = Recipe.from_dict(json.loads(Path(sys.argv[1]).read_text()))
    folder, rng = Path(sys.argv[2]).resolve(), random.Random(0)
    torch.set_num_threads(1)  # and no thread pool is ever made that a fork could lose
    train(recipe, device="cpu")  # loads all that torch loads late
    finish(recipe, folder / "whole")
    killed_at_every_event(recipe, folder, rng)
    killed_inside_writes(recipe, folder, folder / "whole")
    killed_any_time(recipe, folder, rng, runs=12)


if __name__ == "__main__":
    main()

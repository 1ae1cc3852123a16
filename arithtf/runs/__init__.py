"""A run directory: what is in it, how it is written so that no moment of death can spoil it.

| file | content |
|---|---|
| config.json | the recipe |
| hashes.json | SHA-256 of the recipe that training began with, and of the weights it ended with |
| metrics.jsonl | one line per logged step; depends on the recipe and the thread count alone |
| timing.json | seconds, threads, versions, device of the training |
| model.safetensors | the weights |
| state.pt | weights, optimiser and step, for resuming; read with weights_only=True |
| eval.jsonl | evaluations, appended |
| certificate.json | the certificate |
| report.html | the report |
| cell.json, failure.json | in a study: what was done, by which code; how it failed |

Files are the truth. Whole files are written beside their place, flushed to disk and renamed
(`files`). Whatever reads one says which fields it needs (`shapes`), so that damage is named.
"""

from arithtf.runs.files import (
    FILES,
    RunBusy,
    RunError,
    append_line,
    lock,
    read_bytes,
    read_json,
    read_lines,
    remove_leftovers,
    write_atomic,
    write_json,
    write_lines,
    write_text,
)
from arithtf.runs.stored import (
    RunChanged,
    begin_run,
    check_recipe,
    config_hash,
    finish_run,
    known_hash,
    load_model,
    load_recipe,
    load_state,
    recipe_changes,
    save_weights,
    weights_changes,
    weights_hash,
)

__all__ = [
    "FILES",
    "RunBusy",
    "RunChanged",
    "RunError",
    "append_line",
    "begin_run",
    "check_recipe",
    "config_hash",
    "finish_run",
    "known_hash",
    "load_model",
    "load_recipe",
    "load_state",
    "lock",
    "read_bytes",
    "read_json",
    "read_lines",
    "recipe_changes",
    "remove_leftovers",
    "save_weights",
    "weights_changes",
    "weights_hash",
    "write_atomic",
    "write_json",
    "write_lines",
    "write_text",
]

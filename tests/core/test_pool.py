"""Memory of batches is used again, but never while something still looks at it."""

import numpy as np

from arithtf.tasks import Addition, Address, Batch, Draw, couplings

TASK = Addition()


def draw(step: int, size: int = 64):
    return Batch.of(
        TASK.sample(Address(0, "all", step), Draw((1, 30), size)), couplings.columns(TASK)
    )


def test_a_batch_in_use_is_never_overwritten() -> None:
    batches = [draw(step) for step in range(40)]
    views = [batch.tokens[3:5, ::2] for batch in batches]
    copies = [view.copy() for view in views]
    del batches
    for step in range(100, 140):
        draw(step, size=48 + step % 32)
    for view, copy in zip(views, copies, strict=True):
        np.testing.assert_array_equal(view, copy)


def test_reused_memory_gives_the_same_bytes_as_fresh_memory() -> None:
    first = [array.tobytes() for array in draw(1)[:4]]
    for size in (64, 63, 40, 64):
        draw(2, size)
    held = [draw(1) for _ in range(3)]
    for batch in held:
        assert [array.tobytes() for array in batch[:4]] == first
        assert all(array.flags.writeable and array.flags.c_contiguous for array in batch[:4])

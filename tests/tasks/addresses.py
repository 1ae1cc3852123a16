"""Problems of an address that is given as keywords."""

from arithtf.tasks import Address, Batch, Draw


def operands_at(task, *, seed, split, step, lengths, size, kind="uniform", threads=0):
    return task.operands(Address(seed, split, step), Draw(lengths, size, kind), threads=threads)


def batch_at(task, coupling, *, seed, split, step, lengths, size, kind="uniform", threads=0):
    draw = Draw(lengths, size, kind)
    made = task.sample(Address(seed, split, step), draw, threads=threads)
    return Batch.of(made, coupling, threads=threads)

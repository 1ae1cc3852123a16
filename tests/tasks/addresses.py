"""Problems of an address that is given as keywords."""

from arithtf.tasks import Address, Batch, Draw


def operands_at(task, *, seed, split, step, lengths, size, kind="uniform", chain=None, threads=0):
    draw = Draw(lengths, size, kind, chain=chain)
    return task.operands(Address(seed, split, step), draw, threads=threads)


def batch_at(
    task, coupling, *, seed, split, step, lengths, size, kind="uniform", chain=None, threads=0
):
    draw = Draw(lengths, size, kind, chain=chain)
    made = task.sample(Address(seed, split, step), draw, threads=threads)
    return Batch.of(made, coupling, threads=threads)

"""An independent, slow layout of sums and an independent definition of local contexts."""

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest

NO_ID, IGNORE = -(2**31), 255
Batch = namedtuple("Batch", "tokens query_ids key_ids targets start")
FORM = dict(offset=0, left=0, right=0, row=0, index=0)


def place(**form):
    return SimpleNamespace(**{**FORM, **form})


def level(name, key, query, **options):
    options = {**dict(period=0, randomized=0, start=(0, 0), shared_start=False), **options}
    return SimpleNamespace(name=name, key=key, query=query, **options)


def coupling(*levels):
    return SimpleNamespace(name="test", levels=tuple(levels))


def aligned(reverse=False, **extra):
    """Digits of equal significance have equal ids; the query asks for its own column."""
    operand = place(left=1) if reverse else place(right=1)
    key = {"a": operand, "b": operand, "answer": place(left=1), **extra}
    return coupling(level("significance", key, {"answer": place(left=1)}))


def digits_of(value, base):
    digits = []
    while value or not digits:
        digits.append(value % base)
        value //= base
    return digits  # least significant first


def segments(a, b, base, padded, reverse):
    x, y, z = (digits_of(v, base) for v in (a, b, a + b))
    if padded:
        n = max(len(x), len(y))
        x, y, z = x + [0] * (n - len(x)), y + [0] * (n - len(y)), z + [0] * (n + 1 - len(z))
    pad, bos, eos, equals, plus = range(base, base + 5)
    turn = (lambda d: d) if reverse else (lambda d: d[::-1])
    return [
        ("bos", [bos]),
        ("a", turn(x)),
        ("+", [plus]),
        ("b", turn(y)),
        ("=", [equals]),
        ("answer", [*z, eos]),
    ], pad


def instance_ids(forms, parts, last_complete):
    ids, n = [], 0
    for name, tokens in parts:
        form = forms.get(name)
        for i in range(len(tokens)):
            if form is None:
                ids.append(NO_ID)
            else:
                right = len(tokens) - 1 - i if name != "answer" else 0
                ids.append(form.offset + form.left * i + form.right * right + form.index * n)
            n += 1
    return ids


def layout(problems, levels, base=10, padded=False, reverse=False):
    """Sums as a batch, by the layout's definition: one token after the other."""
    rows = [segments(a, b, base, padded, reverse) for a, b in problems]
    answers = [len(parts[-1][1]) for parts, _ in rows]
    prompts = [sum(len(t) for _, t in parts[:-1]) for parts, _ in rows]
    start = max(prompts) - 1
    width = start + 1 + max(answers)
    shape = (len(rows), len(levels.levels), width)
    tokens = np.full((len(rows), width), rows[0][1], np.uint8)
    query_ids, key_ids = np.full(shape, NO_ID, np.int32), np.full(shape, NO_ID, np.int32)
    targets = np.full((len(rows), width), IGNORE, np.uint8)
    for r, (parts, _) in enumerate(rows):
        flat = [t for _, part in parts for t in part]
        gap = start + 1 - prompts[r]  # PADs between BOS and the prompt
        columns = np.array([0, *range(1 + gap, gap + len(flat))])
        tokens[r, columns] = flat
        for k, lv in enumerate(levels.levels):
            key_ids[r, k, columns] = instance_ids(lv.key, parts, False)
            query_ids[r, k, columns[:-1]] = instance_ids(lv.query, parts, True)[1:]
        targets[r, start : start + answers[r]] = parts[-1][1]
    return Batch(tokens, query_ids, key_ids, targets, start)


def contexts(batch, windows, sinks=1):
    """{context: [(row, column, target)]} straight from the definition."""
    found = {}
    for r, c in zip(*np.nonzero(batch.targets != IGNORE), strict=True):
        found.setdefault(context_at(batch, windows, sinks, r, c), []).append(
            (int(r), int(c), int(batch.targets[r, c]))
        )
    return found


def context_at(batch, windows, sinks, r, c):
    keys_of = batch.key_ids[r if len(batch.key_ids) > 1 else 0].tolist()
    queries_of = batch.query_ids[r if len(batch.query_ids) > 1 else 0].tolist()
    entries = []
    for lv, (back, ahead) in enumerate(windows):
        query = queries_of[lv][c]
        for k in range(sinks, c + 1):
            key = keys_of[lv][k]
            if NO_ID not in (query, key) and -back <= key - query <= ahead:
                entries.append((lv, key - query, int(batch.tokens[r, k])))
    return int(batch.tokens[r, c]), tuple(sorted(entries))


def as_set(collected):
    """The contexts of arrays as returned by the core."""
    get = collected.get if isinstance(collected, dict) else lambda name: getattr(collected, name)
    entries = list(zip(*(get(n).tolist() for n in ("level", "difference", "token")), strict=True))
    offsets = get("offsets").tolist()
    return [
        (token, tuple(entries[offsets[i] : offsets[i + 1]]))
        for i, token in enumerate(get("query_token").tolist())
    ]


@pytest.fixture(scope="session")
def naive():
    return SimpleNamespace(
        layout=layout,
        contexts=contexts,
        context_at=context_at,
        as_set=as_set,
        aligned=aligned,
        place=place,
        level=level,
        coupling=coupling,
        Batch=Batch,
        NO_ID=NO_ID,
        IGNORE=IGNORE,
    )


def fit(model, task, contexts, steps=500):
    """Fit a model to all contexts at once: a correct model in a second or two."""
    import torch

    from arithtf.model import local_inputs

    inputs = local_inputs(
        contexts,
        levels=model.config.levels,
        sinks=model.config.encoding.sinks,
        bos=task.vocabulary.bos,
        pad=task.vocabulary.pad,
    )
    target = torch.from_numpy(contexts.target.astype(np.int64))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0, betas=(0.9, 0.95))
    last = inputs[0].shape[1] - 1
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1.0, (step + 1) / 20, 2 - 2 * step / steps)
        logits = model(*inputs, start=last, stop=last + 1, impl="reference")[:, 0]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def tiny_recipe(base=3, width=48, **changes):
    """Addition by coupled columns with a tiny model."""
    from arithtf.encodings import Encoding, Table
    from arithtf.model import ModelConfig
    from arithtf.recipes import Recipe
    from arithtf.tasks import Addition, couplings

    task = Addition(base=base, format=changes.pop("format", "natural"))
    parts = {"blocks": changes.pop("blocks", ("attention", "mlp")), **changes.pop("model", {})}
    values = dict(mechanism=Table(reach=1), windows=((1, 0),), sinks=1) | changes
    model = ModelConfig(
        vocabulary=task.vocabulary.size,
        levels=1,
        width=width,
        heads=4,
        hidden=2 * width,
        encoding=Encoding(**values),
        **parts,
    )
    return Recipe(name="tiny", task=task, coupling=couplings.columns(task), model=model)


def write_run(path, recipe, model):
    """A run directory that holds a recipe and weights."""
    from arithtf.runs import save_weights, write_json

    path.mkdir()
    write_json(path / "config.json", recipe.to_dict())
    save_weights(path / "model.safetensors", model)
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A correct model of sums in base 3, its recipe and its run directory."""
    from arithtf.certify import check_task
    from arithtf.model import Transformer

    recipe = tiny_recipe()
    found = check_task(recipe.task, recipe.coupling, recipe.model.encoding.windows)
    model = fit(Transformer(recipe.model, seed=1), recipe.task, found.contexts)
    run = write_run(tmp_path_factory.mktemp("certify") / "run", recipe, model)
    return SimpleNamespace(
        recipe=recipe,
        task=recipe.task,
        coupling=recipe.coupling,
        model=model,
        run=run,
        contexts=found.contexts,
        operands=found.operands,
        found=found,
        make=tiny_recipe,
        write=write_run,
        fit=fit,
    )

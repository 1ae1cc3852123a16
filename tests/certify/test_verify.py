"""The second path: its enumeration against all small sums and the cover, and what it catches."""

import copy
import hashlib
import json
import shutil

import numpy as np
import pytest
import safetensors.numpy
import torch

from arithtf.certify import certify, contexts_hash, enumerate_contexts, verify_certificate
from arithtf.certify.verify import DERIVATIONS, hash_contexts
from arithtf.certify.verify_addition import ABSENT, NotDerivable, derive_addition
from arithtf.encodings import T5, ALiBi, NoPE, Shaw
from arithtf.tasks import Addition, couplings, task_to_dict

WINDOWS = [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]


def derive(task, coupling, window):
    return derive_addition(task_to_dict(task), coupling.to_dict(), [list(window)])


def as_set(derived):
    """{(query, entries, target)}."""
    rows = set()
    for query, target, slots in zip(derived.query, derived.target, derived.slots, strict=True):
        seen = sorted(
            (0, int(d), int(t))
            for d, t in zip(derived.differences, slots, strict=True)
            if t != ABSENT
        )
        rows.add((int(query), tuple(seen), int(target)))
    return rows


def occurring(naive, base, padded, window, longest, answers):
    """Contexts of all sums of at most `longest` digits, from the definition."""
    place = naive.place
    key = {"a": place(right=1), "b": place(right=1)} | (
        {"answer": place(left=1)} if answers else {}
    )
    tables = naive.coupling(naive.level("column", key, {"answer": place(left=1)}))
    problems = [(a, b) for a in range(base**longest) for b in range(a + 1)]
    batch = naive.layout(problems, tables, base=base, padded=padded)
    found = naive.contexts(batch, [window])
    return {(q, seen, t) for (q, seen), places in found.items() for _, _, t in places}


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("base", "longest", "window"),
    [(2, 5, (1, 0)), (2, 6, (1, 1)), (2, 6, (2, 0)), (3, 4, (1, 0)), (2, 5, (0, 0))],
)
def test_derived_contexts_are_those_that_occur(naive, base, longest, window, padded, answers):
    """Long enough sums show every context of so small a window, and none but the derived."""
    task = Addition(base=base, format="padded" if padded else "natural")
    coupling = couplings.columns(task) if answers else couplings.operand_columns(task)
    derived = as_set(derive(task, coupling, window))
    assert derived == occurring(naive, base, padded, window, longest, answers)


@pytest.mark.parametrize("name", ["columns", "operand_columns"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("form", ["natural", "padded"])
@pytest.mark.parametrize(
    ("base", "window"),
    [(b, w) for b in (2, 3) for w in WINDOWS] + [(4, (1, 1)), (10, (1, 0)), (16, (1, 0))],
)
def test_derived_and_covered_contexts_are_the_same(base, window, form, reverse, name):
    task = Addition(base=base, format=form, reverse_operands=reverse)
    coupling = getattr(couplings, name)(task)
    contexts, conflicts = enumerate_contexts(task, coupling, [window])
    derived = derive(task, coupling, window)
    assert not conflicts
    assert len(derived.query) == len(contexts.target)
    assert hash_contexts(derived) == contexts_hash(contexts)


def test_hash_tells_sets_apart():
    task = Addition(base=3)
    derived = derive(task, couplings.columns(task), (1, 0))
    whole = hash_contexts(derived)
    for i in range(0, len(derived.query), 10):
        kept = np.arange(len(derived.query)) != i
        part = copy.copy(derived)
        for name in ("query", "target", "slots"):
            object.__setattr__(part, name, getattr(derived, name)[kept])
        assert hash_contexts(part) != whole


def test_other_couplings_have_no_derivation():
    task = Addition()
    for coupling in (couplings.index(task), couplings.cyclic(task, 5)):
        with pytest.raises(NotDerivable, match="columns"):
            derive(task, coupling, (1, 0))
    with pytest.raises(NotDerivable, match="narrower"):
        derive(Addition(base=128), couplings.columns(task), (1, 0))


@pytest.fixture(scope="module")
def pair(tiny, tmp_path_factory):
    """A run directory with its certificate."""
    path = tmp_path_factory.mktemp("verify") / "certificate.json"
    certify(tiny.run).save(path)
    return path, tiny.run


def test_right_certificate_is_valid(tiny, pair):
    result = verify_certificate(*pair)
    assert result.valid
    assert result.problems == ()
    assert result.contexts == len(tiny.contexts.target)
    assert abs(result.margin - json.loads(pair[0].read_text())["margin"]) < 1e-9


def test_what_has_no_derivation_is_told_from_what_is_wrong(pair, tmp_path, monkeypatch):
    monkeypatch.delitem(DERIVATIONS, "addition")
    result = verify_certificate(*pair)
    assert not result.valid
    assert not result.able
    assert "no independent derivation" in result.problems[0]
    claim = json.loads(pair[0].read_text()) | {"weights": "0" * 64}
    assert verify_certificate(write(tmp_path / "c.json", claim), pair[1]).able


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (dict(mechanism=NoPE()), ""),
        (dict(mechanism=Shaw()), ""),
        (dict(mechanism=ALiBi()), ""),
        (dict(mechanism=ALiBi(learned=True)), "no independent evaluation"),
        (dict(logit_scale="head"), ""),
        (dict(sinks=0), ""),
        (dict(blocks=("mlp", "attention", "mlp", "mlp")), ""),
        (dict(format="padded"), ""),
        (dict(mechanism=T5()), "no independent evaluation"),
        (dict(logit_scale="log"), "no independent evaluation"),
    ],
)
def test_margins_agree_for_every_kind_of_model(tiny, tmp_path, changes, reason):
    """Untrained models are wrong, but both paths must find the same smallest margin."""
    from arithtf.model import Transformer

    recipe = tiny.make(width=16, **changes)
    model = Transformer(recipe.model, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.manual_seed(0)) * 0.1)
    run = tiny.write(tmp_path / "run", recipe, model)
    claim = certify(run, tour=False)
    data = claim.to_dict() | {"verdict": "certified"}
    path = write(tmp_path / "c.json", data)
    result = verify_certificate(path, run)
    assert not result.valid
    if reason:
        assert any(reason in problem for problem in result.problems)
    else:
        assert any("errs in" in problem for problem in result.problems)
        assert result.margin == pytest.approx(claim.margin, abs=1e-9)


def write(path, data):
    """A forged certificate: edited, and its digest made to fit."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    path.write_text(json.dumps({**rest, "digest": hashlib.sha256(text.encode()).hexdigest()}))
    return path


FORGERIES = {
    "verdict": lambda c: c.update(verdict="wrong"),
    "format": lambda c: c.update(format=2),
    "weights": lambda c: c.update(weights=c["weights"][::-1]),
    "task": lambda c: c["task"].update(base=10),
    "coupling": lambda c: c["coupling"].update(name="other"),
    "model": lambda c: c["model"].update(width=64),
    "fewer contexts": lambda c: c.update(contexts=c["contexts"] - 1),
    "more contexts": lambda c: c.update(contexts=c["contexts"] + 1),
    "other contexts": lambda c: c.update(contexts_hash="0" * 64),
    "wrong": lambda c: c.update(wrong=1),
    "margin too large": lambda c: c.update(margin=c["margin"] * 1.0001),
    "margin too small": lambda c: c.update(margin=c["margin"] * 0.9999, lower=0.001),
    "margin not a number": lambda c: c.update(margin=float("nan")),
    "margin text": lambda c: c.update(margin="3"),
    "margin missing": lambda c: c.pop("margin"),
    "lower negative": lambda c: c.update(lower=-0.1),
    "lower above margin": lambda c: c.update(lower=c["margin"] + 1),
    "lower below bound": lambda c: c.update(lower=(c["margin"] - c["bound"]) * 0.999),
    "bound of nothing": lambda c: c.update(bound=0.0, lower=c["margin"]),
    "bound below rounding": lambda c: c.update(bound=1e-9, lower=c["margin"]),
    "dtype": lambda c: c.update(dtype="bfloat16"),
    "no implementation": lambda c: c.update(implementations=[]),
    "tour with mistakes": lambda c: c["tour"].update(wrong=1),
    "tour without contexts": lambda c: c["tour"].update(covered=c["contexts"] - 1),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_certificate_is_caught(pair, tmp_path, name):
    data = json.loads(pair[0].read_text())
    FORGERIES[name](data)
    assert not verify_certificate(write(tmp_path / "c.json", data), pair[1]).valid


def places(data, before=()):
    """Paths to all entries of nested dicts and lists."""
    for key in data if isinstance(data, dict) else range(len(data)):
        yield (*before, key)
        if isinstance(data[key], dict | list):
            yield from places(data[key], (*before, key))


PARTS = ("task", "coupling", "model")


@pytest.fixture
def agreeing(pair, tmp_path):
    """Verify with the parts of certificate and config.json changed alike, in one place."""
    claim = json.loads(pair[0].read_text())
    config = json.loads((pair[1] / "config.json").read_text())
    shutil.copy(pair[1] / "model.safetensors", tmp_path)

    def verified(place, value):
        changed = copy.deepcopy(config)
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        (tmp_path / "config.json").write_text(json.dumps(changed))
        forged = write(tmp_path / "c.json", claim | {part: changed[part] for part in PARTS})
        return verify_certificate(forged, tmp_path)

    return config, verified


def test_odd_values_are_problems_and_no_crashes(agreeing):
    config, verified = agreeing
    refused = 0
    for place in places({part: config[part] for part in PARTS}):
        for odd in (None, [], {}, "odd", -1, [1], float("inf")):
            refused += not verified(place, odd).valid
    assert refused > 200


@pytest.mark.parametrize(
    "place",
    [
        ("task",),
        ("model",),
        ("model", "encoding"),
        ("model", "encoding", "mechanism"),
        ("coupling", "levels", 0),
        ("coupling", "levels", 0, "key", "a"),
        ("coupling", "levels", 0, "query", "answer"),
    ],
)
def test_unknown_settings_are_not_ignored(agreeing, place):
    config, verified = agreeing
    inner = config
    for key in place:
        inner = inner[key]
    assert verified(place, inner).valid
    for value in (0, 1, None):
        assert not verified(place, {**inner, "softcap": value}).valid


@pytest.mark.parametrize("key", ["tour", "contexts", "margin", "lower", "bound", "implementations"])
@pytest.mark.parametrize("odd", [[], {}, "odd", -1, True, float("inf")])
def test_odd_claims_are_problems_and_no_crashes(pair, tmp_path, key, odd):
    forged = write(tmp_path / "c.json", json.loads(pair[0].read_text()) | {key: odd})
    assert not verify_certificate(forged, pair[1]).valid


def test_weights_that_are_no_part_of_the_model_are_caught(tiny, pair, tmp_path):
    run = tiny.write(tmp_path / "run", tiny.recipe, tiny.model)
    weights = safetensors.numpy.load_file(run / "model.safetensors")
    claim = json.loads(pair[0].read_text())
    for name in ("blocks.0.mechanism.logit_scale", "blocks.7.up.weight", "bias"):
        more = weights | {name: np.ones(4, np.float32)}
        safetensors.numpy.save_file(more, run / "model.safetensors")
        digest = hashlib.sha256()
        for key, array in sorted(more.items()):
            digest.update(f"{key} {array.dtype} {array.shape}\n".encode() + array.tobytes())
        forged = write(tmp_path / "c.json", claim | {"weights": digest.hexdigest()})
        problems = verify_certificate(forged, run).problems
        assert any(name in problem for problem in problems), problems
        assert not any("hash" in problem for problem in problems)


def test_deeply_nested_json_is_a_problem(pair, tmp_path):
    (tmp_path / "c.json").write_text("[" * 100_000)
    assert not verify_certificate(tmp_path / "c.json", pair[1]).valid


def test_edit_without_a_new_digest_is_caught(pair, tmp_path):
    data = json.loads(pair[0].read_text())
    for key in sorted(set(data) - {"digest"}):
        edited = {**data, key: 7}
        (tmp_path / "c.json").write_text(json.dumps(edited))
        assert not verify_certificate(tmp_path / "c.json", pair[1]).valid, key


def test_cut_off_file_is_caught(pair, tmp_path):
    text = pair[0].read_text()
    for length in range(0, len(text.rstrip()) - 1, 97):
        (tmp_path / "c.json").write_text(text[:length])
        assert not verify_certificate(tmp_path / "c.json", pair[1]).valid, length


def test_changed_weights_are_caught(tiny, pair, tmp_path):
    generator = np.random.default_rng(8)
    names = [name for name, _ in tiny.model.named_parameters()]
    for i in range(30):
        model = copy.deepcopy(tiny.model)
        flat = model.get_parameter(names[i % len(names)]).data.view(-1)
        at = int(generator.integers(len(flat)))
        flat[at] = torch.nextafter(flat[at], torch.tensor(9.0))
        run = tiny.write(tmp_path / f"run{i}", tiny.recipe, model)
        problems = verify_certificate(pair[0], run).problems
        assert any("hash" in problem for problem in problems), names[i % len(names)]


def test_other_run_and_missing_files_are_caught(tiny, pair, tmp_path):
    run = tiny.write(tmp_path / "run", tiny.make(windows=((1, 1),)), tiny.model)
    assert any("model" in p for p in verify_certificate(pair[0], run).problems)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert not verify_certificate(pair[0], empty).valid
    assert not verify_certificate(tmp_path / "nothing.json", pair[1]).valid
    shutil.copy(run / "config.json", empty)
    assert not verify_certificate(pair[0], empty).valid
    (empty / "model.safetensors").write_bytes(b"no weights")
    assert not verify_certificate(pair[0], empty).valid

"""The second path's verdict: right certificates hold, and nothing in one can be edited."""

import copy
import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch

from arithtf.certify import certify, verify_certificate
from arithtf.certify.rounding import context_bounds
from arithtf.certify.verify.fields import CLAIM
from arithtf.model import Transformer
from arithtf.recipes import get_recipe
from arithtf.runs import save_weights, weights_hash
from arithtf.train import train


@pytest.fixture(scope="module")
def pair(tiny, tmp_path_factory):
    """A run directory with its certificate."""
    path = tmp_path_factory.mktemp("verify") / "certificate.json"
    certify(tiny.run).save(path)
    return path, tiny.run


def claim_of(pair):
    return json.loads(pair[0].read_text())


def write(path, data):
    """A forged certificate: edited, and its digest made to fit."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    path.write_text(json.dumps({**rest, "digest": hashlib.sha256(text.encode()).hexdigest()}))
    return path


def test_right_certificate_is_valid(tiny, pair):
    result = verify_certificate(*pair)
    assert result.problems == ()
    assert result.contexts == len(tiny.contexts.target)
    assert abs(result.margin - claim_of(pair)["margin"]) < 1e-9


@pytest.mark.parametrize("name", ["parity", "reverse"])
def test_a_trained_run_is_certified_and_verified(name, tmp_path):
    run = tmp_path / name
    train(replace(get_recipe(name), steps=100), run, device="cpu")
    certificate = certify(run)
    assert certificate.certified, certificate.reason
    certificate.save(run / "certificate.json")
    found = verify_certificate(run / "certificate.json", run)
    assert found.problems == ()
    assert found.margin == pytest.approx(certificate.margin, abs=1e-6)


TOUCHED = {
    "verdict": lambda c: c.update(verdict="wrong"),
    "reason": lambda c: c.update(reason="it is right"),
    "format": lambda c: c.update(format=1),
    "weights": lambda c: c.update(weights=c["weights"][::-1]),
    "task": lambda c: c["task"].update(base=10),
    "coupling": lambda c: c["coupling"].update(name="other"),
    "model": lambda c: c["model"].update(width=64),
    "a field less": lambda c: c.pop("seconds"),
    "a field more": lambda c: c.update(proof="QED"),
    "fewer contexts": lambda c: c.update(contexts=c["contexts"] - 1),
    "more contexts": lambda c: c.update(contexts=c["contexts"] + 1),
    "other contexts": lambda c: c.update(contexts_hash="0" * 64),
    "wrong": lambda c: c.update(wrong=1),
    "mistakes": lambda c: c.update(mistakes=[c["worst"]]),
    "margin too large": lambda c: c.update(margin=c["margin"] * 1.0001),
    "margin too small": lambda c: c.update(margin=c["margin"] * 0.9999, lower=0.001),
    "margin not a number": lambda c: c.update(margin=float("nan")),
    "margin text": lambda c: c.update(margin="3"),
    "lower negative": lambda c: c.update(lower=-0.1),
    "lower above margin": lambda c: c.update(lower=c["margin"] + 1),
    "lower below bound": lambda c: c.update(lower=(c["margin"] - c["bound"]) * 0.999),
    "bound of nothing": lambda c: c.update(bound=0.0, lower=c["margin"]),
    "bound below rounding": lambda c: c.update(bound=1e-9, lower=c["margin"] - 1e-9),
    "bound beyond reason": lambda c: c.update(bound=c["margin"] * 100),
    "dtype": lambda c: c.update(dtype="bfloat16"),
    "assumptions": lambda c: c["assumptions"].update(batch="one row"),
    "no assumptions": lambda c: c.update(assumptions={}),
    "no implementation": lambda c: c.update(implementations=[]),
    "unknown implementation": lambda c: c.update(implementations=["reference", "abacus"]),
    "an implementation twice": lambda c: c.update(implementations=["cpu", "cpu"]),
    "worst margin": lambda c: c["worst"].update(margin=c["margin"] + 1),
    "worst bound": lambda c: c["worst"].update(bound=c["bound"] * 2),
    "worst context": lambda c: c["worst"].update(context=c["worst"]["context"] + " "),
    "worst expected": lambda c: c["worst"].update(expected="7", answered="7"),
    "worst answered": lambda c: c["worst"].update(answered="7"),
    "worst sum": lambda c: c["worst"].update(problem="12+12=101"),
    "worst problem": lambda c: c["worst"].update(problem="0+0=0", place=1),
    "worst place": lambda c: c["worst"].update(place=c["worst"]["place"] + 1),
    "worst place alone": lambda c: c["worst"].update(problem="", place=1),
    "worst field": lambda c: c["worst"].pop("answered"),
    "edge": lambda c: c["histogram"]["edges"].__setitem__(0, 0.1),
    "inner edge": lambda c: c["histogram"]["edges"].__setitem__(30, 0.1),
    "count": lambda c: c["histogram"]["counts"].__setitem__(0, 7),
    "counts": lambda c: c["histogram"]["counts"].reverse(),
    "counts and edges": lambda c: [c["histogram"][n].pop() for n in ("counts", "edges")],
    "versions": lambda c: c["versions"].update(torch=2),
    "seconds": lambda c: c.update(seconds=float("nan")),
    "time before now": lambda c: c.update(seconds=-1.0),
}


@pytest.mark.parametrize("name", TOUCHED)
def test_edited_certificate_is_caught(pair, tmp_path, name):
    data = claim_of(pair)
    TOUCHED[name](data)
    assert not verify_certificate(write(tmp_path / "c.json", data), pair[1]).valid


@pytest.mark.parametrize("odd", [None, [], {}, "odd", -1, True, [1], float("inf"), float("nan")])
def test_odd_values_of_every_field_are_problems_and_no_crashes(pair, tmp_path, odd):
    claim = claim_of(pair)
    for key in set(CLAIM) - {"digest"}:
        if claim[key] != odd:
            forged = write(tmp_path / "c.json", claim | {key: odd})
            assert not verify_certificate(forged, pair[1]).valid, key


def test_a_margin_that_rounding_can_take_is_refused(tiny, pair, tmp_path):
    """One row of weights moved until one context is right by 1e-6, every figure edited to fit."""
    model = copy.deepcopy(tiny.model)
    worst = exact_margins(model, tiny).argmin()
    row = model.unembedding.weight.data[int(tiny.contexts.target[worst])]
    whole, low, high = row.clone(), 0.0, 1.0
    for _ in range(60):
        row.copy_(whole * (low + high) / 2)
        enough = exact_margins(model, tiny).min() > 1e-6
        low, high = (low, (low + high) / 2) if enough else ((low + high) / 2, high)
    row.copy_(whole * high)
    for at in row.abs().argsort():  # float32 numbers are closest about 0
        before, kept = exact_margins(model, tiny).min(), row[at].clone()
        row[at] += 1e-3
        slope = (exact_margins(model, tiny).min() - before) / 1e-3
        row[at] = kept - (before - 1e-6) / slope
        margin = float(exact_margins(model, tiny).min())
        if 0 < margin < 2e-6:
            break
        row[at] = kept
    assert 0 < margin < 2e-6
    run = tiny.write(tmp_path / "run", tiny.recipe, model)
    assert not certify(run).certified
    figures = {"margin": margin, "lower": margin / 2, "bound": margin / 2}
    forged = claim_of(pair) | figures | {"weights": weights_hash(model)}
    problems = verify_certificate(write(tmp_path / "c.json", forged), run).problems
    assert any("rounding might take the margin in" in problem for problem in problems)


def exact_margins(model, tiny):
    return context_bounds(model, tiny.contexts, bos=tiny.task.vocabulary.bos).margin.numpy()


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
    claim = claim_of(pair)
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


TRAINING = [("model", "dropout"), ("model", "init")]
"""Settings that say nothing about the model that was trained."""


def test_odd_settings_are_problems_and_no_crashes(agreeing):
    config, verified = agreeing
    refused = 0
    for place in places({part: config[part] for part in PARTS}):
        for odd in (None, [], {}, "odd", -1, [1], float("inf")):
            refused += not verified(place, odd).valid
    assert refused > 300


def test_other_settings_are_problems(agreeing):
    """Each number or flag of the model changed to another that a model can have."""
    config, verified = agreeing
    for place in places({"model": config["model"]}):
        value = config["model"]
        for key in place[1:]:
            value = value[key]
        if type(value) in (int, bool) and place not in TRAINING:
            other = not value if type(value) is bool else value + 1
            assert not verified(place, other).valid, place


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


def test_what_is_not_known_is_told_from_what_is_wrong(tiny, pair, agreeing):
    _, verified = agreeing
    result = verified(("model", "encoding", "mechanism"), {"name": "rotary", "base": 10000.0})
    assert not result.valid
    assert not result.able
    assert "no independent evaluation" in result.problems[0]
    wrong = verified(("model", "encoding", "sinks"), 2)
    assert not wrong.valid
    assert wrong.able


def test_weights_that_are_no_part_of_the_model_are_caught(tiny, pair, tmp_path):
    run = tiny.write(tmp_path / "run", tiny.recipe, tiny.model)
    weights = safetensors.numpy.load_file(run / "model.safetensors")
    changes = {
        "blocks.0.mechanism.logit_scale": np.ones(4, np.float32),
        "blocks.7.up.weight": np.ones(4, np.float32),
        "blocks.1.up.weight": weights["blocks.1.up.weight"][:-1],
    }
    for name, array in changes.items():
        more = weights | {name: np.ascontiguousarray(array)}
        safetensors.numpy.save_file(more, run / "model.safetensors")
        digest = hashlib.sha256()
        for key, part in sorted(more.items()):
            digest.update(f"{key} {part.dtype} {part.shape}\n".encode() + part.tobytes())
        forged = write(tmp_path / "c.json", claim_of(pair) | {"weights": digest.hexdigest()})
        problems = verify_certificate(forged, run).problems
        assert any(name in problem for problem in problems), problems
        assert not any("hash" in problem for problem in problems)


@pytest.mark.parametrize("flushing", [False, True])
def test_subnormal_weights_are_refused(tiny, pair, tmp_path, flushing):
    """A library that flushes them computes another model, and compares them as zeros."""
    model = copy.deepcopy(tiny.model)
    model.unembedding.weight.data[0, 0] = 2.0**-130
    run = tiny.write(tmp_path / "run", tiny.recipe, model)
    forged = write(tmp_path / "c.json", claim_of(pair) | {"weights": weights_hash(model)})
    torch.set_flush_denormal(flushing)
    try:
        problems = verify_certificate(forged, run).problems
    finally:
        torch.set_flush_denormal(False)
    assert "so small" in problems[0]


def test_edit_without_a_new_digest_is_caught(pair, tmp_path):
    data = claim_of(pair)
    for key in sorted(set(data) - {"digest"}):
        (tmp_path / "c.json").write_text(json.dumps({**data, key: 7}))
        assert not verify_certificate(tmp_path / "c.json", pair[1]).valid, key


def test_damaged_files_are_caught(pair, tmp_path):
    text = pair[0].read_text()
    for length in range(0, len(text.rstrip()) - 1, 97):
        (tmp_path / "c.json").write_text(text[:length])
        assert not verify_certificate(tmp_path / "c.json", pair[1]).valid, length
    (tmp_path / "c.json").write_text("[" * 100_000)
    assert not verify_certificate(tmp_path / "c.json", pair[1]).valid


def test_changed_weights_are_caught(tiny, pair, tmp_path):
    generator = np.random.default_rng(8)
    names = [name for name, _ in tiny.model.named_parameters()]
    run = tiny.write(tmp_path / "run", tiny.recipe, tiny.model)
    for i in range(20):
        model = copy.deepcopy(tiny.model)
        flat = model.get_parameter(names[i % len(names)]).data.view(-1)
        at = int(generator.integers(len(flat)))
        flat[at] = torch.nextafter(flat[at], torch.tensor(9.0))
        save_weights(run / "model.safetensors", model)
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


def test_an_untrained_model_errs(tiny, pair, tmp_path):
    run = tiny.write(tmp_path / "run", tiny.recipe, Transformer(tiny.recipe.model, seed=9))
    assert any("errs in" in problem for problem in verify_certificate(pair[0], run).problems)

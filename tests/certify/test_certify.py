"""Certificates of a small correct model, and what is refused with which reason."""

import copy
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from arithtf.certify import (
    CannotCertify,
    Certificate,
    CertificateError,
    certify,
    check_contexts,
    check_task,
    collect,
    forward_decisions,
    run_tour,
)
from arithtf.encodings import FIRE, KERPLE, Learned, RoPE, Sinusoidal
from arithtf.model import ModelConfig, Transformer
from arithtf.runs import weights_hash
from arithtf.tasks import Addition, Batch, Operands, couplings


@pytest.fixture(scope="module")
def certificate(tiny):
    return certify(tiny.run)


def test_correct_model_is_certified(tiny, certificate):
    assert certificate.verdict == "certified", certificate.reason
    assert certificate.certified
    assert certificate.reason == ""
    assert certificate.contexts == len(tiny.contexts.target) > 100
    assert certificate.implementations == ("reference", "cpu")
    assert certificate.weights == weights_hash(tiny.model)
    assert 0 < certificate.lower <= certificate.margin
    assert certificate.margin - certificate.lower <= certificate.bound * (1 + 1e-9)
    assert sum(certificate.histogram["counts"]) == certificate.contexts


def test_tour_contains_every_context_and_is_decoded_right(tiny, certificate):
    tour = run_tour(tiny.model, tiny.found, forward_decisions("cpu"))
    assert (tour.covered, tour.wrong) == (certificate.contexts, 0)
    assert tour.predictions >= certificate.contexts
    assert tour.longest > 10


def test_model_and_run_directory_give_the_same_certificate(tiny, certificate):
    again = certify(tiny.model, tiny.task, tiny.coupling)
    assert replace(again, seconds=0.0) == replace(certificate, seconds=0.0)


def test_worst_context_is_shown_as_a_problem_that_has_it(tiny, naive, certificate):
    checked = check_contexts(tiny.model, tiny.contexts, tiny.task.vocabulary, ("reference",))
    worst = int(checked.margin.argmin())
    a, b = (int(x, 3) for x in certificate.worst.problem.partition("=")[0].split("+"))
    batch = naive.layout([(a, b)], naive.aligned(), base=3)
    seen = naive.context_at(batch, [(1, 0)], 1, 0, batch.start + certificate.worst.place)
    assert seen == naive.as_set(tiny.contexts)[worst]
    assert certificate.worst.margin == certificate.margin
    assert len(certificate.worst.problem) < 30
    assert str(certificate.worst.place) in str(certificate.worst)


def test_trained_model_is_certified(tiny):
    """What the loop trains on short sums, not a model fitted to the contexts."""
    from arithtf.train import train

    recipe = replace(tiny.recipe, batch=64, steps=5, warmup=2, lengths=(1, 5))
    result = certify(train(recipe), recipe.task, recipe.coupling)
    assert result.verdict == "wrong"
    assert result.wrong == len(result.mistakes) or len(result.mistakes) == 20
    assert result.mistakes[0].answered != result.mistakes[0].expected
    assert str(result.wrong) in result.reason


def test_round_trip_through_a_file(certificate, tmp_path):
    path = tmp_path / "certificate.json"
    certificate.save(path)
    assert Certificate.load(path) == Certificate.from_dict(certificate.to_dict())
    assert Certificate.load(path).to_dict() == certificate.to_dict()


@pytest.mark.parametrize("name", ["verdict", "contexts", "margin", "weights", "worst", "seconds"])
def test_edited_file_is_refused(certificate, tmp_path, name):
    data = certificate.to_dict()
    data[name] = "certifieD" if name == "verdict" else 1
    (tmp_path / "c.json").write_text(json.dumps(data))
    with pytest.raises(CertificateError, match="changed"):
        Certificate.load(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("text", "reason"), [("{", "JSON"), ("[]", "object"), ("{}", "format"), ("", "JSON")]
)
def test_file_that_is_no_certificate(tmp_path, text, reason):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(CertificateError, match=reason):
        Certificate.load(tmp_path / "c.json")


def refuse(tiny, recipe, seed=0):
    result = certify(Transformer(recipe.model, seed=seed), recipe.task, recipe.coupling)
    assert result.verdict == "refused"
    assert not result.certified
    return result


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (dict(windows=(None,)), "no window"),
        (dict(blocks=("attention", "mlp", "attention")), "2 attention blocks"),
        (dict(embedding=Learned()), "depends on the ids"),
        (dict(embedding=Sinusoidal()), "depends on the ids"),
        (dict(mechanism=RoPE()), "depends on the ids"),
        (dict(mechanism=FIRE()), "depends on the ids"),
        (dict(mechanism=KERPLE()), "no rounding bound"),
        (dict(model=dict(norm="layer")), "norm='layer'; the rounding bound covers RMSNorm"),
        (dict(model=dict(activation="gelu")), "use activation='relu'"),
        (dict(model=dict(activation="swiglu")), "use activation='relu'"),
        (dict(model=dict(bias=True)), "use bias=False"),
        (dict(model=dict(causal=False)), "use causal=True"),
        (dict(model=dict(key_heads=2)), "use key_heads=None"),
        (dict(sinks=2), "2 sinks"),
        (dict(windows=((0, 0),)), "too small"),
        (dict(windows=((0, 1),)), "too small"),
    ],
)
def test_what_cannot_be_proved_is_refused_before_the_model_runs(tiny, monkeypatch, changes, reason):
    def forward(*args, **kwargs):
        raise AssertionError("the model was run")

    monkeypatch.setattr(Transformer, "forward", forward)
    assert reason in refuse(tiny, tiny.make(**changes)).reason


class Mine(Transformer):
    """Of somebody else's."""


@dataclass(frozen=True, kw_only=True)
class MineConfig(ModelConfig):
    """Of somebody else's."""


def test_models_that_are_not_quite_arithtfs_are_refused(tiny):
    """A derived class may compute something else with the same weights."""
    recipe = tiny.make()
    for model in (Mine(recipe.model), Transformer(MineConfig(**vars(recipe.model)))):
        result = certify(model, recipe.task, recipe.coupling)
        assert result.verdict == "refused"
        assert "a model of somebody's own" in result.reason


@pytest.mark.parametrize("changes", [dict(dropout=0.2), dict(tied=True)])
def test_dropout_and_tied_embeddings_can_be_certified(tiny, changes):
    """Dropout plays no part after training; a tied matrix is a matrix."""
    recipe = tiny.make(model=changes)
    found = tiny.contexts
    model = tiny.fit(Transformer(recipe.model, seed=1).eval(), recipe.task, found)
    assert certify(model, recipe.task, recipe.coupling).certified


def test_other_number_formats_are_refused(tiny):
    for dtype in (torch.float64, torch.bfloat16):
        model = copy.deepcopy(tiny.model).to(dtype)
        result = certify(model, tiny.task, tiny.coupling)
        assert result.verdict == "refused"
        assert "float32" in result.reason


@pytest.mark.parametrize("backend", ["mkldnn", "cuda"])
def test_short_matrix_products_are_refused(tiny, backend):
    matmul = getattr(torch.backends, backend).matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        result = certify(tiny.model, tiny.task, tiny.coupling)
    finally:
        matmul.fp32_precision = before
    assert result.verdict == "refused"
    assert "precision" in result.reason
    assert certify(tiny.model, tiny.task, tiny.coupling).certified


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_numbers_are_refused(tiny, value):
    for name, _ in tiny.model.named_parameters():
        model = copy.deepcopy(tiny.model)
        model.get_parameter(name).data.view(-1)[0] = value
        result = certify(model, tiny.task, tiny.coupling)
        assert result.verdict == "refused"
        assert name in result.reason


@pytest.mark.parametrize("value", [2.0**-149, 2.0**-127, -(2.0**-126) + 2.0**-149])
@pytest.mark.parametrize("flushing", [False, True])
def test_weights_that_a_library_may_take_for_zero_are_refused(tiny, value, flushing):
    """Also where flushing is on already, so that comparisons with 0 do not see them."""
    for name in ("embedding.weight", "blocks.1.up.weight", "norm.weight"):
        model = copy.deepcopy(tiny.model)
        model.get_parameter(name).data.view(-1)[0] = value
        torch.set_flush_denormal(flushing)
        try:
            result = certify(model, tiny.task, tiny.coupling)
        finally:
            torch.set_flush_denormal(False)
        assert result.verdict == "refused"
        assert f"weight {name} has 1 entries" in result.reason


@pytest.mark.parametrize("value", [0.0, -0.0, 2.0**-126, -(2.0**-126)])
def test_zeros_and_the_smallest_normal_weights_are_certified(tiny, value):
    model = copy.deepcopy(tiny.model)
    model.unembedding.weight.data[-1, 0] = value
    assert certify(model, tiny.task, tiny.coupling).certified


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_refused_in_words(tiny, dtype):
    with torch.autocast("cpu", dtype=dtype):
        results = certify(tiny.model, tiny.task, tiny.coupling), certify(tiny.run)
    for result in results:
        assert result.verdict == "refused"
        assert "autocast" in result.reason
        assert str(dtype) in result.reason


def test_couplings_without_columns_are_refused(tiny):
    result = certify(tiny.model, tiny.task, couplings.index(tiny.task))
    assert result.verdict == "refused"
    assert "index" in result.reason
    result = certify(tiny.model, tiny.task, couplings.cyclic(tiny.task, 7))
    assert result.verdict == "refused"
    assert "period" in result.reason


def test_clash_names_two_real_problems_with_one_context(naive):
    task = Addition()
    with pytest.raises(CannotCertify) as error:
        check_task(task, couplings.columns(task), ((0, 0),))
    words = str(error.value).split()
    problems = [w for w in words if "+" in w and "=" in w]
    places = [int(words[i + 2]) for i, w in enumerate(words) if w in problems]
    found = []
    for problem, place in zip(problems, places, strict=True):
        a, b = map(int, problem.partition("=")[0].split("+"))
        batch = naive.layout([(a, b)], naive.aligned())
        column = batch.start + place
        found.append((naive.context_at(batch, [(0, 0)], 1, 0, column), batch.targets[0, column]))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_margins_too_small_for_rounding_are_refused(tiny):
    """All logits nearly equal: right in exact arithmetic, not in every float32 computation."""
    model = copy.deepcopy(tiny.model)
    with torch.no_grad():
        weight = model.unembedding.weight
        weight.mul_(2.0**-20).add_(torch.ones(weight.shape[1]) * 4)
    result = certify(model, tiny.task, tiny.coupling, impl="reference")
    assert not result.certified
    assert result.wrong or "rounding bound" in result.reason


def test_run_that_does_not_conform_is_refused(tiny, monkeypatch):
    """Logits off by more than rounding, though every answer is right."""
    forward = Transformer.forward
    monkeypatch.setattr(Transformer, "forward", lambda *a, **k: forward(*a, **k) * 1.01)
    result = certify(tiny.model, tiny.task, tiny.coupling)
    assert result.verdict == "refused"
    assert "conform" in result.reason


def test_mistake_in_the_tour_alone_takes_the_certificate_back(tiny):
    """A wrong evaluator at one place of the real instances."""

    def decide(model, batch):
        answer = batch.targets[:, batch.start : -1].astype(np.int64)
        answer[0, 0] = 0 if answer[0, 0] else 1
        return answer

    result = certify(tiny.model, tiny.task, tiny.coupling, decide=decide)
    assert result.verdict == "wrong"
    assert "tour" in result.reason


def test_arguments():
    with pytest.raises(TypeError, match="expected a Model"):
        certify(3, Addition(), couplings.columns(Addition()))


def test_arguments_that_do_not_fit(tiny):
    with pytest.raises(ValueError, match="task and coupling"):
        certify(tiny.model)
    with pytest.raises(ValueError, match="do not pass"):
        certify(tiny.run, tiny.task)
    with pytest.raises(ValueError, match="impl"):
        certify(tiny.model, tiny.task, tiny.coupling, impl="triton")
    other = certify(tiny.model, Addition(), couplings.columns(Addition()))
    assert other.verdict == "refused"
    assert "belong together" in other.reason


def test_every_context_of_random_long_sums_is_in_the_set(tiny):
    """The claim itself, sampled: sums of 200 digits show nothing that was not checked."""
    rng = np.random.default_rng(5)
    problems = [
        tuple(np.concatenate([[1], rng.integers(0, 3, n - 1)]) for n in rng.integers(1, 200, 2))
        for _ in range(200)
    ]
    batch = Batch.of(tiny.task.instances(Operands.from_digits(problems)), tiny.coupling)
    known = collect([Batch.of(tiny.task.instances(tiny.operands), tiny.coupling)], [(1, 0)], 1)
    assert known.missing(collect([batch], [(1, 0)], 1)) == 0

"""Hundreds of planted faults, most of them wrong in a single context: every one must be caught."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from arithtf.certify import certify, check_contexts, verify_certificate
from arithtf.model import Transformer, context_logits
from arithtf.runs import write_json
from arithtf.tasks import Address, Batch, Draw


def logits_of(tiny, model, impl="reference"):
    vocabulary = tiny.task.vocabulary
    return context_logits(model, tiny.contexts, bos=vocabulary.bos, pad=vocabulary.pad, impl=impl)


def wrong_contexts(tiny, model):
    target = torch.from_numpy(tiny.contexts.target.astype(np.int64))
    return torch.nonzero(logits_of(tiny, model).argmax(1) != target)[:, 0].tolist()


def final_streams(tiny):
    """What reaches the unembedding [N, C], by the model's own forward."""
    seen = []
    hook = tiny.model.unembedding.register_forward_pre_hook(lambda m, x: seen.append(x[0][:, 0]))
    logits_of(tiny, tiny.model)
    hook.remove()
    return torch.cat(seen)


class Detector(nn.Module):
    """The unembedding, which in one context gives another token the largest logit."""

    def __init__(self, unembedding, stream, token):
        super().__init__()
        self.unembedding, self.token = unembedding, token
        self.register_buffer("stream", stream, persistent=False)

    @property
    def weight(self):
        return self.unembedding.weight

    def forward(self, x):
        logits = self.unembedding(x)
        here = (x - self.stream).abs().amax(-1) < 1e-3
        logits[..., self.token] = torch.where(here, logits.amax(-1) + 1.0, logits[..., self.token])
        return logits


def test_logits_wrong_in_a_single_context(tiny, monkeypatch):
    """240 faults outside the weights: the run of the model finds them, in each implementation."""
    streams, rng = final_streams(tiny), np.random.default_rng(11)
    contexts, size = len(streams), tiny.task.vocabulary.size
    model = copy.copy(tiny.model)
    model._modules = dict(tiny.model._modules)
    for fault in range(240):
        i = int(rng.integers(contexts))
        token = int((tiny.contexts.target[i] + rng.integers(1, size)) % size)
        model._modules["unembedding"] = Detector(tiny.model.unembedding, streams[i], token)
        impl = ("reference", "cpu")[fault % 2]
        checked = check_contexts(model, tiny.contexts, tiny.task.vocabulary, (impl,))
        assert np.flatnonzero(checked.wrong).tolist() == [i]
        assert checked.answer[i] == token


@pytest.mark.parametrize("i", range(0, 140, 10))
def test_certificate_of_a_model_wrong_in_a_single_context(tiny, i):
    model = copy.copy(tiny.model)
    model._modules = dict(tiny.model._modules)
    token = int(tiny.contexts.target[i] == 0)
    model._modules["unembedding"] = Detector(tiny.model.unembedding, final_streams(tiny)[i], token)
    # state_dict must be the plain model's for the fault to be invisible in the weights
    model.state_dict = tiny.model.state_dict
    result = certify(model, tiny.task, tiny.coupling)
    assert result.verdict == "wrong"
    assert result.wrong == 1
    (mistake,) = result.mistakes
    assert mistake.answered == tiny.task.vocabulary.text([token])
    problem = mistake.problem.partition("=")
    a, b = (int(x, 3) for x in problem[0].split("+"))
    assert int(problem[2], 3) == a + b


def single_fault_weights(tiny, rng):
    """An unembedding that errs in exactly one context, and which.

    Margins are linear in the unembedding: along a random direction there is a first context whose
    margin reaches 0 and a second one; half-way between, only the first is wrong.
    """
    streams = final_streams(tiny).double()
    target = torch.from_numpy(tiny.contexts.target.astype(np.int64))[:, None]
    weight = tiny.model.unembedding.weight.detach().double()
    direction = torch.from_numpy(rng.standard_normal(weight.shape))

    def gaps(matrix):
        logits = streams @ matrix.T
        return (logits.gather(1, target) - logits).scatter(1, target, torch.inf)

    value, slope = gaps(weight), gaps(direction).nan_to_num(posinf=0.0)
    reached = torch.where(slope < 0, value / -slope, torch.inf).amin(1)
    first, second = reached.sort().values[:2].tolist()
    return (weight + (first + second) / 2 * direction).float(), int(reached.argmin())


def test_weights_wrong_in_a_single_context(tiny):
    """160 models that differ from the right one by weights alone."""
    rng = np.random.default_rng(12)
    found = set()
    for _ in range(160):
        weight, i = single_fault_weights(tiny, rng)
        model = copy.deepcopy(tiny.model)
        model.unembedding.weight.data.copy_(weight)
        checked = check_contexts(model, tiny.contexts, tiny.task.vocabulary, ("reference",))
        assert np.flatnonzero(checked.wrong).tolist() == [i]
        found.add(i)
    assert len(found) > 10


def test_certificate_and_second_path_reject_single_fault_weights(tiny, tmp_path):
    rng = np.random.default_rng(13)
    certify(tiny.run).save(tmp_path / "right.json")
    for fault in range(10):
        weight, _ = single_fault_weights(tiny, rng)
        model = copy.deepcopy(tiny.model)
        model.unembedding.weight.data.copy_(weight)
        run = tiny.write(tmp_path / f"run{fault}", tiny.recipe, model)
        result = certify(run)
        assert result.verdict == "wrong"
        assert result.wrong == 1
        result.save(tmp_path / "wrong.json")
        assert not verify_certificate(tmp_path / "wrong.json", run).valid
        problems = verify_certificate(tmp_path / "right.json", run).problems
        assert any("errs in 1 contexts" in problem for problem in problems)


def test_sampled_accuracy_does_not_see_what_the_certificate_does(tiny):
    """The point of enumeration: a model wrong in one rare context is right on random sums."""
    rarest = int(tiny.contexts.count.argmin())
    model = copy.copy(tiny.model)
    model._modules = dict(tiny.model._modules)
    streams = final_streams(tiny)
    token = int(tiny.contexts.target[rarest] == 0)
    model._modules["unembedding"] = Detector(tiny.model.unembedding, streams[rarest], token)
    checked = check_contexts(model, tiny.contexts, tiny.task.vocabulary, ("reference",))
    assert checked.wrong.sum() == 1
    batch = Batch.of(tiny.task.sample(Address(1, "all", 1), Draw((30, 60), 500)), tiny.coupling)
    inputs = [torch.from_numpy(a) for a in (batch.tokens, batch.query_ids, batch.key_ids)]
    with torch.no_grad():
        given = model(*inputs, start=batch.start, stop=batch.tokens.shape[1] - 1).argmax(-1)
    targets = torch.from_numpy(batch.targets[:, batch.start : -1])
    counted = targets != 255
    accuracy = ((given == targets) & counted).sum() / counted.sum()
    assert accuracy > 0.99


def test_swapped_tokens_are_caught(tiny):
    digits = tiny.task.base
    for one in range(digits):
        for other in range(one):
            model = copy.deepcopy(tiny.model)
            table = model.embedding.weight.data
            table[[one, other]] = table[[other, one]]
            assert certify(model, tiny.task, tiny.coupling, tour=False).verdict == "wrong"


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_perturbed_weights_are_judged_as_they_are(tiny, share):
    """Whether noise breaks a model is decided by the contexts alone, never by its history."""
    verdicts = set()
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        model = copy.deepcopy(tiny.model)
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter += share * parameter.std(correction=0) * noise
        wrong = wrong_contexts(tiny, model)
        result = certify(model, tiny.task, tiny.coupling)
        assert result.wrong >= len(wrong)
        assert result.certified <= (not wrong)
        verdicts.add(result.verdict)
    assert "wrong" in verdicts


def test_changed_run_directory_is_judged_anew(tiny, tmp_path):
    """The config of a run says which contexts there are: another task, another verdict."""
    run = tiny.write(tmp_path / "run", tiny.recipe, tiny.model)
    assert certify(run).certified
    config = tiny.recipe.to_dict()
    config["task"]["format"] = "padded"
    write_json(run / "config.json", config)
    assert certify(run).verdict == "wrong"


def test_wrong_and_untrained_models_are_never_certified(tiny):
    for seed in range(8):
        model = Transformer(tiny.recipe.model, seed=seed)
        result = certify(model, tiny.task, tiny.coupling)
        assert result.verdict == "wrong"
        assert result.wrong > 50

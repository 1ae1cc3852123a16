"""The second path alone: what it shares with the first is the task's declaration, and no more."""

import ast
from pathlib import Path

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from arithtf import _core
from arithtf.certify import certify, verify
from arithtf.certify.verify import derive, verify_certificate
from arithtf.certify.verify.truth import first_error
from arithtf.tasks import Calculator, Division, Multiplication, RunningSum, Subtraction, couplings

DECLARED = {"column_task", "scratchpad_task", "ColumnPass", "ScratchpadPass", "Task"}
"""What a task is made of when it is declared. None of its methods may be called."""


class Called(BaseException):
    """Something took part that may not. Not an error, which a verdict would turn into words."""


class NoTorch(TorchDispatchMode):
    """Every operation of PyTorch raises."""

    def __torch_dispatch__(self, function, *_):
        raise Called(function)


def refusing(name):
    def refuse(*_args, **_options):
        raise Called(name)

    return refuse


@pytest.fixture
def apart(monkeypatch):
    """Neither the core nor PyTorch computes anything."""
    for name in dir(_core):
        part = getattr(_core, name)
        if name.startswith("_") or not callable(part):
            continue
        if name not in DECLARED:
            monkeypatch.setattr(_core, name, refusing(name))
        if isinstance(part, type):
            for member in vars(part):
                if not member.startswith("_"):
                    monkeypatch.setattr(part, member, refusing(f"{name}.{member}"))
    with NoTorch():
        yield


def test_the_guard_sees_both(apart, tiny):
    import torch

    with pytest.raises(Called, match="add"):
        torch.nn.Parameter.__add__(next(tiny.model.parameters()), 1)
    with pytest.raises(Called, match="philox"):
        _core.philox(0, 0, 0)
    with pytest.raises(Called, match="answers"):
        tiny.task.core.answers(1, None, None)


@pytest.fixture(scope="module")
def certificate(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("apart") / "certificate.json"
    certify(tiny.run).save(path)
    return path


def test_a_certificate_is_verified_by_numpy_alone(certificate, tiny, apart):
    assert verify_certificate(certificate, tiny.run).problems == ()


SCRATCHPADS = [Multiplication(3), RunningSum(3), Division(3), Calculator(4)]


@pytest.mark.parametrize("task", [*SCRATCHPADS, Subtraction(5)], ids=str)
def test_contexts_and_answers_are_found_without_the_core(task, apart):
    coupling = couplings.lookups(task)
    contexts, write = derive(task, coupling, ((0, 0),) * len(coupling.levels), 0)
    assert len(contexts.query)
    assert first_error(task, write) == ""


SHARED = {
    "arithtf.origin": {"portable", "recall"},
    "arithtf.tasks": {
        *("ArithmeticTask", "Calculator", "ColumnTask", "Coupling"),
        *("task_from_dict", "task_to_dict"),
    },
    "arithtf.tasks.arithmetic.operands": {"digits_text"},
    "arithtf.tasks.arithmetic.scratchpad": {"Part", "Pass", "Scratchpad", "Where", "write"},
    "arithtf.tasks.arithmetic.scratchpad_task": {"ScratchpadTask"},
    "arithtf.tasks.arithmetic.transducer": {"Rule"},
    "arithtf.tasks.coupling": {"check_coupling"},
    "arithtf.tasks.vocabulary": {"DIGITS", "DigitVocabulary"},
}


def test_what_is_shared_is_what_the_page_says():
    found = {}
    for path in Path(verify.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not any("arithtf" in a.name or "torch" in a.name for a in node.names), path
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                assert not node.module.startswith("torch"), path
                if node.module.startswith("arithtf") and "certify.verify" not in node.module:
                    found.setdefault(node.module, set()).update(a.name for a in node.names)
    assert found == SHARED

"""`arithtf doctor`: what it says here, and what it would say where something is missing."""

from importlib import metadata

import torch

from arithtf.commands import doctor


def found():
    return {finding.what: finding for finding in doctor.examine()}


def test_usable_here(arithtf):
    ended = arithtf("doctor")
    assert ended.code == 0
    for word in ("python", "torch", "C++ core", "built", "cores", "attention, CPU inference"):
        assert word in ended.out
    assert torch.__version__ in ended.out


def test_attention_is_what_explain_says():
    findings = found()
    assert findings["attention, CPU inference"].found.startswith("cpu: ")
    assert findings["attention, CPU training"].found.startswith("reference: ")


def test_shorter_products_are_named():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        finding = found()["float32 products"]
    finally:
        torch.set_float32_matmul_precision(before)
    assert finding.state == "missing"
    assert "set_float32_matmul_precision('highest')" in finding.found


def leave_out(monkeypatch, missing):
    version = metadata.version

    def without(name):
        if name == missing:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without)


def test_missing_extra_names_its_remedy(monkeypatch):
    leave_out(monkeypatch, "jinja2")
    finding = found()["jinja2"]
    assert finding.state == "missing"
    assert "pip install 'arithtf[report]'" in finding.found


def test_missing_essential_is_1(arithtf, monkeypatch):
    leave_out(monkeypatch, "safetensors")
    ended = arithtf("doctor")
    assert ended.code == 1
    assert "pip install safetensors" in ended.out

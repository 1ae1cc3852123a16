"""`arithtf doctor`: what is here, what would run and why, what is missing and how to get it.

Works in an unbuilt checkout: nothing that needs the C++ core is imported before it was found.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from arithtf.console import say, table

CORE_REMEDY = "build it: `pip install -e .` in the checkout"
ESSENTIAL = ("torch", "numpy", "safetensors", "rich")
EXTRAS = {"matplotlib": "report", "jinja2": "report", "triton": "triton"}
VECTOR_FLAGS = ("sse4_2", "avx2", "fma", "avx512f", "amx_bf16", "asimd", "sve")


class Finding(NamedTuple):
    """One line of the doctor's table.

    Args:
        what: its subject.
        found: what is there, or what is missing and how to get it.
        state: "ok", "missing" (something optional) or "needed" (nothing works without it).
    """

    what: str
    found: str
    state: str = "ok"


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; exit code 1 if something essential is missing."""
    findings = examine()
    if arguments.json:
        say(json.dumps([finding._asdict() for finding in findings], indent=1))
        return 1 if any(finding.state == "needed" for finding in findings) else 0
    marks = {"ok": "ok", "missing": "-", "needed": "MISSING"}
    table(("", "what", "found"), [(marks[f.state], f.what, f.found) for f in findings])
    needed = [finding for finding in findings if finding.state == "needed"]
    for finding in needed:
        say(f"not usable yet: {finding.what}: {finding.found}")
    if not needed:
        say("arithtf is ready; try `arithtf demo`")
    return 1 if needed else 0


def examine() -> list[Finding]:
    """All findings, in the order they are shown."""
    findings = [Finding("python", f"{platform.python_version()} on {platform.platform()}")]
    findings += [_package(name, name, "needed") for name in ESSENTIAL]
    core = _core()
    findings += [core, *_processor()]
    if any(finding.state == "needed" for finding in findings):
        return [*findings, *_extras()]
    return [*findings, *_devices(), *_attention(), *_extras()]


def _package(name: str, remedy: str, lacking: str) -> Finding:
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, f"not installed; `pip install {remedy}`", lacking)


def _extras() -> list[Finding]:
    return [_package(name, f"'arithtf[{extra}]'", "missing") for name, extra in EXTRAS.items()]


def _core() -> Finding:
    try:
        core = importlib.import_module("arithtf._core")
    except ModuleNotFoundError:
        return Finding("C++ core", f"not built; {CORE_REMEDY}", "needed")
    except ImportError as error:
        return Finding("C++ core", f"does not load ({error}); {CORE_REMEDY}", "needed")
    return Finding("C++ core", f"built, {Path(core.__file__ or '').name}")


def _processor() -> list[Finding]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags, model = "", platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = [line.partition(":") for line in information.read_text().splitlines()]
        fields = {key.strip(): value.strip() for key, _, value in reversed(lines)}
        present = (fields.get("flags") or fields.get("Features") or "").split()
        flags = ", ".join(flag for flag in VECTOR_FLAGS if flag in present)
        model = fields.get("model name", model)
    limit = os.environ.get("OMP_NUM_THREADS")
    threads = f"{usable} usable cores" + (f", OMP_NUM_THREADS={limit}" if limit else "")
    return [
        Finding("processor", f"{model}{f' ({flags})' if flags else ''}"),
        Finding("threads", threads),
    ]


def _devices() -> list[Finding]:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(
            f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())
        )
        device = Finding("devices", f"cpu, {names}; training takes cuda:0")
    elif torch.version.cuda is None:
        device = Finding("devices", "cpu; this PyTorch was built without CUDA")
    else:
        device = Finding("devices", f"cpu; PyTorch has CUDA {torch.version.cuda} but sees no GPU")
    precision = torch.get_float32_matmul_precision()
    exact = precision == "highest"
    text = (
        precision
        if exact
        else (
            f"{precision}: shorter than float32, certificates are refused; "
            "call torch.set_float32_matmul_precision('highest')"
        )
    )
    return [device, Finding("float32 products", text, "ok" if exact else "missing")]


def _attention() -> list[Finding]:
    """Which implementation the main recipe's attention would take, asked of `explain` itself."""
    import torch

    uses = [("CPU inference", "cpu", False), ("CPU training", "cpu", True)]
    if torch.cuda.is_available():
        uses += [("CUDA inference", "cuda", False), ("CUDA training", "cuda", True)]
    findings = []
    for name, device, gradients in uses:
        choice = _explain(device, gradients)
        findings.append(Finding(f"attention, {name}", f"{choice.impl}: {choice.reason}"))
    if not torch.cuda.is_available():
        findings.append(Finding("attention, CUDA", "no GPU here; " + _triton_obstacle(), "missing"))
    return findings


def _explain(device: str, gradients: bool) -> Any:
    """`arithtf.attention.explain` for the model of the main recipe on a small input."""
    import torch

    from arithtf.attention import explain
    from arithtf.model import Transformer
    from arithtf.model.transformer import Attention
    from arithtf.recipes import get_recipe

    recipe = get_recipe("addition")
    model = Transformer(recipe.model).to(device)
    block = next(block for block in model.blocks if isinstance(block, Attention))
    heads = recipe.model.heads
    x = torch.zeros(1, heads, 8, recipe.model.width // heads, device=device)
    ids = torch.zeros(1, recipe.model.levels, 8, dtype=torch.int32, device=device)
    with torch.set_grad_enabled(gradients):
        x.requires_grad_(gradients)
        mechanism, scale = block.mechanism(), block.mechanism.scale()
        return explain(x, x, x, block.positions(ids, ids), mechanism=mechanism, scale=scale)


def _triton_obstacle() -> str:
    from arithtf.attention import triton

    obstacle = triton.missing()
    return f"impl='triton' cannot run: {obstacle}" if obstacle else "impl='triton' is ready"

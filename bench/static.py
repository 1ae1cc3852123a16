"""`python -m bench.static`: compile every shipped configuration ahead of time, without a GPU.

Prints registers, spilled bytes, shared memory, matrix instructions and instructions per score, read
from what the compiler made for sm_80, sm_90 and gfx942. `bench/budgets.json` holds the limits that
a test holds the table to.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from bench.checkout import ensure_kernels

ensure_kernels()
from arithtf.kernels.configs import SPLIT, WHOLE, WIDEST_ROW, Tiles, table_of  # noqa: E402
from arithtf.kernels.forms import Form  # noqa: E402
from arithtf.kernels.launch import SINK_TILE, rotary_block  # noqa: E402

BUDGETS = Path(__file__).resolve().parent / "budgets.json"
ARCHITECTURES = ("sm_80", "sm_90", "gfx942")
HEADS = (16, 32, 64, 128, 256)
# Calls that are compiled: the constants in which they differ from a plain dense one.
_SOME: dict[str, Any] = dict(SINKS=True, GATHER=True, CENTRED=True)
_ALL: dict[str, Any] = dict(LOG_SCALE=True, PREFIX=True, DOCUMENTS=True, EDGED=True, HAS_ADD=True)
_ALL |= {**_SOME, "COLUMNS": 64}


def _call(form: Form, options: Mapping[str, Any] = MappingProxyType({}), **more: Any) -> Any:
    return {**options, "KIND": form.value, "WIDTH": 0, **more}


CALLS: dict[str, dict[str, Any]] = {
    "plain": _call(Form.NONE),
    "table": _call(Form.TABLE, WIDTH=64),
    "alibi": _call(Form.ALIBI),
    "fire": _call(Form.FIRE),
    "content": _call(Form.BY_BOTH),
    "window": _call(Form.TABLE, WIDTH=16, GATHER=True, SINKS=True),
    "documents": _call(Form.TABLE, _SOME, WIDTH=WIDEST_ROW, DOCUMENTS=True),
    "rotary documents": _call(Form.NONE, _SOME, ROTARY=True, DOCUMENTS=True),
    # With everything that the operator lets one combine with a mechanism.
    "plain all": _call(Form.NONE, _ALL),
    "rotary all": _call(Form.NONE, _ALL, ROTARY=True),
    "table all": _call(Form.TABLE, _ALL, WIDTH=64),
    "wide all": _call(Form.TABLE, _ALL),
    "alibi all": _call(Form.ALIBI, _ALL),
    "kerple all": _call(Form.KERPLE_LOG, _ALL),
    "power all": _call(Form.KERPLE_POWER, _ALL),
    "fire all": _call(Form.FIRE, _ALL),
    "content of queries": _call(Form.BY_BOTH, OF_KEYS=False),
    "content all": _call(Form.BY_BOTH, _ALL),
    "content all of queries": _call(Form.BY_BOTH, _ALL, OF_KEYS=False),
    # dk and dv of the sinks, by one program or as sums of parts.
    "sinks all": _call(Form.NONE, _ALL, SINK=True),
    "sinks in parts": _call(Form.NONE, _ALL, SINK=True, PARTIAL=True, DOCUMENTS=False),
}
# The calls of every entry of a kernel.
CALLS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("forward", "queries", "keys", "table"), ("table",)),
    **dict.fromkeys(("forward_heavy", "queries_heavy", "keys_heavy", "sums"), ()),
    **dict.fromkeys(("short", "short_backward"), ("window",)),
    **dict.fromkeys(("split", "split_backward"), ("table all", "rotary all")),
    "poison": ("plain",),
    "rotate": ("rotary all",),
    "step": ("wide all",),
}
# On top of these: of every entry on NVIDIA's chips, and of the commonest size on all.
MORE_OF: dict[str, tuple[str, ...]] = {
    "keys": ("sinks all", "sinks in parts"),
    "forward_heavy": ("content all", "wide all"),
    "queries_heavy": ("content all", "wide all"),
    "keys_heavy": ("content all", "wide all"),
    "sums": ("fire all", "content all", "content all of queries"),
}
# Kernels whose tiles are in their launchers: those of positions, and those of one size for all.
FIXED = {"poison": Tiles(64, 64, 4, 3), "rotate": Tiles(64, 64, 4, 3), "step": Tiles(64, 64, 4, 3)}
ALONE = {"count": Tiles(64, 64, 4, 3), "step_count": Tiles(64, 64, 4, 3)}
_ELEMENTS = "[QKV]|[QK]_PLAIN|OUT|GRAD|D[QKV]|D[QK]_PLAIN"
_FLOATS = "ACC|TOP|TOTAL|LSE|DELTA|SUMS|POISON|SCALE|SEEN|FIRST|SECOND"


class Case(NamedTuple):
    """One compilation."""

    architecture: str
    kernel: str
    call: str
    size: str  # bytes per number; "4i": float32 products in IEEE arithmetic
    head: int
    tokens: int = 0  # of a kernel whose tile is a whole sequence


def _calls(architecture: str, kernel: str, size: str, head: int) -> Iterator[str]:
    """The calls of an entry: more of them at the commonest size, and where registers are few."""
    yield from CALLS_OF[kernel]
    amd, common = architecture == "gfx942", (size, head) == ("2", 64)
    tuned = common and architecture == "sm_90"
    short = kernel in WHOLE and (size, head) == ("2", 32)
    if common or not amd:
        yield from MORE_OF.get(kernel, ())
    if kernel in ("forward", "queries", "keys"):
        yield from ("documents",) if size == "2" and (common or not amd) else ()
        yield from ("rotary documents",) if (size, kernel, amd) == ("2", "forward", False) else ()
        yield from ("window",) if common else ()
        yield from ("plain", "alibi") if tuned else ()
    if kernel.endswith("_heavy"):
        yield from ("rotary all", "documents") if size != "2" and not amd else ()
        yield from ("fire", "content") if common and (amd or tuned) else ()
        yield from ("kerple all", "power all", "fire all", "table all") * tuned
        yield from ("rotary all",) if common and (amd or tuned) else ()
    if kernel == "table" and common:
        yield "table all"
    if short:
        yield from ("table all", "rotary all")
    if kernel in SPLIT and architecture == "sm_90" and (size, head) == ("2", 32):
        yield from ("plain all", "alibi all", "kerple all", "power all")


def cases(architectures: Sequence[str] = ARCHITECTURES) -> Iterator[Case]:
    """Every entry of every configuration file, with the calls that want most registers."""
    for architecture in architectures:
        table = table_of(architecture)
        sizes = table["keys"]
        for kernel in CALLS_OF:
            for entry in table.get(kernel, sizes):
                size, head, *tokens = entry.split(",")
                for call in _calls(architecture, kernel, size, int(head)):
                    yield Case(architecture, kernel, call, size, int(head), *map(int, tokens))
        for kernel in ALONE:
            for call in ("plain", "plain all"):
                yield Case(architecture, kernel, call, "4", 16)


def _tiles_of(case: Case) -> Tiles:
    name = f"{case.size},{case.head}" + (f",{case.tokens}" if case.tokens else "")
    alone = (FIXED | ALONE).get(case.kernel)
    if alone is not None:
        return alone
    return Tiles(*table_of(case.architecture)[case.kernel][name])


def _kernel_of(case: Case) -> Any:
    from arithtf.kernels.compat import modules

    all_ = modules()
    content = case.call.startswith("content")
    return {
        "forward": all_.forward.forward,
        "queries": all_.backward.queries,
        "keys": all_.backward.keys,
        "table": all_.table.table_sums,
        "sums": all_.sums.content_sums if content else all_.sums.fire_sums,
        "short": all_.short.short_forward,
        "short_backward": all_.short.short_backward,
        "split": all_.split.split_forward,
        "split_backward": all_.split.split_backward,
        "poison": all_.forward.poison,
        "count": all_.forward.count,
        "rotate": all_.rotary.rotate,
        "step": all_.decode.step,
        "step_count": all_.decode.step_count,
    }[case.kernel.removesuffix("_heavy")]


def compile_case(case: Case) -> dict[str, Any]:
    """Compile one case and read the numbers off the result."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    tiles, kernel = _tiles_of(case), _kernel_of(case)
    amd = case.architecture.startswith("gfx")
    head = case.head
    constants: dict[str, Any] = {**dict.fromkeys(_ALL, False), "ROTARY": False, "SINK": False}
    constants |= dict(PARTIAL=False, UPCAST=False)
    constants |= dict(CAUSAL=True, OF_KEYS=True, GATHER=case.kernel == "table", D=head, DP=head)
    constants |= dict(BM=tiles.bm, BN=SINK_TILE if case.call.startswith("sinks") else tiles.bn)
    constants |= dict(BS=SINK_TILE, BT=rotary_block(head), HALF=head // 2, HALF_P=head // 2)
    constants |= dict(U=64, KB=64, COLUMNS=16, UNITS=32, BLOCKS=-(-case.tokens // tiles.bm))
    constants["PRECISION"] = "tf32x3" if case.size == "4" and not amd else "ieee"
    constants |= CALLS[case.call]
    constants["CENTRED"] &= case.size != "2"
    constants = {k: v for k, v in constants.items() if k in kernel.arg_names}
    element = "*bf16" if case.size == "2" else "*fp32"
    types = {name: _type(name, element) for name in kernel.arg_names if name not in constants}
    aligned = {n for n in types if re.fullmatch("stride_[qkvo][bhtp]", n)}
    source = ASTSource(
        kernel,
        {n: types.get(n, "constexpr") for n in kernel.arg_names},
        constexprs=constants,
        attrs={
            (i,): [["tt.divisibility", 16]]
            for i, n in enumerate(kernel.arg_names)
            if n in types and (types[n].startswith("*") or n in aligned)
        },
    )
    number = case.architecture if amd else int(case.architecture[3:])
    target = GPUTarget("hip", number, 64) if amd else GPUTarget("cuda", number, 32)
    options = {"num_warps": tiles.warps, "num_stages": tiles.stages}
    compiled = triton.compile(source, target=target, options=options)
    row = {**case._asdict(), **tiles._asdict(), "shared": compiled.metadata.shared}
    read = _read_amd if amd else _read_nvidia
    return {**row, **read(compiled, tiles.bm * tiles.bn / (tiles.warps * (64 if amd else 32)))}


def _type(name: str, element: str) -> str:
    if re.fullmatch(_ELEMENTS, name):
        return element
    if re.fullmatch(_FLOATS, name):
        return "*fp32"
    if name == "WINDOWS":
        return "*i64"
    return "*i32" if name.isupper() else "i32"


def _read_nvidia(compiled: Any, scores: float) -> dict[str, Any]:
    import triton

    programs = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage, code = (
            subprocess.run(
                [str(programs / "cuobjdump"), what, file.name],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for what in ("--dump-resource-usage", "--dump-sass")
        )
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert found is not None
    return {
        "registers": int(found[1]),
        "spilled": int(found[2]),
        "matrix": len(re.findall(r"\b(?:HGMMA|HMMA)\b", code)),
        "per_score": _per_score(code, scores),
    }


def _per_score(code: str, scores: float) -> float:
    """Instructions of the main loop per score of a thread: its interior, without masks.

    Of the innermost loops with the most matrix instructions (that over sinks has fewer) the
    shortest.
    """
    lines = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(.*?);", code)
    address = {int(at, 16): i for i, (at, _) in enumerate(lines)}
    loops: list[tuple[int, int, int]] = []
    for end, (_, text) in enumerate(lines):
        jump = re.search(r"\bBRA\b.*?(0x[0-9a-f]+)", text)
        start = address.get(int(jump[1], 16)) if jump else None
        if start is not None and start < end:
            products = sum("MMA" in body for _, body in lines[start : end + 1])
            inner = any(start <= first and last <= end for first, last, _ in loops)
            if products >= 2 and not inner:
                loops.append((start, end, products))
    most = max((products for *_, products in loops), default=0)
    lengths = [end - start + 1 for start, end, products in loops if products == most]
    return round(min(lengths, default=0) / scores, 1)


def _read_amd(compiled: Any, scores: float) -> dict[str, Any]:
    text = compiled.asm["amdgcn"]

    def number(key: str) -> int:
        found = re.search(rf"\.{key}:\s+(\d+)", text)
        return int(found[1]) if found else 0

    return {
        "registers": number("vgpr_count"),
        "spilled": 4 * number("vgpr_spill_count") + number("private_segment_fixed_size"),
        "matrix": len(re.findall(r"\bv_mfma", text)),
        "per_score": 0.0,
    }


def measure(chosen: Sequence[Case], workers: int = 1) -> list[dict[str, Any]]:
    """Compile all cases; one that does not compile has the key "error"."""

    def attempt(case: Case) -> dict[str, Any]:
        try:
            return compile_case(case)
        except Exception as error:
            return {**case._asdict(), "error": f"{type(error).__name__}: {str(error)[-300:]}"}

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(attempt, chosen))


def key(row: dict[str, Any]) -> str:
    """The name of a row in the budgets."""
    tokens = f" t{row['tokens']}" if row["tokens"] else ""
    size = f"{row['size']}B d{row['head']}{tokens}"
    return f"{row['architecture']} {row['kernel']} {row['call']} {size}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; with --write keep the numbers printed as budgets."""
    parser = argparse.ArgumentParser(prog="python -m bench.static", description=__doc__)
    parser.add_argument("--arch", nargs="*", default=ARCHITECTURES, choices=ARCHITECTURES)
    parser.add_argument("--kernel", nargs="*", help="only these kernels")
    parser.add_argument("--call", nargs="*", help="only these calls")
    parser.add_argument("--head", nargs="*", type=int, help="only these head dimensions")
    parser.add_argument("--size", nargs="*", choices=("2", "4", "4i"), help="only these numbers")
    parser.add_argument("--workers", type=int, default=1, help="compilations at a time")
    parser.add_argument("--write", action="store_true", help=f"write {BUDGETS.name}")
    options = parser.parse_args(arguments)
    if os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"):
        print("expected TRITON_INTERPRET unset, got it set; unset it to compile", file=sys.stderr)
        return 2
    chosen = [
        c
        for c in cases(options.arch)
        if (not options.kernel or c.kernel in options.kernel)
        and (not options.call or c.call in options.call)
        and (not options.head or c.head in options.head)
        and (not options.size or c.size in options.size)
    ]
    rows = measure(chosen, options.workers)
    from bench.run import table

    print(table(rows))
    failed = [row for row in rows if "error" in row or row["spilled"]]
    print(f"{len(rows)} compiled, {len(failed)} with spills or errors")
    if options.write:
        kept = ("registers", "spilled", "shared", "matrix", "per_score")
        budgets = json.loads(BUDGETS.read_text(encoding="utf-8")) if BUDGETS.exists() else {}
        budgets |= {key(r): {k: r[k] for k in kept} for r in rows if "error" not in r}
        lines = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(budgets.items()))
        BUDGETS.write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

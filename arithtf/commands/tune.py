"""`arithtf tune`: time tiles of the kernels on this GPU and rewrite its configuration file."""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path

import torch

from arithtf.attention import triton
from arithtf.console import figures, misuse, say
from arithtf.runs import write_text


def tune(arguments: argparse.Namespace) -> int:
    """Time, report what changes, write the file."""
    lacks = triton.missing()
    if lacks is not None:
        misuse(f"kernels can be tuned on a GPU only: {lacks}; run this on a machine with one")
    from arithtf.kernels import configs, tuning

    kernels = (*configs.KERNELS, *configs.WHOLE, *configs.SPLIT)
    unknown = [name for name in arguments.kernel or () if name not in kernels]
    if unknown:
        misuse(f"expected kernels out of {', '.join(kernels)}, got {', '.join(unknown)}")
    device = torch.device("cuda")
    name = configs.architecture(device)
    source = Path(str(files("arithtf.kernels") / "configs" / f"{name}.json"))
    target = arguments.out or source
    about = json.loads(source.read_text(encoding="utf-8"))["about"]

    def show(kernel: str, entry: str, tiles: tuple[int, ...], spent: float, before: float) -> None:
        say(f"{kernel} {entry}: {list(tiles)} {1e3 * spent:.3f} ms, before {1e3 * before:.3f} ms")
        of = {"kernel": kernel, "entry": entry, "tiles": list(tiles)}
        take([of | {"seconds": spent, "seconds_before": before}])

    with figures(arguments.json) as take:
        say(f"timing tiles for {name} on {torch.cuda.get_device_name(device)}")
        new = tuning.tune(
            configs.table_of(name),
            tuning.GpuTimer(name, device),
            arguments.kernel or kernels,
            arguments.size or ("2", "4"),
            show,
        )
        write_text(target, tuning.text_of(about, new))
        say(f"wrote {target}; to keep it, check it with `python -m bench.static`")
    return 0

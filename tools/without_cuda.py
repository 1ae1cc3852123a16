"""Stop an installation that would bring CUDA to a machine that has no use for it.

    pip install --dry-run --report - torch | python tools/without_cuda.py torch

Reads pip's report; exit code 1 if CUDA packages are in it.
"""

import json
import sys

MESSAGE = """\
This machine has no NVIDIA GPU, but {requirement!r}, as your package index offers it, brings \
CUDA along: {names}.
Choose a CPU build: PyTorch's own index has them (see "Choosing a build of PyTorch" in README.md):
    make demo TORCH="torch --index-url <PyTorch's index of CPU builds>"
or take the CUDA build knowingly:
    make demo TORCH=torch"""


def main() -> int:
    """Look for CUDA packages in the report."""
    text = sys.stdin.read()
    if not text.strip():
        return 1  # pip failed and has said why
    report = json.loads(text)
    names = [item["metadata"]["name"] for item in report["install"]]
    cuda = sorted(name for name in names if name.lower().startswith(("nvidia-", "cuda-")))
    if cuda:
        shown = ", ".join(cuda[:3]) + (f" and {len(cuda) - 3} more" if len(cuda) > 3 else "")
        print(MESSAGE.format(requirement=sys.argv[1], names=shown), file=sys.stderr)
    return 1 if cuda else 0


if __name__ == "__main__":
    sys.exit(main())

"""Compare a wheel with the checkout it was made from.

python tools/check_wheel.py WHEEL ROOT
"""

import sys
import zipfile
from pathlib import Path


def expected(root: Path) -> set[str]:
    """Every file of the package in the checkout, under the name it is installed by."""
    folders = {"arithtf": root / "arithtf", "arithtf/kernels": root / "kernels/triton"}
    return {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".so", ".pyc", ".md")
    }


def main() -> None:
    """Nothing is missing, and nothing else is in it but the compiled core and the metadata."""
    wheel, root = Path(sys.argv[1]), Path(sys.argv[2])
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    core = {name for name in found if name.startswith("arithtf/_core.") and name.endswith(".so")}
    missing, extra = expected(root) - found, found - expected(root) - core
    if missing or extra or len(core) != 1:
        raise SystemExit(
            f"{wheel.name}: missing {sorted(missing)}, not expected {sorted(extra)}, "
            f"compiled core {sorted(core)}"
        )
    print(f"  {wheel.name}: {len(found)} files")


if __name__ == "__main__":
    main()

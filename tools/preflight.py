"""Say what this machine lacks to build arithtf, and how to get it. Standard library only.

    python tools/preflight.py

Exit code 0 if the package can be built here, 1 otherwise.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

LEAST = (3, 11)


def python_problem() -> str | None:
    """The interpreter is too old."""
    if sys.version_info >= LEAST:
        return None
    return (
        f"expected Python >= {'.'.join(map(str, LEAST))}, got {sys.version.split()[0]} "
        f"({sys.executable}); name another one: make PYTHON=python3.12 ..."
    )


def pip_problem() -> str | None:
    """Neither ensurepip nor pip is there, so no virtual environment can be filled."""
    if importlib.util.find_spec("ensurepip") or importlib.util.find_spec("pip"):
        return None
    return (
        f"{sys.executable} has neither ensurepip nor pip; install one "
        "(Debian: apt-get install python3-venv)"
    )


def header_problem() -> str | None:
    """The C headers of Python are missing."""
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    if header.is_file():
        return None
    return f"{header} is missing; install Python's headers (Debian: apt-get install python3-dev)"


def compiler_problem() -> str | None:
    """No compiler takes C++20."""
    named = os.environ.get("CXX")
    candidates = [named] if named else ["c++", "g++", "clang++"]
    found = [name for name in candidates if shutil.which(shlex.split(name)[0])]
    if not found:
        return (
            f"no C++ compiler: looked for {', '.join(candidates)}; install one "
            "(Debian: apt-get install g++) or name it in CXX"
        )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cpp")
        source.write_text("#include <span>\n#include <bit>\nint main() { return 0; }\n")
        command = [*shlex.split(found[0]), "-std=c++20", "-fsyntax-only", str(source)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return None
    return (
        f"{found[0]} does not compile C++20; install GCC >= 11 or Clang >= 14 "
        f"or name another compiler in CXX. It said:\n{result.stderr.strip()}"
    )


def main() -> int:
    """Print every problem."""
    checks = (python_problem, pip_problem, header_problem, compiler_problem)
    problems = [problem for check in checks if (problem := check())]
    for problem in problems:
        print(f"arithtf cannot be built here: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

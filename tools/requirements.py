"""Print requirements named in pyproject.toml, one a line. Standard library only.

    python tools/requirements.py build dev report

`build` is what building needs, any other word a dependency group or an extra.
"""

import sys
import tomllib
from pathlib import Path


def requirements(word: str) -> list[str]:
    """The requirements under one word."""
    data = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    if word == "build":
        # The build backend would fetch cmake and ninja itself, but only into isolated builds.
        return [*data["build-system"]["requires"], "cmake", "ninja"]
    tables = data["dependency-groups"] | data["project"]["optional-dependencies"]
    return list(tables[word])


if __name__ == "__main__":
    print("\n".join(line for word in sys.argv[1:] for line in requirements(word)))

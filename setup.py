"""Package map only; metadata is in pyproject.toml, the C++ core is built by CMakeLists.txt.

`kernels/triton` is installed as `arithtf.kernels`. `kernels/` itself must not be importable: a
published package has that name, and a local folder with an `__init__.py` would shadow it.
"""

from setuptools import find_packages, setup

PACKAGES = [*find_packages(include=["arithtf", "arithtf.*"]), "arithtf.kernels"]

setup(
    packages=PACKAGES,
    package_dir={"arithtf": "arithtf", "arithtf.kernels": "kernels/triton"},
    package_data={
        "arithtf": ["py.typed", "_core.pyi"],
        "arithtf.report": ["*.html", "*.css"],
        "arithtf.kernels": ["configs/*.json"],
    },
)

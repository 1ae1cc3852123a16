#!/usr/bin/env bash
# Check every way to install arithtf, each from an empty folder: sdist, wheel, editable, in-place.
#
#   tools/check_packaging.sh [PYTHON]
#
# PYTHON is an environment with the dependencies and build tools; it is left as it is. Only the
# wheel is built in isolation, which shows that pyproject.toml names all that a build needs.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
python=$(command -v "${1:-.venv/bin/python}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
check=$root/tools/check_import.py
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

# An environment that sees the dependencies of PYTHON, but not its arithtf: the .pth file of an
# editable install works only in a site folder, and this one is a plain entry of sys.path.
environment() {
  "$python" -m venv --without-pip "$1"
  "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    >"$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/deps.pth"
  mkdir "$1/empty"
}
install() { "$python" -m pip --python "$1/bin/python" install --quiet --no-deps "${@:2}"; }

echo "packaging: sdist"
"$python" -m build --sdist --no-isolation --outdir "$work" >"$work/log" || { cat "$work/log"; exit 1; }
mkdir "$work/source"
tar -xzf "$work"/arithtf-*.tar.gz -C "$work/source" --strip-components=1

echo "packaging: wheel from the sdist, isolated"
(cd "$work" && "$python" -m pip wheel --quiet --no-deps --wheel-dir "$work" "$work"/arithtf-*.tar.gz)
"$python" "$root/tools/check_wheel.py" "$work"/arithtf-*.whl "$root"
environment "$work/wheel"
install "$work/wheel" "$work"/arithtf-*.whl
(cd "$work/wheel/empty" && ../bin/python "$check" && ../bin/arithtf --help >/dev/null)

echo "packaging: editable"
environment "$work/editable"
(cd "$work/source" && install "$work/editable" --no-build-isolation --editable .)
(cd "$work/editable/empty" && ../bin/python "$check" && ../bin/arithtf --help >/dev/null)

echo "packaging: in-place"
environment "$work/inplace"
rm -rf "$work"/source/build "$work"/source/arithtf/_core*.so
(cd "$work/source" && "$work/inplace/bin/python" setup.py --quiet build_ext --inplace >"$work/log" 2>&1) \
  || { cat "$work/log"; exit 1; }
(cd "$work/inplace/empty" && PYTHONPATH=$work/source ../bin/python "$check" --in-place)
echo "packaging: good"

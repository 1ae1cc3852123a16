#!/usr/bin/env bash
# Run the tests of the C++ core under AddressSanitizer and UndefinedBehaviorSanitizer.
#
#   tools/check_sanitized.sh [PYTHON]
#
# Builds into build/sanitized, beside a copy of the package, so that the ordinary build stays.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(command -v "${1:-.venv/bin/python}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
compiler=${CXX:-g++}
site=$PWD/build/sanitized/site

rm -rf "$site"
mkdir -p "$site"
cp -r arithtf "$site/"
rm -f "$site"/arithtf/_core*.so
cp -r kernels/triton "$site/arithtf/kernels"

PATH=$(dirname "$python"):$PATH
CXXFLAGS="-D_GLIBCXX_ASSERTIONS ${CXXFLAGS:-}" cmake -S . -B build/sanitized/cmake -G Ninja \
  -DCMAKE_CXX_COMPILER="$compiler" -DPython_EXECUTABLE="$python" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" \
  -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$site/arithtf" \
  -DARITHTF_SANITIZE=ON -DARITHTF_WERROR=ON
cmake --build build/sanitized/cmake

# libstdc++ goes along: the sanitizer looks up __cxa_throw before Python loads anything in C++.
preload=
for library in libasan.so libubsan.so libstdc++.so; do
  preload+=" $(realpath "$("$compiler" -print-file-name=$library)")"
done
export LD_PRELOAD=${preload# } PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1
# Python itself leaks at exit by design, and raises MemoryError where malloc gives nothing; `new` still dies.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1

# Not `python -m`: it would put this folder, with the ordinary build, in front.
"$(dirname "$python")/pytest" --version >/dev/null
"$python" -P -c 'import sys, arithtf._core as c; sys.exit(not c.__file__.startswith(sys.argv[1]))' \
  "$site" || { echo "the sanitized core was not the one imported" >&2; exit 1; }

# --capture=sys: a report must reach the terminal although the process then dies.
shopt -s nullglob
"$(dirname "$python")/pytest" --capture=sys -p no:cacheprovider \
  tests/core tests/tasks tests/discover/test_scoring.py tests/certify/test_contexts.py tests/certify/cover/test_cover.py \
  tests/certify/test_memo.py tests/attention/test_cpu*.py

# Calls of all bindings with odd arguments, half of them on each core.
for seed in 1 2; do
  "$python" tests/core/fuzz_bindings.py --calls 50000 --seed $seed & jobs[seed]=$!
done
for job in "${jobs[@]}"; do wait "$job"; done

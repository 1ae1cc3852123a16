#!/usr/bin/env bash
# The GPU suite, on a machine with a GPU and without a network: an image with PyTorch, Triton, CMake,
# ninja, pybind11 and scikit-build-core. Nine minutes in all; name parts to run only those.
#
#   bench/gpu.sh                      # build test bench train ladder
#   bench/gpu.sh build test           # some parts
#
# Results go to bench/results/gpu-*.txt and bench/results/attention.jsonl.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
results=bench/results
run=${RUN:-runs/gpu}
mkdir -p "$results"
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(build test bench train ladder)

build() { "$python" -m pip install --no-build-isolation --no-deps --quiet .; }
tests() { timeout 150 "$python" -m pytest -m gpu tests/kernels -q -p no:cacheprovider; }
rows() {
  for part in training classic windowed; do
    timeout 60 "$python" -m bench.attention --part "$part" --write || echo "$part: exit $?"
  done
}
train() {
  timeout 120 arithtf train addition --out "$run"
  timeout 60 arithtf certify "$run"
}
ladder() { timeout 120 arithtf stress "$run" --suite ladder --max-digits 10000000; }

status=0
for part in "${parts[@]}"; do
  case $part in
    build | train | ladder) job=$part ;;
    test) job=tests ;;
    bench) job=rows ;;
    *)
      echo "expected parts out of: build test bench train ladder; got $part" >&2
      exit 2
      ;;
  esac
  start=$SECONDS
  "$job" 2>&1 | tail -n 400 | tee "$results/gpu-$part.txt" || status=1
  echo "$part: $((SECONDS - start)) s" | tee -a "$results/gpu-$part.txt"
done
exit $status

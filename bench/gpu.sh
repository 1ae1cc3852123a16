#!/usr/bin/env bash
# The GPU suite, on a machine with a GPU and without a network: an image with PyTorch, Triton, CMake,
# ninja, pybind11 and scikit-build-core. Each part has a limit, nine minutes in all; name parts to run
# only those. DRY=1 runs what can be run without a GPU: to see that nothing trivial breaks.
#
#   bench/gpu.sh                      # build test bench train ladder
#   bench/gpu.sh build test           # some parts
#   bench/gpu.sh build boards         # fresh weights to certificates, eight seeds, eight minutes
#
# Results go to bench/results/: gpu-*.txt, and rows to attention.jsonl, step.jsonl and seeds.jsonl.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
results=bench/results
run=${RUN:-runs/gpu}
mkdir -p "$results"
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(build test bench train ladder)

# In place: tests and benchmarks import the checkout, and find the core there.
build() { "$python" -m pip install --no-build-isolation --no-deps --quiet --editable .; }
# Compiling takes most of the time: processes side by side, each with its share of the tests.
tests() {
  local shards=8 shard failed=0 pids=()
  [ -z "${DRY:-}" ] || shards=2
  for ((shard = 0; shard < shards; shard++)); do
    ARITHTF_SHARD=$shard/$shards timeout 130 "$python" -m pytest -m gpu tests/kernels -q \
      -p no:cacheprovider &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  return $failed
}
rows() {
  if [ -n "${DRY:-}" ]; then
    TRITON_INTERPRET=1 "$python" -m bench.attention --dry
    return
  fi
  for part in training classic windowed; do
    timeout 45 "$python" -m bench.attention --part "$part" --write || echo "$part: exit $?"
  done
  timeout 60 "$python" -m bench step --write || echo "step: exit $?"
}
train() {
  timeout 100 "$python" -m arithtf train addition --out "$run" ${DRY:+--steps 2}
  timeout 40 "$python" -m arithtf certify "$run" || [ -n "${DRY:-}" ]
}
ladder() {
  local digits=10000000
  [ -z "${DRY:-}" ] || digits=10
  timeout 90 "$python" -m arithtf stress "$run" --suite ladder --max-digits "$digits" \
    --max-tokens 100000000 ||
    [ -n "${DRY:-}" ]
}

boards() {
  local name
  [ -z "${DRY:-}" ] || return 0
  for name in addition multiplication; do
    timeout 240 "$python" -m bench seeds --recipe "$name" --seeds 8 --write
  done
}

status=0
for part in "${parts[@]}"; do
  case $part in
    build | train | ladder | boards) job=$part ;;
    test) job=tests ;;
    bench) job=rows ;;
    *)
      echo "expected parts out of: build test bench train ladder boards; got $part" >&2
      exit 2
      ;;
  esac
  start=$SECONDS
  "$job" 2>&1 | tail -n 400 | tee "$results/gpu-$part.txt" || status=1
  echo "$part: $((SECONDS - start)) s" | tee -a "$results/gpu-$part.txt"
done
exit $status

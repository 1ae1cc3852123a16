#!/usr/bin/env bash
# The GPU suite, on a machine with a GPU and without a network: an image with PyTorch, Triton, CMake,
# ninja, pybind11, scikit-build-core, pytest and hypothesis. Each part has a limit, nine minutes in
# all; name parts to run only those. DRY=1 runs what can be run without a GPU: to see that nothing
# trivial breaks.
#
#   bench/gpu.sh                      # build test bench train ladder
#   bench/gpu.sh build test           # some parts
#   bench/gpu.sh build boards         # fresh weights to certificates, eight seeds, eight minutes
#
# Results go to bench/results/: gpu-*.txt, rows to attention.jsonl and step.jsonl, boards to
# gpu-boards.json; after each part all of these are copied to the folder OUT, if that is set.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
results=bench/results
run=${RUN:-runs/gpu}
mkdir -p "$results"
# What a part has printed until it is killed is in its file; the checkout is found without pip too.
export PYTHONUNBUFFERED=1 PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(build test bench train ladder)

# SIGINT, after which pytest still says what failed; then, should a call to the driver hang, SIGKILL.
limit() { timeout --signal=INT --kill-after=5 "$@"; }

# In place: tests and benchmarks import the checkout, and find the core there.
build() { limit 90 "$python" -m pip install --no-build-isolation --no-deps --quiet --editable .; }
# Compiling takes most of the time: processes side by side, each with its share of the tests. A
# warning that another release of PyTorch or a plug-in of the image gives is no failure here.
tests() {
  local shards=8 shard failed=0 pids=()
  [ -z "${DRY:-}" ] || shards=2
  for ((shard = 0; shard < shards; shard++)); do
    ARITHTF_SHARD=$shard/$shards PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 \
      limit 130 "$python" -m pytest -m gpu tests/kernels -q -W default -p no:cacheprovider \
      --tb=short > "$results/gpu-test.$shard" 2>&1 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  cat "$results"/gpu-test.[0-9]*
  rm "$results"/gpu-test.[0-9]*
  return $failed
}
rows() {
  if [ -n "${DRY:-}" ]; then
    TRITON_INTERPRET=1 "$python" -m bench.attention --dry
    return
  fi
  local failed=0
  limit 60 "$python" -m bench.attention --part training --write || failed=$?
  limit 60 "$python" -m bench.attention --part classic --write || failed=$?
  limit 20 "$python" -m bench.attention --part windowed --write || failed=$?
  limit 40 "$python" -m bench step --write || failed=$?
  return $failed
}
train() {
  # Only what this script left there.
  [ "$run" != runs/gpu ] || rm -rf runs/gpu
  limit 60 "$python" -m arithtf train addition --out "$run" ${DRY:+--steps 2} &&
    { limit 30 "$python" -m arithtf certify "$run" || [ -n "${DRY:-}" ]; }
}
ladder() {
  local digits=10000000
  [ -z "${DRY:-}" ] || digits=10
  limit 45 "$python" -m arithtf stress "$run" --suite ladder --max-digits "$digits" \
    --max-tokens 100000000 ||
    [ -n "${DRY:-}" ]
}

boards() {
  local study=(seeds recipes=addition,multiplication seeds=8 --out "$run-seeds") failed=0
  [ -z "${DRY:-}" ] || return 0
  # Only what this script left there: finished cells are not trained again.
  [ "$run" != runs/gpu ] || rm -rf runs/gpu-seeds
  limit 420 "$python" -m arithtf study run "${study[@]}" || failed=$?
  "$python" -m arithtf study board "${study[@]}" --json > "$results/gpu-boards.json" || failed=$?
  return $failed
}

# What there is so far, so that it outlives the machine even if a later part does not end.
collect() {
  local file
  for file in "$results"/gpu-*.txt "$results"/{attention,step}.jsonl "$results/gpu-boards.json"; do
    [ -z "${OUT:-}" ] || [ ! -e "$file" ] || cp "$file" "$OUT"/
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
  # Into the file and not a pipe, which a left-over process of a compiler would keep open.
  "$job" > "$results/gpu-$part.txt" 2>&1 || status=1
  echo "$part: $((SECONDS - start)) s" >> "$results/gpu-$part.txt"
  tail -n 60 "$results/gpu-$part.txt"
  collect
done
exit $status

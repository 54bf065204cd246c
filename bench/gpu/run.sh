#!/usr/bin/env bash
# Runs pieces of the GPU bench from the folder that pack.sh made. Needs bash and a Python with JAX (for some pieces
# PyTorch and transformers too); no Node, no network. A piece takes less than nine minutes.
#
#   runs/gpu-pack/run.sh PIECE…       the pieces are listed below; none: all of them, one after the other
#
# OUT    where the results go: results.jsonl, table.md, cpu-speed.md, records.tar.gz, log.txt (default ./gpu-results)
# WORK   where things are unpacked; a later call goes on from there (default /tmp/bert2bert-gpu)
# PYTHON with JAX (default python3); BERT2BERT_PYTHON: with PyTorch, where that is another
# SMALL  1: tiny sizes, to see that all runs, on whatever device there is
set -uo pipefail
PIECES="operations attention steps bert gpt2 fit study-gpt2 study-bert cpu-speed"
pack=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${OUT:=gpu-results}" "${WORK:=/tmp/bert2bert-gpu}"
target=$(cd "$OUT" && pwd)
work=$(cd "$WORK" && pwd)
export PYTHON=${PYTHON:-python3} SMALL=${SMALL:-} STORE=$work/store OUT=$work/results
export BERT2BERT_XLA_PYTHON=$PYTHON BERT2BERT_PYTHON=${BERT2BERT_PYTHON:-$PYTHON} HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
# Compiled once for all calls that go on from here, however small.
export JAX_COMPILATION_CACHE_DIR=$work/jax-cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.92}
mkdir -p "$OUT" "$work/records"

# What was unpacked whole from just this stays.
unpack() {
  [ ! -f "$pack/$1.tar.xz" ] || [ "$work/$1.whole" -nt "$pack/$1.tar.xz" ] || {
    rm -rf "${work:?}/$1" &&
      "$PYTHON" -c "import tarfile, sys; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter='fully_trusted')" \
        "$pack/$1.tar.xz" "$work" && : > "$work/$1.whole"
  }
}
for part in node app store onednn; do unpack $part || exit 1; done
[ ! -f "$work/onednn/libdnnl.so" ] || export BERT2BERT_ONEDNN=$work/onednn/libdnnl.so
[ ! -d "$work/app/records" ] || cp -rn "$work/app/records/." "$work/records"
node=$work/node/node
app=$work/app
"$node" "$app/dist/cli/main.js" --version >&2 || exit 1
DEVICE=$("$PYTHON" "$app/bench/gpu/probe.py" 2> >(tail -1 >&2)) || exit 1
export DEVICE
echo "device: $DEVICE" >&2

# The study NAME (its file's); its keys that say how deep and how wide a network is follow, for small sizes.
study() {
  local name=$1 deep=$2 wide=$3 files=() sets=() code=0
  for packed in "$pack"/text-*.xz; do
    [ -f "$packed" ] || { echo "no text was packed: no study" >&2; return; }
    local text=$work/$(basename "$packed" .xz)${SMALL:+-small}.txt
    [ -f "$text" ] || "$PYTHON" -c "
import lzma, os, sys
data = lzma.open(sys.argv[1]).read()
with open(sys.argv[2] + '.part', 'wb') as f: f.write(data[:400_000] if os.environ['SMALL'] else data)
os.rename(sys.argv[2] + '.part', sys.argv[2])" "$packed" "$text"
    files+=("$text")
  done
  local out=$work/study/$name${SMALL:+-small} records=$work/records/$name${SMALL:+-small}
  sets=(--set "out=$out" --set "records=$records" --set "results=$out" --set "markdown=$out/study.md"
    --set "data.files=[$(IFS=,; echo "${files[*]}")]")
  [ -z "$SMALL" ] || sets+=(--set budget.tokens=8192 --set batch.sequences=16 --set data.tokenizer.vocabulary=600
    --set "source.config.$deep=2" --set "source.config.$wide=64" --set target.hidden=96 --set evaluate.every=8
    --set evaluate.sequences=64 --set checkpoint.every=4 --set log.every=4 --set data.length=32
    --set methods.scratch.seeds=[1] --set methods.scratch.lr=1e-3)
  local words=(study "$app/bench/study/$name.yaml" "${sets[@]}")
  # Of what a first piece measured of this device, where it did; else a tenth of an H100's products.
  "$node" "$app/dist/cli/main.js" "${words[@]}" --dry-run --speed "${GFLOPS:-100000}"
  timeout -s INT -k 20 "$(( ${UNTIL%.*} - $(date +%s) ))" "$node" "$app/dist/cli/main.js" "${words[@]}" || {
    code=$?
    echo "the study is not at its end: the same piece, called again, goes on from here" >&2
  }
  tar -C "$work" -czf "$OUT/records.tar.gz" records
  [ ! -f "$out/study.md" ] || cat "$out/study.md"
  return $code
}

cpu_speed() {
  grep -q amx_bf16 /proc/cpuinfo || echo "this processor has no AMX: the rows are of another kind" >&2
  local runners=onednn-bf16,onednn-f32,transformers-bf16-compiled,transformers-f32-compiled,expert-bf16-compiled pairs=3
  [ -z "$SMALL" ] || { runners=onednn-bf16,expert-bf16 pairs=1; }
  for workload in bert-small bert-base gpt2; do
    [ -z "$SMALL" ] || [ $workload = bert-small ] || continue
    grep -q "^### $workload\$" "$OUT/cpu-speed.md" 2> /dev/null && continue
    [ $(( ${UNTIL%.*} - $(date +%s) )) -gt 150 ] || { echo "no time is left for: $workload" >&2; continue; }
    timeout $(( ${UNTIL%.*} - $(date +%s) )) taskset -c 0,1 "$node" "$app/dist/bench/cpu-speed.js" --workloads $workload \
      --runners $runners --pairs $pairs --steps 2 --threads 2 > "$work/cpu-speed.part" &&
      cat "$work/cpu-speed.part" >> "$OUT/cpu-speed.md"
  done
}

piece() {
  case $1 in
    operations | attention | steps | fit) timeout -k 10 535 "$node" "$app/bench/gpu/$1.mjs" ;;
    bert | gpt2) timeout -k 10 535 "$node" "$app/bench/gpu/speed.mjs" "$1" ;;
    study-gpt2) study gpt-12 n_layer n_embd ;;
    study-bert) study bert-12 num_hidden_layers hidden_size ;;
    cpu-speed) cpu_speed ;;
    *) echo "no piece $1: there are $PIECES" >&2; return 2 ;;
  esac
}

status=0
for name in ${*:-$PIECES}; do
  echo "== $name, $(date -u +%FT%TZ)" | tee -a "$OUT/log.txt" >&2
  export UNTIL=$(( $(date +%s) + 525 ))
  piece "$name" > >(tee -a "$OUT/log.txt") 2> >(tee -a "$OUT/log.txt" >&2) || status=$?
done
"$node" "$app/bench/gpu/table.mjs" > "$OUT/table.md"
# At most 15 MB of what was said.
tail -c 15000000 "$OUT/log.txt" > "$OUT/log.part" && mv "$OUT/log.part" "$OUT/log.txt"
cp "$OUT"/* "$target"
echo
cat "$OUT/table.md" "$OUT/cpu-speed.md" 2> /dev/null
exit $status

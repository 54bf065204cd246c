#!/usr/bin/env bash
# The first run on real text: a small model is pre-trained, grown by AKI at 1.5 times its width, and pre-trained on in
# two stages, beside one of the same size from scratch. What is done already is not done again, so it can be stopped
# and started with the same words.
#
#   bench/first-run/first-run.sh gpt2|bert TEXT OUT [STEPS [THREADS]]
set -euo pipefail
kind=$1 text=$2 out=$3 steps=${4:-} threads=${5:-2}
here=$(cd "$(dirname "$0")" && pwd)
b() { node "$here/../../dist/cli/main.js" "$@"; }
case $kind in
  gpt2) tokenizer=bpe vocab=4096 objective=clm sequences=32 blocks=4 steps=${steps:-400} ;;
  bert) tokenizer=wordpiece vocab=4096 objective=mlm sequences=16 blocks=3 steps=${steps:-2000} ;;
  *) echo "gpt2 or bert, not $kind" >&2; exit 2 ;;
esac
mkdir -p "$out"
[ -d "$out/tokenizer" ] || b tokenizer train "$text" --out "$out/tokenizer" --kind "$tokenizer" --vocab "$vocab"
[ -d "$out/data" ] || b prepare "$text" --tokenizer "$out/tokenizer" --out "$out/data" --length 128

# run NAME MODEL PLAN: every run differs in its model and plan alone.
run() {
  cat > "$out/$1.yaml" <<Y
out: $1
seed: 1
model: $2
data: {from: data}
objective: $objective
batch: {sequences: $sequences}
optimizer: {lr: 1e-3, dropout: 0, moments: fresh}
schedule: {warmup: 0.05, decay: linear}
steps: $steps
plan: $3
evaluate: {every: $((steps / 20)), sequences: 256}
checkpoint: {every: $((steps / 4)), keep: 1}
engine: {kind: onnx, threads: $threads}
Y
  b pretrain "$out/$1.yaml"
}
run source "{init: '$here/$kind.config.json', tokenizer: tokenizer}" full
if [ ! -d "$out/grown" ]; then
  b grow "$out/source/model" "$out/grown" --to "$here/$kind-wide.config.json" --method aki --moments drop
fi
b verify "$out/source/model" "$out/grown" || true
run two-stage "{from: grown}" "{two-stage: {block: 1, share: 0.125}}"
run scratch "{init: '$here/$kind-wide.config.json', tokenizer: tokenizer}" full

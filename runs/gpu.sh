#!/usr/bin/env bash
# The same as runs/shipped.sh on one H100 with 16 cores, in one call of at most ten minutes: large batches, and short
# clocks. The figures are left to `evaluate`, which needs no GPU.
#
#     OUT=some/folder bash runs/gpu.sh       # what is worth keeping is copied there: weights, checkpoints, logs; 40 MB
#
# SMALL=1 DEVICE=cpu tries it out at tiny size without a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."

export DEVICE=${DEVICE:-cuda} WORKERS=${WORKERS:-$(nproc)} EVALUATE=${EVALUATE:-no} ROOT=${ROOT:-build/gpu}
export THREADS=${THREADS:-4}                         # of each of the two that train beside each other
if [ -z "${SMALL:-}" ]; then
  # Minutes of training. Collecting, reading and preparing take the rest: not measured.
  export DRILL=${DRILL:-2000000}
  export VQVAE=${VQVAE:---minutes 1 --batch 2048} CONTEXT=${CONTEXT:---minutes 2.5 --batch 4096 --rate 0.003}
  export MEMORY=${MEMORY:---minutes 3.5 --batch 4096 --rate 0.003}
fi
bash runs/shipped.sh

if [ -n "${OUT:-}" ]; then
  mkdir -p "$OUT/checkpoints"
  cp -r "$ROOT/weights" "$OUT/"
  for file in "$ROOT"/checkpoints/world/{vqvae,memory,context}.safetensors "$ROOT"/checkpoints/*/*_log.jsonl \
    "$ROOT"/checkpoints/latent_action/action_to_latent_best.safetensors; do
    cp "$file" "$OUT/checkpoints/"
  done
fi

#!/usr/bin/env bash
# The same as runs/shipped.sh on one H100 with 16 cores, in one call of at most ten minutes: clocks instead of epochs,
# and large batches. The figures are left to `evaluate`, which needs no GPU.
#
#     ROOT=$OUT bash runs/gpu.sh          # checkpoints and weights then are below $OUT
#
# SMALL=1 DEVICE=cpu tries it out at tiny size without a GPU.
set -euo pipefail

export DEVICE=${DEVICE:-cuda} WORKERS=${WORKERS:-$(nproc)} EVALUATE=${EVALUATE:-no}
if [ -z "${SMALL:-}" ]; then
  # Minutes of training; beside them, collecting and preparing take <!-- time: gpu, the rest -->.
  export VQVAE=${VQVAE:---minutes 1 --batch 2048} MEMORY=${MEMORY:---minutes 2 --batch 4096 --rate 0.003}
  export CONTEXT=${CONTEXT:---minutes 2 --batch 4096 --rate 0.003} ACTION=${ACTION:---epochs 50}
fi
exec bash "$(dirname "$0")/shipped.sh"

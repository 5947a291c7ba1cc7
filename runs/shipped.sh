#!/usr/bin/env bash
# From nothing to the shipped weights, end to end:
#
#     pip install -e ".[train]" && bash runs/shipped.sh
#
# It may be stopped at any moment; run again, it goes on from where it was. Times are of two shared cores
# of an AMD EPYC.
# SMALL=1 makes everything tiny, in a minute or two, to see that it works: the weights are then no good.
# Every size is a variable that may be set from outside, as runs/gpu.sh does. `--minutes` never give the same weights
# twice; `--epochs` do, on one machine's CPU.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
if [ -n "${SMALL:-}" ]; then
  ROOT=${ROOT:-build/small}
  DRILL=${DRILL:-4000} MIXED=${MIXED:-3000} RANDOM_KEYS=${RANDOM_KEYS:-2000} PAIRS=${PAIRS:-1500}
  VQVAE=${VQVAE:---epochs 20 --batch 128} MEMORY=${MEMORY:---epochs 4} CONTEXT=${CONTEXT:---epochs 4}
  ACTION=${ACTION:---epochs 2}
  EVALUATE=${EVALUATE:---episodes 2 --game-seconds 12 --transitions 40 --runs 2 --least-seconds 2 --run-seconds 4 --alone 1 --alone-seconds 10}
fi
ROOT=${ROOT:-.}                                      # below it are data and checkpoints
WEIGHTS=${WEIGHTS:-$([ "$ROOT" = . ] && echo assets/weights || echo "$ROOT/weights")}
DRILL=${DRILL:-3000000} MIXED=${MIXED:-400000} RANDOM_KEYS=${RANDOM_KEYS:-150000}       # transitions to collect
PAIRS=${PAIRS:-100000}                               # (action, code) pairs
VQVAE=${VQVAE:---minutes 10}                         # how long to train
MEMORY=${MEMORY:---minutes 12 --batch 1024 --rate 0.002} CONTEXT=${CONTEXT:---minutes 11 --batch 1024 --rate 0.002}
ACTION=${ACTION:---epochs 50}
DEVICE=${DEVICE:-auto}
WORKERS=${WORKERS:-}                                 # processes that collect; empty: one a core, at most 8
EVALUATE=${EVALUATE:---seed 0}                       # "no": leave it out

drill=$ROOT/data/drill mixed=$ROOT/data/mixed random=$ROOT/data/random
world=$ROOT/checkpoints/world action=$ROOT/checkpoints/latent_action
pairs=$ROOT/data/actions/action_latent_pairs.json

main() { echo "+ main.py $*" && "$PYTHON" main.py "$@"; }

# train NAME CHECKPOINT OPTION...: goes on from the checkpoint, if there is one.
train() {
  local name=$1 last=$2
  shift 2
  if [ -e "$last" ]; then set -- "$@" --resume; fi
  main train "$name" "$@" --device "$DEVICE"
}

# 1. Games: drills, in which paddle, bricks and walls come in plenty, and whole games. 6 minutes.
main collect frames --policy drill --transitions "$DRILL" --seed 0 --out "$drill" ${WORKERS:+--workers "$WORKERS"}
main collect frames --policy mixed --transitions "$MIXED" --seed 1 --out "$mixed" ${WORKERS:+--workers "$WORKERS"}
main collect frames --policy random --transitions "$RANDOM_KEYS" --seed 2 --out "$random" ${WORKERS:+--workers "$WORKERS"}
frames=(--frames "$drill" --frames "$mixed")

# 2. The memory: what no frame shows, taught by the emulator's RAM. It needs no codes, so it trains beside the rest; one
#    core each. 12 minutes.
export OMP_NUM_THREADS=${THREADS:-1}
# shellcheck disable=SC2086  # the variables hold several options
train memory "$world/memory_last.safetensors" "${frames[@]}" --frames "$random" --out "$world" $MEMORY &
memory=$!
trap 'kill "$memory" 2>/dev/null || true' EXIT       # it ends with the script, and can be gone on with

# 3. What things look like, and the codes of what happens in a step. 13 minutes, of which three are preparation.
# shellcheck disable=SC2086
train vqvae "$world/vqvae_last.safetensors" "${frames[@]}" --out "$world" $VQVAE

# 4. The controller: the codes of the next step. It learns of random keys too, as the memory does. 11 minutes, and one
#    of preparation.
# shellcheck disable=SC2086
train context "$world/context_last.safetensors" "${frames[@]}" --frames "$random" --weights "$world" --out "$world" $CONTEXT
wait "$memory"
trap - EXIT

# 5. The seed design's controller, which sees the key alone: pairs of a random agent's games take the codes of the
#    graphs, so these are made first, without it. 3 minutes.
main ship --world "$world" --action "$action" --frames "$mixed" --out "$ROOT/checkpoints/shipped"
main collect pairs --weights "$ROOT/checkpoints/shipped" --transitions "$PAIRS" --out "$pairs"
# shellcheck disable=SC2086
train action "$action/action_to_latent_last.safetensors" --pairs "$pairs" --out "$action" $ACTION

# 6. What plays: graphs, a manifest and one file of weights. Then its figures. 5 minutes.
main ship --world "$world" --action "$action" --frames "$mixed" --out "$WEIGHTS"
if [ "$EVALUATE" != no ]; then
  # shellcheck disable=SC2086
  main evaluate --weights "$WEIGHTS" --json "$ROOT/checkpoints/evaluation.json" $EVALUATE
fi

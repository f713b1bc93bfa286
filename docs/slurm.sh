#!/bin/bash
# A run of sia-tui on a Slurm allocation, as many jobs long as it takes: Ray inside each, a warning before the wall, and
# the next job goes on where this one left.
#   SERVE_ON=0,1 sbatch docs/slurm.sh configs/cluster/qwen3-8b.yaml myrun
# Submit where sia-tui was installed with its extra `ray`, on a disk that all nodes see. What a site names its partition and
# its GPUs is said on the command line: sbatch --partition=… --gpus-per-node=8 --nodes=4 …
# SERVE_ON=0,1 keeps GPUs of the first node from Ray: those that the config's serve_on names.
#SBATCH --job-name=sia
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

config=${1:?"usage: sbatch $0 CONFIG RUN"}
run=${2:?"usage: sbatch $0 CONFIG RUN"}
bin=${SIA_BIN:-$PWD/.venv/bin}
export SIA_WORKSPACE=${SIA_WORKSPACE:-$PWD/.sia}
say() { echo "$(date +%H:%M:%S)  job $SLURM_JOB_ID: $*"; }

# Ray between these nodes, for whoever holds this job's token, which is in no file and on no command line.
RAY_AUTH_TOKEN=$("$bin/python" -c 'import secrets; print(secrets.token_hex(32))')
RAY_AUTH_MODE=token
RAY_USAGE_STATS_ENABLED=0
here=${RAY_HEAD_IP:-$(hostname -I | cut -d' ' -f1)}
port=$((20000 + SLURM_JOB_ID % 10000))
RAY_ADDRESS=$here:$port
export RAY_AUTH_TOKEN RAY_AUTH_MODE RAY_USAGE_STATS_ENABLED RAY_ADDRESS here port bin

# shellcheck disable=SC2016  # expanded on each node
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --overlap --export=ALL bash -c '
    if [ "$SLURM_NODEID" = 0 ]; then
        if [ -n "${SERVE_ON:-}" ]; then
            CUDA_VISIBLE_DEVICES=$(nvidia-smi --query-gpu=index --format=csv,noheader | grep -vxF "$(tr , "\n" <<<"$SERVE_ON")" | paste -sd,)
            export CUDA_VISIBLE_DEVICES
        fi
        exec env -u RAY_ADDRESS "$bin/ray" start --head --block --node-ip-address="$here" --port="$port" --include-dashboard=false
    fi
    exec env -u RAY_ADDRESS "$bin/ray" start --block --address="$here:$port"
' &
ray=$!
engine=
asked=
interrupted=

# shellcheck disable=SC2317  # called by traps
end() {
    asked=$1 interrupted=1
    say "asked to end ($1)"
    [ -z "$engine" ] || kill -TERM "$engine" 2>/dev/null || true
}
trap 'end wall' USR1  # --signal, so long before the wall
trap 'end cancelled' TERM
trap 'kill "$ray" 2>/dev/null || true' EXIT

for _ in $(seq 120); do
    if "$bin/ray" health-check --address "$RAY_ADDRESS" >/dev/null 2>&1; then break; fi
    if ! kill -0 "$ray" 2>/dev/null; then say "Ray did not start: see above"; exit 1; fi
    sleep 1
done

if "$bin/sia-tui" show "$run" >/dev/null 2>&1; then
    say "goes on with $run"
    "$bin/sia-tui" resume "$run" --headless &
else
    say "begins $run"
    "$bin/sia-tui" run "$config" --name "$run" --headless --set cluster.executor=ray --set cluster.address=auto &
fi
engine=$!
[ -z "$asked" ] || kill -TERM "$engine"

# A trapped signal ends a wait, with a status of its own; the next one has the engine's (127: it was told already).
code=0
while interrupted=; do
    status=0
    wait "$engine" || status=$?
    [ "$status" = 127 ] || code=$status
    [ -n "$interrupted" ] || break
done

if [ "$asked" = wall ] && [ "$code" = 130 ]; then
    say "the wall is near: what was under way is saved, and the next job goes on with it"
    scontrol requeue "$SLURM_JOB_ID"
elif [ "$code" = 3 ]; then
    say "waits for a person, and holds no node meanwhile. Answer (sia-tui pending), then: sbatch $0 $config $run"
    code=0
elif [ "$code" = 0 ]; then
    say "$run has ended"
fi
exit "$code"

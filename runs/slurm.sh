#!/usr/bin/env bash
# A run over the machines of one Slurm job; the arguments are those of `cai run`:
#
#     sbatch --nodes 8 --gpus-per-node 8 runs/slurm.sh runs/harmless.yaml
#
# From the folder of the project, on a file system that all machines share, with .venv made by `make install`. A machine
# that fails costs the parts it had open. When the time is up, or the first machine fails, submit the same line again.
#SBATCH --job-name=cai
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --no-kill
#SBATCH --output=cai-%j.log
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
export PATH="$PWD/.venv/bin:$PATH" RAY_USAGE_STATS_ENABLED=0
# Without a token, whoever reaches the port can run programs on these machines.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN="$(python -c 'import secrets; print(secrets.token_hex(32))')"
log="cai-$SLURM_JOB_ID.ray.log"

mapfile -t machines < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
address="${machines[0]}:${RAY_PORT:-6379}"
# Each step may use the whole machine: some sites would give it one core.
on() { srun --cpu-bind=none --overlap --no-kill --nodes=1 --ntasks=1 --nodelist="$1" "${@:2}"; }

on "${machines[0]}" ray start --head --port="${RAY_PORT:-6379}" --include-dashboard=false --block >> "$log" 2>&1 &
until ray status --address "$address" > /dev/null 2>&1; do
    kill -0 $!    # stops here if the head did not start: see the log
    sleep 2
done
for machine in "${machines[@]:1}"; do
    on "$machine" ray start --address "$address" --block >> "$log" 2>&1 &
done

cai run "$@" --ray "$address"

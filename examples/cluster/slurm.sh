#!/bin/bash
# A Ray cluster for as long as a job of Slurm runs, and one command on it:
#     sbatch --nodes=4 --cpus-per-task=16 slurm.sh wsdl run digits.onnx --input rows.parquet -o out --workers 64
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
set -euo pipefail

export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | cut -d ' ' -f 1):6379

# All end with the job. --block keeps srun waiting, so that Slurm knows what belongs to the job.
srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --port=6379 --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false --block &
until ray status --address="$address" > /dev/null 2>&1; do sleep 2; done
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi

# Wait until all CPUs are there: a command with too few says so, and ends.
python - "$address" $((SLURM_JOB_NUM_NODES * SLURM_CPUS_PER_TASK)) <<'PYTHON'
import sys
import time

import ray

ray.init(address=sys.argv[1], logging_level="ERROR")
while ray.cluster_resources().get("CPU", 0) < int(sys.argv[2]):
    time.sleep(1)
PYTHON

RAY_ADDRESS=$address "$@"

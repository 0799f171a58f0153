#!/bin/bash
# A sweep as a job array: each task computes one shard into a file of its own.
#
#     sbatch array.sh my.yaml                     # or: sbatch --array=0-99 --cpus-per-task=8 array.sh my.yaml
#     meanode merge my.h5 my.*.h5                 # when all tasks are over; says what is missing, if anything
#
# A task that is preempted, requeued or out of time goes on where it was: finished instances are never lost. Start the
# array with the same number of tasks when you submit it again.
#SBATCH --job-name=meanode
#SBATCH --array=0-5
#SBATCH --cpus-per-task=2
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log

config=${1:?usage: sbatch array.sh CONFIG.yaml [NAME]}
name=${2:-$(basename "${config%.*}")}
out_of_time=

"${MEANODE:-meanode}" run "$config" -o "$name.$SLURM_ARRAY_TASK_ID.h5" --resume --shard slurm \
  --threads "${SLURM_CPUS_PER_TASK:-1}" --progress lines &
run=$!

# USR1 comes two minutes before the time limit (--signal), TERM when Slurm takes the node back and requeues by itself.
trap 'signalled=1; out_of_time=1; kill -USR1 $run' USR1
trap 'signalled=1; kill -TERM $run' TERM
signalled=1
while [ "$signalled" = 1 ]; do
  signalled=0
  wait "$run"
  code=$?
done

[ "$code" = 3 ] && code=0 # done, some instances diverged: the file says which
if [ "$code" != 0 ] && [ -n "$out_of_time" ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"

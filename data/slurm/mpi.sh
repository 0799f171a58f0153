#!/bin/bash
# A sweep as one MPI job: rank 0 deals batches to the ranks and writes one file.
#
#     sbatch mpi.sh my.yaml                       # or: sbatch --nodes=4 --ntasks-per-node=8 mpi.sh my.yaml
#
# A job that is preempted, requeued or out of time goes on where it was: finished instances are never lost.
#SBATCH --job-name=meanode
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

config=${1:?usage: sbatch mpi.sh CONFIG.yaml [NAME]}
name=${2:-$(basename "${config%.*}")}
out_of_time=

mpirun "${MEANODE:-meanode}" run "$config" -o "$name.h5" --resume --threads "${SLURM_CPUS_PER_TASK:-1}" --progress lines &
run=$!

# USR1 comes two minutes before the time limit (--signal), TERM when Slurm takes the nodes back and requeues by itself.
# mpirun passes USR1 on to the ranks; on TERM it would not leave them time to write.
trap 'signalled=1; out_of_time=1; kill -USR1 $run' USR1
trap 'signalled=1; kill -USR1 $run' TERM
signalled=1
while [ "$signalled" = 1 ]; do
  signalled=0
  wait "$run"
  code=$?
done

[ "$code" = 3 ] && code=0 # done, some instances diverged: the file says which
if [ "$code" != 0 ] && [ -n "$out_of_time" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"

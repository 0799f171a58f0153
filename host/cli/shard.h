/* SPDX-License-Identifier: BSD-3-Clause */
/* Which part of a sweep a run is for. */
#ifndef MNO_CLI_SHARD_H
#define MNO_CLI_SHARD_H

#include "meanode/status.h"

/* text: "I/N", or "slurm": this task of a job array, one task per shard. output: where the run writes to, or NULL; named
 * where it helps to say which shard it holds. MNO_ERR_USAGE says what is wrong and what to write instead. */
mno_status mno_shard_parse(const char *text, const char *output, int *shard, int *shards, mno_error *err);

/* For "slurm": do files that other tasks of this array wrote, told from the output's name with another task number in it,
 * hold shards of the same configuration (text) out of another number? Then this array repeats some tasks of a larger one:
 * MNO_ERR_USAGE. */
mno_status mno_shard_beside(const char *output, int shards, const char *config, mno_error *err);

#endif

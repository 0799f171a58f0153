/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/missing.h"

#include "store/result_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED = 8 /* files or shards named of a kind; the rest is counted */ };

/* Out of how many shards: what most files say, so that a stray one is told from the others; 0: none says it. */
static int number_of_shards(mno_result *const *file, size_t count) {
  int best = 0;
  size_t most = 0;
  for (size_t i = 0; i < count; i++) {
    size_t same = 0;
    for (size_t j = 0; j < count; j++) same += mno_file_of(file[j])->shards == mno_file_of(file[i])->shards;
    if (mno_file_of(file[i])->shards > 1 && same > most) {
      most = same;
      best = mno_file_of(file[i])->shards;
    }
  }
  return best;
}

/* Files of the shard; *first is the place of the first. */
static size_t files_of(mno_result *const *file, size_t count, int shard, int shards, size_t *first) {
  size_t found = 0;
  for (size_t i = count; i-- > 0;)
    if (mno_file_of(file[i])->shards == shards && mno_file_of(file[i])->shard == shard) {
      found++;
      *first = i;
    }
  return found;
}

static void unfinished(FILE *out, mno_result *const *file, size_t count) {
  size_t listed = 0;
  for (size_t i = 0; i < count; i++) {
    const mno_result_file *one = mno_file_of(file[i]);
    size_t there = 0;
    for (size_t row = 0; row < file[i]->instance_count; row++) there += file[i]->status[row] >= 0;
    if (one->shards <= 1 || there >= one->shard_instances || listed++ >= LISTED) continue;
    fprintf(out, "\n  %.200s (shard %d/%d) lacks %zu: meanode run CONFIG.yaml --shard %d/%d -o %.200s --resume",
            file[i]->path, one->shard, one->shards, one->shard_instances - there, one->shard, one->shards, file[i]->path);
  }
  if (listed > LISTED) fprintf(out, "\n  and %zu more files are unfinished", listed - LISTED);
}

static void strays(FILE *out, mno_result *const *file, size_t count, int shards) {
  size_t listed = 0, first = 0;
  for (size_t i = 0; i < count; i++) {
    const mno_result_file *one = mno_file_of(file[i]);
    if (one->shards == shards || listed++ >= LISTED) continue;
    if (one->shards > 1)
      fprintf(out, "\n  %.200s is shard %d/%d, of another number than the others (%d)", file[i]->path, one->shard,
              one->shards, shards);
    else
      fprintf(out, "\n  %.200s is no shard", file[i]->path);
  }
  listed = 0;
  for (size_t i = 0; i < count; i++) {
    const mno_result_file *one = mno_file_of(file[i]);
    if (one->shards != shards || files_of(file, count, one->shard, shards, &first) < 2 || first == i || listed++ >= LISTED)
      continue;
    fprintf(out, "\n  %.200s and %.200s are both shard %d/%d", file[first]->path, file[i]->path, one->shard, shards);
  }
}

/* "shards 2 and 5 of 6 are not among the files", and how Slurm or a person has them computed. */
static void absent(FILE *out, mno_result *const *file, size_t count, int shards) {
  size_t instances = file[0]->instance_count, first = 0;
  int needed = (size_t)shards < instances ? shards : (int)instances; /* further shards have no instances */
  int found = needed, named = 0, some[LISTED];
  for (size_t i = 0; i < count; i++) /* numbers may be large; files are few */
    found -= mno_file_of(file[i])->shards == shards && mno_file_of(file[i])->shard < needed &&
             files_of(file, count, mno_file_of(file[i])->shard, shards, &first) && first == i;
  for (int s = 0; s < needed && named < LISTED; s++)
    if (!files_of(file, count, s, shards, &first)) some[named++] = s;
  if (!found) return;
  fprintf(out, "\n  shard%s ", found == 1 ? "" : "s");
  for (int i = 0; i < named; i++) fprintf(out, "%s%d", i == 0 ? "" : i == found - 1 ? " and " : ", ", some[i]);
  if (found > named) fprintf(out, " and %d more", found - named);
  fprintf(out, " of %d (counted from 0) %s not among the files: meanode run CONFIG.yaml --shard %d/%d -o NEW.h5", shards,
          found == 1 ? "is" : "are", some[0], shards);
  fprintf(out, "; on Slurm sbatch --array=");
  for (int i = 0; i < named; i++) fprintf(out, "%s%d", i ? "," : "", some[i]);
  fprintf(out, "%s array.sbatch CONFIG.yaml NAME %d", found > named ? ",..." : "", shards);
}

mno_status mno_report_missing(mno_result *const *file, size_t count, size_t missing, mno_error *err) {
  char *list = NULL;
  size_t size;
  int shards = number_of_shards(file, count);
  FILE *out = shards > 1 ? open_memstream(&list, &size) : NULL;
  if (out) {
    unfinished(out, file, count);
    strays(out, file, count, shards);
    absent(out, file, count, shards);
    fclose(out);
  }
  mno_status status =
      mno_fail(err, MNO_ERR_INPUT,
               "%zu of %zu instances are in none of the files; nothing was written (--partial writes what there is)%s",
               missing, file[0]->instance_count, list ? list : "");
  free(list);
  return status;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "cli/shard.h"

#include "meanode/result.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 9 };

/* Digits and nothing else; returns what follows them, or NULL. */
static const char *number(const char *text, int *value) {
  size_t length = strspn(text, "0123456789");
  if (length == 0 || length > DIGITS) return NULL;
  *value = (int)strtol(text, NULL, 10);
  return text + length;
}

/* ---- Slurm */

/* Of a job array, as Slurm tells its tasks. Lists such as 0,2,5 are told by their ends, their number and step 1. */
typedef struct array {
  int task, tasks, first, last, step;
} array;

/* A variable of Slurm's; without it *value stays as it is, which is refused if it is needed. */
static mno_status variable(const char *name, bool needed, int *value, mno_error *err) {
  const char *text = getenv(name);
  if (!text && !needed) return MNO_OK;
  if (!text)
    return mno_fail(err, MNO_ERR_USAGE,
                    "--shard slurm: %s is not set; this is no task of a Slurm job array (sbatch --array=0-5). Elsewhere "
                    "--shard I/N says which part of how many",
                    name);
  const char *end = number(text, value);
  return end && !*end ? MNO_OK
                      : mno_fail(err, MNO_ERR_USAGE,
                                 "--shard slurm: %s is \"%.40s\", not a number; --shard I/N does without it", name, text);
}

/* The shard that a file holds, of a configuration (text; NULL: of any). */
static bool share_of(const char *path, const char *config, int *shard, int *shards) {
  mno_result *result;
  mno_error ignored;
  if (mno_result_open(path, &result, &ignored) != MNO_OK) return false;
  bool found = mno_result_share(result, shard, shards) && (!config || strcmp(result->config, config) == 0);
  mno_result_free(result);
  return found;
}

static mno_status refuse(const array *a, const char *why, const char *output, mno_error *err) {
  char holds[300] = ""; /* "; my.5.h5 holds shard 5/6", if it does */
  int shard, shards;
  if (output && share_of(output, NULL, &shard, &shards))
    snprintf(holds, sizeof holds, "; %.200s holds shard %d/%d", output, shard, shards);
  return mno_fail(
      err, MNO_ERR_USAGE,
      "--shard slurm: %s, so that it cannot be told which shard of how many task %d is. A new sweep takes an array "
      "without holes that begins with 0 or 1 (sbatch --array=0-5); some tasks of a larger one are repeated with "
      "--shard I/N (--shard %d/6 is task %d of --array=0-5)%s",
      why, a->task, a->task < 6 ? a->task : 5, a->task < 6 ? a->task : 5, holds);
}

/* Never another share than the task had: an array that was submitted again for a few of its tasks is not told from a smaller
 * one but by where it begins and by its holes. */
static mno_status slurm(const char *output, int *shard, int *shards, mno_error *err) {
  array a = {.step = 1};
  char why[160];
  mno_status status = variable("SLURM_ARRAY_TASK_ID", true, &a.task, err);
  if (status == MNO_OK) status = variable("SLURM_ARRAY_TASK_COUNT", true, &a.tasks, err);
  if (status == MNO_OK) status = variable("SLURM_ARRAY_TASK_MIN", false, &a.first, err);
  if (status == MNO_OK) status = variable("SLURM_ARRAY_TASK_STEP", false, &a.step, err);
  if (status != MNO_OK) return status;
  if (a.tasks < 1 || a.step < 1)
    return mno_fail(err, MNO_ERR_USAGE, "--shard slurm: an array of %d tasks with step %d is none", a.tasks, a.step);
  long long last = a.first + (a.tasks - 1LL) * a.step;
  a.last = last > 1000000000 ? -1 : (int)last;
  status = variable("SLURM_ARRAY_TASK_MAX", false, &a.last, err);
  if (status != MNO_OK) return status;

  if (a.tasks == 1 && a.task != 0) {
    snprintf(why, sizeof why, "this array has one task, number %d", a.task);
  } else if (last != a.last || a.task < a.first || a.task > a.last || (a.task - a.first) % a.step != 0) {
    snprintf(why, sizeof why, "this array has holes: %d tasks from %d to %d", a.tasks, a.first, a.last);
  } else if (a.first > 1) {
    snprintf(why, sizeof why, "this array begins with %d", a.first);
  } else {
    *shard = (a.task - a.first) / a.step;
    *shards = a.tasks;
    return MNO_OK;
  }
  return refuse(&a, why, output, err);
}

mno_status mno_shard_parse(const char *text, const char *output, int *shard, int *shards, mno_error *err) {
  if (strcmp(text, "slurm") == 0) return slurm(output, shard, shards, err);
  const char *rest = number(text, shard);
  rest = rest && *rest == '/' ? number(rest + 1, shards) : NULL;
  if (!rest || *rest) return mno_fail(err, MNO_ERR_USAGE, "--shard \"%.60s\": neither I/N (such as 0/6) nor slurm", text);
  if (*shard >= *shards)
    return mno_fail(err, MNO_ERR_USAGE, "shard %d/%d: the first number counts from 0 and is below the second", *shard,
                    *shards);
  return MNO_OK;
}

/* ---- Files of other tasks */

/* Where the task's number stands in a file's name, the last place if there are several; NULL: nowhere. */
static const char *place_of(const char *name, const char *task) {
  size_t length = strlen(task);
  const char *place = NULL;
  for (const char *at = length ? strstr(name, task) : NULL; at; at = strstr(at + 1, task))
    if (!(at > name && isdigit((unsigned char)at[-1])) && !isdigit((unsigned char)at[length])) place = at;
  return place;
}

/* Is it the name of another task's file: the same but for the number, digits from `before` on? */
static bool is_sibling(const char *name, const char *own, size_t before, const char *after) {
  if (strncmp(name, own, before) != 0) return false;
  size_t digits = strspn(name + before, "0123456789");
  return digits > 0 && strcmp(name + before + digits, after) == 0 && strcmp(name, own) != 0;
}

mno_status mno_shard_beside(const char *output, int shards, const char *config, mno_error *err) {
  const char *task = getenv("SLURM_ARRAY_TASK_ID"), *slash = strrchr(output, '/'), *own = slash ? slash + 1 : output;
  const char *place = task ? place_of(own, task) : NULL;
  char *folder = slash ? strndup(output, (size_t)(slash - output) + 1) : strdup("./");
  DIR *files = place && folder ? opendir(folder) : NULL;
  mno_status status = MNO_OK;
  bool told = false; /* the first that is a shard of this sweep speaks for all */
  for (struct dirent *file; files && !told && (file = readdir(files));) {
    int other, others;
    char *path;
    if (!is_sibling(file->d_name, own, (size_t)(place - own), place + strlen(task))) continue;
    if (asprintf(&path, "%s%s", slash ? folder : "", file->d_name) < 0) break;
    told = share_of(path, config, &other, &others);
    if (told && others != shards)
      status =
          mno_fail(err, MNO_ERR_USAGE,
                   "--shard slurm: this array is of %d, but %s holds shard %d/%d of the same sweep: some tasks of a "
                   "larger array are repeated with --shard I/%d; an array of another size takes outputs of another name",
                   shards, path, other, others, others);
    free(path);
  }
  if (files) closedir(files);
  free(folder);
  return status;
}

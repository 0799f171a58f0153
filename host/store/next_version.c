/* SPDX-License-Identifier: BSD-3-Clause */
#include "store/next_version.h"

#include "core/memory.h"

#include <stdlib.h>

static const double least_seconds = 2; /* between two versions ... */
static const double share = 1. / 100;  /* ... and the share of the time that making them may take */

mno_status mno_version_open(mno_version *version, mno_store_files *files, const mno_plan *plan, int8_t *status,
                            double *seconds, mno_error *err) {
  *version = (mno_version){.files = files, .plan = plan, .status = status, .seconds = seconds, .began = mno_now()};
  return mno_journal_open(files->journal, &version->reader, err);
}

static mno_status begin(mno_version *version, mno_error *err) {
  double start = mno_now();
  const char *fresh = version->files->fresh;
  char room[MNO_FILES_LIKE];
  mno_status status = mno_copy_unsealed(version->files->published, true, fresh, mno_files_like(version->files, room), err);
  if (status == MNO_OK) status = mno_layout_open(fresh, version->plan, &version->layout, err);
  if (status != MNO_OK) mno_files_drop(version->files);
  version->cost = mno_now() - start;
  return status;
}

/* What somebody else does to the file is not written over; the journal has all that is new. */
static bool is_left(mno_version *version) {
  if (!version->left && mno_files_are_changed(version->files)) {
    mno_version_drop(version);
    version->left = true;
  }
  return version->left;
}

mno_status mno_version_add(mno_version *version, mno_pending *pending, uint64_t end, uint64_t bytes, mno_error *err) {
  mno_status status = MNO_OK;
  if (is_left(version)) {
    mno_pending_clear(pending);
    return status;
  }
  version->reader.size = end;
  if (!version->layout) status = begin(version, err);
  if (status == MNO_OK) status = mno_files_reserve(version->files, bytes, err);
  if (status == MNO_OK)
    status =
        mno_apply_pending(version->layout, version->plan, &version->reader, pending, version->status, version->seconds, err);
  if (status == MNO_OK) status = mno_layout_flush(version->layout, err);
  if (status == MNO_OK) mno_files_write_out(version->files);
  mno_pending_clear(pending);
  return status;
}

bool mno_version_is_due(const mno_version *version) {
  if (version->files->replaces) return false; /* not over a whole file of an earlier run */
  double wait = version->cost / share;
  return version->layout && mno_now() - version->began >= (wait < least_seconds ? least_seconds : wait);
}

mno_status mno_version_publish(mno_version *version, mno_error *err) {
  mno_status status = MNO_OK;
  if (is_left(version))
    return mno_fail(err, MNO_ERR_IO,
                    "%s was changed or replaced by another program while the run was writing it, and is left as it is",
                    version->files->shown);
  if (!version->layout) {
    if (mno_files_published_is_there(version->files)) return MNO_OK;
    if ((status = begin(version, err)) != MNO_OK) return status;
  }
  double start = mno_now();
  status = mno_layout_tables(version->layout, version->status, version->seconds, err);
  mno_status closed = mno_layout_close(version->layout, status == MNO_OK ? err : NULL);
  version->layout = NULL;
  if (status == MNO_OK) status = closed;
  if (status == MNO_OK) status = mno_files_replace(version->files, err);
  if (status != MNO_OK) mno_files_drop(version->files);
  version->began = mno_now();
  version->cost += version->began - start;
  return status;
}

void mno_version_drop(mno_version *version) {
  if (version->layout) {
    mno_layout_close(version->layout, NULL);
    mno_files_drop(version->files);
  }
  version->layout = NULL;
}

void mno_version_close(mno_version *version) {
  mno_version_drop(version);
  mno_journal_reader_close(&version->reader);
}

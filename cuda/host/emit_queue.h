/* SPDX-License-Identifier: BSD-3-Clause */
/* Records on their way from the devices to whoever receives them. Emitting may take long (diagnostics, a full queue to the
 * disk): it is done here by threads of their own, so that mailboxes go back to the kernels at once. Bounded: beyond its room
 * the queue makes whoever fills it wait. */
#ifndef MNO_CUDA_EMIT_QUEUE_H
#define MNO_CUDA_EMIT_QUEUE_H

#include "meanode/backend.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct mno_emit_queue mno_emit_queue;

/* threads: at least 1; room: bytes of records that may wait. Errors: MNO_ERR_MEMORY, MNO_ERR_INTERNAL (no threads). */
mno_status mno_emit_queue_open(mno_emit_queue **queue, const mno_job *job, int threads, size_t room, mno_error *err);

/* Takes ownership of a record. Errors: what emitting another one returned; the record is then dropped. */
mno_status mno_emit_queue_put(mno_emit_queue *queue, mno_record *record, mno_error *err);

/* Has something failed? close() says what. */
bool mno_emit_queue_failed(mno_emit_queue *queue);

/* Emits what waits, ends the threads; *emitted receives how many records were emitted. NULL is fine. */
mno_status mno_emit_queue_close(mno_emit_queue *queue, size_t *emitted, mno_error *err);

#endif

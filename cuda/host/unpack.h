/* SPDX-License-Identifier: BSD-3-Clause */
/* A mailbox of a kernel as a record. */
#ifndef MNO_CUDA_UNPACK_H
#define MNO_CUDA_UNPACK_H

#include "common/device_layout.h"
#include "meanode/record.h"

/* Bytes of a mailbox of this instance. */
size_t mno_mailbox_size(const mno_plan *plan, size_t row);

/* fraction: of the mailbox's seconds, which are a team's. Errors: MNO_ERR_MEMORY. */
mno_status mno_unpack(const mno_plan *plan, const mno_mailbox *mailbox, double fraction, mno_record **record,
                      mno_error *err);

#endif

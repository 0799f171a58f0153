/* SPDX-License-Identifier: BSD-3-Clause */
/* The host as a device: the driver's table filled with host memory and host teams, and knobs to make it fail. */
#ifndef MNO_TEST_CUDA_DEVICE_TWIN_H
#define MNO_TEST_CUDA_DEVICE_TWIN_H

#include "host/device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mno_twin {
  int devices;
  size_t memory;                          /* bytes of each */
  int resident;                           /* teams */
  size_t shared;                          /* bytes of shared memory of a block; 0: 227 KiB */
  int fail_open, fail_launch, fail_after; /* 0: never; n: the n-th open or launch fails; the device faults after n polls */
  int no_products, no_algorithm, fail_product, fail_play; /* no library; the n-th product or play of a graph fails */
  int opens, launches, polls, live;                       /* counted; live: devices and streams of products open now */
  int started, ended, spread;                             /* teams; of those started, of several ranks */
  uint32_t patience;                                      /* of a wait for a mailbox, in ticks; 0: as on a card */
  int lose_mailboxes;                                     /* not 0: mailboxes lie where the host does not poll */
  uint32_t field_teams, permutation;                      /* of a pass over particles; field_teams 0: as asked */
  int fail_send, fail_wait;                               /* the n-th copy or wait of a pass over particles fails */
  int sends, waits;
  int products, plays, graphs, calls_at_once; /* the latter: products outside of graphs */
} mno_twin;
extern mno_twin mno_twin_state;

extern const mno_device_api mno_device_twin;

#ifdef __cplusplus
}
#endif
#endif

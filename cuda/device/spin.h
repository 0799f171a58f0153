/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting by polling. Only an error of the protocol makes such a wait endless (a transfer that nobody started, a mailbox
 * that the host forgot), but on a card that is a hang without a name. A bounded team loses patience: it leaves the name of
 * its wait in pinned memory and ends the kernel. Bounded are the host's teams, and a card's in a build with
 * MEANODE_CUDA_CHECKED. */
#ifndef MNO_CUDA_SPIN_H
#define MNO_CUDA_SPIN_H

#include "common/device_layout.h"
#include "device/portable.h"

namespace mno {

#ifdef MNO_CUDA_CHECKED
static constexpr bool CHECKED = true;
#else
static constexpr bool CHECKED = false;
#endif

/* Time in a register: ticks of 2^20 ns. How many polls a time is, is the card's affair: it may suspend a lane in one. */
static constexpr uint32_t TICKS_OF_SECOND = 954;

/* A transfer takes microseconds; a host whose disk is slow takes its time. */
static constexpr uint32_t TRANSFER_TICKS = 30 * TICKS_OF_SECOND, MAILBOX_TICKS = 120 * TICKS_OF_SECOND;

/* Polls as long as pending() and not stopped(), with pause() in between; a bounded team gives up after `patience` ticks. */
template <class Team, class Pending, class Stopped, class Pause>
MNO_DEVICE void spin(Team &team, mno_spin what, uint32_t patience, Pending pending, Stopped stopped, Pause pause) {
  const uint32_t since = Team::bounded ? team.ticks() : 0;
  while (pending() && !stopped()) {
    if (Team::bounded && team.ticks() - since > patience) team.give_up(what);
    pause();
  }
}

} // namespace mno

#endif

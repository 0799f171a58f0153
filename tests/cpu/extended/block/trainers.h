/* SPDX-License-Identifier: BSD-3-Clause */
#define MNO_UNIT_LIST(X) X(gated)
#define MNO_TRAINER_LIST(X) X(gated, heavy_ball)

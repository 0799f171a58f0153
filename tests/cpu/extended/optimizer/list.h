/* SPDX-License-Identifier: BSD-3-Clause */
#define MNO_OPTIMIZER_LIST(X) X(heavy_ball)

/* SPDX-License-Identifier: BSD-3-Clause */
#include "data/data.h"

#include "meanode/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void mno_data_free(mno_data *data) {
  if (!data) return;
  free(data->x);
  free(data->y);
  free(data->w_embed);
  free(data->w_unembed);
  free(data->source);
  free(data->note);
  free(data);
}

static void draw(uint64_t seed, mno_tensor tensor, size_t D, size_t width, double deviation, double *w) {
  for (size_t d = 0; d < D; d++) mno_normals(seed, tensor, 0, (uint32_t)d, width, w + d * width);
  for (size_t i = 0; i < D * width; i++) w[i] *= deviation;
}

void mno_data_embed(const mno_data *data, uint64_t seed, size_t D, double *w_embed, double *w_unembed) {
  if (data->w_embed)
    memcpy(w_embed, data->w_embed, D * data->d_in * sizeof(double));
  else
    draw(seed, MNO_TENSOR_W_EMBED, D, data->d_in, 1 / sqrt((double)data->d_in), w_embed);
  if (data->w_unembed)
    memcpy(w_unembed, data->w_unembed, D * data->d_out * sizeof(double));
  else
    draw(seed, MNO_TENSOR_W_UNEMBED, D, data->d_out, sqrt((double)data->d_out), w_unembed);
}

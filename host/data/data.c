/* SPDX-License-Identifier: BSD-3-Clause */
#include "data/data.h"

#include "core/memory.h"
#include "meanode/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double *copy(const double *from, size_t count, bool *ok) {
  double *to = from ? mno_alloc(count, sizeof *to) : NULL;
  if (to) memcpy(to, from, count * sizeof *to);
  *ok = *ok && !from == !to;
  return to;
}

mno_data *mno_data_copy(const mno_data *data) {
  bool ok = true;
  mno_data *made = mno_alloc(1, sizeof *made);
  if (!made) return NULL;
  *made = (mno_data){.N = data->N, .d_in = data->d_in, .d_out = data->d_out, .D = data->D};
  made->x = copy(data->x, data->N * data->d_in, &ok);
  made->y = copy(data->y, data->N * data->d_out, &ok);
  made->w_embed = copy(data->w_embed, data->D * data->d_in, &ok);
  made->w_unembed = copy(data->w_unembed, data->D * data->d_out, &ok);
  if (ok) return made;
  mno_data_free(made);
  return NULL;
}

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

#include "data/data.h"

#include "core/memory.h"
#include "meanode/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

mno_status mno_fail_too_large(const mno_sweep *sweep, mno_mark mark, size_t bytes, const char *what, const char *remedy,
                              mno_error *err) {
  mno_memory available = mno_memory_free();
  return mno_sweep_fail(sweep, mark, err, "%s needs %.3g GiB; %.3g GiB are free%s: %s", what, (double)bytes / 0x1p30,
                        (double)available.bytes / 0x1p30, available.bound, remedy);
}

mno_status mno_data_gaussian(const mno_sweep *sweep, uint64_t seed, mno_data *data, mno_error *err) {
  size_t N = (size_t)sweep->data.samples, d_in = (size_t)sweep->data.inputs, d_out = (size_t)sweep->data.targets;
  size_t bytes = N * (d_in + d_out) * sizeof(double); /* each is at most 10^6 */
  if (bytes > mno_memory_available())
    return mno_fail_too_large(sweep, sweep->data.samples_mark, bytes, "the data",
                              "use fewer data.samples, data.inputs or data.targets", err);
  data->N = N;
  data->d_in = d_in;
  data->d_out = d_out;
  data->x = mno_alloc(N * d_in, sizeof(double));
  data->y = mno_alloc(N * d_out, sizeof(double));
  if (!data->x || !data->y) return mno_fail_memory(err, bytes, "the data");
  for (size_t i = 0; i < N; i++) {
    mno_normals(seed, MNO_TENSOR_X, 0, (uint32_t)i, d_in, data->x + i * d_in);
    mno_normals(seed, MNO_TENSOR_Y, 0, (uint32_t)i, d_out, data->y + i * d_out);
  }
  return MNO_OK;
}

/* Rows of y are probabilities: entries in [0, 1] that sum to 1. */
static mno_status check_probabilities(const mno_sweep *sweep, const mno_data *data, mno_error *err) {
  for (size_t i = 0; i < data->N; i++) {
    double sum = 0;
    int inside = 1;
    for (size_t o = 0; o < data->d_out; o++) {
      double y = data->y[i * data->d_out + o];
      inside = inside && y >= 0 && y <= 1;
      sum += y;
    }
    if (!inside || fabs(sum - 1) > 1e-6)
      return mno_sweep_fail(sweep, sweep->training.loss_mark, err,
                            "cross-entropy needs rows of y that are probabilities, but row %zu of the targets %s %.6g; "
                            "normalise y or use loss: squared",
                            i, inside ? "sums to" : "has an entry outside 0..1 and sums to", sum);
  }
  return MNO_OK;
}

mno_status mno_data_load(const mno_sweep *sweep, uint64_t seed, mno_data **data, mno_error *err) {
  mno_data *made = mno_alloc(1, sizeof *made);
  if (!made) return mno_fail_memory(err, sizeof *made, "the data");
  mno_status status = sweep->data.kind == MNO_DATA_GAUSSIAN ? mno_data_gaussian(sweep, seed, made, err)
                      : sweep->data.kind == MNO_DATA_DIGITS ? mno_data_digits(sweep, made, err)
                                                            : mno_data_file(sweep, NULL, made, err);
  if (status == MNO_OK && sweep->training.loss == MNO_CROSS_ENTROPY) status = check_probabilities(sweep, made, err);
  if (status == MNO_OK)
    *data = made;
  else
    mno_data_free(made);
  return status;
}

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

/* SPDX-License-Identifier: BSD-3-Clause */
/* The Mean ODE depends on D and the embeddings only through the inner products of the columns of W_E and W_U, divided by D:
 * states stay in their span, where the vectors of a unit are isotropic, w = sqrt(D) sigma g, and with h = sqrt(D) h' nothing
 * else depends on D: the formula of a unit block sees projections <w, h>/D = sigma <g, h'> alone, and gradients are
 * combinations of states. As D grows these products tend to those of their law, W_E' W_E/D -> I/d_in, W_U' W_U/D -> d_out I,
 * W_E' W_U/D -> 0. A problem of dimension d_in + d_out whose embeddings have exactly these products is therefore the limit D
 * -> infinity. */
#include "limit/methods.h"

#include "core/memory.h"
#include "limit/fields.h"
#include "limit/reduction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* from [count][columns] in the coordinates of the orthogonal problem, to [count][D] = W_E and W_U times what they stand for.
 */
static void expand(const mno_problem *problem, size_t count, const double *from, double *to) {
  size_t D = problem->D, d_in = problem->d_in, d_out = problem->d_out, columns = d_in + d_out;
  double embed = sqrt((double)columns / (double)d_in), unembed = sqrt((double)columns * (double)d_out);
  for (size_t i = 0; i < count; i++)
    for (size_t d = 0; d < D; d++) {
      double sum = 0;
      for (size_t c = 0; c < d_in; c++) sum += problem->w_embed[d * d_in + c] * from[i * columns + c] / embed;
      for (size_t o = 0; o < d_out; o++) sum += problem->w_unembed[d * d_out + o] * from[i * columns + d_in + o] / unembed;
      to[i * D + d] = sum;
    }
}

/* The limit of the problem out of that of the orthogonal one. */
static mno_status expanded(const mno_problem *problem, const mno_limit *inner, mno_limit **limit, mno_error *err) {
  mno_limit like = *inner;
  like.D = problem->D;
  mno_status status = mno_limit_like(&like, limit, err);
  if (status != MNO_OK) return status;
  size_t fields, shape[MNO_FIELD_RANK], rank;
  const mno_limit_field *field = mno_limit_field_list(&fields);
  for (size_t i = 0; i < fields; i++) {
    const double *from = mno_limit_array(inner, &field[i]);
    double *to = mno_limit_array(*limit, &field[i]);
    size_t count = mno_limit_field_shape(inner, &field[i], shape, &rank);
    if (field[i].dimension[rank - 1] == MNO_DIMENSION_EMBED)
      expand(problem, count / inner->D, from, to);
    else
      memcpy(to, from, count * sizeof *to);
  }
  return MNO_OK;
}

mno_status mno_joint_solve(const mno_problem *problem, const mno_limit_options *options, mno_limit **limit, mno_error *err) {
  size_t d_in = problem->d_in, d_out = problem->d_out, columns = d_in + d_out;
  mno_problem orthogonal = *problem;
  orthogonal.D = columns;
  orthogonal.w_embed = mno_alloc(columns * d_in, sizeof(double));
  orthogonal.w_unembed = mno_alloc(columns * d_out, sizeof(double));
  mno_limit *inner = NULL;
  mno_status status = orthogonal.w_embed && orthogonal.w_unembed
                          ? MNO_OK
                          : mno_fail_memory(err, columns * columns * sizeof(double), "the embeddings of the joint limit");
  for (size_t c = 0; status == MNO_OK && c < d_in; c++)
    orthogonal.w_embed[c * d_in + c] = sqrt((double)columns / (double)d_in);
  for (size_t o = 0; status == MNO_OK && o < d_out; o++)
    orthogonal.w_unembed[(d_in + o) * d_out + o] = sqrt((double)columns * (double)d_out);
  if (status == MNO_OK) status = mno_mean_ode_solve(&orthogonal, options, &inner, err);
  if (status == MNO_OK) status = expanded(problem, inner, limit, err);
  mno_limit_free(inner);
  free(orthogonal.w_embed);
  free(orthogonal.w_unembed);
  return status;
}

#define _GNU_SOURCE
/* The training problem behind a group of a result file, data and embeddings included. */
#include "core/memory.h"
#include "meanode/plan.h"
#include "store/read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void mno_result_data_free(mno_problem *problem) {
  free(problem->x);
  free(problem->y);
  free(problem->w_embed);
  free(problem->w_unembed);
  *problem = (mno_problem){0};
}

static bool read_matrix(hid_t group, const char *name, double *value) {
  hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
  bool ok = dataset >= 0 && H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
  if (dataset >= 0) H5Dclose(dataset);
  return ok;
}

static bool read_choices(hid_t group, mno_problem *problem) {
  char *activation = mno_h5_read_text(group, "activation"), *loss = mno_h5_read_text(group, "loss");
  bool known[2] = {false, false};
  for (int i = 0; activation && i < MNO_ACTIVATION_COUNT; i++)
    if (strcmp(activation, mno_activation_name((mno_activation)i)) == 0) {
      problem->activation = (mno_activation)i;
      known[0] = true;
    }
  const mno_loss losses[] = {MNO_SQUARED, MNO_CROSS_ENTROPY};
  for (int i = 0; loss && i < 2; i++)
    if (strcmp(loss, mno_loss_name(losses[i])) == 0) {
      problem->loss = losses[i];
      known[1] = true;
    }
  free(activation);
  free(loss);
  return known[0] && known[1];
}

mno_status mno_result_data(const mno_result *result, size_t problem, mno_problem *data, mno_error *err) {
  const mno_result_file *file = result->file;
  const mno_result_problem *from = &result->problems[problem];
  size_t N = from->N, D = from->D, d_in = from->d_in, d_out = from->d_out;
  *data = (mno_problem){.N = N, .d_in = d_in, .d_out = d_out, .D = D, .data_seed = from->data_seed};
  data->x = mno_alloc(N * d_in, sizeof(double));
  data->y = mno_alloc(N * d_out, sizeof(double));
  data->w_embed = mno_alloc(D * d_in, sizeof(double));
  data->w_unembed = mno_alloc(D * d_out, sizeof(double));
  if (!data->x || !data->y || !data->w_embed || !data->w_unembed) {
    mno_result_data_free(data);
    return mno_fail_memory(err, (N + D) * (d_in + d_out) * sizeof(double), "the data of a problem");
  }
  mno_h5_lock();
  hid_t group = H5Gopen2(file->file, from->name, H5P_DEFAULT);
  bool ok = group >= 0 && read_matrix(group, "x", data->x) && read_matrix(group, "y", data->y) &&
            read_matrix(group, "w_embed", data->w_embed) && read_matrix(group, "w_unembed", data->w_unembed) &&
            read_choices(group, data);
  if (ok) {
    data->block = mno_block_named("perceptron");
    data->optimizer = mno_optimizer_named("gd");
    data->alpha = mno_h5_read_number(group, "alpha", NAN);
    data->sigma[MNO_U] = mno_h5_read_number(group, "sigma_u", NAN);
    data->sigma[MNO_V] = mno_h5_read_number(group, "sigma_v", NAN);
    data->eta[MNO_U] = mno_h5_read_number(group, "eta_u", NAN);
    data->eta[MNO_V] = mno_h5_read_number(group, "eta_v", NAN);
    data->K = (size_t)mno_h5_read_number(group, "steps", 0);
    data->id = mno_problem_id(data);
  }
  if (group >= 0) H5Gclose(group);
  int why = mno_h5_errno();
  mno_h5_unlock();
  /* The id tells whether something that defines the problem is not in the group, or was changed. */
  if (ok && data->id == from->id) return MNO_OK;
  mno_result_data_free(data);
  if (why) return mno_fail(err, MNO_ERR_IO, "cannot read %s: %s", result->path, strerror(why));
  return mno_fail(err, MNO_ERR_INPUT,
                  "%s: %s does not hold all that defines its problem: it was changed, or not written by this meanode",
                  result->path, from->name);
}

static bool is_held(const mno_held_data *held, const mno_result_problem *problem) {
  for (size_t i = 0; i < held->count; i++)
    if (held->problem[i].D == problem->D && held->problem[i].data_seed == problem->data_seed) return true;
  return false;
}

mno_status mno_result_held_data(const mno_result *result, mno_held_data **held, mno_error *err) {
  mno_held_data *made = mno_alloc(1, sizeof *made);
  if (made) {
    made->problem = mno_alloc(result->problem_count, sizeof *made->problem);
    made->taken_from = realpath(result->path, NULL);
    if (!made->taken_from) made->taken_from = strdup(result->path);
    made->data_source = mno_result_attribute(result, "data_source");
  }
  if (!made || !made->problem || !made->taken_from) {
    mno_held_data_free(made);
    return mno_fail_memory(err, result->problem_count * sizeof(mno_problem), "the data of a run");
  }
  mno_status status = MNO_OK;
  for (size_t p = 0; p < result->problem_count && status == MNO_OK; p++) {
    mno_problem *to = &made->problem[made->count];
    if (is_held(made, &result->problems[p])) continue;
    status = mno_result_data(result, p, to, err);
    if (status != MNO_OK) break;
    if (made->count++ == 0) continue;
    free(to->x); /* those of the first problem */
    free(to->y);
    to->x = to->y = NULL;
  }
  if (status == MNO_OK)
    *held = made;
  else
    mno_held_data_free(made);
  return status;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The bodies of kernel G's elementwise operations: what happens to one element of one instance, with no regard to the
 * others. */
#ifndef MNO_CUDA_ELEMENTWISE_H
#define MNO_CUDA_ELEMENTWISE_H

#include "common/gemm.h"
#include "device/formulas.h"
#include "device/philox.h"
#include "device/readout_device.h"

namespace mno {

template <class T, class Block, class Optimizer> class Elementwise {
  static constexpr int INPUTS = Block::INPUTS, TENSORS = Block::TENSORS, STATES = Optimizer::STATES;

public:
  MNO_DEVICE Elementwise(const mno_gemm_args &args, uint32_t instance)
      : a(args), s(args.shape), item(args.item[instance]), problem(args.problem[item.problem]),
        at(args.batch + instance * args.at.each), mailbox((mno_mailbox *)(args.mailboxes + instance * args.mailbox_bytes)),
        instance(instance) {}

  MNO_DEVICE void run(mno_elementwise operation, uint64_t e) const {
    switch (operation) {
    case MNO_ELEMENTWISE_DRAW: return draw(e);
    case MNO_ELEMENTWISE_START: return start((uint32_t)e);
    case MNO_ELEMENTWISE_ACTIVATE: return activate_((uint32_t)e);
    case MNO_ELEMENTWISE_BACK: return back((uint32_t)e);
    case MNO_ELEMENTWISE_UPDATE: return update(e);
    case MNO_ELEMENTWISE_STEP: ++*step(); return;
    case MNO_ELEMENTWISE_OUTPUT: return output((uint32_t)e);
    case MNO_ELEMENTWISE_SAMPLE: return sample((int)e);
    case MNO_ELEMENTWISE_LOSS: return loss();
    case MNO_ELEMENTWISE_ADJOINT: return adjoint((uint32_t)e);
    case MNO_ELEMENTWISE_RECORD: return record((uint32_t)e);
    default: return weights(e);
    }
  }

private:
  const mno_gemm_args &a;
  const mno_shape &s;
  const mno_item &item;
  const mno_device_problem &problem;
  char *const at;
  mno_mailbox *const mailbox;
  const uint32_t instance;

  MNO_DEVICE T *numbers(size_t offset) const { return (T *)(at + offset); }
  MNO_DEVICE T *state(int layer) const { return numbers(a.at.states) + (size_t)layer * s.N * a.at.ld_d; }
  MNO_DEVICE T *projection(int input) const {
    return numbers(a.at.p) + ((s.projections_stored ? (size_t)a.layer : 0) * INPUTS + input) * (size_t)s.N * a.at.ld_m;
  }
  MNO_DEVICE int64_t *step() const { return (int64_t *)(at + a.at.step); }
  MNO_DEVICE double *f() const { return (double *)(at + a.at.f); }
  MNO_DEVICE double *gradient() const { return f() + (size_t)s.N * s.d_out; }
  MNO_DEVICE double *sample_losses() const { return gradient() + (size_t)s.N * s.d_out; }
  /* A tensor of a unit; units count over all layers. */
  MNO_DEVICE T *row(uint64_t unit, int tensor) const {
    const uint64_t layer = unit / (uint32_t)s.M, m = unit - layer * (uint32_t)s.M;
    return numbers(a.at.weights) + ((s.rows * layer + (uint32_t)tensor) * (uint32_t)s.M + m) * (uint32_t)a.at.ld_d;
  }
  MNO_DEVICE size_t row_size() const { return (size_t)s.M * (uint32_t)a.at.ld_d; }
  MNO_DEVICE double *recorded_weights() const { return mailbox_part(s, mailbox, problem.steps, WEIGHTS, 0); }

  /* Four coordinates of a tensor of one unit, and their states. */
  MNO_DEVICE void draw(uint64_t e) const {
    const uint32_t fours = (uint32_t)(s.D + 3) / 4;
    const uint64_t rows = e / fours, unit = rows / TENSORS, layer = unit / item.width;
    const uint32_t block = (uint32_t)(e - rows * fours);
    const int t = (int)(rows - unit * TENSORS);
    const double scale = problem.flips >> t & 1 ? problem.scale[t] * item.sign : problem.scale[t];
    double z[4];
    normals(item.seed, problem.draw[t], (uint32_t)layer, (uint32_t)(unit - layer * item.width) + item.offset, block, z);
    T *const to = row(unit, t), *const states = row(unit, TENSORS + t * STATES);
    double *const record = recorded_weights() + t * (size_t)s.L * s.M * s.D + unit * (uint32_t)s.D;
    for (int i = 0; i < 4; i++) {
      const int d = (int)(4 * block) + i;
      if (d >= s.D) break;
      to[d] = (T)(scale * z[i]);
      MNO_UNROLL for (int k = 0; k < STATES; k++) states[k * row_size() + d] = 0;
      if (a.weights & 1) record[d] = to[d];
    }
  }

  MNO_DEVICE void start(uint32_t e) const {
    if (e == 0) *step() = 0;
    const uint32_t n = e / (uint32_t)s.D, d = e - n * (uint32_t)s.D, chunk = n / MNO_CHUNK;
    const uint32_t pitch = sizeof(T) == 4 ? MNO_PITCH_F32 : MNO_PITCH_F64;
    state(0)[(size_t)n * a.at.ld_d + d] =
        ((const T *)problem.h0)[((size_t)chunk * s.D + d) * pitch + (n - chunk * MNO_CHUNK)];
  }

  MNO_DEVICE void activate_(uint32_t e) const {
    T p[INPUTS], slope[INPUTS];
    MNO_UNROLL for (int i = 0; i < INPUTS; i++) p[i] = projection(i)[e];
    Block::unit((mno_activation)problem.activation, p, &numbers(a.at.t)[e], slope);
  }
  MNO_DEVICE void back(uint32_t e) const {
    T p[INPUTS], t, slope[INPUTS];
    MNO_UNROLL for (int i = 0; i < INPUTS; i++) p[i] = projection(i)[e];
    Block::unit((mno_activation)problem.activation, p, &t, slope);
    numbers(a.at.t)[e] = t;
    T *const g = numbers(a.at.g) + e;
    const T q = *g;
    MNO_UNROLL for (int i = 0; i < INPUTS; i++) g[i * (size_t)s.N * a.at.ld_m] = slope[i] * q;
  }

  /* A coordinate of all tensors of a unit. */
  MNO_DEVICE void update(uint64_t e) const {
    const uint64_t m = e / (uint32_t)s.D, at_e = m * (uint32_t)a.at.ld_d + (e - m * (uint32_t)s.D);
    T *const weights = numbers(a.at.weights) + (size_t)a.layer * s.rows * row_size() + at_e;
    const T *const gradients = numbers(a.at.gradients) + at_e;
    Motion<T, Block, Optimizer> motion;
    motion.read(problem, *step());
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) {
      T *const w = weights + t * row_size(), *const states = weights + (TENSORS + t * STATES) * row_size();
      T kept[STATES + 1];
      MNO_UNROLL for (int k = 0; k < STATES; k++) kept[k] = states[k * row_size()];
      *w = motion.moved(t, *w, gradients[t * row_size()], kept);
      MNO_UNROLL for (int k = 0; k < STATES; k++) states[k * row_size()] = kept[k];
    }
  }

  MNO_DEVICE void output(uint32_t e) const {
    const uint32_t n = e / (uint32_t)s.d_out, o = e - n * (uint32_t)s.d_out;
    const T *const h = state(s.L) + (size_t)n * a.at.ld_d;
    double sum = 0;
    for (int d = 0; d < s.D; d++) sum = fma_(problem.w_unembed[d * s.d_out + (int)o], (double)h[d], sum);
    f()[e] = sum * (1.0 / s.D);
  }
  MNO_DEVICE void sample(int n) const {
    sample_losses()[n] = sample_loss(problem.loss, s.N, s.d_out, n, f(), problem.y, gradient());
  }
  MNO_DEVICE void loss() const {
    double sum = 0;
    for (int n = 0; n < s.N; n++) sum += sample_losses()[n];
    a.loss[instance] = sum;
  }
  MNO_DEVICE void adjoint(uint32_t e) const {
    const uint32_t n = e / (uint32_t)s.D, d = e - n * (uint32_t)s.D;
    double sum = 0;
    for (int o = 0; o < s.d_out; o++)
      sum = fma_(problem.w_unembed[(int)d * s.d_out + o], gradient()[n * (uint32_t)s.d_out + (uint32_t)o], sum);
    numbers(a.at.b)[(size_t)n * a.at.ld_d + d] = (T)sum;
  }

  MNO_DEVICE void record(uint32_t e) const {
    const uint32_t outputs = (uint32_t)(s.N * s.d_out);
    if (e < outputs) {
      mailbox_part(s, mailbox, problem.steps, OUTPUT, (uint32_t)a.step)[e] = f()[e];
      return;
    }
    e -= outputs;
    const uint32_t n = e / (uint32_t)s.D, d = e - n * (uint32_t)s.D;
    mailbox_part(s, mailbox, problem.steps, EMBEDDING, (uint32_t)a.step)[e] = state(s.L)[(size_t)n * a.at.ld_d + d];
  }
  MNO_DEVICE void weights(uint64_t e) const {
    const size_t tensor = (size_t)s.L * s.M * s.D;
    const uint64_t unit = e / (uint32_t)s.D, d = e - unit * (uint32_t)s.D;
    double *const to = recorded_weights() + (a.weights & 1 ? TENSORS * tensor : 0);
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) to[t * tensor + e] = row(unit, t)[d];
  }
};

} // namespace mno

#endif

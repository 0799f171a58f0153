/* SPDX-License-Identifier: BSD-3-Clause */
/* What all training kernels share: where an instance's numbers lie, its readout and loss, and what it records. */
#ifndef MNO_CUDA_INSTANCE_H
#define MNO_CUDA_INSTANCE_H

#include "device/formulas.h"
#include "device/philox.h"
#include "device/readout_device.h"
#include "device/team_types.h"

namespace mno {

/* Numbers in registers. */
template <class T, int COUNT> struct Tuple {
  T x[COUNT];
  MNO_DEVICE void clear() { MNO_UNROLL for (int i = 0; i < COUNT; i++) x[i] = 0; }
  MNO_DEVICE void add_product(T w, const Tuple &other) {
    MNO_UNROLL for (int i = 0; i < COUNT; i++) x[i] = fma_(w, other.x[i], x[i]);
  }
  MNO_DEVICE T dot(const Tuple &other) const {
    T sum = x[0] * other.x[0];
    MNO_UNROLL for (int i = 1; i < COUNT; i++) sum = fma_(x[i], other.x[i], sum);
    return sum;
  }
};

/* Rows of a chunk: MNO_CHUNK numbers at a pitch that keeps them aligned to 16 bytes. */
template <class T> constexpr MNO_DEVICE int row_pitch() { return sizeof(T) == 4 ? MNO_PITCH_F32 : MNO_PITCH_F64; }
template <class T> struct Row : Tuple<T, MNO_CHUNK> {
  using Tuple<T, MNO_CHUNK>::x;
  MNO_DEVICE void read(const T *from);
  MNO_DEVICE void write(T *to) const;
};

#ifdef __CUDA_ARCH__
template <> MNO_DEVICE void Row<float>::read(const float *from) {
  float4 a = *(const float4 *)from, b = *(const float4 *)(from + 4);
  float2 c = *(const float2 *)(from + 8);
  x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w, x[8] = c.x, x[9] = c.y;
}
template <> MNO_DEVICE void Row<float>::write(float *to) const {
  *(float4 *)to = make_float4(x[0], x[1], x[2], x[3]);
  *(float4 *)(to + 4) = make_float4(x[4], x[5], x[6], x[7]);
  *(float2 *)(to + 8) = make_float2(x[8], x[9]);
}
template <> MNO_DEVICE void Row<double>::read(const double *from) {
  MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i += 2) {
    double2 a = *(const double2 *)(from + i);
    x[i] = a.x, x[i + 1] = a.y;
  }
}
template <> MNO_DEVICE void Row<double>::write(double *to) const {
  MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i += 2) * (double2 *)(to + i) = make_double2(x[i], x[i + 1]);
}
#else
template <class T> MNO_DEVICE void Row<T>::read(const T *from) {
  for (int n = 0; n < MNO_CHUNK; n++) x[n] = from[n];
}
template <class T> MNO_DEVICE void Row<T>::write(T *to) const {
  for (int n = 0; n < MNO_CHUNK; n++) to[n] = x[n];
}
#endif

static constexpr double POLL_SECONDS = 1e-3; /* between polls of the word that asks for a stop */

/* One team and its instances; `g` counts them. LANES: the layout of kernel W0. */
template <class T, class Team, class Block, class Optimizer, bool LANES> class Instances {
protected:
  static constexpr int INPUTS = Block::INPUTS, TENSORS = Block::TENSORS;
  static constexpr int ROWS = TENSORS * (1 + Optimizer::STATES); /* of a unit: weights, then the states of each tensor */
  typedef Motion<T, Block, Optimizer> motion;

  MNO_DEVICE Instances(Team &team, const mno_train_args &args)
      : team(team), args(args), s(args.shape), at(args.at), slot(args.slots + (size_t)team.team_index * args.slot_bytes),
        control((volatile mno_control *)slot), head{0, 0}, tail{0, 0} {}

  Team &team;
  const mno_train_args &args;
  const mno_shape &s;
  const mno_slot_layout &at;
  char *const slot;
  volatile mno_control *const control;
  Cursor head, tail; /* of the ring: next stage to fill, next to use */

  MNO_DEVICE T *state(const Place &place, uint32_t offset, int g = 0) const {
    return (T *)(place.state + (LANES ? (uint32_t)g * s.each_bytes : 0) + offset);
  }
  MNO_DEVICE uint32_t stage_offset(int stage) const { return 64 + (uint32_t)stage * mno_stage_bytes(&s); }

  /* The portions of a rank, counted by `i`, and where they are among all. */
  MNO_DEVICE int portions() const {
    return !Team::several_portions ? 1 : Team::several_ranks ? mno_portions_of_rank(&s) : s.portions;
  }
  MNO_DEVICE int portion_of(int rank, int i) const { return Team::several_portions ? rank * portions() + i : rank; }

  /* The first unit of a tile in its layer, and how many units the tile has. */
  MNO_DEVICE int first_unit(int portion, int tile) const { return portion * s.portion + tile * s.tile; }
  MNO_DEVICE int units(int portion, int tile) const {
    int first = first_unit(portion, tile), end = (portion + 1) * s.portion;
    if (end > s.M) end = s.M;
    int count = end - first;
    return count < 0 ? 0 : count > s.tile ? s.tile : count;
  }

  /* W0: where a layer lies among the transfers, in which instances are `stride` apart, its layers `each`. */
  MNO_DEVICE size_t place_of(int layer, int g, uint32_t stride, uint32_t each) const {
    const int transfer = layer / s.layers_per_transfer;
    return ((size_t)transfer * s.group + g) * stride + (size_t)(layer - transfer * s.layers_per_transfer) * each;
  }
  MNO_DEVICE char *tile_memory(int portion, int layer, int tile, int g = 0) const {
    return slot + at.weights +
           (LANES ? place_of(layer, g, s.weights_stride, s.tile_bytes)
                  : (((size_t)layer * s.portions + portion) * s.tiles + tile) * s.tile_bytes);
  }
  /* One of the ROWS of unit m in a tile. W0 has those of a unit side by side. */
  MNO_DEVICE int weight_row(int m, int which) const { return (LANES ? ROWS * m + which : which * s.tile + m) * s.row; }
  static constexpr MNO_DEVICE int state_row(int tensor) { return TENSORS + tensor * Optimizer::STATES; }
  /* What a problem has for each tensor, of one of them: not by an index, which is a lane's own and would have the compiler
   * keep in each lane what is the same for all. */
  template <class X> static MNO_DEVICE X of_tensor(const X (&x)[MNO_TENSORS_MOST], int tensor) {
    X value = x[0];
    MNO_UNROLL for (int t = 1; t < TENSORS; t++) value = tensor == t ? x[t] : value;
    return value;
  }
  MNO_DEVICE double initial_scale(const mno_device_problem &problem, const mno_item &item, int tensor) const {
    return of_tensor(problem.scale, tensor) * (problem.flips >> tensor & 1 ? item.sign : 1);
  }
  MNO_DEVICE char *state_memory(int layer, int g = 0) const {
    return slot + at.states + (LANES ? place_of(layer, g, s.states_stride, s.h_bytes) : (size_t)layer * s.h_bytes);
  }

  /* e counts [chunks][D][MNO_CHUNK]; returns the offset in a state and the sample. */
  MNO_DEVICE uint32_t state_element(uint32_t e, int *sample, int *coordinate) const {
    uint32_t row = e / MNO_CHUNK, n = e - row * MNO_CHUNK, chunk = divide(row, s.by_D);
    *sample = (int)(chunk * MNO_CHUNK + n);
    *coordinate = (int)(row - chunk * (uint32_t)s.D);
    if (LANES) row = chunk * (uint32_t)s.padded_D + (uint32_t)*coordinate;
    return row * (uint32_t)row_pitch<T>() + n;
  }
  MNO_DEVICE uint32_t state_elements() const { return (uint32_t)(s.chunks * s.D * MNO_CHUNK); }

  MNO_DEVICE double *part(mno_mailbox *mailbox, int steps, Part which, uint32_t step) const {
    return mailbox_part(s, mailbox, steps, which, step);
  }
  MNO_DEVICE double *readout_memory(int g) const { return (double *)(slot + at.readout + g * at.readout_each); }

  /* f = W_U^T h / D, the loss and its gradient; where the pointers are not NULL they receive f, h and the loss. */
  MNO_DEVICE void readout(int g, const mno_device_problem &problem, double *output, double *embedding, double *loss) {
    double *const f = readout_memory(g), *const gradient = f + s.N * s.d_out, *const part = gradient + s.N * s.d_out;
    team.phase([&](const Place &place, int lane) {
      if (place.rank) return;
      const T *const h = state(place, s.H, g);
      for (uint32_t e = (uint32_t)lane; e < (uint32_t)(s.N * s.d_out); e += (uint32_t)s.lanes) {
        const int n = (int)e / s.d_out, o = (int)e - n * s.d_out;
        const T *const x = h + (n / MNO_CHUNK) * s.padded_D * row_pitch<T>() + n % MNO_CHUNK;
        double sum = 0;
        for (int d = 0; d < s.D; d++) sum = fma_(problem.w_unembed[d * s.d_out + o], (double)x[d * row_pitch<T>()], sum);
        f[e] = sum * (1.0 / s.D);
        if (output) output[e] = f[e];
      }
      if (embedding)
        for (uint32_t e = (uint32_t)lane; e < state_elements(); e += (uint32_t)s.lanes) {
          int sample, coordinate;
          const uint32_t i = state_element(e, &sample, &coordinate);
          if (sample < s.N) embedding[sample * s.D + coordinate] = (double)h[i];
        }
    });
    team.phase([&](const Place &place, int lane) {
      if (place.rank) return;
      for (int n = lane; n < s.N; n += s.lanes) part[n] = sample_loss(problem.loss, s.N, s.d_out, n, f, problem.y, gradient);
    });
    team.cluster_phase([&](const Place &place, int lane) {
      if (place.rank || lane) return;
      double sum = 0;
      for (int n = 0; n < s.N; n++) sum += part[n];
      control->of[g].loss = sum;
      const double now = team.now();
      if (now - control->polled > POLL_SECONDS) { /* the word lies in the host's memory: a poll takes microseconds */
        control->polled = now;
        control->go_on = !team.poll(&args.signals->stop);
      }
      if (loss) *loss = sum;
    });
  }

  /* b = W_U dloss/df at the last layer */
  MNO_DEVICE void adjoint(int g, const mno_device_problem &problem) {
    const double *const gradient = readout_memory(g) + s.N * s.d_out;
    team.cluster_phase([&](const Place &place, int lane) {
      T *const b = state(place, s.B, g);
      for (uint32_t e = (uint32_t)lane; e < state_elements(); e += (uint32_t)s.lanes) {
        int sample, coordinate;
        const uint32_t i = state_element(e, &sample, &coordinate);
        double sum = 0;
        if (sample < s.N)
          for (int o = 0; o < s.d_out; o++)
            sum = fma_(problem.w_unembed[coordinate * s.d_out + o], gradient[sample * s.d_out + o], sum);
        b[i] = (T)sum;
      }
    });
  }

  MNO_DEVICE void record_weights(int g, int L, double *record) {
    const size_t tensor = (size_t)L * s.M * s.D;
    team.cluster_phase([&](const Place &place, int lane) {
      for (int layer = 0; layer < L; layer++)
        for (int i = 0; i < mno_tiles_of_rank(&s); i++) {
          const int of_rank = i / s.tiles, tile = i - of_rank * s.tiles, portion = portion_of(place.rank, of_rank);
          const T *const memory = (const T *)tile_memory(portion, layer, tile, g);
          const int count = units(portion, tile);
          for (int e = lane; e < count * s.D; e += s.lanes) {
            const int m = e / s.D, d = e - m * s.D;
            const size_t to = ((size_t)layer * s.M + first_unit(portion, tile) + m) * s.D + d;
            MNO_UNROLL for (int t = 0; t < TENSORS; t++) record[t * tensor + to] = memory[weight_row(m, t) + d];
          }
        }
    });
  }

  /* The instance is done: its mailbox belongs to the host. Called by one lane. */
  MNO_DEVICE void hand_over(mno_mailbox *mailbox, const mno_item &item, uint32_t outcome, uint32_t filled) const {
    mailbox->row = item.row;
    mailbox->outcome = outcome;
    mailbox->filled = filled;
    mailbox->seconds = (team.now() - control->start) / s.group;
    team.announce(&mailbox->state, 1);
  }
};

} // namespace mno

#endif

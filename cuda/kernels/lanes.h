/* SPDX-License-Identifier: BSD-3-Clause */
/* The body of kernel W0: a warp trains several small networks at once. In the passes a lane is one sample of one instance
 * and keeps its states in registers over the layers of a transfer; in the updates it has a part of an instance's units.
 *
 * Every sum runs over coordinates, units or samples in their order, so an instance's bits do not depend on its neighbours.
 * PADDED_D: D, or what D is padded to. */
#ifndef MNO_CUDA_LANES_H
#define MNO_CUDA_LANES_H

#include "device/instance.h"

namespace mno {

/* A row of weights or a column of states. */
template <class T, int PADDED_D> struct Column : Tuple<T, PADDED_D> {
  using Tuple<T, PADDED_D>::x;
  /* A sample of a state. */
  MNO_DEVICE void read_column(const T *from) {
    MNO_UNROLL for (int d = 0; d < PADDED_D; d++) x[d] = from[d * row_pitch<T>()];
  }
  MNO_DEVICE void write_column(T *to) const { MNO_UNROLL for (int d = 0; d < PADDED_D; d++) to[d * row_pitch<T>()] = x[d]; }
};

/* Some coordinates of a row that are read and written together: aligned to their size. */
template <class T, int COUNT> struct Coordinates : Tuple<T, COUNT> {
  using Tuple<T, COUNT>::x;
  MNO_DEVICE void read(const T *from) { MNO_UNROLL for (int i = 0; i < COUNT; i++) x[i] = from[i]; }
  MNO_DEVICE void write(T *to) const { MNO_UNROLL for (int i = 0; i < COUNT; i++) to[i] = x[i]; }
};
#ifdef __CUDA_ARCH__
template <> MNO_DEVICE void Coordinates<float, 2>::read(const float *from) {
  const float2 two = *(const float2 *)from;
  x[0] = two.x, x[1] = two.y;
}
template <> MNO_DEVICE void Coordinates<float, 2>::write(float *to) const { *(float2 *)to = make_float2(x[0], x[1]); }
#endif

/* The weights of a unit: the inputs, then the output. */
template <class T, int PADDED_D, int TENSORS> struct Unit {
  Column<T, PADDED_D> w[TENSORS];
  MNO_DEVICE void read(const T *from) { /* aligned to 16 bytes */
#ifdef __CUDA_ARCH__
    T x[TENSORS * PADDED_D];
    MNO_UNROLL for (int i = 0; i < (int)(TENSORS * PADDED_D * sizeof(T) / 16); i++) {
      const uint4 four = ((const uint4 *)from)[i];
      memcpy((char *)x + 16 * i, &four, 16);
    }
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) MNO_UNROLL for (int d = 0; d < PADDED_D; d++) w[t].x[d] =
        x[t * PADDED_D + d];
#else
    memcpy(w, from, sizeof w);
#endif
  }
};

template <class T, class Team, class Block, class Optimizer, int PADDED_D>
class LaneTrainer : Instances<T, Team, Block, Optimizer, true> {
  typedef Instances<T, Team, Block, Optimizer, true> base;
  typedef typename base::motion motion;
  typedef Column<T, PADDED_D> column;
  static constexpr int PITCH = row_pitch<T>();
  using base::adjoint;
  using base::args;
  using base::control;
  using base::hand_over;
  using base::head;
  using base::initial_scale;
  using base::INPUTS;
  using base::of_tensor;
  using base::part;
  using base::readout;
  using base::record_weights;
  using base::ROWS;
  using base::s;
  using base::stage_offset;
  using base::state;
  using base::state_memory;
  using base::state_row;
  using base::tail;
  using base::team;
  using base::TENSORS;
  using base::tile_memory;
  using base::weight_row;

public:
  MNO_DEVICE LaneTrainer(Team &team, const mno_train_args &args) : base(team, args) {}

  /* Takes items, as many as the team has places for, until none is left or stop is asked for. */
  MNO_DEVICE void run() {
    team.begin();
    for (uint32_t serial = 0;; serial++) {
      char *const mailboxes =
          args.mailboxes + ((size_t)team.team_index * 2 + (serial & 1)) * (size_t)s.group * args.mailbox_bytes;
      team.cluster_phase([&](const Place &, int lane) {
        if (lane) return;
        for (int g = 0; g < s.group; g++) team.until_free((mno_mailbox *)(mailboxes + g * args.mailbox_bytes));
        control->go_on = !team.poll(&args.signals->stop);
        control->index = team.take(args.next, (uint32_t)s.group);
        control->start = control->polled = team.now();
      });
      if (!control->go_on || control->index >= args.count) return;
      if (!train(control->index, mailboxes)) return;
    }
  }

private:
  struct Setting { /* mno_setting_bytes */
    int32_t L;     /* 0: the place is empty, or its instance is done */
    int32_t activation;
    T step;
    motion of_step;
  };
  MNO_DEVICE Setting *setting(const Place &place, int g) const { return (Setting *)state(place, 0, g); }

  MNO_DEVICE const mno_item &item(uint32_t index, int g) const { return args.item[index + (uint32_t)g]; }
  MNO_DEVICE const mno_device_problem &problem(uint32_t index, int g) const { return args.problem[item(index, g).problem]; }
  MNO_DEVICE int filled_places(uint32_t index) const {
    const uint32_t left = args.count - index;
    return left < (uint32_t)s.group ? (int)left : s.group;
  }

  MNO_DEVICE bool train(uint32_t index, char *mailboxes) {
    const int places = filled_places(index);
    const auto mailbox = [&](int g) { return (mno_mailbox *)(mailboxes + g * args.mailbox_bytes); };
    team.cluster_phase([&](const Place &place, int lane) {
      if (lane) return;
      uint32_t depth = 0;
      for (int g = 0; g < s.group; g++) {
        Setting *const is = setting(place, g);
        is->L = 0;
        if (g >= places) continue;
        const mno_device_problem &p = problem(index, g);
        is->L = item(index, g).L;
        is->activation = p.activation;
        is->step = (T)(p.alpha / ((double)is->L * s.M));
        control->of[g].filled = control->of[g].outcome = 0;
        if ((uint32_t)is->L > depth) depth = (uint32_t)is->L;
      }
      control->depth = depth;
      control->live = (uint32_t)places;
    });
    const int depth = (int)control->depth;
    for (int g = 0; g < places; g++) draw(g, item(index, g), problem(index, g), mailbox(g));
    for (int64_t k = 0;; k++) {
      forward(index, places, depth);
      for (int g = 0; g < places; g++) {
        const mno_device_problem &p = problem(index, g);
        const uint32_t filled = control->of[g].filled;
        const bool recorded = !control->of[g].outcome && k <= p.K && filled < (uint32_t)p.steps && p.step[filled] == k;
        readout(g, p, recorded ? part(mailbox(g), p.steps, OUTPUT, filled) : NULL,
                recorded ? part(mailbox(g), p.steps, EMBEDDING, filled) : NULL,
                recorded ? part(mailbox(g), p.steps, LOSS, filled) : NULL);
      }
      if (!control->go_on) return false;
      team.cluster_phase([&](const Place &place, int lane) {
        if (lane && lane <= places) { /* lanes read at once what one would read in turn */
          const mno_device_problem &p = problem(index, lane - 1);
          if (k < p.K) setting(place, lane - 1)->of_step.read(p, k);
        }
        if (lane) return;
        for (int g = 0; g < places; g++) {
          Setting *const is = setting(place, g);
          if (!is->L) continue;
          const mno_device_problem &p = problem(index, g);
          const uint32_t filled = control->of[g].filled;
          if (!finite((double)control->of[g].loss))
            control->of[g].outcome = 1;
          else
            control->of[g].filled = filled + (filled < (uint32_t)p.steps && p.step[filled] == k);
          if (control->of[g].outcome || k == p.K) is->L = 0, control->live = control->live - 1;
        }
      });
      if (!control->live) break;
      for (int g = 0; g < places; g++) adjoint(g, problem(index, g));
      backward(depth);
    }
    for (int g = 0; g < places; g++)
      if ((args.weights & 2) && !control->of[g].outcome) {
        const int L = item(index, g).L;
        record_weights(g, L,
                       part(mailbox(g), problem(index, g).steps, WEIGHTS, 0) +
                           (args.weights & 1 ? TENSORS * (size_t)L * s.M * s.D : 0));
      }
    team.cluster_phase([&](const Place &, int lane) {
      if (lane) return;
      for (int g = 0; g < places; g++) hand_over(mailbox(g), item(index, g), control->of[g].outcome, control->of[g].filled);
    });
    return true;
  }

  /* Initial weights, padding zero, four coordinates of a tensor of a unit at a time; and zeros where nothing else writes:
   * the optimiser's states among them. */
  MNO_DEVICE void draw(int g, const mno_item &item, const mno_device_problem &problem, mno_mailbox *mailbox) {
    double *const record = part(mailbox, problem.steps, WEIGHTS, 0);
    const size_t tensor = (size_t)item.L * s.M * s.D;
    team.phase([&](const Place &place, int lane) {
      const uint32_t fours = (uint32_t)(s.padded_D + 3) / 4, count = (uint32_t)item.L * (uint32_t)s.M * ROWS * fours;
      for (uint32_t e = (uint32_t)lane; e < count; e += (uint32_t)s.lanes) {
        const uint32_t row = e / fours, block = e - row * fours, unit = row / ROWS, t = row - unit * ROWS;
        const uint32_t layer = unit / (uint32_t)s.M, m = unit - layer * (uint32_t)s.M, drawn = unit / item.width;
        T *const to = (T *)tile_memory(0, (int)layer, 0, g) + weight_row((int)m, (int)t);
        double z[4] = {0, 0, 0, 0}, scale = 0;
        if (t < TENSORS) {
          normals(item.seed, of_tensor(problem.draw, (int)t), drawn, unit - drawn * item.width + item.offset, block, z);
          scale = initial_scale(problem, item, (int)t);
        }
        for (int i = 0; i < 4; i++) {
          const int d = (int)(4 * block) + i;
          const T w = (T)(scale * z[i]);
          if (d < s.row) to[d] = d < s.D ? w : (T)0;
          if (t < TENSORS && d < s.D && (args.weights & 1)) record[t * tensor + (size_t)unit * s.D + d] = w;
        }
      }
      for (int transfer = lane; transfer * s.layers_per_transfer < item.L; transfer += s.lanes) {
        clear(tile_memory(0, transfer * s.layers_per_transfer, 0, g), (uint32_t)s.layers_per_transfer * s.tile_bytes,
              s.weights_stride);
        clear(state_memory(transfer * s.layers_per_transfer, g), 0, s.states_stride);
      }
      T *const region = state(place, 0, g);
      for (uint32_t i = s.H / (uint32_t)sizeof(T) + (uint32_t)lane; i < s.each_bytes / sizeof(T); i += (uint32_t)s.lanes)
        region[i] = 0;
      team.memory_to_transfers();
    });
  }
  struct alignas(16) uint4_ {
    uint32_t x[4];
  };
  static MNO_DEVICE void clear(char *at, uint32_t from, uint32_t to) {
    for (; from < to; from += (uint32_t)sizeof(uint4_)) *(uint4_ *)(at + from) = uint4_{};
  }

  /* Starts the next transfer, if there is one; with the states on the way down. */
  MNO_DEVICE void load(int transfer, int transfers, bool down) {
    if (transfer < 0 || transfer >= transfers) {
      team.no_load();
      return;
    }
    const uint32_t to = stage_offset(head.stage), weights = mno_stage_weights(&s);
    team.load(head, [&](int) {
      Transfer t;
      t.piece[0] = Piece{tile_memory(0, transfer * s.layers_per_transfer, 0, 0), to, weights};
      t.piece[1] = Piece{state_memory(transfer * s.layers_per_transfer, 0), to + weights, down ? mno_stage_states(&s) : 0};
      return t;
    });
    head.advance(args.stages);
  }

  /* Of a lane in a pass: its instance and the offset of its sample in a state. False: it has none. */
  MNO_DEVICE bool sample_of(int lane, int *g, int *sample) const {
    *g = (int)divide((uint32_t)lane, s.by_samples);
    const int n = lane - *g * s.N, chunk = n / MNO_CHUNK;
    *sample = chunk * s.padded_D * PITCH + n - chunk * MNO_CHUNK;
    return *g < s.group;
  }
  MNO_DEVICE T *stage_weights(const Place &place, int g) const {
    return (T *)(place.shared + stage_offset(tail.stage) + (uint32_t)g * s.weights_stride);
  }
  MNO_DEVICE T *stage_states(const Place &place, int g) const {
    return (T *)(place.shared + stage_offset(tail.stage) + mno_stage_weights(&s) + (uint32_t)g * s.states_stride);
  }
  MNO_DEVICE int end_of(int transfer, int L) const {
    return (transfer + 1) * s.layers_per_transfer < L ? (transfer + 1) * s.layers_per_transfer : L;
  }

  /* Units of a pass and coordinates of an update that are in flight together. Nothing else hides the latency of a lane, and
   * all is read before anything is written: a write may overlap what is read after it, for all that the compiler knows. */
  static constexpr int UNITS = PADDED_D > 10    ? 1
                               : sizeof(T) == 4 ? 5
                                                : 3,
                       COORDINATES = MNO_TOGETHER / (int)sizeof(T), PAIR = MNO_PAIR;

  typedef Unit<T, PADDED_D, TENSORS> unit_weights;
  static constexpr int UNIT = ROWS * PADDED_D; /* numbers of a unit */

  /* COUNT units from `row` on: sum += v s(p_0, ..) */
  template <int COUNT, class F> MNO_DEVICE void respond_some(const T *row, const column &h, column &sum, F formula) const {
    const T per_D = (T)1 / (T)s.D;
    unit_weights unit[COUNT];
    T p[COUNT][INPUTS], t[COUNT];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) unit[i].read(row + i * UNIT);
    MNO_UNROLL for (int i = 0; i < COUNT; i++) MNO_UNROLL for (int a = 0; a < INPUTS; a++) p[i][a] =
        unit[i].w[a].dot(h) * per_D;
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      T slope[INPUTS];
      formula(p[i], &t[i], slope);
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) sum.add_product(t[i], unit[i].w[INPUTS]);
  }

  /* sum over the units of v s(p_0, ..) */
  MNO_DEVICE void respond(mno_activation activation, const T *weights, const column &h, column &sum) const {
    const auto usual = [](const T *p, T *t, T *slope) { Block::unit(MNO_TANH, p, t, slope); };
    const auto any = [activation](const T *p, T *t, T *slope) { Block::unit(activation, p, t, slope); };
    int m = 0;
    if (activation == MNO_TANH)
      for (; m + UNITS <= s.M; m += UNITS) respond_some<UNITS>(weights + m * UNIT, h, sum, usual);
    MNO_ROLL for (; m < s.M; m++) respond_some<1>(weights + m * UNIT, h, sum, any);
  }

  MNO_DEVICE void forward(uint32_t index, int places, int depth) {
    const int transfers = (depth + s.layers_per_transfer - 1) / s.layers_per_transfer, ahead = args.stages - 1;
    team.phase([&](const Place &place, int lane) {
      for (int g = 0; g < places; g++) {
        T *const h = state(place, s.H, g);
        const T *const h0 = (const T *)problem(index, g).h0;
        for (int e = lane; e < s.chunks * s.D * PITCH; e += s.lanes) {
          const int chunk = e / (s.D * PITCH);
          h[e + chunk * (s.padded_D - s.D) * PITCH] = h0[e];
        }
      }
    });
    for (int i = 0; i < ahead; i++) load(i, transfers, false);
    for (int transfer = 0; transfer < transfers; transfer++) {
      load(transfer + ahead, transfers, false);
      team.ready(tail, ahead);
      team.phase([&](const Place &place, int lane) {
        int g, sample;
        if (!sample_of(lane, &g, &sample)) return;
        const Setting is = *setting(place, g);
        const int first = transfer * s.layers_per_transfer, end = end_of(transfer, is.L);
        if (first >= end) return;
        T *const at = state(place, s.H, g) + sample;
        const T *u = stage_weights(place, g);
        T *before = (T *)state_memory(first, g) + sample;
        column h;
        h.read_column(at);
        for (int layer = first; layer < end; layer++) {
          column sum;
          sum.clear();
          h.write_column(before);
          respond((mno_activation)is.activation, u, h, sum);
          h.add_product(is.step, sum);
          u += s.tile_bytes / sizeof(T);
          before += s.h_bytes / sizeof(T);
        }
        h.write_column(at);
        if (end == is.L) team.memory_to_transfers(); /* the last of the states: a fence is for all of them */
      });
      tail.advance(args.stages);
    }
  }

  /* COUNT units from `row` on: sum += sum_a w_a g_a; keeps t and g_a of every unit, in x by tensor of the projection. */
  template <int COUNT, class F>
  MNO_DEVICE void respond_back_some(const T *row, const column &h, const column &b, column &sum, T *const (&x)[TENSORS],
                                    int at, F formula) const {
    const T per_D = (T)1 / (T)s.D;
    unit_weights unit[COUNT];
    T p[COUNT][INPUTS], q[COUNT], t[COUNT], g[COUNT][INPUTS];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) unit[i].read(row + i * UNIT);
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      MNO_UNROLL for (int a = 0; a < INPUTS; a++) p[i][a] = unit[i].w[a].dot(h) * per_D;
      q[i] = unit[i].w[INPUTS].dot(b) * per_D;
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      T slope[INPUTS];
      formula(p[i], &t[i], slope);
      MNO_UNROLL for (int a = 0; a < INPUTS; a++) g[i][a] = slope[a] * q[i];
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      x[0][at + i * PITCH] = t[i];
      MNO_UNROLL for (int a = 0; a < INPUTS; a++) x[1 + a][at + i * PITCH] = g[i][a];
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) MNO_UNROLL for (int a = 0; a < INPUTS; a++)
        sum.add_product(g[i][a], unit[i].w[a]);
  }

  /* sum over the units of sum_a w_a g_a; keeps t and g_a of every unit. */
  MNO_DEVICE void respond_back(mno_activation activation, const T *weights, const column &h, const column &b, column &sum,
                               T *const (&x)[TENSORS]) const {
    const auto usual = [](const T *p, T *t, T *slope) { Block::unit(MNO_TANH, p, t, slope); };
    const auto any = [activation](const T *p, T *t, T *slope) { Block::unit(activation, p, t, slope); };
    int m = 0;
    if (activation == MNO_TANH)
      for (; m + UNITS <= s.M; m += UNITS) respond_back_some<UNITS>(weights + m * UNIT, h, b, sum, x, m * PITCH, usual);
    MNO_ROLL for (; m < s.M; m++) respond_back_some<1>(weights + m * UNIT, h, b, sum, x, m * PITCH, any);
  }

  MNO_DEVICE void backward(int depth) {
    const int transfers = (depth + s.layers_per_transfer - 1) / s.layers_per_transfer, ahead = args.stages - 2;
    for (int i = 0; i < ahead; i++) load(transfers - 1 - i, transfers, true);
    for (int transfer = transfers - 1; transfer >= 0; transfer--) {
      team.reusable(1);
      load(transfer - ahead, transfers, true);
      team.ready(tail, ahead);
      team.phase([&](const Place &place, int lane) { pass_back(place, lane, transfer); });
      team.phase([&](const Place &place, int lane) {
        update(place, lane, transfer);
        team.publish(place);
      });
      const uint32_t from = stage_offset(tail.stage);
      team.store([&](int) {
        Transfer t;
        t.piece[0] = Piece{tile_memory(0, transfer * s.layers_per_transfer, 0, 0), from, mno_stage_weights(&s)};
        t.piece[1] = Piece{NULL, from, 0};
        return t;
      });
      tail.advance(args.stages);
    }
    team.drain();
  }

  /* t, then g_a: of each [layer of the transfer][chunk][unit][pitch]; numbers of a layer. */
  MNO_DEVICE T *projections(const Place &place, int g, int which) const {
    return state(place, s.P + (uint32_t)which * s.p_bytes, g);
  }
  MNO_DEVICE int projected() const { return s.chunks * s.M * PITCH; }

  MNO_DEVICE void pass_back(const Place &place, int lane, int transfer) {
    int g, sample;
    if (!sample_of(lane, &g, &sample)) return;
    const Setting is = *setting(place, g);
    const int first = transfer * s.layers_per_transfer, end = end_of(transfer, is.L),
              state_numbers = (int)(s.h_bytes / sizeof(T));
    const int n = lane - g * s.N, chunk = n / MNO_CHUNK, of_sample = chunk * s.M * PITCH + n - chunk * MNO_CHUNK;
    if (first >= end) return;
    T *const at = state(place, s.B, g) + sample;
    column b;
    b.read_column(at);
    for (int layer = end - 1; layer >= first; layer--) {
      const int i = layer - first;
      column h, sum;
      h.read_column(stage_states(place, g) + i * state_numbers + sample);
      sum.clear();
      b.write_column(state(place, s.A, g) + i * state_numbers + sample);
      T *x[TENSORS];
      MNO_UNROLL for (int a = 0; a < TENSORS; a++) x[a] = projections(place, g, a) + i * projected() + of_sample;
      respond_back((mno_activation)is.activation, stage_weights(place, g) + i * (int)(s.tile_bytes / sizeof(T)), h, b, sum,
                   x);
      b.add_product(is.step, sum);
    }
    b.write_column(at);
  }

  /* What the gradients of PAIR units are made of beside h and b: g_a for the inputs, t for the output. */
  struct Factors {
    Row<T> of[TENSORS][PAIR];
  };

  /* Coordinate i of a tensor in the rows of a unit, and its states. */
  template <int COUNT>
  MNO_DEVICE void move(const motion &motion, int tensor, Coordinates<T, COUNT> (&row)[ROWS], int i, T gradient) const {
    T states[Optimizer::STATES + 1]; /* C++ has no arrays of nothing */
    MNO_UNROLL for (int r = 0; r < Optimizer::STATES; r++) states[r] = row[state_row(tensor) + r].x[i];
    row[tensor].x[i] = motion.moved(tensor, row[tensor].x[i], gradient, states);
    MNO_UNROLL for (int r = 0; r < Optimizer::STATES; r++) row[state_row(tensor) + r].x[i] = states[r];
  }

  /* COUNT coordinates of PAIR units, `apart` from each other; PAIR units share what is read of the samples. */
  template <int COUNT>
  MNO_DEVICE void update_some(T *unit, int apart, bool both, const T *h, const T *b, const Factors &x,
                              const motion &motion) const {
    Row<T> row_h[COUNT], row_b[COUNT];
    Coordinates<T, COUNT> row[PAIR][ROWS];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      row_h[i].read(h + i * PITCH);
      row_b[i].read(b + i * PITCH);
    }
    MNO_UNROLL for (int k = 0; k < PAIR; k++) MNO_UNROLL for (int r = 0; r < ROWS; r++) row[k][r].read(unit + k * apart +
                                                                                                       r * PADDED_D);
    MNO_UNROLL for (int k = 0; k < PAIR; k++) MNO_UNROLL for (int i = 0; i < COUNT; i++)
        MNO_UNROLL for (int a = 0; a < TENSORS; a++)
            move(motion, a, row[k], i, x.of[a][k].dot(a < INPUTS ? row_h[i] : row_b[i]));
    MNO_UNROLL for (int k = 0; k < PAIR; k++) if (k == 0 || both) MNO_UNROLL for (int r = 0; r < ROWS; r++) row[k][r].write(
        unit + k * apart + r * PADDED_D);
  }

  /* One coordinate of a unit, its gradients summed over all chunks first. */
  MNO_DEVICE void update_at_once(T *unit, const T *h, const T *b, const T *const (&x)[TENSORS], const motion &motion) const {
    T gradient[TENSORS];
    Coordinates<T, 1> row[ROWS];
    MNO_UNROLL for (int a = 0; a < TENSORS; a++) gradient[a] = 0;
    for (int chunk = 0; chunk < s.chunks; chunk++) MNO_UNROLL for (int a = 0; a < TENSORS; a++) {
        Row<T> factor, other;
        factor.read(x[a] + chunk * s.M * PITCH);
        other.read((a < INPUTS ? h : b) + chunk * PADDED_D * PITCH);
        gradient[a] += factor.dot(other);
      }
    MNO_UNROLL for (int r = 0; r < ROWS; r++) row[r].read(unit + r * PADDED_D);
    MNO_UNROLL for (int a = 0; a < TENSORS; a++) move(motion, a, row, 0, gradient[a]);
    MNO_UNROLL for (int r = 0; r < ROWS; r++) row[r].write(unit + r * PADDED_D);
  }

  /* The inputs w_a move by sum_i h_i g_a, the output v by sum_i b_i t; a part of the coordinates of two units at a time. */
  MNO_DEVICE void update(const Place &place, int lane, int transfer) {
    const int g = (int)divide((uint32_t)lane, s.by_instance_lanes), lanes_each = (int)s.by_instance_lanes.d;
    if (g >= s.group) return;
    const Setting is = *setting(place, g);
    const int first = transfer * s.layers_per_transfer, layers = end_of(transfer, is.L) - first,
              state_numbers = (int)(s.h_bytes / sizeof(T));
    if (layers <= 0) return;
    const T *const h = stage_states(place, g), *const b = state(place, s.A, g);
    const T *x[TENSORS]; /* after activation: by tensor, what its gradient is made of */
    MNO_UNROLL for (int a = 0; a < TENSORS; a++) x[a] = projections(place, g, a < INPUTS ? 1 + a : 0);
    T *const u = stage_weights(place, g);
    const int pairs = (int)s.by_pairs.d;
    for (int e = lane - g * lanes_each; e < layers * pairs * s.d_slices; e += lanes_each) {
      const int pair = (int)divide((uint32_t)e, s.by_parts), begin = (e - pair * s.d_slices) * s.d_length;
      const int end = begin + s.d_length < s.D ? begin + s.d_length : s.D;
      const int layer = (int)divide((uint32_t)pair, s.by_pairs), m = pair - layer * pairs;
      const bool both = m + pairs < s.M; /* otherwise the first stands in for the second */
      const int other = both ? pairs : 0;
      T *const unit = u + layer * (int)(s.tile_bytes / sizeof(T)) + m * UNIT;
      if (!Optimizer::FUSES && s.chunks > 1) {
        for (int k = 0; k < (both ? 2 : 1); k++) {
          const T *of_unit[TENSORS];
          MNO_UNROLL for (int a = 0; a < TENSORS; a++) of_unit[a] = x[a] + layer * projected() + (m + k * other) * PITCH;
          for (int d = begin; d < end; d++)
            update_at_once(unit + k * other * UNIT + d, h + layer * state_numbers + d * PITCH,
                           b + layer * state_numbers + d * PITCH, of_unit, is.of_step);
        }
        continue;
      }
      for (int chunk = 0; chunk < s.chunks; chunk++) {
        Factors factors;
        MNO_UNROLL for (int k = 0; k < PAIR; k++) {
          const int at = layer * projected() + (chunk * s.M + m + k * other) * PITCH;
          MNO_UNROLL for (int a = 0; a < TENSORS; a++) factors.of[a][k].read(x[a] + at);
        }
        const int from = layer * state_numbers + chunk * PADDED_D * PITCH;
        int d = begin;
        for (; d + COORDINATES <= end; d += COORDINATES)
          update_some<COORDINATES>(unit + d, other * UNIT, both, h + from + d * PITCH, b + from + d * PITCH, factors,
                                   is.of_step);
        MNO_ROLL for (; d < end; d++)
            update_some<1>(unit + d, other * UNIT, both, h + from + d * PITCH, b + from + d * PITCH, factors, is.of_step);
      }
    }
  }
};

} // namespace mno

#endif

/* The body of kernel W0: a warp trains several small networks at once. In the passes a lane is one sample of one instance
 * and keeps its states in registers over a span of layers; in the updates it is a share of an instance's units.
 *
 * Every sum runs over coordinates, units or samples in their order, so an instance's bits do not depend on its neighbours.
 * HEIGHT: D, or what D is padded to. */
#ifndef MNO_CUDA_LANES_H
#define MNO_CUDA_LANES_H

#include "device/instance.h"

namespace mno {

/* A row of weights or a column of states. */
template <class T, int HEIGHT> struct Column : Tuple<T, HEIGHT> {
  using Tuple<T, HEIGHT>::x;
  /* A sample of a state. */
  MNO_DEVICE void read_column(const T *from) { MNO_UNROLL for (int d = 0; d < HEIGHT; d++) x[d] = from[d * row_pitch<T>()]; }
  MNO_DEVICE void write_column(T *to) const { MNO_UNROLL for (int d = 0; d < HEIGHT; d++) to[d * row_pitch<T>()] = x[d]; }
};

/* Some coordinates of u or v that are read and written together: aligned to their size. */
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

/* u and v of a unit. */
template <class T, int HEIGHT> struct Unit {
  Column<T, HEIGHT> u, v;
  MNO_DEVICE void read(const T *from) { /* aligned to 16 bytes */
#ifdef __CUDA_ARCH__
    T x[2 * HEIGHT];
    MNO_UNROLL for (int i = 0; i < (int)(2 * HEIGHT * sizeof(T) / 16); i++) {
      const uint4 four = ((const uint4 *)from)[i];
      memcpy((char *)x + 16 * i, &four, 16);
    }
    MNO_UNROLL for (int d = 0; d < HEIGHT; d++) u.x[d] = x[d], v.x[d] = x[HEIGHT + d];
#else
    memcpy(u.x, from, sizeof u.x);
    memcpy(v.x, from + HEIGHT, sizeof v.x);
#endif
  }
};

template <class T, class Team, int HEIGHT> class LaneTrainer : Instances<T, Team, true> {
  typedef Instances<T, Team, true> base;
  typedef Column<T, HEIGHT> column;
  static constexpr int PITCH = row_pitch<T>();
  using base::adjoint;
  using base::args;
  using base::control;
  using base::hand_over;
  using base::head;
  using base::part;
  using base::readout;
  using base::record_weights;
  using base::s;
  using base::stage_offset;
  using base::state;
  using base::state_memory;
  using base::tail;
  using base::team;
  using base::tile_memory;
  using base::weight_row;

public:
  MNO_DEVICE LaneTrainer(Team &team, const mno_train_args &args) : base(team, args) {}

  /* Takes items, as many as the team has places for, until none is left or stop is asked for. */
  MNO_DEVICE void run() {
    team.begin();
    for (uint32_t serial = 0;; serial++) {
      char *const parcels =
          args.parcels + ((size_t)team.team_index * 2 + (serial & 1)) * (size_t)s.group * args.parcel_bytes;
      team.joint([&](const Place &, int lane) {
        if (lane) return;
        for (int g = 0; g < s.group; g++) team.until_free((mno_parcel *)(parcels + g * args.parcel_bytes));
        control->go_on = !team.look(&args.signals->stop);
        control->index = team.take(args.next, (uint32_t)s.group);
        control->start = control->looked = team.now();
      });
      if (!control->go_on || control->index >= args.count) return;
      if (!train(control->index, parcels)) return;
    }
  }

private:
  /* What the lanes of an instance need in every phase, at the start of its state region. */
  struct Setting {
    int32_t L; /* 0: the place is empty, or its instance is done */
    int32_t activation;
    T step, rate_u, rate_v;
  };
  MNO_DEVICE Setting *setting(const Place &place, int g) const { return (Setting *)state(place, 0, g); }

  MNO_DEVICE const mno_item &item(uint32_t index, int g) const { return args.item[index + (uint32_t)g]; }
  MNO_DEVICE const mno_device_problem &problem(uint32_t index, int g) const { return args.problem[item(index, g).problem]; }
  MNO_DEVICE int filled_places(uint32_t index) const {
    const uint32_t left = args.count - index;
    return left < (uint32_t)s.group ? (int)left : s.group;
  }

  MNO_DEVICE bool train(uint32_t index, char *parcels) {
    const int places = filled_places(index);
    const auto parcel = [&](int g) { return (mno_parcel *)(parcels + g * args.parcel_bytes); };
    team.joint([&](const Place &place, int lane) {
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
        is->rate_u = (T)(p.eta_u / p.alpha);
        is->rate_v = (T)(p.eta_v / p.alpha);
        control->of[g].filled = control->of[g].outcome = 0;
        if ((uint32_t)is->L > depth) depth = (uint32_t)is->L;
      }
      control->depth = depth;
      control->live = (uint32_t)places;
    });
    const int depth = (int)control->depth;
    for (int g = 0; g < places; g++) draw(g, item(index, g), problem(index, g), parcel(g));
    for (int64_t k = 0;; k++) {
      forward(index, places, depth);
      for (int g = 0; g < places; g++) {
        const mno_device_problem &p = problem(index, g);
        const uint32_t filled = control->of[g].filled;
        const bool recorded = !control->of[g].outcome && k <= p.K && filled < (uint32_t)p.steps && p.step[filled] == k;
        readout(g, p, recorded ? part(parcel(g), p.steps, OUTPUT, filled) : NULL,
                recorded ? part(parcel(g), p.steps, EMBEDDING, filled) : NULL,
                recorded ? part(parcel(g), p.steps, LOSS, filled) : NULL);
      }
      if (!control->go_on) return false;
      team.joint([&](const Place &place, int lane) {
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
        record_weights(
            g, L, part(parcel(g), problem(index, g).steps, WEIGHTS, 0) + (args.weights & 1 ? 2 * (size_t)L * s.M * s.D : 0));
      }
    team.joint([&](const Place &, int lane) {
      if (lane) return;
      for (int g = 0; g < places; g++) hand_over(parcel(g), item(index, g), control->of[g].outcome, control->of[g].filled);
    });
    return true;
  }

  /* Initial weights, padding zero, four coordinates of u or v of one unit at a time; and zeros where nothing else writes. */
  MNO_DEVICE void draw(int g, const mno_item &item, const mno_device_problem &problem, mno_parcel *parcel) {
    double *const record = part(parcel, problem.steps, WEIGHTS, 0);
    const size_t half = (size_t)item.L * s.M * s.D;
    team.phase([&](const Place &place, int lane) {
      const uint32_t fours = (uint32_t)(s.height + 3) / 4, count = (uint32_t)item.L * (uint32_t)s.M * 2 * fours;
      for (uint32_t e = (uint32_t)lane; e < count; e += (uint32_t)s.lanes) {
        const uint32_t row = e / fours, block = e - row * fours, unit = row / 2, is_v = row & 1;
        const uint32_t layer = unit / (uint32_t)s.M, m = unit - layer * (uint32_t)s.M, drawn = unit / item.width;
        T *const to = (T *)tile_memory(0, (int)layer, 0, g) + weight_row((int)m, (int)is_v);
        double z[4];
        normals(item.seed, is_v ? MNO_TENSOR_V : MNO_TENSOR_U, drawn, unit - drawn * item.width + item.offset, block, z);
        const double scale = is_v ? problem.scale_v * item.sign : problem.scale_u;
        for (int i = 0; i < 4; i++) {
          const int d = (int)(4 * block) + i;
          const T w = (T)(scale * z[i]);
          if (d < s.row) to[d] = d < s.D ? w : (T)0;
          if (d < s.D && (args.weights & 1)) record[is_v * half + (size_t)unit * s.D + d] = w;
        }
      }
      for (int span = lane; span * s.span < item.L; span += s.lanes) {
        clear(tile_memory(0, span * s.span, 0, g), (uint32_t)s.span * s.tile_bytes, s.span_bytes);
        clear(state_memory(span * s.span, g), 0, s.span_states);
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

  /* Starts loading the next span, if there is one; with the states on the way down. */
  MNO_DEVICE void load(int span, int spans, bool down) {
    if (span < 0 || span >= spans) {
      team.no_load();
      return;
    }
    const uint32_t to = stage_offset(head.stage), weights = mno_stage_weights(&s);
    team.load(head, [&](int) {
      Transfer t;
      t.piece[0] = Piece{tile_memory(0, span * s.span, 0, 0), to, weights};
      t.piece[1] = Piece{state_memory(span * s.span, 0), to + weights, down ? mno_stage_states(&s) : 0};
      return t;
    });
    head.advance(args.stages);
  }

  /* Of a lane in a pass: its instance and the offset of its sample in a state. False: it has none. */
  MNO_DEVICE bool sample_of(int lane, int *g, int *sample) const {
    *g = (int)divide((uint32_t)lane, s.by_samples);
    const int n = lane - *g * s.N, chunk = n / MNO_CHUNK;
    *sample = chunk * s.height * PITCH + n - chunk * MNO_CHUNK;
    return *g < s.group;
  }
  MNO_DEVICE T *stage_weights(const Place &place, int g) const {
    return (T *)(place.shared + stage_offset(tail.stage) + (uint32_t)g * s.span_bytes);
  }
  MNO_DEVICE T *stage_states(const Place &place, int g) const {
    return (T *)(place.shared + stage_offset(tail.stage) + mno_stage_weights(&s) + (uint32_t)g * s.span_states);
  }
  MNO_DEVICE int end_of(int span, int L) const { return (span + 1) * s.span < L ? (span + 1) * s.span : L; }

  /* Units of a pass and coordinates of an update that are in flight together. Nothing else hides the latency of a lane, and
   * all is read before anything is written: a write may overlap what is read after it, for all that the compiler knows. */
  static constexpr int UNITS = HEIGHT > 10      ? 1
                               : sizeof(T) == 4 ? 5
                                                : 3,
                       COORDINATES = MNO_TOGETHER / (int)sizeof(T), PAIR = MNO_PAIR;

  /* COUNT units from `row` on: sum += v rho(<u,h>/D) */
  template <int COUNT, class Rho> MNO_DEVICE void respond_some(const T *row, const column &h, column &sum, Rho rho) const {
    const T per_D = (T)1 / (T)s.D;
    Unit<T, HEIGHT> w[COUNT];
    T p[COUNT];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) w[i].read(row + 2 * i * HEIGHT);
    MNO_UNROLL for (int i = 0; i < COUNT; i++) p[i] = w[i].u.dot(h) * per_D;
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      T slope;
      p[i] = rho(p[i], &slope);
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) sum.add_product(p[i], w[i].v);
  }

  /* sum over the units of v rho(<u,h>/D) */
  MNO_DEVICE void respond(int activation, const T *weights, const column &h, column &sum) const {
    const auto usual = [](T x, T *slope) { return activate(MNO_TANH, x, slope); };
    const auto any = [activation](T x, T *slope) { return activate(activation, x, slope); };
    int m = 0;
    if (activation == MNO_TANH)
      for (; m + UNITS <= s.M; m += UNITS) respond_some<UNITS>(weights + 2 * m * HEIGHT, h, sum, usual);
    MNO_ROLL for (; m < s.M; m++) respond_some<1>(weights + 2 * m * HEIGHT, h, sum, any);
  }

  MNO_DEVICE void forward(uint32_t index, int places, int depth) {
    const int spans = (depth + s.span - 1) / s.span, ahead = args.stages - 1;
    team.phase([&](const Place &place, int lane) {
      for (int g = 0; g < places; g++) {
        T *const h = state(place, s.H, g);
        const T *const h0 = (const T *)problem(index, g).h0;
        for (int e = lane; e < s.chunks * s.D * PITCH; e += s.lanes) {
          const int chunk = e / (s.D * PITCH);
          h[e + chunk * (s.height - s.D) * PITCH] = h0[e];
        }
      }
    });
    for (int i = 0; i < ahead; i++) load(i, spans, false);
    for (int span = 0; span < spans; span++) {
      load(span + ahead, spans, false);
      team.ready(tail, ahead);
      team.phase([&](const Place &place, int lane) {
        int g, sample;
        if (!sample_of(lane, &g, &sample)) return;
        const Setting is = *setting(place, g);
        const int first = span * s.span, end = end_of(span, is.L);
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
          respond(is.activation, u, h, sum);
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

  /* COUNT units from `row` on: sum += u rho'(p) <v,b>/D; keeps t and g. */
  template <int COUNT, class Rho>
  MNO_DEVICE void respond_back_some(const T *row, const column &h, const column &b, column &sum, T *t, T *g, Rho rho) const {
    const T per_D = (T)1 / (T)s.D;
    Unit<T, HEIGHT> w[COUNT];
    T p[COUNT], q[COUNT];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) w[i].read(row + 2 * i * HEIGHT);
    MNO_UNROLL for (int i = 0; i < COUNT; i++) p[i] = w[i].u.dot(h) * per_D, q[i] = w[i].v.dot(b) * per_D;
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      T slope;
      p[i] = rho(p[i], &slope);
      q[i] = slope * q[i];
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) t[i * PITCH] = p[i], g[i * PITCH] = q[i];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) sum.add_product(q[i], w[i].u);
  }

  /* sum over the units of u rho'(p) <v,b>/D; keeps t and g of every unit. */
  MNO_DEVICE void respond_back(int activation, const T *weights, const column &h, const column &b, column &sum, T *t,
                               T *g) const {
    const auto usual = [](T x, T *slope) { return activate(MNO_TANH, x, slope); };
    const auto any = [activation](T x, T *slope) { return activate(activation, x, slope); };
    int m = 0;
    if (activation == MNO_TANH)
      for (; m + UNITS <= s.M; m += UNITS)
        respond_back_some<UNITS>(weights + 2 * m * HEIGHT, h, b, sum, t + m * PITCH, g + m * PITCH, usual);
    MNO_ROLL for (; m < s.M; m++)
        respond_back_some<1>(weights + 2 * m * HEIGHT, h, b, sum, t + m * PITCH, g + m * PITCH, any);
  }

  MNO_DEVICE void backward(int depth) {
    const int spans = (depth + s.span - 1) / s.span, ahead = args.stages - 2;
    for (int i = 0; i < ahead; i++) load(spans - 1 - i, spans, true);
    for (int span = spans - 1; span >= 0; span--) {
      team.reusable(1);
      load(span - ahead, spans, true);
      team.ready(tail, ahead);
      team.phase([&](const Place &place, int lane) { pass_back(place, lane, span); });
      team.phase([&](const Place &place, int lane) {
        update(place, lane, span);
        team.publish(place);
      });
      const uint32_t from = stage_offset(tail.stage);
      team.store([&](int) {
        Transfer t;
        t.piece[0] = Piece{tile_memory(0, span * s.span, 0, 0), from, mno_stage_weights(&s)};
        t.piece[1] = Piece{NULL, from, 0};
        return t;
      });
      tail.advance(args.stages);
    }
    team.drain();
  }

  /* Numbers of the layers of a span, of t and of g: [layer][chunk][unit][pitch]. */
  MNO_DEVICE int projections() const { return s.chunks * s.M * PITCH; }

  MNO_DEVICE void pass_back(const Place &place, int lane, int span) {
    int g, sample;
    if (!sample_of(lane, &g, &sample)) return;
    const Setting is = *setting(place, g);
    const int first = span * s.span, end = end_of(span, is.L), height = (int)(s.h_bytes / sizeof(T));
    const int n = lane - g * s.N, chunk = n / MNO_CHUNK, projected = chunk * s.M * PITCH + n - chunk * MNO_CHUNK;
    if (first >= end) return;
    T *const at = state(place, s.B, g) + sample;
    column b;
    b.read_column(at);
    for (int layer = end - 1; layer >= first; layer--) {
      const int i = layer - first;
      column h, sum;
      h.read_column(stage_states(place, g) + i * height + sample);
      sum.clear();
      b.write_column(state(place, s.A, g) + i * height + sample);
      respond_back(is.activation, stage_weights(place, g) + i * (int)(s.tile_bytes / sizeof(T)), h, b, sum,
                   state(place, s.P, g) + i * projections() + projected,
                   state(place, s.Q, g) + i * projections() + projected);
      b.add_product(is.step, sum);
    }
    b.write_column(at);
  }

  /* COUNT coordinates of PAIR units, `apart` from each other; PAIR units share what is read of the samples. */
  template <int COUNT>
  MNO_DEVICE void update_some(T *unit, int apart, bool both, const T *h, const T *b, const Row<T> (&row_g)[PAIR],
                              const Row<T> (&row_t)[PAIR], const Setting &is) const {
    Row<T> row_h[COUNT], row_b[COUNT];
    Coordinates<T, COUNT> new_u[PAIR], new_v[PAIR];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      row_h[i].read(h + i * PITCH);
      row_b[i].read(b + i * PITCH);
    }
    MNO_UNROLL for (int k = 0; k < PAIR; k++) new_u[k].read(unit + k * apart), new_v[k].read(unit + k * apart + HEIGHT);
    MNO_UNROLL for (int k = 0; k < PAIR; k++) MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      new_u[k].x[i] = fma_(-is.rate_u, row_g[k].dot(row_h[i]), new_u[k].x[i]);
      new_v[k].x[i] = fma_(-is.rate_v, row_t[k].dot(row_b[i]), new_v[k].x[i]);
    }
    MNO_UNROLL for (int k = 0; k < PAIR; k++) if (k == 0 || both) new_u[k].write(unit + k * apart),
        new_v[k].write(unit + k * apart + HEIGHT);
  }

  /* u -= rate_u sum_i h_i g_i, v -= rate_v sum_i b_i t_i; a part of the coordinates of two units at a time. */
  MNO_DEVICE void update(const Place &place, int lane, int span) {
    const int g = (int)divide((uint32_t)lane, s.by_share), share = (int)s.by_share.d;
    if (g >= s.group) return;
    const Setting is = *setting(place, g);
    const int first = span * s.span, layers = end_of(span, is.L) - first, height = (int)(s.h_bytes / sizeof(T));
    if (layers <= 0) return;
    const T *const h = stage_states(place, g), *const b = state(place, s.A, g);
    const T *const t = state(place, s.P, g), *const q = state(place, s.Q, g);
    T *const u = stage_weights(place, g);
    const int pairs = (int)s.by_pairs.d;
    for (int e = lane - g * share; e < layers * pairs * s.d_slices; e += share) {
      const int pair = (int)divide((uint32_t)e, s.by_parts), begin = (e - pair * s.d_slices) * s.d_length;
      const int end = begin + s.d_length < s.D ? begin + s.d_length : s.D;
      const int layer = (int)divide((uint32_t)pair, s.by_pairs), m = pair - layer * pairs;
      const bool both = m + pairs < s.M; /* otherwise the first stands in for the second */
      const int other = both ? pairs : 0;
      T *const unit = u + layer * (int)(s.tile_bytes / sizeof(T)) + 2 * m * HEIGHT;
      for (int chunk = 0; chunk < s.chunks; chunk++) {
        Row<T> row_g[PAIR], row_t[PAIR];
        MNO_UNROLL for (int k = 0; k < PAIR; k++) {
          const int at = layer * projections() + (chunk * s.M + m + k * other) * PITCH;
          row_g[k].read(q + at);
          row_t[k].read(t + at);
        }
        const int from = layer * height + chunk * HEIGHT * PITCH;
        int d = begin;
        for (; d + COORDINATES <= end; d += COORDINATES)
          update_some<COORDINATES>(unit + d, 2 * other * HEIGHT, both, h + from + d * PITCH, b + from + d * PITCH, row_g,
                                   row_t, is);
        MNO_ROLL for (; d < end; d++)
            update_some<1>(unit + d, 2 * other * HEIGHT, both, h + from + d * PITCH, b + from + d * PITCH, row_g, row_t, is);
      }
    }
  }
};

} // namespace mno

#endif

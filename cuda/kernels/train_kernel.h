/* SPDX-License-Identifier: BSD-3-Clause */
/* The body of kernels W, C and X: a team trains one instance after another.
 *
 * Per layer (host/block/block.h), forward: projections p_a = <w_a, h>/D on the inputs; t = s(p_0, ..); sums of v t over the
 * units; h += alpha/(L M) sum. Backward: projections p_a and q = <v, b>/D; t and g_a = (ds/dp_a) q; sums of w_a g_a, and the
 * updates of w_a by sum_i h_i g_a, of v by sum_i b_i t; b += alpha/(L M) sum. Weights stream through the ring, each read
 * once forward, read and written once backward; the states h of all layers are kept from the forward pass. Readout and loss
 * are in double. */
#ifndef MNO_CUDA_TRAIN_KERNEL_H
#define MNO_CUDA_TRAIN_KERNEL_H

#include "device/instance.h"

namespace mno {

template <class T, class Team, class Block, class Optimizer> class Trainer : Instances<T, Team, Block, Optimizer, false> {
  typedef Instances<T, Team, Block, Optimizer, false> base;
  typedef typename base::motion motion;
  static constexpr int PITCH = row_pitch<T>();
  static constexpr int UPDATED = 2, ADVANCED = 4; /* rows of an update, elements of a state in flight together */
  static constexpr uint32_t NOWHERE = ~(uint32_t)0;
  using base::adjoint;
  using base::args;
  using base::control;
  using base::first_unit;
  using base::hand_over;
  using base::head;
  using base::initial_scale;
  using base::INPUTS;
  using base::of_tensor;
  using base::part;
  using base::portion_of;
  using base::portions;
  using base::readout;
  using base::record_weights;
  using base::ROWS;
  using base::s;
  using base::stage_offset;
  using base::state;
  using base::state_elements;
  using base::state_memory;
  using base::state_row;
  using base::tail;
  using base::team;
  using base::TENSORS;
  using base::tile_memory;
  using base::units;
  using base::weight_row;

public:
  MNO_DEVICE Trainer(Team &team, const mno_train_args &args) : base(team, args) {}

  /* Takes items until none is left or stop is asked for. */
  MNO_DEVICE void run() {
    team.begin();
    for (uint32_t serial = 0;; serial++) {
      mno_mailbox *mailbox =
          (mno_mailbox *)(args.mailboxes + ((size_t)team.team_index * 2 + (serial & 1)) * args.mailbox_bytes);
      team.cluster_phase([&](const Place &place, int lane) {
        if (place.rank || lane) return;
        team.until_free(mailbox);
        control->go_on = !team.poll(&args.signals->stop);
        control->index = team.take(args.next, 1);
        control->start = control->polled = team.now();
      });
      if (!control->go_on || control->index >= args.count) return;
      if (!train(args.item[control->index], mailbox)) return;
    }
  }

private:
  MNO_DEVICE int blocks_per_team() const { return Team::several_ranks ? s.blocks_per_team : 1; }
  MNO_DEVICE T *stage_tile(const Place &place) const { return (T *)(place.shared + stage_offset(tail.stage)); }
  /* Of one tensor: before activation those of the inputs and of the output, p_a and q; after it t and g_a. */
  MNO_DEVICE T *projections(const Place &place, int which) const { return state(place, s.P + (uint32_t)which * s.p_bytes); }

  MNO_DEVICE bool train(const mno_item &item, mno_mailbox *mailbox) {
    const mno_device_problem &problem = args.problem[item.problem];
    const int L = item.L;
    const mno_activation activation = (mno_activation)problem.activation;
    const T step = (T)(problem.alpha / ((double)L * s.M));
    draw(item, problem, part(mailbox, problem.steps, WEIGHTS, 0));

    uint32_t filled = 0, outcome = 0;
    for (int64_t k = 0;; k++) {
      forward(L, (const T *)problem.h0, activation, step);
      const bool recorded = filled < (uint32_t)problem.steps && problem.step[filled] == k;
      readout(0, problem, recorded ? part(mailbox, problem.steps, OUTPUT, filled) : NULL,
              recorded ? part(mailbox, problem.steps, EMBEDDING, filled) : NULL,
              recorded ? part(mailbox, problem.steps, LOSS, filled) : NULL);
      if (!finite((double)control->of[0].loss)) {
        outcome = 1;
        break;
      }
      filled += recorded;
      if (!control->go_on) return false;
      if (k == problem.K) break;
      adjoint(0, problem);
      motion motion;
      motion.read(problem, k);
      backward(L, activation, step, motion);
    }
    if ((args.weights & 2) && !outcome)
      record_weights(0, L,
                     part(mailbox, problem.steps, WEIGHTS, 0) + (args.weights & 1 ? TENSORS * (size_t)L * s.M * s.D : 0));
    team.cluster_phase([&](const Place &place, int lane) {
      if (place.rank || lane) return;
      hand_over(mailbox, item, outcome, filled);
    });
    return true;
  }

  /* Initial weights; padding is zero, as are the states of the optimiser. An item is four coordinates of a tensor of a unit.
   */
  MNO_DEVICE void draw(const mno_item &item, const mno_device_problem &problem, double *record) {
    const uint32_t fours = (uint32_t)(s.D + 3) / 4;
    const size_t tensor = (size_t)item.L * s.M * s.D;
    const uint32_t width = (uint32_t)item.width; /* the unit's flat index, divided by the width layer by layer */
    uint32_t from_layer = 0, from_unit = 0;
    for (int layer = 0; layer < item.L; layer++) {
      for (int i = 0; i < mno_tiles_of_rank(&s); i++) {
        const int of_rank = i / s.tiles, tile = i - of_rank * s.tiles;
        team.phase([&](const Place &place, int lane) {
          const int portion = portion_of(place.rank, of_rank), count = units(portion, tile);
          T *const memory = (T *)tile_memory(portion, layer, tile);
          for (uint32_t e = (uint32_t)lane; e < TENSORS * fours * (uint32_t)s.tile; e += (uint32_t)s.lanes) {
            const uint32_t block = e / (TENSORS * (uint32_t)s.tile), rest = e - block * TENSORS * (uint32_t)s.tile;
            const int t = (int)divide(rest, s.by_tile), m = (int)rest - t * s.tile, j = first_unit(portion, tile) + m;
            T *const row = memory + weight_row(m, t);
            double z[4] = {0, 0, 0, 0};
            if (m < count) {
              const uint32_t flat = from_unit + (uint32_t)j, more = flat / width;
              normals(item.seed, of_tensor(problem.draw, t), from_layer + more, flat - more * width + (uint32_t)item.offset,
                      block, z);
            }
            const double scale = initial_scale(problem, item, t);
            for (int i = 0; i < 4; i++) {
              const int d = (int)(4 * block) + i;
              const T w = (T)(scale * z[i]);
              if (d < s.row) row[d] = d < s.D ? w : (T)0;
              if (d < s.D && m < count && (args.weights & 1)) record[t * tensor + ((size_t)layer * s.M + j) * s.D + d] = w;
            }
          }
          if (Optimizer::STATES)
            for (int e = TENSORS * s.tile * s.row + lane; e < ROWS * s.tile * s.row; e += s.lanes) memory[e] = 0;
        });
      }
      from_unit += (uint32_t)s.M;
      from_layer += from_unit / width;
      from_unit %= width;
    }
    team.phase([&](const Place &, int) { team.memory_to_transfers(); }); /* a lane's fence covers all that it wrote */
  }

  /* A walk over the tiles of a pass, layers up or down; past the end it stays there. */
  struct Walk {
    int layer, portion, tile, down;
    int place; /* of the next state */
  };

  /* Where the states of layers lie on the way down, in shared memory: H, then the places behind the state region, in turn.
   */
  MNO_DEVICE uint32_t place_of_h(int place) const {
    return stage_offset(args.stages) + (place ? s.state_bytes + (uint32_t)(place - 1) * s.h_bytes : s.H);
  }
  MNO_DEVICE int next_place(int place) const { return place == mno_more_states(&s, args.stages) ? 0 : place + 1; }

  /* Starts loading the next tile of a walk; on the way down the state of a layer comes with its first tile. */
  MNO_DEVICE void load(Walk &walk, int L) {
    if (walk.layer < 0 || walk.layer >= L) {
      team.no_load();
      return;
    }
    const uint32_t to = stage_offset(head.stage);
    const bool first = walk.portion == 0 && walk.tile == 0, with_state = walk.down && first && !team.state_in_memory;
    team.load(head, [&](int rank) {
      Transfer t;
      t.piece[0] = Piece{tile_memory(portion_of(rank, walk.portion), walk.layer, walk.tile), to,
                         Optimizer::STATES && !walk.down ? s.weights_bytes : s.tile_bytes};
      t.piece[1] = Piece{state_memory(walk.layer), place_of_h(walk.place), with_state ? s.h_bytes : 0};
      return t;
    });
    head.advance(args.stages);
    if (first) walk.place = next_place(walk.place);
    if (++walk.tile < s.tiles) return;
    walk.tile = 0;
    if (++walk.portion < portions()) return;
    walk.portion = 0;
    walk.layer += walk.down ? -1 : 1;
  }

  /* Of every input tensor with h and, if BACK, of the output with b: [chunk][slice][unit] = sum over the slice's
   * coordinates.
   */
  template <bool BACK> MNO_DEVICE void project(const Place &place, int lane, int count, const T *h, const T *b) {
    constexpr int PROJECTED = BACK ? TENSORS : INPUTS;
    const T *const weights = stage_tile(place);
    T *out[PROJECTED];
    MNO_UNROLL for (int i = 0; i < PROJECTED; i++) out[i] = projections(place, i);
    for (uint32_t e = (uint32_t)lane; e < (uint32_t)(s.tile * s.d_slices); e += (uint32_t)s.lanes) {
      const int slice = (int)divide(e, s.by_tile), m = (int)e - slice * s.tile;
      if (m >= count) continue;
      const int begin = slice * s.d_length, end = begin + s.d_length < s.D ? begin + s.d_length : s.D;
      for (int c = 0; c < s.chunks; c++) {
        Row<T> sum[PROJECTED];
        const T *w[PROJECTED];
        MNO_UNROLL for (int i = 0; i < PROJECTED; i++) {
          sum[i].clear();
          w[i] = weights + weight_row(m, i) + begin;
        }
        const T *of_h = h + (c * s.D + begin) * PITCH, *of_b = BACK ? b + (c * s.D + begin) * PITCH : NULL;
        MNO_UNROLL_ROWS for (int left = end - begin; left > 0; left--) {
          Row<T> row;
          row.read(of_h);
          MNO_UNROLL for (int i = 0; i < INPUTS; i++) sum[i].add_product(*w[i]++, row);
          of_h += PITCH;
          if (BACK) {
            row.read(of_b);
            sum[PROJECTED - 1].add_product(*w[PROJECTED - 1]++, row);
            of_b += PITCH;
          }
        }
        const int to = ((c * s.d_slices + slice) * s.tile + m) * PITCH;
        MNO_UNROLL for (int i = 0; i < PROJECTED; i++) sum[i].write(out[i] + to);
      }
    }
  }

  /* e counts [chunks][tile][MNO_CHUNK]; returns the place in the first slice of a projection. */
  template <bool ALONE> MNO_DEVICE uint32_t projected(uint32_t e, int *sample, int *unit) const {
    const uint32_t row = e / MNO_CHUNK, n = e - row * MNO_CHUNK, chunk = ALONE ? 0 : divide(row, s.by_tile);
    *sample = (int)(chunk * MNO_CHUNK + n);
    *unit = (int)(row - chunk * (uint32_t)s.tile);
    return ((chunk * (uint32_t)s.d_slices) * (uint32_t)s.tile + (uint32_t)*unit) * (uint32_t)PITCH + n;
  }

  /* The slices of the projections x in order; then those of the first tensor become t and, if BACK, the others g_a: 0 for
   * samples that are not there. Elements e, e + lanes, ...; ALONE: there is one chunk. */
  template <bool BACK, bool ALONE, int COUNT, class Unit>
  MNO_DEVICE void activate_some(uint32_t e, int count, T *const (&x)[TENSORS], Unit unit) const {
    constexpr int PROJECTED = BACK ? TENSORS : INPUTS, LEFT = BACK ? TENSORS : 1;
    const T per_D = (T)1 / (T)s.D;
    uint32_t k[COUNT];
    bool is_unit[COUNT];
    int sample[COUNT];
    T value[COUNT][TENSORS];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      const uint32_t at = e + (uint32_t)(i * s.lanes);
      int m;
      k[i] = projected<ALONE>(at, &sample[i], &m);
      is_unit[i] = m < count && (ALONE || at < (uint32_t)(s.chunks * s.tile * MNO_CHUNK));
      if (!is_unit[i]) k[i] = NOWHERE;
      MNO_UNROLL for (int a = 0; a < PROJECTED; a++) value[i][a] =
          is_unit[i] ? x[a][k[i]] : (T)0; /* never another lane's: it may be writing */
    }
    const int apart = s.tile * PITCH;
    const T *more[PROJECTED];
    MNO_UNROLL for (int a = 0; a < PROJECTED; a++) more[a] = x[a];
    MNO_ROLL for (int slice = 1; slice < s.d_slices; slice++) {
      MNO_UNROLL for (int a = 0; a < PROJECTED; a++) more[a] += apart;
      MNO_UNROLL for (int i = 0; i < COUNT; i++) if (is_unit[i]) MNO_UNROLL for (int a = 0; a < PROJECTED; a++)
          value[i][a] += more[a][k[i]];
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      T p[INPUTS], t, slope[INPUTS];
      MNO_UNROLL for (int a = 0; a < INPUTS; a++) p[a] = value[i][a] * per_D;
      unit(p, &t, slope);
      const T q = BACK ? value[i][INPUTS] * per_D : (T)0;
      value[i][0] = t;
      if (BACK) MNO_UNROLL for (int a = 0; a < INPUTS; a++) value[i][1 + a] = slope[a] * q;
    }
    /* Asked again: predicates that were kept, of the seven there are, would have the functions wait for each other
     * (bench/results/gpu-loops.md). */
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      const bool is_sample = (int)forget((uint32_t)sample[i]) < s.N;
      k[i] = forget(k[i]);
      MNO_UNROLL for (int a = 0; a < LEFT; a++) value[i][a] = is_sample ? value[i][a] : (T)0;
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      if (k[i] == NOWHERE) continue;
      MNO_UNROLL for (int a = 0; a < LEFT; a++) x[a][k[i]] = value[i][a];
    }
  }
  /* Several activations in flight: alone each is a chain of thirty dependent instructions. */
  template <bool BACK, bool ALONE>
  MNO_DEVICE void activate_tanh(int lane, uint32_t rounds, int count, T *const (&x)[TENSORS]) const {
    const auto unit = [](const T *p, T *t, T *slope) { Block::unit(MNO_TANH, p, t, slope); };
    uint32_t e = (uint32_t)lane;
    for (; rounds > 2; rounds = rounds > Team::activated ? rounds - Team::activated : 0) {
      activate_some<BACK, ALONE, Team::activated>(e, count, x, unit);
      e += (uint32_t)(Team::activated * s.lanes);
    }
    if (rounds == 2) activate_some<BACK, ALONE, 2>(e, count, x, unit);
    if (rounds == 1) activate_some<BACK, ALONE, 1>(e, count, x, unit);
  }
  template <bool BACK>
  MNO_DEVICE void activate_all(const Place &place, mno_activation activation, int lane, int count) const {
    const uint32_t lanes = (uint32_t)s.lanes, rounds = ((uint32_t)(s.chunks * s.tile * MNO_CHUNK) + lanes - 1) / lanes;
    T *x[TENSORS];
    MNO_UNROLL for (int a = 0; a < TENSORS; a++) x[a] = projections(place, a);
    if (Team::activated > 1 && activation == MNO_TANH)
      return s.chunks == 1 ? activate_tanh<BACK, true>(lane, rounds, count, x)
                           : activate_tanh<BACK, false>(lane, rounds, count, x);
    const auto unit = [activation](const T *p, T *t, T *slope) { Block::unit(activation, p, t, slope); };
    MNO_ROLL for (uint32_t round = 0; round < rounds; round++)
        activate_some<BACK, false, 1>((uint32_t)lane + round * lanes, count, x, unit);
  }

  /* acc[slice][chunk][coordinate] (+)= sum over the slice's units of w x, for COUNT tensors w from `first_tensor` on and
   * what their projections became, from `first_x` on. */
  template <int COUNT>
  MNO_DEVICE void combine(const Place &place, int lane, int count, bool first, int first_tensor, int first_x, T *acc) {
    const T *const weights = stage_tile(place);
    const T *of[COUNT];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) of[i] = projections(place, first_x + i);
    for (uint32_t e = (uint32_t)lane; e < (uint32_t)(s.D * s.m_slices); e += (uint32_t)s.lanes) {
      const int slice = (int)divide(e, s.by_D), d = (int)e - slice * s.D;
      const int begin = slice * s.m_length, end = begin + s.m_length < count ? begin + s.m_length : count;
      for (int c = 0; c < s.chunks; c++) {
        T *const to = acc + ((slice * s.chunks + c) * s.D + d) * PITCH;
        Row<T> sum, row;
        if (first)
          sum.clear();
        else
          sum.read(to);
        const T *w[COUNT], *x[COUNT];
        MNO_UNROLL for (int i = 0; i < COUNT; i++) {
          w[i] = weights + weight_row(begin, first_tensor + i) + d;
          x[i] = of[i] + (c * s.d_slices * s.tile + begin) * PITCH;
        }
        MNO_UNROLL_ROWS for (int left = end - begin; left > 0; left--) MNO_UNROLL for (int i = 0; i < COUNT; i++) {
          row.read(x[i]);
          sum.add_product(*w[i], row);
          w[i] += s.row;
          x[i] += PITCH;
        }
        sum.write(to);
      }
    }
  }

  /* One coordinate of COUNT units. All is read before anything is written: a write may overlap what is read after it, for
   * all that the compiler knows, and each unit would wait for the one before. */
  template <bool ALONE, int COUNT>
  MNO_DEVICE void update_rows(T *const (&w)[ROWS], const T *const (&x)[TENSORS], const Row<T> &row_h, const Row<T> &row_b,
                              Row<T> &sum, const motion &motion) const {
    Row<T> row[COUNT][TENSORS];
    T value[COUNT][ROWS];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      MNO_UNROLL for (int r = 0; r < ROWS; r++) value[i][r] = w[r][i * s.row];
      MNO_UNROLL for (int a = 0; a < TENSORS; a++) row[i][a].read(x[a] + i * PITCH);
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      if (ALONE) MNO_UNROLL for (int a = 0; a < INPUTS; a++) sum.add_product(value[i][a], row[i][a]);
      MNO_UNROLL for (int a = 0; a < TENSORS; a++) value[i][a] =
          motion.moved(a, value[i][a], row[i][a].dot(a < INPUTS ? row_h : row_b), value[i] + state_row(a));
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) MNO_UNROLL for (int r = 0; r < ROWS; r++) w[r][i * s.row] = value[i][r];
  }

  /* One coordinate of one unit, its gradients summed over all chunks first. */
  MNO_DEVICE void update_at_once(T *const (&w)[ROWS], const T *const (&x)[TENSORS], const T *h, const T *b,
                                 const motion &motion) const {
    T gradient[TENSORS], value[ROWS];
    MNO_UNROLL for (int a = 0; a < TENSORS; a++) gradient[a] = 0;
    for (int c = 0; c < s.chunks; c++) MNO_UNROLL for (int a = 0; a < TENSORS; a++) {
        Row<T> row, other;
        row.read(x[a] + c * s.d_slices * s.tile * PITCH);
        other.read((a < INPUTS ? h : b) + c * s.D * PITCH);
        gradient[a] += row.dot(other);
      }
    MNO_UNROLL for (int r = 0; r < ROWS; r++) value[r] = *w[r];
    MNO_UNROLL for (int a = 0; a < TENSORS; a++) value[a] = motion.moved(a, value[a], gradient[a], value + state_row(a));
    MNO_UNROLL for (int r = 0; r < ROWS; r++) * w[r] = value[r];
  }

  /* The updates of all tensors; ALONE: there is one chunk, and acc (+)= sum_a w_a g_a on the way. */
  template <bool ALONE>
  MNO_DEVICE void update(const Place &place, int lane, int count, bool first, const T *h, const T *b, T *acc,
                         const motion &motion) {
    T *const weights = stage_tile(place);
    const T *of[TENSORS]; /* what the gradient of a tensor is made of: with h, g_a of an input; with b, t of the output */
    MNO_UNROLL for (int a = 0; a < TENSORS; a++) of[a] = projections(place, a < INPUTS ? 1 + a : 0);
    for (uint32_t e = (uint32_t)lane; e < (uint32_t)(s.D * s.m_slices); e += (uint32_t)s.lanes) {
      const int slice = (int)divide(e, s.by_D), d = (int)e - slice * s.D;
      const int begin = slice * s.m_length, end = begin + s.m_length < count ? begin + s.m_length : count;
      T *const to = acc + (slice * s.D + d) * PITCH;
      Row<T> sum;
      if (ALONE) {
        if (first)
          sum.clear();
        else
          sum.read(to);
      }
      T *w[ROWS];
      const T *x[TENSORS];
      const auto advance = [&](int units) {
        MNO_UNROLL for (int r = 0; r < ROWS; r++) w[r] += units * s.row;
        MNO_UNROLL for (int a = 0; a < TENSORS; a++) x[a] += units * PITCH;
      };
      const bool at_once = !ALONE && !Optimizer::FUSES;
      for (int c = 0; c < (ALONE || at_once ? 1 : s.chunks); c++) {
        MNO_UNROLL for (int r = 0; r < ROWS; r++) w[r] = weights + weight_row(begin, r) + d;
        MNO_UNROLL for (int a = 0; a < TENSORS; a++) x[a] = of[a] + (c * s.d_slices * s.tile + begin) * PITCH;
        int left = end - begin;
        if (at_once) {
          for (; left > 0; left--, advance(1)) update_at_once(w, x, h + d * PITCH, b + d * PITCH, motion);
          continue;
        }
        Row<T> row_h, row_b;
        row_h.read(h + (c * s.D + d) * PITCH);
        row_b.read(b + (c * s.D + d) * PITCH);
        for (; left > 1; left -= UPDATED) {
          update_rows<ALONE, UPDATED>(w, x, row_h, row_b, sum, motion);
          advance(UPDATED);
        }
        if (left > 0) update_rows<ALONE, 1>(w, x, row_h, row_b, sum, motion);
      }
      if (ALONE) sum.write(to);
    }
  }
  MNO_DEVICE void combine_and_update(const Place &place, int lane, int count, bool first, const T *h, const T *b, T *acc,
                                     const motion &motion) {
    if (s.chunks == 1) return update<true>(place, lane, count, first, h, b, acc, motion);
    combine<INPUTS>(place, lane, count, first, 0, 1, acc); /* before any update: all chunks see the old weights */
    update<false>(place, lane, count, first, h, b, acc, motion);
  }

  /* Elements e, e + lanes, ... of a state, and sums over units of each. */
  template <int COUNT> struct Elements {
    uint32_t k[COUNT];
    bool is[COUNT];
    T sum[COUNT];
  };
  template <int COUNT> MNO_DEVICE Elements<COUNT> elements_at(uint32_t e) const {
    Elements<COUNT> x;
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      const uint32_t at = e + (uint32_t)(i * s.lanes), row = at / MNO_CHUNK;
      x.k[i] = at + row * (uint32_t)(PITCH - MNO_CHUNK);
      x.is[i] = at < state_elements();
      x.sum[i] = 0;
    }
    return x;
  }
  /* Adds the slices of a portion, in order. */
  template <int COUNT> MNO_DEVICE void add_slices(const T *acc, Elements<COUNT> &x) const {
    const int elements = s.chunks * s.D * PITCH;
    MNO_ROLL for (int slice = 0; slice < s.m_slices; slice++, acc += elements)
        MNO_UNROLL for (int i = 0; i < COUNT; i++) if (x.is[i]) x.sum[i] += acc[x.k[i]];
  }
  /* What the rank has behind it. */
  template <int COUNT> MNO_DEVICE void add_sums(const T *sums, Elements<COUNT> &x) const {
    MNO_UNROLL for (int i = 0; i < COUNT; i++) if (x.is[i]) x.sum[i] = sums[x.k[i]];
  }

  /* The portion before `i` of a rank that takes several in turn is added to those before it. */
  MNO_DEVICE void fold(const Place &place, int lane, int i) {
    T *const sums = state(place, s.S);
    for (uint32_t e = (uint32_t)lane; e < state_elements(); e += (uint32_t)(ADVANCED * s.lanes)) {
      auto x = elements_at<ADVANCED>(e);
      if (i > 1) add_sums(sums, x);
      add_slices(state(place, s.A), x);
      MNO_UNROLL for (int n = 0; n < ADVANCED; n++) if (x.is[n]) sums[x.k[n]] = x.sum[n];
    }
  }

  /* x += step * (portions of all ranks, in order); before: where the old x goes, or NULL. All elements are read before any
   * is written. */
  MNO_DEVICE void advance(const Place &place, int lane, uint32_t x_offset, uint32_t acc_offset, T step, T *before) {
    T *const x = state(place, x_offset);
    for (uint32_t e = (uint32_t)lane; e < state_elements(); e += (uint32_t)(ADVANCED * s.lanes)) {
      auto sums = elements_at<ADVANCED>(e);
      T old[ADVANCED];
      MNO_UNROLL for (int i = 0; i < ADVANCED; i++) old[i] = sums.is[i] ? x[sums.k[i]] : (T)0;
      if (portions() > 1) add_sums(state(place, s.S), sums);
      for (int rank = 0; rank < blocks_per_team(); rank++) add_slices((const T *)team.peer(place, rank, acc_offset), sums);
      MNO_UNROLL for (int i = 0; i < ADVANCED; i++) if (sums.is[i]) {
        if (before && place.rank == 0) before[sums.k[i]] = old[i];
        x[sums.k[i]] = fma_(step, sums.sum[i], old[i]);
      }
    }
  }

  /* Ranks read each other's sums while the next layer is on its way: two buffers, in turn. */
  MNO_DEVICE uint32_t acc_offset(int layer) const { return s.A + (blocks_per_team() > 1 && (layer & 1) ? s.a_bytes : 0); }

  /* The tiles of a layer: f(portion of the rank, tile, is it the layer's last). */
  template <class F> MNO_DEVICE void each_tile(F f) {
    for (int i = 0; i < portions(); i++)
      for (int tile = 0; tile < s.tiles; tile++) f(i, tile, i + 1 == portions() && tile + 1 == s.tiles);
  }

  MNO_DEVICE void forward(int L, const T *h0, mno_activation activation, T step) {
    team.phase([&](const Place &place, int lane) {
      T *const h = state(place, s.H);
      for (uint32_t i = (uint32_t)lane; i < s.h_bytes / sizeof(T); i += (uint32_t)s.lanes) h[i] = h0[i];
    });
    const int ahead = args.stages - 1;
    Walk walk = {0, 0, 0, false, 0};
    for (int i = 0; i < ahead; i++) load(walk, L);
    for (int layer = 0; layer < L; layer++) {
      each_tile([&](int i, int tile, bool last) {
        load(walk, L);
        team.ready(tail, ahead);
        const auto count = [&](const Place &place) { return units(portion_of(place.rank, i), tile); };
        team.phase([&](const Place &place, int lane) {
          if (i > 0 && tile == 0) fold(place, lane, i);
          project<false>(place, lane, count(place), state(place, s.H), NULL);
        });
        team.phase([&](const Place &place, int lane) { activate_all<false>(place, activation, lane, count(place)); });
        const auto sums = [&](const Place &place, int lane) {
          combine<1>(place, lane, count(place), tile == 0, INPUTS, 0, state(place, acc_offset(layer)));
        };
        last ? team.cluster_phase(sums) : team.phase(sums);
        tail.advance(args.stages);
      });
      team.phase([&](const Place &place, int lane) {
        advance(place, lane, s.H, acc_offset(layer), step, (T *)state_memory(layer));
        if (layer + 1 == L) team.memory_to_transfers();
      });
    }
  }

  /* The state before a layer: where it was kept, or where it was brought. */
  MNO_DEVICE const T *backward_h(const Place &place, int layer, int brought) const {
    return (const T *)(team.state_in_memory ? state_memory(layer) : place.shared + place_of_h(brought));
  }

  MNO_DEVICE void backward(int L, mno_activation activation, T step, const motion &motion) {
    const int ahead = args.stages - 2;
    Walk walk = {L - 1, 0, 0, true, 0};
    for (int i = 0; i < ahead; i++) load(walk, L);
    int brought = 0;
    for (int layer = L - 1; layer >= 0; layer--) {
      each_tile([&](int i, int tile, bool last) {
        team.reusable(1);
        load(walk, L);
        team.ready(tail, ahead);
        const auto count = [&](const Place &place) { return units(portion_of(place.rank, i), tile); };
        team.phase([&](const Place &place, int lane) {
          if (i > 0 && tile == 0) fold(place, lane, i);
          project<true>(place, lane, count(place), backward_h(place, layer, brought), state(place, s.B));
        });
        team.phase([&](const Place &place, int lane) { activate_all<true>(place, activation, lane, count(place)); });
        const auto sums = [&](const Place &place, int lane) {
          combine_and_update(place, lane, count(place), tile == 0, backward_h(place, layer, brought), state(place, s.B),
                             state(place, acc_offset(layer)), motion);
          team.publish(place);
        };
        last ? team.cluster_phase(sums) : team.phase(sums);
        const uint32_t from = stage_offset(tail.stage);
        team.store([&](int rank) {
          Transfer t;
          t.piece[0] = Piece{tile_memory(portion_of(rank, i), layer, tile), from, s.tile_bytes};
          t.piece[1] = Piece{NULL, from, 0};
          return t;
        });
        tail.advance(args.stages);
      });
      const auto step_back = [&](const Place &place, int lane) { advance(place, lane, s.B, acc_offset(layer), step, NULL); };
      layer ? team.phase(step_back) : team.cluster_phase(step_back);
      brought = next_place(brought);
    }
    team.drain();
  }
};

} // namespace mno

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* The body of kernel F: one pass over the particles of the Mean ODE, in the words of host/limit/pass.h and, for the block,
 * host/block/block.h. A team takes a chunk of one node tile by tile. Per tile:
 *   drawing (only before the first update): the tile's points of the Sobol sequence, mapped to normals, rotated, scaled;
 *   lane = particle: update with the old fields, then for every tensor a coefficient at the new ones: of the output its
 *     weight times t = s(p), of input a weight times g_a = (ds/dp_a) q (or ds/dp_a);
 *   lane = block of results and slice of the tile: sums of t v (F), g_a w_a (G), g_a v w_a^T (J).
 * Particles are read and written once per pass; drawn ones need no memory before their first update. */
#ifndef MNO_CUDA_FIELD_H
#define MNO_CUDA_FIELD_H

#include "common/field_layout.h"
#include "device/instance.h"
#include "device/philox.h"
#include "device/team_types.h"
#include "math/normal_map.h"
#include "math/sobol.h"
#include "meanode/random.h"

namespace mno {

enum { LANES = MNO_FIELD_LANES, HALF = LANES / 2, ROW = MNO_FIELD_ROW };

template <class T, class Team, class Block, class Optimizer> class Field {
  static constexpr int INPUTS = Block::INPUTS, TENSORS = Block::TENSORS, STATES = Optimizer::STATES;
  typedef Motion<T, Block, Optimizer> motion;

public:
  MNO_DEVICE Field(Team &team, const mno_field_args &args) : team(team), args(args), s(args.shape) {}

  MNO_DEVICE void run() {
    for (uint32_t item = team.team_index; item < args.count * s.chunks; item += args.teams) {
      const uint32_t node = item / s.chunks;
      take(node, item - node * s.chunks);
    }
  }

private:
  Team &team;
  const mno_field_args &args;
  const mno_field_shape &s;
  enum { PITCH = sizeof(T) == 4 ? 12 : 10 }; /* of a row of fields */

  enum { OLD, NOW }; /* fields */

  /* Regions of a team's memory: fields [r][h|b][PITCH], sums [sum][LANES], the rest [row][ROW]. */
  MNO_DEVICE uint32_t *bases(const Place &place) const { return (uint32_t *)place.shared; }
  MNO_DEVICE T *fields(const Place &place, int which) const {
    return (T *)(place.shared + mno_field_bases_bytes(&s)) + which * s.r * 2 * PITCH;
  }
  /* Coefficients of a tensor, [MNO_CHUNK][ROW]. */
  MNO_DEVICE T *coefficients(const Place &place, int tensor) const {
    return fields(place, Team::work_in_memory ? 0 : 2) + tensor * MNO_CHUNK * ROW;
  }
  MNO_DEVICE T *sums(const Place &place) const { return coefficients(place, TENSORS); }
  MNO_DEVICE T *work(const Place &place) const {
    if (Team::work_in_memory) return (T *)(args.scratch + team.team_index * mno_field_work_bytes(&s));
    return sums(place) + mno_field_sums(s.results) * LANES;
  }

  MNO_DEVICE T *state(uint32_t node, uint32_t tile) const {
    return (T *)args.state + ((size_t)(args.first + node) * s.tiles + tile) * (TENSORS * (1 + STATES)) * (size_t)s.r * LANES;
  }
  MNO_DEVICE const T *in_memory(int which, uint32_t node, int group) const {
    return (const T *)(which == OLD ? args.old : args.now) + ((size_t)node * s.groups + group) * s.r * 2 * PITCH;
  }
  MNO_DEVICE uint32_t particles(uint32_t tile) const {
    const uint32_t left = s.particles - tile * LANES;
    return left < LANES ? left : (uint32_t)LANES;
  }

  /* Some samples of a group and some rows, cut into blocks: those of J, then of F, then of G. */
  struct Patch {
    int group, sample, samples, row, rows;
    int drift_samples, jacobian_samples, jacobian_columns; /* blocks along them */
    int J, F, blocks, slices, shift;                       /* slices = 1 << shift */
  };
  MNO_DEVICE Patch patch_of(int index) const {
    Patch p;
    const int samples = index % s.sample_patches, rest = index / s.sample_patches, left = s.r - rest / s.groups * s.rows;
    p.group = rest % s.groups;
    p.sample = samples * s.samples;
    p.row = rest / s.groups * s.rows;
    p.rows = left < s.rows ? left : s.rows;
    p.samples = MNO_CHUNK - p.sample < s.samples ? MNO_CHUNK - p.sample : s.samples;
    const int there = s.N - p.group * MNO_CHUNK - p.sample;
    if (p.samples > there) p.samples = there;
    const int row_blocks = (p.rows + MNO_FIELD_ROWS - 1) / MNO_FIELD_ROWS;
    p.drift_samples = (p.samples + MNO_FIELD_SAMPLES - 1) / MNO_FIELD_SAMPLES;
    p.jacobian_samples = (p.samples + MNO_FIELD_J_SAMPLES - 1) / MNO_FIELD_J_SAMPLES;
    p.jacobian_columns = (s.r + MNO_FIELD_ROWS - 1) / MNO_FIELD_ROWS;
    p.J = s.results == MNO_FIELD_FJ ? p.jacobian_samples * row_blocks * p.jacobian_columns : 0;
    p.F = p.drift_samples * row_blocks;
    p.blocks = p.J + p.F * (s.results == MNO_FIELD_FG ? 2 : 1);
    p.shift = MNO_FIELD_SHIFT;
    while (p.shift > 0 && p.blocks * (1 << p.shift) > LANES) p.shift--; /* negative: a patch past the end */
    p.slices = 1 << p.shift;
    return p;
  }

  MNO_DEVICE void take(uint32_t node, uint32_t chunk) {
    const uint32_t begin = chunk * s.chunk, end = begin + s.chunk < s.tiles ? begin + s.chunk : s.tiles;
    const int patches = s.results ? s.groups * s.sample_patches * s.row_patches : 1;
    for (int index = 0; index < patches; index++) {
      const Patch patch = patch_of(index);
      if (patch.samples <= 0) continue; /* never the first */
      const bool first = index == 0, updating = first && args.old,
                 drawing = args.drawn && (first || !(args.old || args.keep));
      if (updating && s.groups == 1) bring(OLD, node, 0);
      if (s.results) bring(NOW, node, patch.group);
      for (uint32_t tile = begin; tile < end; tile++) {
        if (drawing) draw(node, tile);
        for (int group = 0; group < (updating ? s.groups : 1); group++) {
          if (updating && s.groups > 1) bring(OLD, node, group);
          team.phase([&](const Place &place, int lane) {
            move_and_project(place, lane, node, tile, patch, group, updating, drawing);
          });
        }
        if (s.results)
          team.phase([&](const Place &place, int lane) { accumulate(place, lane, patch, tile == begin, particles(tile)); });
      }
      if (s.results) team.phase([&](const Place &place, int lane) { finish(place, lane, patch, node, chunk); });
    }
  }

  /* All lanes read the same field at a time: from their team's memory that is cheap. */
  MNO_DEVICE void bring(int which, uint32_t node, int group) {
    if (Team::work_in_memory) return;
    team.phase([&](const Place &place, int lane) {
      const T *const from = in_memory(which, node, group);
      T *const to = fields(place, which);
      for (int e = lane; e < s.r * 2 * PITCH; e += LANES) to[e] = from[e];
    });
  }

  /* ---- The initial law */

  /* Coordinate of a point: the Gray code is linear, so that the high digits of its number are shared by the tile. */
  MNO_DEVICE uint32_t fraction(const Place &place, int dimension, uint32_t number, uint32_t low) const {
    if (dimension >= args.draw.tabled) {
      uint32_t words[4];
      philox(args.draw.seed, MNO_TENSOR_SOBOL, args.draw.randomisation, (uint32_t)dimension,
             MNO_SOBOL_SCRAMBLE_BLOCKS + number / 4, words);
      return number & 2 ? (number & 1 ? words[3] : words[2]) : (number & 1 ? words[1] : words[0]);
    }
    const uint32_t gray = low ^ (low >> 1), *direction = args.draw.direction + dimension * 32;
    uint32_t x = bases(place)[dimension];
    MNO_UNROLL for (int j = 0; j < 6; j++) x ^= gray >> j & 1 ? direction[j] : 0; /* HALF = 2^6 */
    return x;
  }

  /* The particles of a tile into the work tile: first the points as they are, then with the output turned. Half the lanes
   * draw the inputs, half the output.
   */
  MNO_DEVICE void draw(uint32_t node, uint32_t tile) {
    const uint32_t half = args.draw.points < HALF ? args.draw.points : (uint32_t)HALF;
    const uint32_t from = args.draw.block[args.first + node] * args.draw.points + tile * HALF;
    team.phase([&](const Place &place, int lane) {
      const uint32_t gray = from ^ (from >> 1);
      for (int d = lane; d < TENSORS * s.r && d < args.draw.tabled; d += LANES) {
        uint32_t x = args.draw.shift[d];
        for (int j = 0; j < 32; j++) x ^= gray >> j & 1 ? args.draw.direction[d * 32 + j] : 0;
        bases(place)[d] = x;
      }
    });
    team.phase([&](const Place &place, int lane) {
      const uint32_t low = (uint32_t)lane % HALF;
      if (low >= half) return;
      T *const to = work(place) + low;
      if (lane < HALF) {
        for (int t = 0; t < INPUTS; t++)
          for (int a = 0; a < s.r; a++) {
            const double w = mno_normal_map(fraction(place, TENSORS * a + t, from + low, low)) * args.draw.scale[t];
            T *const at = to + (t * s.r + a) * ROW;
            at[0] = at[half] = (T)w;
          }
        return;
      }
      for (int row = 0; row < s.r; row += MNO_FIELD_DRAWN) {
        double v[MNO_FIELD_DRAWN];
        MNO_UNROLL for (int i = 0; i < MNO_FIELD_DRAWN; i++) v[i] = 0;
        for (int c = 0; c < s.r; c++) {
          const double z = mno_normal_map(fraction(place, TENSORS * c + INPUTS, from + low, low));
          const double *const axis = args.draw.axes + c * s.r + row;
          MNO_UNROLL for (int i = 0; i < MNO_FIELD_DRAWN; i++) if (row + i < s.r) v[i] = v[i] + axis[i] * z;
        }
        MNO_UNROLL for (int i = 0; i < MNO_FIELD_DRAWN; i++) if (row + i < s.r) {
          const double scaled = v[i] * args.draw.scale[INPUTS];
          to[(INPUTS * s.r + row + i) * ROW] = (T)scaled;
          to[(INPUTS * s.r + row + i) * ROW + half] = (T)-scaled;
        }
      }
    });
  }

  /* ---- lane = particle */

  MNO_DEVICE void fetch(T *z, const T *memory) const {
    enum { AT_ONCE = 16 };
    for (int e = 0; e < TENSORS * s.r; e += AT_ONCE) {
      T x[AT_ONCE];
      MNO_UNROLL for (int i = 0; i < AT_ONCE; i++) if (e + i < TENSORS * s.r) x[i] = load_once(memory + (e + i) * LANES);
      MNO_UNROLL for (int i = 0; i < AT_ONCE; i++) if (e + i < TENSORS * s.r) z[(e + i) * ROW] = x[i];
    }
  }
  MNO_DEVICE void keep(T *memory, const T *z) const {
    for (int e = 0; e < TENSORS * s.r; e++) memory[e * LANES] = z[e * ROW];
    for (int e = TENSORS * s.r; e < TENSORS * (1 + STATES) * s.r; e++) memory[e * LANES] = 0;
  }

  /* Turns without a branch between them: the loads of one overlap the sums of another. */
  template <class F> MNO_DEVICE void repeat(int times, F turn) const {
    enum { TOGETHER = Team::template rows<T> };
    MNO_ROLL for (; times >= TOGETHER; times -= TOGETHER) { MNO_UNROLL for (int k = 0; k < TOGETHER; k++) turn(); }
    MNO_ROLL for (; times > 0; times--) turn();
  }

  /* Projections of a group's samples, <w_a, h>/D of the inputs and, if TWO, <v, b>/D of the output. */
  template <bool TWO> MNO_DEVICE void project(const T *z, const T *fields, Row<T> (&x)[TENSORS]) const {
    const T *w[TENSORS];
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) x[t].clear(), w[t] = z + t * s.r * ROW;
    repeat(s.r, [&] {
      Row<T> h, b;
      h.read(fields);
      if (TWO) b.read(fields + PITCH);
      MNO_UNROLL for (int t = 0; t < INPUTS; t++) x[t].add_product(*w[t], h);
      if (TWO) x[INPUTS].add_product(*w[INPUTS], b);
      MNO_UNROLL for (int t = 0; t < TENSORS; t++) w[t] += ROW;
      fields += 2 * PITCH;
    });
    const T scale = (T)args.inverse_D;
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i++) x[t].x[i] *= scale;
  }

  /* Projections of COUNT samples, STEP apart, become coefficients: samples in flight together hide each other's latency. All
   * are read before any is written. */
  template <int ACTIVATION, int COUNT, int STEP>
  MNO_DEVICE void apply_some(T *const (&x)[TENSORS], bool two, T weight) const {
    T value[COUNT], slope[COUNT][INPUTS];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      T p[INPUTS];
      MNO_UNROLL for (int t = 0; t < INPUTS; t++) p[t] = x[t][i * STEP];
      Block::unit((mno_activation)ACTIVATION, p, &value[i], slope[i]);
    }
    if (two) {
      MNO_UNROLL for (int i = 0; i < COUNT; i++) MNO_UNROLL for (int t = 0; t < INPUTS; t++) slope[i][t] *=
          x[INPUTS][i * STEP];
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) {
      MNO_UNROLL for (int t = 0; t < INPUTS; t++) x[t][i * STEP] = slope[i][t] * weight;
      x[INPUTS][i * STEP] = value[i] * weight;
    }
  }
  template <int ACTIVATION, int COUNT, int STEP>
  MNO_DEVICE void apply_at(T *const (&x)[TENSORS], int offset, bool two, T weight) const {
    T *at[TENSORS];
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) at[t] = x[t] + offset;
    apply_some<ACTIVATION, COUNT, STEP>(at, two, weight);
  }
  /* One loop per activation, over rows of the team's memory. */
  template <int ACTIVATION> MNO_DEVICE void apply(T *const (&x)[TENSORS], int begin, int end, bool two, T weight) const {
    enum { TOGETHER = 2 };
    int i = begin;
    for (; i + TOGETHER <= end; i += TOGETHER) apply_at<ACTIVATION, TOGETHER, ROW>(x, i * ROW, two, weight);
    for (; i < end; i++) apply_at<ACTIVATION, 1, ROW>(x, i * ROW, two, weight);
  }
  /* The same in registers, samples before begin and from end on at will: tanh, the usual one, is short enough for that. */
  MNO_DEVICE void apply_tanh(Row<T> (&x)[TENSORS], int begin, int end, bool two, T weight) const {
    enum { TOGETHER = MNO_CHUNK / 2 };
    T *rows[TENSORS];
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) rows[t] = x[t].x;
    MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i += TOGETHER) if (i < end && i + TOGETHER > begin)
        apply_at<MNO_TANH, TOGETHER, 1>(rows, i, two, weight);
  }
  MNO_DEVICE void to_rows(T *const (&to)[TENSORS], const Row<T> (&from)[TENSORS]) const {
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i++) to[t][i * ROW] =
        from[t].x[i];
  }
  MNO_DEVICE void from_rows(Row<T> (&to)[TENSORS], T *const (&from)[TENSORS]) const {
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i++) to[t].x[i] =
        from[t][i * ROW];
  }

  /* An update: normalised gradients of all tensors, sums over the samples of coefficient times h (inputs) or b (output),
   * and what the optimiser makes of them. SEVERAL groups of samples gather them in rows behind the particle until the last,
   * because all of them see the old one. fresh: the optimiser's states are not in memory but zero. */
  template <bool SEVERAL>
  MNO_DEVICE void move(T *z, T *memory, const T *fields, int group, const Row<T> (&x)[TENSORS], bool fresh) const {
    enum { TOGETHER = Team::template rows<T> };
    int a = 0;
    MNO_ROLL for (; a + TOGETHER <= s.r; a += TOGETHER)
        move_some<SEVERAL, TOGETHER>(z + a * ROW, memory + a * LANES, fields + a * 2 * PITCH, group, x, fresh);
    MNO_ROLL for (; a < s.r; a++)
        move_some<SEVERAL, 1>(z + a * ROW, memory + a * LANES, fields + a * 2 * PITCH, group, x, fresh);
  }
  template <bool SEVERAL, int COUNT>
  MNO_DEVICE void move_some(T *z, T *memory, const T *fields, int group, const Row<T> (&x)[TENSORS], bool fresh) const {
    const bool first = !SEVERAL || group == 0, last = !SEVERAL || group == s.groups - 1;
    motion motion;
    motion.take(args.rate, args.knob);
    T *w[TENSORS], *gathered[TENSORS], *stored[TENSORS]; /* of a tensor: in the work tile twice, in memory */
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) {
      w[t] = z + t * s.r * ROW, stored[t] = memory + t * s.r * LANES;
      gathered[t] = w[t] + TENSORS * s.r * ROW;
    }
    T sum[TENSORS][COUNT];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) { /* all are read before any is written */
      Row<T> h, b;
      h.read(fields + i * 2 * PITCH);
      b.read(fields + i * 2 * PITCH + PITCH);
      MNO_UNROLL for (int t = 0; t < TENSORS; t++) sum[t][i] = x[t].dot(t < INPUTS ? h : b);
      if (!first) {
        MNO_UNROLL for (int t = 0; t < TENSORS; t++) sum[t][i] += gathered[t][i * ROW];
      }
      if (last) {
        MNO_UNROLL for (int t = 0; t < TENSORS; t++) sum[t][i] =
            moved(motion, t, w[t][i * ROW], sum[t][i], memory + i * LANES, fresh);
      }
    }
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) {
      T *const to = last ? w[t] : gathered[t];
      MNO_UNROLL for (int i = 0; i < COUNT; i++) to[i * ROW] = sum[t][i];
    }
    if (!last) return;
    MNO_UNROLL for (int t = 0; t < TENSORS; t++) MNO_UNROLL for (int i = 0; i < COUNT; i++) stored[t][i * LANES] = sum[t][i];
  }
  MNO_DEVICE T moved(const motion &motion, int tensor, T w, T g, T *memory, bool fresh) const {
    T *const states = memory + (TENSORS + tensor * STATES) * s.r * LANES;
    T kept[STATES + 1];
    MNO_UNROLL for (int k = 0; k < STATES; k++) kept[k] = fresh ? (T)0 : states[k * s.r * LANES];
    w = motion.moved(tensor, w, g, kept);
    MNO_UNROLL for (int k = 0; k < STATES; k++) states[k * s.r * LANES] = kept[k];
    return w;
  }

  /* One group of an update, then the evaluation if that was the last. */
  MNO_DEVICE void move_and_project(const Place &place, int lane, uint32_t node, uint32_t tile, const Patch &patch, int group,
                                   bool updating, bool drawing) {
    if ((uint32_t)lane >= particles(tile)) return;
    T *const z = work(place) + lane, *const memory = state(node, tile) + lane;
    if (!drawing && group == 0) fetch(z, memory);
    if (drawing && args.keep && !updating) keep(memory, z);
    const bool last = !updating || group == s.groups - 1;
    for (int which = updating ? OLD : NOW; which <= (s.results && last ? NOW : OLD); which++) {
      const bool two = which == OLD || s.results == MNO_FIELD_FG;
      const int left = s.N - group * MNO_CHUNK, begin = which == OLD ? 0 : patch.sample;
      const int end = which == NOW ? patch.sample + patch.samples : left < MNO_CHUNK ? left : (int)MNO_CHUNK;
      const T *const h_b =
          Team::work_in_memory ? in_memory(which, node, which == OLD ? group : patch.group) : fields(place, which);
      T weight = 1;
      if (which == NOW) weight = args.weight ? ((const T *)args.weight)[tile * LANES + lane] : (T)args.weight_of_all;
      Row<T> x[TENSORS];
      if (two)
        project<true>(z, h_b, x);
      else
        project<false>(z, h_b, x);
      T *rows[TENSORS];
      MNO_UNROLL for (int t = 0; t < TENSORS; t++) rows[t] = coefficients(place, t) + lane;
      if (args.activation == MNO_TANH) {
        apply_tanh(x, begin, end, two, weight);
        if (which == NOW) to_rows(rows, x);
      } else {
        to_rows(rows, x);
        switch (args.activation) {
#define MNO_ACTIVATE(name, text, odd)                                                                                       \
  case name:                                                                                                                \
    if (name != MNO_TANH) apply<name>(rows, begin, end, two, weight);                                                       \
    break;
          MNO_ACTIVATION_LIST(MNO_ACTIVATE)
#undef MNO_ACTIVATE
        default: break;
        }
        if (which == OLD) from_rows(x, rows);
      }
      if (which == NOW) continue;
      if (s.groups > 1)
        move<true>(z, memory, h_b, group, x, drawing);
      else
        move<false>(z, memory, h_b, group, x, drawing);
    }
  }

  /* ---- lane = block of results and slice of the tile */

  MNO_DEVICE void accumulate(const Place &place, int lane, const Patch &patch, bool fresh, uint32_t particles) {
    const int block = lane >> patch.shift, slice = lane & (patch.slices - 1);
    if (block >= patch.blocks) return;
    T *const sum = sums(place) + lane;
    const T *const z = work(place) + slice, *const v = z + INPUTS * s.r * ROW;
    const int times = ((int)particles - slice + patch.slices - 1) >> patch.shift; /* <= 0: no particle */
    if (block < patch.J) {
      const int rest = block / patch.jacobian_samples, sample_block = block - rest * patch.jacobian_samples,
                row_block = rest / patch.jacobian_columns;
      const int column = (rest - row_block * patch.jacobian_columns) * MNO_FIELD_ROWS;
      for (int t = 0; t < INPUTS; t++)
        sum_J(sum, coefficients(place, t) + slice + (patch.sample + sample_block * MNO_FIELD_J_SAMPLES) * ROW,
              v + (patch.row + row_block * MNO_FIELD_ROWS) * ROW, z + (t * s.r + column) * ROW, fresh && t == 0,
              patch.slices, times);
      return;
    }
    const bool is_G = block >= patch.J + patch.F;
    static_assert(MNO_CHUNK <= 2 * MNO_FIELD_SAMPLES, "at most two blocks along the samples");
    const int b = block - patch.J - (is_G ? patch.F : 0), row_block = patch.drift_samples == 1 ? b : b / 2,
              sample_block = b - row_block * patch.drift_samples;
    for (int i = 0; i < (is_G ? INPUTS : 1); i++) {
      const int t = is_G ? i : INPUTS;
      sum_F(sum, coefficients(place, t) + slice + (patch.sample + sample_block * MNO_FIELD_SAMPLES) * ROW,
            z + (t * s.r + patch.row + row_block * MNO_FIELD_ROWS) * ROW, fresh && i == 0, patch.slices, times);
    }
  }

  /* Past the end of a patch other rows are read, at most into those behind the work tile, and their results are left out. */
  MNO_DEVICE void sum_F(T *sum, const T *left, const T *right, bool fresh, int slices, int times) const {
    T acc[MNO_FIELD_SAMPLES][MNO_FIELD_ROWS];
    MNO_UNROLL for (int i = 0; i < MNO_FIELD_SAMPLES; i++) MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++) acc[i][a] =
        fresh ? (T)0 : sum[(i * MNO_FIELD_ROWS + a) * LANES];
    repeat(times, [&] {
      T w[MNO_FIELD_ROWS], x[MNO_FIELD_SAMPLES];
      MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++) w[a] = right[a * ROW];
      MNO_UNROLL for (int i = 0; i < MNO_FIELD_SAMPLES; i++) x[i] = left[i * ROW];
      MNO_UNROLL for (int i = 0; i < MNO_FIELD_SAMPLES; i++) MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++) acc[i][a] =
          fma_(x[i], w[a], acc[i][a]);
      left += slices, right += slices;
    });
    MNO_UNROLL for (int i = 0; i < MNO_FIELD_SAMPLES; i++) MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++)
        sum[(i * MNO_FIELD_ROWS + a) * LANES] = acc[i][a];
  }

  MNO_DEVICE void sum_J(T *sum, const T *slope, const T *v, const T *u, bool fresh, int slices, int times) const {
    T acc[MNO_FIELD_J_SAMPLES][MNO_FIELD_ROWS][MNO_FIELD_ROWS];
    MNO_UNROLL for (int i = 0; i < MNO_FIELD_J_SAMPLES; i++) MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++)
        MNO_UNROLL for (int b = 0; b < MNO_FIELD_ROWS; b++) acc[i][a][b] =
            fresh ? (T)0 : sum[((i * MNO_FIELD_ROWS + a) * MNO_FIELD_ROWS + b) * LANES];
    repeat(times, [&] {
      T w[MNO_FIELD_ROWS], va[MNO_FIELD_ROWS], g[MNO_FIELD_J_SAMPLES];
      MNO_UNROLL for (int b = 0; b < MNO_FIELD_ROWS; b++) w[b] = u[b * ROW];
      MNO_UNROLL for (int i = 0; i < MNO_FIELD_J_SAMPLES; i++) g[i] = slope[i * ROW];
      MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++) va[a] = v[a * ROW];
      MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++) MNO_UNROLL for (int i = 0; i < MNO_FIELD_J_SAMPLES; i++) {
        const T c = g[i] * va[a];
        MNO_UNROLL for (int b = 0; b < MNO_FIELD_ROWS; b++) acc[i][a][b] = fma_(c, w[b], acc[i][a][b]);
      }
      slope += slices, v += slices, u += slices;
    });
    MNO_UNROLL for (int i = 0; i < MNO_FIELD_J_SAMPLES; i++) MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++)
        MNO_UNROLL for (int b = 0; b < MNO_FIELD_ROWS; b++) sum[((i * MNO_FIELD_ROWS + a) * MNO_FIELD_ROWS + b) * LANES] =
            acc[i][a][b];
  }

  /* Slices in order, into the chunk's place. */
  MNO_DEVICE void finish(const Place &place, int lane, const Patch &patch, uint32_t node, uint32_t chunk) const {
    double *const to = args.partial + ((size_t)node * s.chunks + chunk) * s.outputs;
    const int fields = patch.samples * patch.rows, both = s.results == MNO_FIELD_FG ? 2 * fields : fields;
    for (int e = lane; e < both; e += LANES) {
      const int is_G = e >= fields, rest = e - is_G * fields, i = rest / patch.rows, a = rest - i * patch.rows;
      const int block = patch.J + is_G * patch.F + a / MNO_FIELD_ROWS * patch.drift_samples + i / MNO_FIELD_SAMPLES;
      const int k = i % MNO_FIELD_SAMPLES * MNO_FIELD_ROWS + a % MNO_FIELD_ROWS;
      const size_t sample = (size_t)(patch.group * MNO_CHUNK + patch.sample + i);
      to[((size_t)is_G * s.N + sample) * s.r + patch.row + a] = slices(place, patch, block, k);
    }
    if (s.results != MNO_FIELD_FJ) return;
    for (int e = lane; e < fields * s.r; e += LANES) {
      const int b = e % s.r, rest = e / s.r, i = rest / patch.rows, a = rest - i * patch.rows;
      const int block = (a / MNO_FIELD_ROWS * patch.jacobian_columns + b / MNO_FIELD_ROWS) * patch.jacobian_samples +
                        i / MNO_FIELD_J_SAMPLES;
      const int k = (i % MNO_FIELD_J_SAMPLES * MNO_FIELD_ROWS + a % MNO_FIELD_ROWS) * MNO_FIELD_ROWS + b % MNO_FIELD_ROWS;
      const size_t sample = (size_t)(patch.group * MNO_CHUNK + patch.sample + i);
      to[(size_t)s.N * s.r + (sample * s.r + patch.row + a) * s.r + b] = slices(place, patch, block, k);
    }
  }
  MNO_DEVICE double slices(const Place &place, const Patch &patch, int block, int k) const {
    const T *const sum = sums(place) + k * LANES + block * patch.slices;
    double total = 0;
    for (int i = 0; i < patch.slices; i++) total += (double)sum[i];
    return total;
  }
};

/* The second launch: chunks in order. lane = result; J is divided by D. */
template <class Team> class FieldTotal {
public:
  MNO_DEVICE FieldTotal(Team &team, const mno_field_args &args) : team(team), args(args), s(args.shape) {}

  MNO_DEVICE void run() {
    team.phase([&](const Place &, int lane) {
      const size_t e = (size_t)team.team_index * LANES + (size_t)lane;
      if (e >= (size_t)args.count * s.outputs) return;
      const size_t node = e / s.outputs, k = e - node * s.outputs;
      const double *const from = args.partial + node * s.chunks * s.outputs + k;
      double total = 0;
      MNO_UNROLL_CHUNKS for (uint32_t chunk = 0; chunk < s.chunks; chunk++) total += from[(size_t)chunk * s.outputs];
      args.result[e] = s.results == MNO_FIELD_FJ && k >= (size_t)s.N * s.r ? total * args.inverse_D : total;
    });
  }

private:
  Team &team;
  const mno_field_args &args;
  const mno_field_shape &s;
};

} // namespace mno

#endif

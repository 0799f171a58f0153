/* The body of kernel F: one pass over the particles of the Mean ODE, in the words of host/limit/pass.h. A team takes a chunk
 * of one node tile by tile. Per tile:
 *   drawing (only before the first update): the tile's points of the Sobol sequence, mapped to normals, rotated, scaled;
 *   lane = particle: update with the old fields, then t = w rho(p) and g = w rho'(p) q (or w rho'(p)) at the new ones;
 *   lane = block of results and slice of the tile: sums of t v (F), g u (G), g v u^T (J).
 * Particles are read and written once per pass; drawn ones need no memory before their first update. */
#ifndef MNO_CUDA_FIELD_H
#define MNO_CUDA_FIELD_H

#include "field_layout.h"
#include "instance.h"
#include "limit/normal_map.h"
#include "limit/sobol.h"
#include "meanode/random.h"
#include "philox.h"
#include "team.h"

namespace mno {

enum { LANES = MNO_FIELD_LANES, HALF = LANES / 2 };

template <class T, class Team> class Field {
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

  /* Regions of a team's memory: [rows][LANES] each. */
  MNO_DEVICE uint32_t *bases(const Place &place) const { return (uint32_t *)place.shared; }
  MNO_DEVICE T *values(const Place &place) const { return (T *)(place.shared + mno_field_bases_bytes(&s)); }
  MNO_DEVICE T *slopes(const Place &place) const { return values(place) + MNO_CHUNK * LANES; }
  MNO_DEVICE T *sums(const Place &place) const { return slopes(place) + MNO_CHUNK * LANES; }
  MNO_DEVICE T *work(const Place &place) const {
    if (Team::work_in_memory) return (T *)(args.scratch + team.team_index * mno_field_work_bytes(&s));
    return sums(place) + mno_field_sums(s.results) * LANES;
  }

  MNO_DEVICE T *state(uint32_t node, uint32_t tile) const {
    return (T *)args.state + ((size_t)(args.first + node) * s.tiles + tile) * 2 * (size_t)s.r * LANES;
  }
  MNO_DEVICE const T *field(const void *fields, uint32_t node, int group) const {
    return (const T *)fields + ((size_t)node * s.groups + group) * s.r * 2 * PITCH;
  }
  MNO_DEVICE uint32_t particles(uint32_t tile) const {
    const uint32_t left = s.particles - tile * LANES;
    return left < LANES ? left : (uint32_t)LANES;
  }

  /* Some samples of a group and some rows, cut into blocks: those of J, then of F, then of G. */
  struct Part {
    int group, sample, samples, row, rows;
    int fives, pairs, columns;
    int J, F, blocks, slices;
  };
  MNO_DEVICE Part part_of(int index) const {
    Part p;
    const int samples = index % s.sample_parts, rest = index / s.sample_parts, left = s.r - rest / s.groups * s.rows;
    p.group = rest % s.groups;
    p.sample = samples * s.samples;
    p.row = rest / s.groups * s.rows;
    p.rows = left < s.rows ? left : s.rows;
    p.samples = MNO_CHUNK - p.sample < s.samples ? MNO_CHUNK - p.sample : s.samples;
    const int there = s.N - p.group * MNO_CHUNK - p.sample;
    if (p.samples > there) p.samples = there;
    const int quads = (p.rows + MNO_FIELD_ROWS - 1) / MNO_FIELD_ROWS;
    p.fives = (p.samples + MNO_FIELD_SAMPLES - 1) / MNO_FIELD_SAMPLES;
    p.pairs = (p.samples + MNO_FIELD_PAIR - 1) / MNO_FIELD_PAIR;
    p.columns = (s.r + MNO_FIELD_ROWS - 1) / MNO_FIELD_ROWS;
    p.J = s.results == MNO_FIELD_FJ ? p.pairs * quads * p.columns : 0;
    p.F = p.fives * quads;
    p.blocks = p.J + p.F * (s.results == MNO_FIELD_FG ? 2 : 1);
    p.slices = MNO_FIELD_SLICES;
    while (p.slices > 1 && p.slices * p.blocks > LANES) p.slices /= 2;
    return p;
  }

  MNO_DEVICE void take(uint32_t node, uint32_t chunk) {
    const uint32_t begin = chunk * s.chunk, end = begin + s.chunk < s.tiles ? begin + s.chunk : s.tiles;
    const int parts = s.results ? s.groups * s.sample_parts * s.row_parts : 1;
    for (int index = 0; index < parts; index++) {
      const Part part = part_of(index);
      if (part.samples <= 0) continue; /* never the first */
      const bool first = index == 0, drawing = args.drawn && (first || !(args.old || args.keep));
      for (uint32_t tile = begin; tile < end; tile++) {
        if (drawing) draw(node, tile);
        team.phase([&](const Place &place, int lane) { move_and_project(place, lane, node, tile, part, first, drawing); });
        if (s.results)
          team.phase([&](const Place &place, int lane) { accumulate(place, lane, part, tile == begin, particles(tile)); });
      }
      if (s.results) team.phase([&](const Place &place, int lane) { finish(place, lane, part, node, chunk); });
    }
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

  /* The particles of a tile into the work tile: first the points as (u, v), then as (u, -v). Half the lanes draw u, half v.
   */
  MNO_DEVICE void draw(uint32_t node, uint32_t tile) {
    const uint32_t half = args.draw.points < HALF ? args.draw.points : (uint32_t)HALF;
    const uint32_t from = args.draw.block[args.first + node] * args.draw.points + tile * HALF;
    team.phase([&](const Place &place, int lane) {
      const uint32_t gray = from ^ (from >> 1);
      for (int d = lane; d < 2 * s.r && d < args.draw.tabled; d += LANES) {
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
        for (int a = 0; a < s.r; a++) {
          const double u = mno_normal_map(fraction(place, 2 * a, from + low, low)) * args.draw.scale[0];
          to[a * LANES] = to[a * LANES + half] = (T)u;
        }
        return;
      }
      for (int row = 0; row < s.r; row += MNO_FIELD_DRAWN) {
        double v[MNO_FIELD_DRAWN];
        MNO_UNROLL for (int i = 0; i < MNO_FIELD_DRAWN; i++) v[i] = 0;
        for (int c = 0; c < s.r; c++) {
          const double z = mno_normal_map(fraction(place, 2 * c + 1, from + low, low));
          const double *const axis = args.draw.axes + c * s.r + row;
          MNO_UNROLL for (int i = 0; i < MNO_FIELD_DRAWN; i++) if (row + i < s.r) v[i] = v[i] + axis[i] * z;
        }
        MNO_UNROLL for (int i = 0; i < MNO_FIELD_DRAWN; i++) if (row + i < s.r) {
          const double scaled = v[i] * args.draw.scale[1];
          to[(s.r + row + i) * LANES] = (T)scaled;
          to[(s.r + row + i) * LANES + half] = (T)-scaled;
        }
      }
    });
  }

  /* ---- lane = particle */

  MNO_DEVICE void copy(T *to, const T *from, bool stream) const {
    enum { AT_ONCE = 8 };
    for (int e = 0; e < 2 * s.r; e += AT_ONCE) {
      T x[AT_ONCE];
      MNO_UNROLL for (int i = 0; i < AT_ONCE; i++) if (e + i < 2 * s.r) x[i] =
          stream ? load_once(from + (e + i) * LANES) : from[(e + i) * LANES];
      MNO_UNROLL for (int i = 0; i < AT_ONCE; i++) if (e + i < 2 * s.r) to[(e + i) * LANES] = x[i];
    }
  }

  /* p = <u, h>/D and, if two, q = <v, b>/D of a group's samples, into columns of the value and slope rows. */
  MNO_DEVICE void project(const T *u, const T *fields, bool two, T *p, T *q) const {
    Row<T> sum_p, sum_q, row;
    sum_p.clear();
    sum_q.clear();
    const T *v = u + s.r * LANES;
    MNO_UNROLL_ROWS for (int a = 0; a < s.r; a++, u += LANES, v += LANES, fields += 2 * PITCH) {
      row.read(fields);
      sum_p.add_product(*u, row);
      if (!two) continue;
      row.read(fields + PITCH);
      sum_q.add_product(*v, row);
    }
    const T scale = (T)args.inverse_D;
    MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i++) p[i * LANES] = sum_p.x[i] * scale;
    if (!two) return;
    MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i++) q[i * LANES] = sum_q.x[i] * scale;
  }

  /* p and q of COUNT samples become w rho(p) and w rho'(p) q (or w rho'(p)); all are read before any is written. */
  template <int ACTIVATION, int COUNT> MNO_DEVICE void apply_some(T *p, T *q, bool two, T weight) const {
    T value[COUNT], slope[COUNT];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) value[i] = p[i * LANES];
    MNO_UNROLL for (int i = 0; i < COUNT; i++) value[i] = activate(ACTIVATION, value[i], &slope[i]);
    if (two) {
      MNO_UNROLL for (int i = 0; i < COUNT; i++) slope[i] *= q[i * LANES];
    }
    MNO_UNROLL for (int i = 0; i < COUNT; i++) p[i * LANES] = value[i] * weight, q[i * LANES] = slope[i] * weight;
  }
  /* One loop per activation: samples in flight together hide each other's latency. */
  template <int ACTIVATION> MNO_DEVICE void apply(T *p, T *q, int begin, int end, bool two, T weight) const {
    enum { TOGETHER = ACTIVATION == MNO_TANH ? 5 : 2 };
    int i = begin;
    for (; i + TOGETHER <= end; i += TOGETHER) apply_some<ACTIVATION, TOGETHER>(p + i * LANES, q + i * LANES, two, weight);
    for (; i < end; i++) apply_some<ACTIVATION, 1>(p + i * LANES, q + i * LANES, two, weight);
  }

  /* The sums of an update over a group's samples: u += step_u sum g h, v += step_v sum t b. With several groups they gather
   * in rows behind the particle until the last, because all of them see the old one. */
  MNO_DEVICE void move(T *u, const T *fields, int group, const T *t, const T *g) const {
    Row<T> row_t, row_g, row;
    MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i++) row_t.x[i] = t[i * LANES];
    MNO_UNROLL for (int i = 0; i < MNO_CHUNK; i++) row_g.x[i] = g[i * LANES];
    const bool first = group == 0, last = group == s.groups - 1;
    const T step_u = (T)args.step_u, step_v = (T)args.step_v;
    T *v = u + s.r * LANES;
    MNO_UNROLL_ROWS for (int a = 0; a < s.r; a++, u += LANES, v += LANES, fields += 2 * PITCH) {
      row.read(fields);
      T sum_u = row_g.dot(row);
      row.read(fields + PITCH);
      T sum_v = row_t.dot(row);
      T *const du = u + 2 * s.r * LANES, *const dv = v + 2 * s.r * LANES;
      if (!first) sum_u += *du, sum_v += *dv;
      if (!last) {
        *du = sum_u;
        *dv = sum_v;
        continue;
      }
      *u = fma_(step_u, sum_u, *u);
      *v = fma_(step_v, sum_v, *v);
    }
  }

  MNO_DEVICE void move_and_project(const Place &place, int lane, uint32_t node, uint32_t tile, const Part &part, bool first,
                                   bool drawing) {
    if ((uint32_t)lane >= particles(tile)) return;
    T *const z = work(place) + lane, *const memory = state(node, tile) + lane;
    T *const p = values(place) + lane, *const q = slopes(place) + lane;
    const bool updating = first && args.old;
    if (!drawing) copy(z, memory, true);
    if (drawing && args.keep && !updating) copy(memory, z, false);
    for (int stage = updating ? 0 : 1; stage < (s.results ? 2 : 1); stage++) { /* update, evaluate */
      const bool two = stage == 0 || s.results == MNO_FIELD_FG;
      T weight = 1;
      if (stage) weight = args.weight ? ((const T *)args.weight)[tile * LANES + lane] : (T)args.weight_of_all;
      const int end_group = stage ? part.group + 1 : s.groups;
      for (int group = stage ? part.group : 0; group < end_group; group++) {
        const T *const fields = field(stage ? args.now : args.old, node, group);
        project(z, fields, two, p, q);
        const int left = s.N - group * MNO_CHUNK, begin = stage ? part.sample : 0;
        const int end = stage ? part.sample + part.samples : left < MNO_CHUNK ? left : (int)MNO_CHUNK;
        switch (args.activation) {
#define MNO_ACTIVATE(name, text, odd)                                                                                       \
  case name: apply<name>(p, q, begin, end, two, weight); break;
          MNO_ACTIVATION_LIST(MNO_ACTIVATE)
#undef MNO_ACTIVATE
        default: break;
        }
        if (stage == 0) move(z, fields, group, p, q);
      }
      if (stage == 0) copy(memory, z, false);
    }
  }

  /* ---- lane = block of results and slice of the tile */

  MNO_DEVICE void accumulate(const Place &place, int lane, const Part &part, bool fresh, uint32_t particles) {
    const int block = lane / part.slices, slice = lane - block * part.slices;
    if (block >= part.blocks) return;
    T *const sum = sums(place) + lane;
    const T *const u = work(place) + slice, *const v = u + s.r * LANES;
    const uint32_t slices = (uint32_t)part.slices, count = particles > (uint32_t)slice ? particles - (uint32_t)slice : 0;
    if (block < part.J) {
      const int rest = block / part.pairs, pair = block - rest * part.pairs, quad = rest / part.columns;
      const int column = (rest - quad * part.columns) * MNO_FIELD_ROWS;
      sum_J(sum, slopes(place) + slice + (part.sample + pair * MNO_FIELD_PAIR) * LANES,
            v + (part.row + quad * MNO_FIELD_ROWS) * LANES, u + column * LANES, fresh, slices, count);
      return;
    }
    const bool is_G = block >= part.J + part.F;
    const int b = block - part.J - (is_G ? part.F : 0), quad = b / part.fives, five = b - quad * part.fives;
    const T *const left = is_G ? slopes(place) : values(place);
    sum_F(sum, left + slice + (part.sample + five * MNO_FIELD_SAMPLES) * LANES,
          (is_G ? u : v) + (part.row + quad * MNO_FIELD_ROWS) * LANES, fresh, slices, count);
  }

  /* Past the end of a part other rows are read, at most into those behind the work tile, and their results are left out. */
  MNO_DEVICE void sum_F(T *sum, const T *left, const T *right, bool fresh, uint32_t slices, uint32_t count) const {
    T acc[MNO_FIELD_SAMPLES][MNO_FIELD_ROWS];
    MNO_UNROLL for (int i = 0; i < MNO_FIELD_SAMPLES; i++) MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++) acc[i][a] =
        fresh ? (T)0 : sum[(i * MNO_FIELD_ROWS + a) * LANES];
    MNO_UNROLL_ROWS for (uint32_t n = 0; n < count; n += slices, left += slices, right += slices) {
      T w[MNO_FIELD_ROWS];
      MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++) w[a] = right[a * LANES];
      MNO_UNROLL for (int i = 0; i < MNO_FIELD_SAMPLES; i++) {
        const T t = left[i * LANES];
        MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++) acc[i][a] = fma_(t, w[a], acc[i][a]);
      }
    }
    MNO_UNROLL for (int i = 0; i < MNO_FIELD_SAMPLES; i++) MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++)
        sum[(i * MNO_FIELD_ROWS + a) * LANES] = acc[i][a];
  }

  MNO_DEVICE void sum_J(T *sum, const T *slope, const T *v, const T *u, bool fresh, uint32_t slices, uint32_t count) const {
    T acc[MNO_FIELD_PAIR][MNO_FIELD_ROWS][MNO_FIELD_ROWS];
    MNO_UNROLL for (int i = 0; i < MNO_FIELD_PAIR; i++) MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++)
        MNO_UNROLL for (int b = 0; b < MNO_FIELD_ROWS; b++) acc[i][a][b] =
            fresh ? (T)0 : sum[((i * MNO_FIELD_ROWS + a) * MNO_FIELD_ROWS + b) * LANES];
    MNO_UNROLL_ROWS for (uint32_t n = 0; n < count; n += slices, slope += slices, v += slices, u += slices) {
      T w[MNO_FIELD_ROWS];
      MNO_UNROLL for (int b = 0; b < MNO_FIELD_ROWS; b++) w[b] = u[b * LANES];
      MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++) {
        const T va = v[a * LANES];
        MNO_UNROLL for (int i = 0; i < MNO_FIELD_PAIR; i++) {
          const T c = slope[i * LANES] * va;
          MNO_UNROLL for (int b = 0; b < MNO_FIELD_ROWS; b++) acc[i][a][b] = fma_(c, w[b], acc[i][a][b]);
        }
      }
    }
    MNO_UNROLL for (int i = 0; i < MNO_FIELD_PAIR; i++) MNO_UNROLL for (int a = 0; a < MNO_FIELD_ROWS; a++)
        MNO_UNROLL for (int b = 0; b < MNO_FIELD_ROWS; b++) sum[((i * MNO_FIELD_ROWS + a) * MNO_FIELD_ROWS + b) * LANES] =
            acc[i][a][b];
  }

  /* Slices in order, into the chunk's place. */
  MNO_DEVICE void finish(const Place &place, int lane, const Part &part, uint32_t node, uint32_t chunk) const {
    double *const to = args.partial + ((size_t)node * s.chunks + chunk) * s.outputs;
    const int fields = part.samples * part.rows, both = s.results == MNO_FIELD_FG ? 2 * fields : fields;
    for (int e = lane; e < both; e += LANES) {
      const int is_G = e >= fields, rest = e - is_G * fields, i = rest / part.rows, a = rest - i * part.rows;
      const int block = part.J + is_G * part.F + a / MNO_FIELD_ROWS * part.fives + i / MNO_FIELD_SAMPLES;
      const int k = i % MNO_FIELD_SAMPLES * MNO_FIELD_ROWS + a % MNO_FIELD_ROWS;
      const size_t sample = (size_t)(part.group * MNO_CHUNK + part.sample + i);
      to[((size_t)is_G * s.N + sample) * s.r + part.row + a] = slices(place, part, block, k);
    }
    if (s.results != MNO_FIELD_FJ) return;
    for (int e = lane; e < fields * s.r; e += LANES) {
      const int b = e % s.r, rest = e / s.r, i = rest / part.rows, a = rest - i * part.rows;
      const int block = (a / MNO_FIELD_ROWS * part.columns + b / MNO_FIELD_ROWS) * part.pairs + i / MNO_FIELD_PAIR;
      const int k = (i % MNO_FIELD_PAIR * MNO_FIELD_ROWS + a % MNO_FIELD_ROWS) * MNO_FIELD_ROWS + b % MNO_FIELD_ROWS;
      const size_t sample = (size_t)(part.group * MNO_CHUNK + part.sample + i);
      to[(size_t)s.N * s.r + (sample * s.r + part.row + a) * s.r + b] = slices(place, part, block, k);
    }
  }
  MNO_DEVICE double slices(const Place &place, const Part &part, int block, int k) const {
    const T *const sum = sums(place) + k * LANES + block * part.slices;
    double total = 0;
    for (int i = 0; i < part.slices; i++) total += (double)sum[i];
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

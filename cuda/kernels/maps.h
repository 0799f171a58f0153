/* The bodies of kernel G's maps: what happens to one element of one instance, with no regard to the others. */
#ifndef MNO_CUDA_MAPS_H
#define MNO_CUDA_MAPS_H

#include "common/gemm.h"
#include "device/philox.h"
#include "device/readout.h"
#include "meanode/random.h"

namespace mno {

template <class T> class Maps {
public:
  MNO_DEVICE Maps(const mno_gemm_args &args, uint32_t instance)
      : a(args), s(args.shape), item(args.item[instance]), problem(args.problem[item.problem]),
        at(args.batch + instance * args.at.each), parcel((mno_parcel *)(args.parcels + instance * args.parcel_bytes)),
        instance(instance) {}

  MNO_DEVICE void run(mno_map map, uint64_t e) const {
    switch (map) {
    case MNO_MAP_DRAW: return draw(e);
    case MNO_MAP_START: return start((uint32_t)e);
    case MNO_MAP_ACTIVATE: return activate_((uint32_t)e);
    case MNO_MAP_BACK: return back((uint32_t)e);
    case MNO_MAP_OUTPUT: return output((uint32_t)e);
    case MNO_MAP_SAMPLE: return sample((int)e);
    case MNO_MAP_LOSS: return loss();
    case MNO_MAP_ADJOINT: return adjoint((uint32_t)e);
    case MNO_MAP_RECORD: return record((uint32_t)e);
    default: return weights(e);
    }
  }

private:
  const mno_gemm_args &a;
  const mno_shape &s;
  const mno_item &item;
  const mno_device_problem &problem;
  char *const at;
  mno_parcel *const parcel;
  const uint32_t instance;

  MNO_DEVICE T *numbers(size_t offset) const { return (T *)(at + offset); }
  MNO_DEVICE T *state(int layer) const { return numbers(a.at.states) + (size_t)layer * s.N * a.at.ld_d; }
  MNO_DEVICE T *projection() const { return numbers(a.at.p) + (s.kept ? (size_t)a.layer : 0) * (size_t)s.N * a.at.ld_m; }
  MNO_DEVICE double *f() const { return (double *)(at + a.at.f); }
  MNO_DEVICE double *gradient() const { return f() + (size_t)s.N * s.d_out; }
  MNO_DEVICE double *shares() const { return gradient() + (size_t)s.N * s.d_out; }
  /* u or v of a unit; units count over all layers. */
  MNO_DEVICE T *row(uint64_t unit, int is_v) const {
    const uint64_t layer = unit / (uint32_t)s.M, m = unit - layer * (uint32_t)s.M;
    return numbers(a.at.weights) + ((2 * layer + (uint32_t)is_v) * (uint32_t)s.M + m) * (uint32_t)a.at.ld_d;
  }
  MNO_DEVICE double *recorded_weights() const { return parcel_part(s, parcel, problem.steps, WEIGHTS, 0); }

  /* Four coordinates of u or v of one unit. */
  MNO_DEVICE void draw(uint64_t e) const {
    const uint32_t fours = (uint32_t)(s.D + 3) / 4;
    const uint64_t rows = e / fours, unit = rows / 2, layer = unit / item.width;
    const uint32_t block = (uint32_t)(e - rows * fours);
    const int is_v = (int)(rows & 1);
    const double scale = is_v ? problem.scale[MNO_V] * item.sign : problem.scale[MNO_U];
    T *const to = row(unit, is_v);
    double *const record = recorded_weights() + (is_v ? (size_t)s.L * s.M * s.D : 0) + unit * (uint32_t)s.D;
    double z[4];
    normals(item.seed, is_v ? MNO_TENSOR_V : MNO_TENSOR_U, (uint32_t)layer,
            (uint32_t)(unit - layer * item.width) + item.offset, block, z);
    for (int i = 0; i < 4; i++) {
      const int d = (int)(4 * block) + i;
      if (d >= s.D) break;
      to[d] = (T)(scale * z[i]);
      if (a.weights & 1) record[d] = to[d];
    }
  }

  MNO_DEVICE void start(uint32_t e) const {
    const uint32_t n = e / (uint32_t)s.D, d = e - n * (uint32_t)s.D, chunk = n / MNO_CHUNK;
    const uint32_t pitch = sizeof(T) == 4 ? MNO_PITCH_F32 : MNO_PITCH_F64;
    state(0)[(size_t)n * a.at.ld_d + d] =
        ((const T *)problem.h0)[((size_t)chunk * s.D + d) * pitch + (n - chunk * MNO_CHUNK)];
  }

  MNO_DEVICE void activate_(uint32_t e) const {
    T slope;
    numbers(a.at.t)[e] = activate(problem.activation, projection()[e], &slope);
  }
  MNO_DEVICE void back(uint32_t e) const {
    T slope;
    numbers(a.at.t)[e] = activate(problem.activation, projection()[e], &slope);
    numbers(a.at.q)[e] *= slope;
  }

  MNO_DEVICE void output(uint32_t e) const {
    const uint32_t n = e / (uint32_t)s.d_out, o = e - n * (uint32_t)s.d_out;
    const T *const h = state(s.L) + (size_t)n * a.at.ld_d;
    double sum = 0;
    for (int d = 0; d < s.D; d++) sum = fma_(problem.w_unembed[d * s.d_out + (int)o], (double)h[d], sum);
    f()[e] = sum * (1.0 / s.D);
  }
  MNO_DEVICE void sample(int n) const {
    shares()[n] = sample_loss(problem.loss, s.N, s.d_out, n, f(), problem.y, gradient());
  }
  MNO_DEVICE void loss() const {
    double sum = 0;
    for (int n = 0; n < s.N; n++) sum += shares()[n];
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
      parcel_part(s, parcel, problem.steps, OUTPUT, (uint32_t)a.step)[e] = f()[e];
      return;
    }
    e -= outputs;
    const uint32_t n = e / (uint32_t)s.D, d = e - n * (uint32_t)s.D;
    parcel_part(s, parcel, problem.steps, EMBEDDING, (uint32_t)a.step)[e] = state(s.L)[(size_t)n * a.at.ld_d + d];
  }
  MNO_DEVICE void weights(uint64_t e) const {
    const size_t half = (size_t)s.L * s.M * s.D;
    const uint64_t unit = e / (uint32_t)s.D, d = e - unit * (uint32_t)s.D;
    double *const to = recorded_weights() + (a.weights & 1 ? 2 * half : 0);
    to[e] = row(unit, 0)[d];
    to[half + e] = row(unit, 1)[d];
  }
};

} // namespace mno

#endif

/* Runs the body of the training kernels on the host, and a plain reference beside it. */
#ifndef MNO_TEST_CUDA_TWIN_H
#define MNO_TEST_CUDA_TWIN_H

#include "cmocka_cpp.h"

#include "host/shape.h"
#include "meanode/random.h"
#include "run_host.h"

#include <string>
#include <vector>

namespace twin {

typedef std::vector<double> Numbers;

struct Case {
  size_t D, M, L, N, d_in, d_out;
  int64_t K;
  mno_activation activation;
  mno_loss loss;
  double alpha, sigma_u, sigma_v, eta_u, eta_v;
  uint64_t seed;
  int64_t width, offset; /* width 0: M */
  int sign;
  std::vector<int64_t> step; /* recorded steps; empty: all */
};

inline Case plain(size_t D, size_t M, size_t L, size_t N, int64_t K = 3) {
  return Case{D, M, L, N, 3, 2, K, MNO_TANH, MNO_SQUARED, 1.3, 1.0, 1.1, 0.7, 0.9, 11, 0, 0, 1, {}};
}

/* What one instance leaves behind. */
struct Result {
  int outcome = 0;
  uint32_t filled = 0;
  Numbers loss, output, embedding, u0, v0, u, v;
};

struct Data {
  Numbers x, y, w_embed, w_unembed;
};

inline Data data(const Case &c) {
  Data d;
  d.x.resize(c.N * c.d_in);
  d.y.resize(c.N * c.d_out);
  d.w_embed.resize(c.D * c.d_in);
  d.w_unembed.resize(c.D * c.d_out);
  for (size_t i = 0; i < c.N; i++) {
    mno_normals(1, MNO_TENSOR_X, 0, (uint32_t)i, c.d_in, &d.x[i * c.d_in]);
    mno_normals(1, MNO_TENSOR_Y, 0, (uint32_t)i, c.d_out, &d.y[i * c.d_out]);
    if (c.loss == MNO_CROSS_ENTROPY)
      for (size_t o = 0; o < c.d_out; o++) d.y[i * c.d_out + o] = o == i % c.d_out;
  }
  for (size_t i = 0; i < c.D; i++) {
    mno_normals(1, MNO_TENSOR_W_EMBED, 0, (uint32_t)i, c.d_in, &d.w_embed[i * c.d_in]);
    mno_normals(1, MNO_TENSOR_W_UNEMBED, 0, (uint32_t)i, c.d_out, &d.w_unembed[i * c.d_out]);
    for (size_t j = 0; j < c.d_in; j++) d.w_embed[i * c.d_in + j] /= sqrt((double)c.d_in);
    for (size_t o = 0; o < c.d_out; o++) d.w_unembed[i * c.d_out + o] *= sqrt((double)c.d_out);
  }
  return d;
}

inline Numbers embedded(const Case &c, const Data &d) { /* [N][D] */
  Numbers h(c.N * c.D);
  for (size_t n = 0; n < c.N; n++)
    for (size_t i = 0; i < c.D; i++)
      for (size_t j = 0; j < c.d_in; j++) h[n * c.D + i] += d.w_embed[i * c.d_in + j] * d.x[n * c.d_in + j];
  return h;
}

inline void initial(const Case &c, Numbers *u, Numbers *v) { /* [L][M][D] */
  const int64_t width = c.width ? c.width : (int64_t)c.M;
  u->assign(c.L * c.M * c.D, 0);
  v->assign(c.L * c.M * c.D, 0);
  for (size_t g = 0; g < c.L * c.M; g++) {
    const uint32_t layer = (uint32_t)((int64_t)g / width), unit = (uint32_t)((int64_t)g % width + c.offset);
    mno_normals(c.seed, MNO_TENSOR_U, layer, unit, c.D, &(*u)[g * c.D]);
    mno_normals(c.seed, MNO_TENSOR_V, layer, unit, c.D, &(*v)[g * c.D]);
    for (size_t i = 0; i < c.D; i++) {
      (*u)[g * c.D + i] *= c.sigma_u * sqrt((double)c.D);
      (*v)[g * c.D + i] *= c.sign * c.sigma_v * sqrt((double)c.D);
    }
  }
}

/* Forward pass of given weights; states [L + 1][N][D], outputs [N][d_out]. */
inline double forward(const Case &c, const Data &d, const Numbers &u, const Numbers &v, Numbers *states, Numbers *f,
                      Numbers *gradient) {
  const size_t ND = c.N * c.D;
  states->assign((c.L + 1) * ND, 0);
  const Numbers h0 = embedded(c, d);
  std::copy(h0.begin(), h0.end(), states->begin());
  for (size_t l = 0; l < c.L; l++)
    for (size_t n = 0; n < c.N; n++) {
      const double *h = &(*states)[l * ND + n * c.D];
      double *next = &(*states)[(l + 1) * ND + n * c.D];
      for (size_t i = 0; i < c.D; i++) next[i] = h[i];
      for (size_t j = 0; j < c.M; j++) {
        double p = 0;
        for (size_t i = 0; i < c.D; i++) p += u[(l * c.M + j) * c.D + i] * h[i];
        const double t = mno_activation_derivative(c.activation, 0, p / (double)c.D);
        for (size_t i = 0; i < c.D; i++) next[i] += c.alpha / (double)(c.L * c.M) * v[(l * c.M + j) * c.D + i] * t;
      }
    }
  f->assign(c.N * c.d_out, 0);
  for (size_t n = 0; n < c.N; n++)
    for (size_t o = 0; o < c.d_out; o++)
      for (size_t i = 0; i < c.D; i++)
        (*f)[n * c.d_out + o] += d.w_unembed[i * c.d_out + o] * (*states)[c.L * ND + n * c.D + i] / (double)c.D;
  gradient->assign(c.N * c.d_out, 0);
  return mno_loss_value(c.loss, c.N, c.d_out, f->data(), d.y.data(), gradient->data());
}

/* The formulas of the model, sample by sample, in double precision. */
inline Result reference(const Case &c) {
  const Data d = data(c);
  const size_t ND = c.N * c.D;
  Result r;
  initial(c, &r.u0, &r.v0);
  r.u = r.u0, r.v = r.v0;
  Numbers states, f, gradient;
  for (int64_t k = 0; k <= c.K; k++) {
    const double loss = forward(c, d, r.u, r.v, &states, &f, &gradient);
    if (!isfinite(loss)) {
      r.outcome = 1;
      break;
    }
    bool recorded = c.step.empty();
    for (int64_t s : c.step) recorded |= s == k;
    if (recorded) {
      r.filled++;
      r.loss.push_back(loss);
      r.output.insert(r.output.end(), f.begin(), f.end());
      r.embedding.insert(r.embedding.end(), states.end() - (long)ND, states.end());
    }
    if (k == c.K) break;
    Numbers b(ND);
    for (size_t n = 0; n < c.N; n++)
      for (size_t i = 0; i < c.D; i++)
        for (size_t o = 0; o < c.d_out; o++) b[n * c.D + i] += d.w_unembed[i * c.d_out + o] * gradient[n * c.d_out + o];
    for (size_t l = c.L; l-- > 0;) {
      Numbers before = b;
      for (size_t j = 0; j < c.M; j++) {
        double *u = &r.u[(l * c.M + j) * c.D], *v = &r.v[(l * c.M + j) * c.D];
        Numbers du(c.D), dv(c.D);
        for (size_t n = 0; n < c.N; n++) {
          const double *h = &states[l * ND + n * c.D], *after = &b[n * c.D];
          double p = 0, q = 0;
          for (size_t i = 0; i < c.D; i++) p += u[i] * h[i], q += v[i] * after[i];
          const double t = mno_activation_derivative(c.activation, 0, p / (double)c.D);
          const double g = mno_activation_derivative(c.activation, 1, p / (double)c.D) * q / (double)c.D;
          for (size_t i = 0; i < c.D; i++) {
            before[n * c.D + i] += c.alpha / (double)(c.L * c.M) * u[i] * g;
            du[i] += h[i] * g;
            dv[i] += after[i] * t;
          }
        }
        for (size_t i = 0; i < c.D; i++) {
          u[i] -= c.eta_u / c.alpha * du[i];
          v[i] -= c.eta_v / c.alpha * dv[i];
        }
      }
      b = before;
    }
  }
  return r;
}

/* How the body is run. */
struct Run {
  mno_precision precision = MNO_F64;
  mno_candidate candidate = {MNO_KERNEL_BLOCK, 128, 1};
  int stages = 4;
  uint32_t permutation = 1;
  bool in_memory = false, eager = false, spread = false; /* a rank for each portion */
};

/* Many instances (same D, M, N, d_out, loss...; L and seed may differ) through one launch of `teams` teams, one after the
 * other on the host. Returns one result per case. */
template <class T> std::vector<Result> launch(const std::vector<Case> &cases, const Run &run, int teams) {
  mno_error err;
  const Case &first = cases[0];
  mno_dimensions dims = {first.D, first.M, first.N, 0, first.d_out, 0};
  for (const Case &c : cases) dims.L = c.L > dims.L ? c.L : dims.L;
  mno_train_args args;
  memset(&args, 0, sizeof args);
  if (mno_shape_make(&dims, run.precision, &run.candidate, &args.shape, &err) != MNO_OK) {
    print_error("%s\n", err.message);
    fail();
  }
  args.shape = mno_shape_spread(&args.shape, run.spread);
  const mno_shape &s = args.shape;
  std::vector<mno_device_problem> problems;
  std::vector<std::vector<T>> h0s;
  std::vector<Data> datas;
  std::vector<std::vector<T>> rates;
  std::vector<std::vector<int64_t>> steps;
  std::vector<mno_item> items;
  size_t most = 0;
  for (const Case &c : cases) {
    datas.push_back(data(c));
    Numbers h = embedded(c, datas.back());
    std::vector<T> h0((size_t)s.chunks * s.D * s.pitch);
    for (size_t n = 0; n < c.N; n++)
      for (size_t i = 0; i < c.D; i++) h0[((n / MNO_CHUNK) * c.D + i) * (size_t)s.pitch + n % MNO_CHUNK] = (T)h[n * c.D + i];
    h0s.push_back(h0);
    rates.emplace_back();
    for (int64_t k = 0; k < c.K; k++)
      rates.back().insert(rates.back().end(), {(T)(c.eta_u / c.alpha), (T)(c.eta_v / c.alpha)});
    steps.push_back(c.step);
    if (c.step.empty())
      for (int64_t k = 0; k <= c.K; k++) steps.back().push_back(k);
    items.push_back(mno_item{c.seed, (uint32_t)(c.width ? c.width : (int64_t)c.M), (uint32_t)c.offset,
                             (uint32_t)items.size(), (uint32_t)items.size(), (int32_t)c.L, c.sign});
    size_t S = steps.back().size(), numbers = S * (1 + c.N * (c.d_out + c.D)) + 4 * c.L * c.M * c.D;
    if (numbers > most) most = numbers;
  }
  for (size_t i = 0; i < cases.size(); i++) {
    const Case &c = cases[i];
    problems.push_back(mno_device_problem{h0s[i].data(),
                                          datas[i].y.data(),
                                          datas[i].w_unembed.data(),
                                          steps[i].data(),
                                          rates[i].data(),
                                          c.alpha,
                                          {c.sigma_u * sqrt((double)c.D), c.sigma_v * sqrt((double)c.D)},
                                          {},
                                          {MNO_TENSOR_U, MNO_TENSOR_V},
                                          2,
                                          c.K,
                                          (int32_t)steps[i].size(),
                                          (int32_t)c.activation,
                                          (int32_t)c.loss});
  }
  uint32_t next = 0;
  mno_signals signals = {};
  args.problem = problems.data();
  args.item = items.data();
  args.count = (uint32_t)items.size();
  args.weights = 3;
  args.next = &next;
  args.signals = &signals;
  args.stages = run.stages;
  args.at = mno_slot(&s);
  args.slot_bytes = args.at.bytes;
  args.parcel_bytes = sizeof(mno_parcel) + most * sizeof(double);
  struct alignas(256) Line {
    char byte[256];
  };
  std::vector<Line> slots((size_t)teams * args.slot_bytes / sizeof(Line) + 1);
  memset((void *)slots.data(), 0xff, slots.size() * sizeof(Line)); /* NaN */
  /* a host that never empties a parcel: as many as instances */
  std::vector<Result> results(cases.size());
  args.slots = slots[0].byte;
  const auto unpack = [&](mno_parcel *parcel) {
    if (!parcel->state) return;
    const Case &c = cases[parcel->row];
    Result r;
    r.outcome = (int)parcel->outcome;
    r.filled = parcel->filled;
    const double *at = (const double *)(parcel + 1);
    const size_t S = steps[parcel->row].size(), w = c.L * c.M * c.D;
    const auto piece = [&](size_t size, size_t used) {
      Numbers numbers(at, at + used);
      at += size;
      return numbers;
    };
    r.loss = piece(S, r.filled);
    r.output = piece(S * c.N * c.d_out, r.filled * c.N * c.d_out);
    r.embedding = piece(S * c.N * c.D, r.filled * c.N * c.D);
    r.u0 = piece(w, w), r.v0 = piece(w, w), r.u = piece(w, w), r.v = piece(w, w);
    results[parcel->row] = r;
    __atomic_store_n(&parcel->state, 0, __ATOMIC_RELEASE);
  };
  /* every team in a thread of its own, the consumer here: as on a card */
  const int parcel_count = 2 * teams * s.group;
  std::vector<Line> parcels((size_t)parcel_count * args.parcel_bytes / sizeof(Line) + 2);
  memset((void *)parcels.data(), 0, parcels.size() * sizeof(Line));
  args.parcel_bytes = mno_round_up(args.parcel_bytes, 8);
  args.parcels = parcels[0].byte;
  std::atomic<int> running(teams);
  std::vector<std::thread> threads;
  for (int i = 0; i < teams; i++)
    threads.emplace_back([&, i] {
      mno::HostTeam team(args, i, run.permutation + (uint32_t)i, run.in_memory, run.eager);
      mno::run_on_host_as<T>(team, args);
      running--;
    });
  for (bool last = false; !last;) {
    last = running == 0;
    for (int i = 0; i < parcel_count; i++) {
      mno_parcel *parcel = (mno_parcel *)(args.parcels + (size_t)i * args.parcel_bytes);
      if (__atomic_load_n(&parcel->state, __ATOMIC_ACQUIRE)) unpack(parcel);
    }
    std::this_thread::yield();
  }
  for (std::thread &thread : threads) thread.join();
  return results;
}

inline std::vector<Result> train(const std::vector<Case> &cases, const Run &run, int teams = 1) {
  return run.precision == MNO_F64 ? launch<double>(cases, run, teams) : launch<float>(cases, run, teams);
}

/* Largest difference divided by the root mean square of the reference. */
inline double distance(const Numbers &a, const Numbers &b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0, sum = 0;
  for (size_t i = 0; i < a.size(); i++) {
    sum += b[i] * b[i];
    if (!(fabs(a[i] - b[i]) <= worst)) worst = fabs(a[i] - b[i]);
  }
  return sum > 0 ? worst / sqrt(sum / (double)a.size()) : worst;
}
inline double distance(const Result &a, const Result &b) {
  double d = 0;
  for (Numbers Result::*part :
       {&Result::loss, &Result::output, &Result::embedding, &Result::u0, &Result::v0, &Result::u, &Result::v}) {
    double e = distance(a.*part, b.*part);
    if (!(e <= d)) d = e;
  }
  return d;
}
inline bool same(const Result &a, const Result &b) {
  return a.outcome == b.outcome && a.filled == b.filled && a.loss == b.loss && a.output == b.output &&
         a.embedding == b.embedding && a.u0 == b.u0 && a.v0 == b.v0 && a.u == b.u && a.v == b.v;
}

} // namespace twin

#endif

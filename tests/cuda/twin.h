/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs the body of the training kernels on the host, and the reference network beside it. */
#ifndef MNO_TEST_CUDA_TWIN_H
#define MNO_TEST_CUDA_TWIN_H

#include "cmocka_cpp.h"

#include "host/shape.h"
#include "host/trainers.h"
#include "meanode/random.h"
#include "run_host.h"

extern "C" {
#include "reference/reference.h"
}

#include <memory>
#include <vector>

namespace twin {

typedef std::vector<double> Numbers;

struct Case {
  int trainer; /* block and optimiser */
  size_t D, M, L, N, d_in, d_out;
  int64_t K;
  mno_activation activation;
  mno_loss loss;
  double alpha, sigma[MNO_TENSORS_MOST], eta[MNO_TENSORS_MOST], knob[MNO_KNOBS_MOST];
  uint64_t seed;
  int64_t width, offset; /* width 0: M */
  int sign;
  std::vector<int64_t> step; /* recorded steps; empty: all */
  Numbers schedule;          /* [K]; empty: 1 */
};

inline Case plain(size_t D, size_t M, size_t L, size_t N, int64_t K = 3) {
  return Case{0,          D,  M, L, N, 3,  2, K, MNO_TANH, MNO_SQUARED, 1.3, {1.0, 1.1, 0.9, 1.0}, {0.7, 0.9, 0.8, 1.0},
              {0.6, 0.3}, 11, 0, 0, 1, {}, {}};
}

/* What one instance leaves behind; weights [tensors][L][M][D]. */
struct Result {
  int outcome = 0;
  uint32_t filled = 0;
  Numbers loss, output, embedding, initial, trained;
};

/* The problem of a case, with its arrays. */
struct Problem : mno_problem {
  Numbers of_x, of_y, of_w_embed, of_w_unembed, of_schedule;
  explicit Problem(const Case &c) : mno_problem{} {
    N = c.N, d_in = c.d_in, d_out = c.d_out, D = c.D, K = (size_t)c.K;
    block = mno_trainer_at(c.trainer)->block;
    optimizer = mno_trainer_at(c.trainer)->optimizer;
    alpha = c.alpha, activation = c.activation, loss = c.loss;
    memcpy(sigma, c.sigma, sizeof sigma);
    memcpy(eta, c.eta, sizeof eta);
    memcpy(knob, c.knob, sizeof knob);
    of_schedule = c.schedule;
    schedule = of_schedule.empty() ? nullptr : of_schedule.data();
    x = draw(of_x, MNO_TENSOR_X, N, d_in, 1);
    y = draw(of_y, MNO_TENSOR_Y, N, d_out, 1);
    w_embed = draw(of_w_embed, MNO_TENSOR_W_EMBED, D, d_in, 1 / sqrt((double)d_in));
    w_unembed = draw(of_w_unembed, MNO_TENSOR_W_UNEMBED, D, d_out, sqrt((double)d_out));
    for (size_t i = 0; loss == MNO_CROSS_ENTROPY && i < N * d_out; i++) y[i] = i % d_out == i / d_out % d_out;
  }
  Problem(const Problem &) = delete;

private:
  static double *draw(Numbers &to, mno_tensor tensor, size_t rows, size_t columns, double scale) {
    to.resize(rows * columns);
    for (size_t i = 0; i < rows; i++) mno_normals(1, tensor, 0, (uint32_t)i, columns, &to[i * columns]);
    for (double &number : to) number *= scale;
    return to.data();
  }
};

inline mno_instance instance_of(const Case &c) {
  mno_instance instance = {};
  instance.L = (int64_t)c.L, instance.M = (int64_t)c.M, instance.seed = c.seed;
  instance.draw = mno_draw{c.width ? c.width : (int64_t)c.M, c.offset, c.sign};
  return instance;
}

/* Network of a case in double precision; its weights are drawn. */
struct Network : mno_reference {
  Numbers numbers;
  Network(const Case &c, const Problem &p) : numbers(mno_reference_numbers(&p, c.L, c.M)) {
    const mno_instance instance = instance_of(c);
    static_cast<mno_reference &>(*this) = mno_reference_place(&p, c.L, c.M, numbers.data());
    mno_reference_draw(&p, &instance, units.w);
  }
};

inline void append(Numbers &to, const Numbers &from, size_t place, size_t count) {
  to.insert(to.end(), from.begin() + (long)(place * count), from.begin() + (long)((place + 1) * count));
}

/* What the reference leaves behind. */
inline Result reference(const Case &c) {
  const Problem p(c);
  const mno_instance instance = instance_of(c);
  const size_t steps = p.K + 1, outputs = c.N * c.d_out, states = c.N * c.D, weights = mno_reference_weights(&p, c.L, c.M);
  Numbers loss(steps), output(steps * outputs), embedding(steps * states);
  Result r;
  r.initial.resize(weights);
  r.trained.resize(weights);
  mno_error err;
  if (mno_reference_train(&p, &instance, {loss.data(), output.data(), embedding.data(), r.initial.data(), r.trained.data()},
                          &err) != MNO_OK)
    fail_msg("%s", err.message);
  for (size_t k = 0; k < steps && isfinite(loss[k]); k++) {
    bool recorded = c.step.empty();
    for (int64_t s : c.step) recorded |= s == (int64_t)k;
    if (!recorded) continue;
    r.filled++;
    r.loss.push_back(loss[k]);
    append(r.output, output, k, outputs);
    append(r.embedding, embedding, k, states);
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
  mno_dimensions dims = {first.D, first.M, first.N, 0, first.d_out, first.trainer};
  for (const Case &c : cases) dims.L = c.L > dims.L ? c.L : dims.L;
  mno_train_args args;
  memset(&args, 0, sizeof args);
  if (mno_shape_make(&dims, run.precision, &run.candidate, &args.shape, &err) != MNO_OK) {
    print_error("%s\n", err.message);
    fail();
  }
  args.shape = mno_shape_spread(&args.shape, run.spread);
  const mno_shape &s = args.shape;
  std::vector<std::unique_ptr<Problem>> problems;
  std::vector<mno_device_problem> on_device(cases.size());
  std::vector<std::vector<T>> h0s(cases.size()), rates(cases.size());
  std::vector<std::vector<int64_t>> steps;
  std::vector<mno_item> items;
  size_t most = 0;
  for (size_t i = 0; i < cases.size(); i++) {
    const Case &c = cases[i];
    problems.emplace_back(new Problem(c));
    const Problem &p = *problems.back();
    const size_t tensors = p.block->tensors;
    h0s[i].resize((size_t)s.chunks * s.D * s.pitch);
    for (size_t n = 0; n < c.N; n++)
      for (size_t d = 0; d < c.D; d++) {
        double sum = 0;
        for (size_t j = 0; j < c.d_in; j++) sum += p.w_embed[d * c.d_in + j] * p.x[n * c.d_in + j];
        h0s[i][((n / MNO_CHUNK) * c.D + d) * (size_t)s.pitch + n % MNO_CHUNK] = (T)sum;
      }
    for (size_t e = 0; e < p.K * tensors; e++) rates[i].push_back((T)mno_problem_rate(&p, e / tensors, e % tensors));
    steps.push_back(c.step);
    if (c.step.empty())
      for (int64_t k = 0; k <= c.K; k++) steps.back().push_back(k);
    const mno_instance instance = instance_of(c);
    items.push_back(
        mno_item{c.seed, (uint32_t)instance.draw.width, (uint32_t)c.offset, (uint32_t)i, (uint32_t)i, (int32_t)c.L, c.sign});
    const size_t S = steps.back().size(), numbers = S * (1 + c.N * (c.d_out + c.D)) + 2 * tensors * c.L * c.M * c.D;
    if (numbers > most) most = numbers;
    mno_device_problem &d = on_device[i];
    d = mno_device_problem{};
    d.h0 = h0s[i].data(), d.y = p.y, d.w_unembed = p.w_unembed, d.step = steps.back().data(), d.rate = rates[i].data();
    d.alpha = c.alpha, d.K = c.K, d.steps = (int32_t)S, d.activation = c.activation, d.loss = c.loss;
    for (size_t t = 0; t < tensors; t++) {
      d.scale[t] = c.sigma[t] * sqrt((double)c.D);
      d.draw[t] = p.block->tensor[t].draw;
      d.flips |= (uint32_t)p.block->tensor[t].flips << t;
    }
    memcpy(d.knob, p.knob, sizeof d.knob);
  }
  uint32_t next = 0;
  mno_signals signals = {};
  args.problem = on_device.data();
  args.item = items.data();
  args.count = (uint32_t)items.size();
  args.weights = 3;
  args.next = &next;
  args.signals = &signals;
  args.stages = run.stages;
  args.at = mno_slot(&s);
  args.slot_bytes = args.at.bytes;
  args.mailbox_bytes = sizeof(mno_mailbox) + most * sizeof(double);
  struct alignas(256) Line {
    char byte[256];
  };
  std::vector<Line> slots((size_t)teams * args.slot_bytes / sizeof(Line) + 1);
  memset((void *)slots.data(), 0xff, slots.size() * sizeof(Line)); /* NaN */
  /* a host that never empties a mailbox: as many as instances */
  std::vector<Result> results(cases.size());
  args.slots = slots[0].byte;
  const auto unpack = [&](mno_mailbox *mailbox) {
    if (!mailbox->state) return;
    const Case &c = cases[mailbox->row];
    Result r;
    r.outcome = (int)mailbox->outcome;
    r.filled = mailbox->filled;
    const double *at = (const double *)(mailbox + 1);
    const size_t S = steps[mailbox->row].size(), w = (size_t)s.tensors * c.L * c.M * c.D;
    const auto piece = [&](size_t size, size_t used) {
      Numbers numbers(at, at + used);
      at += size;
      return numbers;
    };
    r.loss = piece(S, r.filled);
    r.output = piece(S * c.N * c.d_out, r.filled * c.N * c.d_out);
    r.embedding = piece(S * c.N * c.D, r.filled * c.N * c.D);
    r.initial = piece(w, w), r.trained = piece(w, w);
    results[mailbox->row] = r;
    __atomic_store_n(&mailbox->state, 0, __ATOMIC_RELEASE);
  };
  /* every team in a thread of its own, the consumer here: as on a card */
  const int mailbox_count = 2 * teams * s.group;
  std::vector<Line> mailboxes((size_t)mailbox_count * args.mailbox_bytes / sizeof(Line) + 2);
  memset((void *)mailboxes.data(), 0, mailboxes.size() * sizeof(Line));
  args.mailbox_bytes = mno_round_up(args.mailbox_bytes, 8);
  args.mailboxes = mailboxes[0].byte;
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
    for (int i = 0; i < mailbox_count; i++) {
      mno_mailbox *mailbox = (mno_mailbox *)(args.mailboxes + (size_t)i * args.mailbox_bytes);
      if (__atomic_load_n(&mailbox->state, __ATOMIC_ACQUIRE)) unpack(mailbox);
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
  for (Numbers Result::*part : {&Result::loss, &Result::output, &Result::embedding, &Result::initial, &Result::trained}) {
    double e = distance(a.*part, b.*part);
    if (!(e <= d)) d = e;
  }
  return d;
}
inline bool same(const Result &a, const Result &b) {
  return a.outcome == b.outcome && a.filled == b.filled && a.loss == b.loss && a.output == b.output &&
         a.embedding == b.embedding && a.initial == b.initial && a.trained == b.trained;
}

} // namespace twin

#endif

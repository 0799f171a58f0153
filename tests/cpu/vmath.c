/* SPDX-License-Identifier: BSD-3-Clause */
/* The vectorised functions: activations over the whole range against long double, draws against meanode/random.h.
 * test_cpu_vmath [STRIDE]: 1 tries every float. */
#include "test.h"

#include "cpu/cpu.h"
#include "cpu/isas.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

/* Every how many-th bit pattern of all 2^32 is tried; as many in double. */
static uint32_t stride = 4099;

/* Number `step` of the sweep: false if it is not a finite number. From all bit patterns of the precision; in double with the
 * low halves spread by an odd factor, so that every exponent meets many mantissas, and every second one from [-40, 40). */
static bool argument(mno_precision precision, uint64_t step, double *p) {
  const uint32_t spread = (uint32_t)step * 0x9E3779B1u;
  if (precision == MNO_F32) {
    uint32_t bits = (uint32_t)step;
    float x;
    memcpy(&x, &bits, sizeof x);
    *p = (double)x;
  } else if (step & 1) {
    *p = 80 * (spread * 0x1p-32 + (double)(step & 0xffff) * 0x1p-48) - 40;
  } else {
    uint64_t bits = step << 32 | spread;
    memcpy(p, &bits, sizeof *p);
  }
  return isfinite(*p);
}

/* Where functions bend, dense; the ends of every kind of number; infinities. */
static size_t arguments(mno_precision precision, double *p) {
  const double single[] = {FLT_TRUE_MIN, FLT_MIN, FLT_EPSILON, FLT_MAX},
               twice[] = {DBL_TRUE_MIN, DBL_MIN, DBL_EPSILON, DBL_MAX};
  size_t n = 0;
  for (int i = 0; i <= 24000; i++) p[n++] = (i - 12000) * 0.0025 + 1e-4;
  for (size_t i = 0; i < n; i++) p[i] = precision == MNO_F32 ? (double)(float)p[i] : p[i];
  for (int i = 0; i < 4; i++)
    for (int sign = -1; sign <= 1; sign += 2) p[n++] = sign * (precision == MNO_F32 ? single : twice)[i];
  p[n++] = 0;
  p[n++] = -0.0;
  p[n++] = INFINITY;
  p[n++] = -INFINITY;
  return n;
}

/* rho and rho' in the C library's long double; at infinity, their limits. */
static void reference(mno_activation a, double argument, long double *value, long double *slope) {
  const long double p = argument, root = 0.70710678118654752440084436210484904L,
                    density = 0.39894228040143267793994605993438187L;
  const long double up = p > 0 ? p : 0, z = expl(-fabsl(p)), logistic = p < 0 ? z / (1 + z) : 1 / (1 + z);
  const int infinite = isinf(argument);
  switch (a) {
  case MNO_TANH:
    *value = tanhl(p);
    *slope = 1 / (coshl(p) * coshl(p));
    return;
  case MNO_ERF:
    *value = erfl(p);
    *slope = 2 * root * 2 * density * expl(-p * p);
    return;
  case MNO_GELU:
    *value = infinite ? up : p * erfcl(-p * root) / 2;
    *slope = infinite ? p > 0 : erfcl(-p * root) / 2 + p * density * expl(-p * p / 2);
    return;
  case MNO_SILU:
    *value = infinite ? up : p * logistic;
    *slope = infinite ? p > 0 : logistic + p * (z / ((1 + z) * (1 + z)));
    return;
  case MNO_RELU:
    *value = up;
    *slope = p > 0;
    return;
  case MNO_SOFTPLUS:
    *value = up + log1pl(z);
    *slope = logistic;
    return;
  case MNO_SIN:
    *value = sinl(p);
    *slope = cosl(p);
    return;
  default: *value = p; *slope = 1;
  }
}

/* Bounds on |error| / eps, relative to rho, to 1 or to max(1, |p|): what host/cpu/vmath.h states. */
typedef enum scale { TO_VALUE, TO_ONE, TO_ARGUMENT } scale;
static const struct {
  double value;
  scale to;
  double slope; /* absolute */
} bounds[MNO_ACTIVATION_COUNT] = {
    [MNO_TANH] = {3, TO_VALUE, 6},          [MNO_ERF] = {2, TO_VALUE, 2},      [MNO_GELU] = {1, TO_ARGUMENT, 3},
    [MNO_SILU] = {1.5, TO_ARGUMENT, 2},     [MNO_RELU] = {0, TO_VALUE, 0},     [MNO_SIN] = {1, TO_ONE, 1},
    [MNO_SOFTPLUS] = {1.5, TO_ARGUMENT, 1}, [MNO_IDENTITY] = {0, TO_VALUE, 0},
};

typedef struct worst {
  double error[2], where[2]; /* value, slope; in eps */
} worst;

enum { CHUNK = 30000 };
typedef struct truth {
  long double value[CHUNK], slope[CHUNK];
} truth;

static double distance(double computed, long double exact, double unit) {
  if (isnan(computed) && isnan(exact)) return 0; /* sin and cos of infinity */
  return (long double)computed == exact ? 0 : (double)(fabsl((long double)computed - exact) / (long double)unit);
}

static void compare(const mno_cpu_kernels *kernels, mno_precision precision, mno_activation a, size_t count, const double *p,
                    const truth *t, worst *w) {
  static double value[CHUNK], slope[CHUNK];
  const double eps = precision == MNO_F32 ? FLT_EPSILON : DBL_EPSILON, least = precision == MNO_F32 ? FLT_MIN : DBL_MIN;
  kernels->numbers->activate(a, count, p, value, slope);
  for (size_t i = 0; i < count; i++) {
    const double scale = bounds[a].to == TO_VALUE ? fmax(fabs((double)t->value[i]), least)
                         : bounds[a].to == TO_ONE ? 1
                                                  : fmax(1, fabs(p[i]));
    const double e[2] = {distance(value[i], t->value[i], eps * scale), distance(slope[i], t->slope[i], eps)};
    for (int j = 0; j < 2; j++)
      if (!(e[j] <= w->error[j])) w->error[j] = e[j], w->where[j] = p[i];
  }
}

static void sweep(mno_precision precision) {
  static double p[CHUNK];
  static truth t;
  const mno_cpu_kernels *kernels[ISAS];
  worst w[ISAS][MNO_ACTIVATION_COUNT] = {{{{0}, {0}}}};
  for (size_t s = 0; s < ISAS; s++) kernels[s] = isas_kernels(precision, isas[s]);
  size_t n = arguments(precision, p), total = 0;
  for (uint64_t step = 0; n > 0;) {
    total += n;
    for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
      for (size_t i = 0; i < n; i++) reference((mno_activation)a, p[i], &t.value[i], &t.slope[i]);
      for (size_t s = 0; s < ISAS; s++)
        if (kernels[s]) compare(kernels[s], precision, (mno_activation)a, n, p, &t, &w[s][a]);
    }
    for (n = 0; n < CHUNK && step <= UINT32_MAX; step += stride) n += argument(precision, step, &p[n]);
  }
  for (size_t s = 0; s < ISAS; s++) {
    if (!kernels[s]) continue;
    print_message("%s %s, %zu arguments\n", isas[s], mno_precision_name(precision), total);
    for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
      const worst *x = &w[s][a];
      print_message("  %-8s value %.2f at %g, slope %.2f at %g (in eps)\n", mno_activation_name((mno_activation)a),
                    x->error[0], x->where[0], x->error[1], x->where[1]);
      if (!(x->error[0] <= bounds[a].value) || !(x->error[1] <= bounds[a].slope)) fail_msg("beyond the stated error");
    }
  }
}

static void activations(void **state) {
  sweep(MNO_F64);
  sweep(MNO_F32);
}

/* In every lane, and in no other lane. */
static void a_nan_stays_one(void **state) {
  for (int precision = 0; precision < 2; precision++)
    for (size_t s = 0; s < ISAS; s++) {
      const mno_cpu_kernels *kernels = isas_kernels((mno_precision)precision, isas[s]);
      if (!kernels) continue;
      for (int a = 0; a < MNO_ACTIVATION_COUNT; a++)
        for (int bad = 0; bad < MNO_CPU_LANES; bad++) {
          double p[MNO_CPU_LANES], value[MNO_CPU_LANES], slope[MNO_CPU_LANES];
          for (int i = 0; i < MNO_CPU_LANES; i++) p[i] = i == bad ? NAN : i - 7.5;
          kernels->numbers->activate((mno_activation)a, MNO_CPU_LANES, p, value, slope);
          for (int i = 0; i < MNO_CPU_LANES; i++) assert_int_equal(isnan(value[i]) != 0, i == bad);
        }
    }
}

static void draws(void **state) {
  for (int precision = 0; precision < 2; precision++)
    for (size_t s = 0; s < ISAS; s++) {
      const mno_cpu_kernels *kernels = isas_kernels((mno_precision)precision, isas[s]);
      if (!kernels) continue;
      double worst = 0, worst_absolute = 0;
      for (uint32_t unit = 0; unit < 4000; unit++) {
        double z[10], reference[10];
        uint64_t seed = 0x123456789abcdefu * (unit + 1);
        uint32_t words[4], expected[4];
        kernels->numbers->words(seed, MNO_TENSOR_V, unit / 3, unit, 7 + unit, words);
        mno_philox(seed, MNO_TENSOR_V, unit / 3, unit, 7 + unit, expected);
        assert_memory_equal(words, expected, sizeof words);
        kernels->numbers->normals(seed, MNO_TENSOR_U, unit / 3, unit, 10, z);
        mno_normals(seed, MNO_TENSOR_U, unit / 3, unit, 10, reference);
        for (int i = 0; i < 10; i++) {
          double e = fabs(z[i] - reference[i]);
          worst_absolute = fmax(worst_absolute, e);
          worst = fmax(worst, e / fabs(reference[i]));
        }
      }
      print_message("%s %s: largest difference of normals %.2g, relative %.2g\n", isas[s],
                    mno_precision_name((mno_precision)precision), worst_absolute, worst);
      assert_true(worst_absolute <= (precision == MNO_F32 ? 1e-6 : 4e-15));
    }
}

int main(int argc, char **argv) {
  isas_say_skipped();
  if (argc > 1) stride = (uint32_t)atol(argv[1]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(activations), cmocka_unit_test(a_nan_stays_one),
                                     cmocka_unit_test(draws)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

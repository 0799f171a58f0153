/* The vectorised functions: activations over the whole range against the C library, draws against meanode/random.h.
 * test_cpu_vmath [STRIDE]: 1 tries every float. */
#include "test.h"

#include "cpu/cpu.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

static const char *const isas[] = {"avx512", "avx2", "portable"};

/* Every how many-th bit pattern of all 2^32 is tried; as many in double. */
static uint32_t stride = 4099;

/* Number `step` of the sweep, from all bit patterns of the precision: false if it is not a finite number. In double the
 * strides are spread by an odd factor, so that every exponent meets many mantissas. */
static bool argument(mno_precision precision, uint64_t step, double *p) {
  if (precision == MNO_F32) {
    uint32_t bits = (uint32_t)step;
    float x;
    memcpy(&x, &bits, sizeof x);
    *p = (double)x;
  } else {
    uint64_t bits = step << 32 | (uint32_t)(step * 0x9E3779B1u);
    memcpy(p, &bits, sizeof *p);
  }
  return isfinite(*p);
}

/* Arguments where functions bend, dense. */
static size_t arguments(mno_precision precision, double *p) {
  size_t n = 0;
  for (int i = 0; i <= 24000; i++) p[n++] = (i - 12000) * 0.0025 + 1e-4;
  p[n++] = 0;
  for (size_t i = 0; i < n; i++) p[i] = precision == MNO_F32 ? (double)(float)p[i] : p[i];
  return n;
}

/* Bounds on |error| / eps, relative to rho, to 1 or to max(1, |p|): what host/cpu/vmath.h states. */
typedef enum scale { TO_VALUE, TO_ONE, TO_ARGUMENT } scale;
static const struct {
  double value;
  scale to;
  double slope; /* absolute */
} bounds[MNO_ACTIVATION_COUNT] = {
    [MNO_TANH] = {3, TO_VALUE, 6},        [MNO_ERF] = {3, TO_VALUE, 2},      [MNO_GELU] = {2, TO_ARGUMENT, 4},
    [MNO_SILU] = {2, TO_ARGUMENT, 4},     [MNO_RELU] = {0, TO_VALUE, 0},     [MNO_SIN] = {2, TO_ONE, 2},
    [MNO_SOFTPLUS] = {2, TO_ARGUMENT, 4}, [MNO_IDENTITY] = {0, TO_VALUE, 0},
};

typedef struct worst {
  double error[2], where[2]; /* value, slope; in eps */
} worst;

static void compare(const mno_cpu_kernels *kernels, mno_precision precision, mno_activation a, size_t count, const double *p,
                    worst *w) {
  enum { MOST = 40000 };
  static double value[MOST], slope[MOST];
  const double eps = precision == MNO_F32 ? FLT_EPSILON : DBL_EPSILON, least = precision == MNO_F32 ? FLT_MIN : DBL_MIN;
  kernels->activate(a, count, p, value, slope);
  for (size_t i = 0; i < count; i++) {
    const double rho = mno_activation_derivative(a, 0, p[i]), d = mno_activation_derivative(a, 1, p[i]);
    const double scale = bounds[a].to == TO_VALUE ? fmax(fabs(rho), least)
                         : bounds[a].to == TO_ONE ? 1
                                                  : fmax(1, fabs(p[i]));
    const double e[2] = {rho == value[i] ? 0 : fabs(value[i] - rho) / (eps * scale), fabs(slope[i] - d) / eps};
    for (int j = 0; j < 2; j++)
      if (!(e[j] <= w->error[j])) w->error[j] = e[j], w->where[j] = p[i];
  }
}

static void activations(void **state) {
  enum { CHUNK = 30000 };
  static double p[CHUNK];
  for (int precision = 0; precision < 2; precision++)
    for (size_t s = 0; s < 3; s++) {
      const mno_cpu_kernels *kernels = mno_cpu_kernels_named((mno_precision)precision, isas[s]);
      if (!kernels) continue;
      worst w[MNO_ACTIVATION_COUNT] = {{{0}, {0}}};
      size_t n = arguments((mno_precision)precision, p), total = 0;
      for (uint64_t step = 0; n > 0;) {
        total += n;
        for (int a = 0; a < MNO_ACTIVATION_COUNT; a++)
          compare(kernels, (mno_precision)precision, (mno_activation)a, n, p, &w[a]);
        for (n = 0; n < CHUNK && step <= UINT32_MAX; step += stride) n += argument((mno_precision)precision, step, &p[n]);
      }
      print_message("%s %s, %zu arguments\n", kernels->name, mno_precision_name((mno_precision)precision), total);
      for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
        print_message("  %-8s value %.2f at %g, slope %.2f at %g (in eps)\n", mno_activation_name((mno_activation)a),
                      w[a].error[0], w[a].where[0], w[a].error[1], w[a].where[1]);
        if (!(w[a].error[0] <= bounds[a].value) || !(w[a].error[1] <= bounds[a].slope)) fail_msg("beyond the stated error");
        double bad = NAN, value, slope;
        kernels->activate((mno_activation)a, 1, &bad, &value, &slope);
        assert_true(isnan(value));
      }
    }
}

static void draws(void **state) {
  for (int precision = 0; precision < 2; precision++)
    for (size_t s = 0; s < 3; s++) {
      const mno_cpu_kernels *kernels = mno_cpu_kernels_named((mno_precision)precision, isas[s]);
      if (!kernels) continue;
      double worst = 0, worst_absolute = 0;
      for (uint32_t unit = 0; unit < 4000; unit++) {
        double z[10], reference[10];
        uint64_t seed = 0x123456789abcdefu * (unit + 1);
        uint32_t words[4], expected[4];
        kernels->words(seed, MNO_TENSOR_V, unit / 3, unit, 7 + unit, words);
        mno_philox(seed, MNO_TENSOR_V, unit / 3, unit, 7 + unit, expected);
        assert_memory_equal(words, expected, sizeof words);
        kernels->normals(seed, MNO_TENSOR_U, unit / 3, unit, 10, z);
        mno_normals(seed, MNO_TENSOR_U, unit / 3, unit, 10, reference);
        for (int i = 0; i < 10; i++) {
          double e = fabs(z[i] - reference[i]);
          worst_absolute = fmax(worst_absolute, e);
          worst = fmax(worst, e / fabs(reference[i]));
        }
      }
      print_message("%s %s: largest difference of normals %.2g, relative %.2g\n", kernels->name,
                    mno_precision_name((mno_precision)precision), worst_absolute, worst);
      assert_true(worst_absolute <= (precision == MNO_F32 ? 2e-6 : 4e-15));
    }
}

int main(int argc, char **argv) {
  if (argc > 1) stride = (uint32_t)atol(argv[1]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(activations), cmocka_unit_test(draws)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

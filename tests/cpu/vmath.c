/* The vectorised functions: activations over the whole range against the C library, draws against meanode/random.h. */
#include "test.h"

#include "cpu/cpu.h"

#include <float.h>
#include <string.h>

static const char *const isas[] = {"avx512", "avx2", "portable"};

/* Arguments over the whole range: dense where functions bend, then powers of two out to the largest, both signs. */
static size_t arguments(mno_precision precision, double *p) {
  size_t n = 0;
  for (int i = 0; i <= 24000; i++) p[n++] = (i - 12000) * 0.0025 + 1e-4;
  double top = precision == MNO_F32 ? FLT_MAX : DBL_MAX, bottom = precision == MNO_F32 ? FLT_MIN : DBL_MIN;
  for (double x = bottom; x < top / 4; x *= 1.9) {
    p[n++] = x;
    p[n++] = -x;
  }
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

static void activations(void **state) {
  static double p[40000], value[40000], slope[40000];
  for (int precision = 0; precision < 2; precision++)
    for (size_t s = 0; s < 3; s++) {
      const mno_cpu_kernels *kernels = mno_cpu_kernels_named((mno_precision)precision, isas[s]);
      if (!kernels) continue;
      size_t n = arguments((mno_precision)precision, p);
      double eps = precision == MNO_F32 ? FLT_EPSILON : DBL_EPSILON;
      for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
        kernels->activate((mno_activation)a, n, p, value, slope);
        double worst[2] = {0, 0}, where[2] = {0, 0};
        for (size_t i = 0; i < n; i++) {
          double rho = mno_activation_derivative((mno_activation)a, 0, p[i]),
                 d = mno_activation_derivative((mno_activation)a, 1, p[i]);
          double scale = bounds[a].to == TO_VALUE ? fabs(rho) : bounds[a].to == TO_ONE ? 1 : fmax(1, fabs(p[i]));
          double e0 = rho == value[i] ? 0 : fabs(value[i] - rho) / (eps * scale), e1 = fabs(slope[i] - d) / eps;
          if (!(e0 <= worst[0])) worst[0] = e0, where[0] = p[i];
          if (!(e1 <= worst[1])) worst[1] = e1, where[1] = p[i];
        }
        print_message("%s %s %s: value %.2f at %g, slope %.2f at %g (in eps)\n", kernels->name,
                      mno_precision_name((mno_precision)precision), mno_activation_name((mno_activation)a), worst[0],
                      where[0], worst[1], where[1]);
        if (!(worst[0] <= bounds[a].value) || !(worst[1] <= bounds[a].slope)) fail_msg("beyond the stated error");
        double bad = NAN;
        kernels->activate((mno_activation)a, 1, &bad, value, slope);
        assert_true(isnan(value[0]));
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

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(activations), cmocka_unit_test(draws)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

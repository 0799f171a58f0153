/* SPDX-License-Identifier: BSD-3-Clause */
/* The elementary functions of the kernels against the C library in extended precision, and the draws against the
 * reference of the library. */
#include "cmocka_cpp.h"

#include "device/philox.h"

extern "C" void mno_philox(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, uint32_t block, uint32_t words[4]);
extern "C" void mno_normals(uint64_t seed, uint32_t tensor, uint32_t layer, uint32_t unit, size_t count, double *out);

namespace {

long double cdf(long double p) { return 0.5L * erfcl(-p * sqrtl(0.5L)); }
long double density(long double p) { return expl(-p * p / 2) / sqrtl(2 * acosl(-1)); }
long double sigma(long double p) { return 1 / (1 + expl(-p)); }

/* rho and rho' by the C library */
long double exact(int activation, long double p, long double *slope) {
  switch (activation) {
  case MNO_TANH: *slope = 1 / (coshl(p) * coshl(p)); return tanhl(p);
  case MNO_ERF: *slope = 2 / sqrtl(acosl(-1)) * expl(-p * p); return erfl(p);
  case MNO_GELU: *slope = cdf(p) + p * density(p); return p * cdf(p);
  case MNO_SILU: *slope = sigma(p) + p * sigma(p) * sigma(-p); return p * sigma(p);
  case MNO_RELU: *slope = p > 0; return p > 0 ? p : 0;
  case MNO_SOFTPLUS: *slope = sigma(p); return (p > 0 ? p : 0) + log1pl(expl(-fabsl(p)));
  case MNO_SIN: *slope = cosl(p); return sinl(p);
  default: *slope = 1; return p;
  }
}

/* Largest error of value and slope in units of eps x scale; value: relative where rho is odd (its zero matters),
 * against max(|rho|, |p|/64) where it is not; slopes against max(|rho'|, 1/2): they multiply numbers of order one. */
template <class T> void worst(int activation, double *value, double *slope) {
  const double eps = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;
  *value = *slope = 0;
  uint32_t w[4];
  for (uint32_t i = 0; i < 40000; i++) {
    mno::philox(7, 1, 2, 3, i, w);
    double range = i % 4 == 0 ? 1e-4 : i % 4 == 1 ? 1 : i % 4 == 2 ? 6 : 40;
    T p = (T)((w[0] * 0x1p-31 - 1) * range);
    long double e1, e0 = exact(activation, p, &e1);
    T r1, r0 = mno::activate(activation, p, &r1);
    double scale0 = fabsl(e0), scale1 = fmaxl(fabsl(e1), 0.5L);
    if (activation == MNO_GELU || activation == MNO_SILU || activation == MNO_SOFTPLUS) scale0 = fmax(scale0, fabs(p) / 64);
    double v = scale0 > 0 ? (double)fabsl(r0 - e0) / (eps * scale0) : fabs((double)r0) > 0 ? 1e9 : 0;
    double s = (double)fabsl(r1 - e1) / (eps * scale1);
    if (v > *value) *value = v;
    if (s > *slope) *slope = s;
  }
}

void activations(void **) {
  static const char *const name[] = {"tanh", "erf", "gelu", "silu", "relu", "softplus", "sin", "identity"};
  for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
    double v4, s4, v8, s8;
    worst<float>(a, &v4, &s4);
    worst<double>(a, &v8, &s8);
    printf("%-9s units in the last place: f32 %.2f, slope %.2f; f64 %.2f, slope %.2f\n", name[a], v4, s4, v8, s8);
    assert_true(v4 <= 4 && v8 <= 4);
    assert_true(s4 <= 4 && s8 <= 4);
  }
}

template <class T> void limits() {
  const T inf = (T)INFINITY, nan = (T)NAN;
  T slope;
  for (int a = 0; a < MNO_ACTIVATION_COUNT; a++) {
    assert_true(isnan(mno::activate(a, nan, &slope)));
    T at_zero = mno::activate(a, (T)0, &slope);
    long double e1, e0 = exact(a, 0, &e1);
    assert_true(fabsl(at_zero - e0) <= 1e-7L && fabsl(slope - e1) <= 1e-6L);
    for (T p = (T)0x1p-140; p > 0 && p < inf; p *= 4) { /* no range makes an infinity or NaN out of a finite number */
      if (a == MNO_SIN && p > (T)1e5) break;
      assert_true(isfinite(mno::activate(a, p, &slope)) && isfinite(slope));
      assert_true(isfinite(mno::activate(a, -p, &slope)) && isfinite(slope));
    }
  }
  assert_true(mno::tanh_(inf) == 1 && mno::tanh_(-inf) == -1 && mno::erf_(inf) == 1);
  assert_true(mno::exp_(inf) == inf && mno::exp_(-inf) == 0 && isnan(mno::exp_(nan)));
  assert_true(signbit(mno::tanh_((T)-0.0)));
  assert_true(!mno::finite(inf) && !mno::finite(nan) && mno::finite((T)-1e30));
}
void special_values(void **) {
  limits<float>();
  limits<double>();
}

void exponentials(void **) {
  double worst_exp = 0, worst_log = 0;
  for (int i = 0; i < 60000; i++) {
    double x = -700 + i * 0.0233, y = ldexp(1 + i / 60001.0, i % 64 - 60);
    worst_exp = fmax(worst_exp, (double)fabsl(mno::exp_(x) / expl(x) - 1) * 0x1p52);
    worst_log = fmax(worst_log, (double)fabsl((mno::log_(y) - logl(y)) / fmaxl(fabsl(logl(y)), 1e-3L)) * 0x1p52);
  }
  printf("exp %.2f, log %.2f units in the last place\n", worst_exp, worst_log);
  assert_true(worst_exp <= 2 && worst_log <= 2);
}

void draws(void **) {
  for (uint32_t i = 0; i < 2000; i++) {
    uint64_t seed = i * 0x9E3779B97F4A7C15ull;
    uint32_t ours[4], theirs[4];
    mno::philox(seed, i % 8, i, 3 * i, i % 5, ours);
    mno_philox(seed, i % 8, i, 3 * i, i % 5, theirs);
    assert_memory_equal(ours, theirs, sizeof ours);
    double z[8], reference[8];
    mno::normals(seed, 1, i, 3 * i, 0, z);
    mno::normals(seed, 1, i, 3 * i, 1, z + 4);
    mno_normals(seed, 1, i, 3 * i, 8, reference);
    for (int j = 0; j < 8; j++) assert_true(fabs(z[j] - reference[j]) <= 4e-15);
  }
}

} // namespace

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(activations), cmocka_unit_test(special_values),
                                     cmocka_unit_test(exponentials), cmocka_unit_test(draws)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

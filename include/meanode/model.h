/* SPDX-License-Identifier: BSD-3-Clause */
/* The model in names: what can be simulated. Formulas: Chizat, "The Hidden Width of Deep ResNets", arXiv 2509.10167.
 *
 *   h^0 = W_E x,   h^l = h^{l-1} + alpha/(L M) sum_j v^{j,l} rho(p),   p = <u^{j,l}, h^{l-1}>/D,   f(x) = W_U^T h^L / D
 *   b^L = D dloss/dh^L,   b^{l-1} = b^l + alpha/(L M) sum_j u^{j,l} rho'(p) q,   q = <v^{j,l}, b^l>/D
 *   u <- u - (eta_u/alpha) sum_i h_i rho'(p_i) q_i,   v <- v - (eta_v/alpha) sum_i b_i rho(p_i)
 *
 * Symbols: L depth, M hidden width, D embedding dimension, N samples, K gradient steps (step 0 is initialisation). */
#ifndef MEANODE_MODEL_H
#define MEANODE_MODEL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every choice is a list X(enumerator, its name in configurations and files, ...), or, where its number is part of the
 * format of files or a set of bits, X(enumerator, name, number, ...). */
#define MNO_ENUMERATOR(enumerator, ...) enumerator,
#define MNO_NUMBERED(enumerator, name, number, ...) enumerator = (number),

#define MNO_PRECISION_LIST(X)                                                                                               \
  X(MNO_F64, "f64")                                                                                                         \
  X(MNO_F32, "f32")

typedef enum mno_precision { MNO_PRECISION_LIST(MNO_ENUMERATOR) } mno_precision;

/* X(enumerator, name, odd function?) */
#define MNO_ACTIVATION_LIST(X)                                                                                              \
  X(MNO_TANH, "tanh", 1)                                                                                                    \
  X(MNO_ERF, "erf", 1)                                                                                                      \
  X(MNO_GELU, "gelu", 0)                                                                                                    \
  X(MNO_SILU, "silu", 0)                                                                                                    \
  X(MNO_RELU, "relu", 0)                                                                                                    \
  X(MNO_SOFTPLUS, "softplus", 0)                                                                                            \
  X(MNO_SIN, "sin", 1)                                                                                                      \
  X(MNO_IDENTITY, "identity", 1)

typedef enum mno_activation { MNO_ACTIVATION_LIST(MNO_ENUMERATOR) MNO_ACTIVATION_COUNT } mno_activation;

/* squared: 1/(2 N d_out) sum_i |f(x_i) - y_i|^2
 * cross-entropy: mean over samples of -sum_c y_c log softmax(f)_c; rows of y sum to 1 */
#define MNO_LOSS_LIST(X)                                                                                                    \
  X(MNO_SQUARED, "squared")                                                                                                 \
  X(MNO_CROSS_ENTROPY, "cross-entropy")

typedef enum mno_loss { MNO_LOSS_LIST(MNO_ENUMERATOR) } mno_loss;

/* What a network is made of and what trains it; NULL for a name of none. */
typedef struct mno_block mno_block;         /* residual block: host/block/block.h */
typedef struct mno_optimizer mno_optimizer; /* host/optimizer/optimizer.h */
const mno_block *mno_block_named(const char *name);
const mno_optimizer *mno_optimizer_named(const char *name);
const char *mno_block_name(const mno_block *block);
const char *mno_optimizer_name(const mno_optimizer *optimizer);

enum { MNO_TENSORS_MOST = 4, MNO_KNOBS_MOST = 4 }; /* tensors of a block; hyper-parameters of an optimiser */
enum { MNO_U, MNO_V };                             /* the tensors of the perceptron */

const char *mno_activation_name(mno_activation activation);
int mno_activation_is_odd(mno_activation activation);
const char *mno_precision_name(mno_precision precision); /* "f64", "f32" */
const char *mno_loss_name(mno_loss loss);

/* rho and its derivatives of order 0..3 at p, to rounding; the reference for every vectorised version.
 *   gelu is the exact p Phi(p); relu has rho'(0) = 0 and rho'' = rho''' = 0. */
double mno_activation_derivative(mno_activation activation, int order, double p);
void mno_activation_derivatives(mno_activation activation, double p, double d[4]); /* all of them */

/* Loss of outputs f (N x d_out) against targets y (N x d_out); when gradient (N x d_out) is not NULL it receives
 * dloss/df_i for every sample: (f - y)/(N d_out), or (softmax(f) - y)/N. */
double mno_loss_value(mno_loss loss, size_t N, size_t d_out, const double *f, const double *y, double *gradient);

#ifdef __cplusplus
}
#endif
#endif

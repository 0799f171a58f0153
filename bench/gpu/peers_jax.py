#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""JAX: jit(vmap(scan over layers)), gradients by jax.grad, matrix products at the highest precision."""
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

import peer

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_default_matmul_precision", "highest")


def loss(weights, h0, y, w_unembed):
    u, v = weights
    L, M, D = u.shape

    def layer(h, uv):  # without a transpose of u, which would be kept for the way back
        return h + jnp.tanh(jnp.einsum("nd,md->nm", h, uv[0]) / D) @ uv[1] / (L * M), None

    h, _ = jax.lax.scan(layer, h0, (u, v))
    r = h @ w_unembed / D - y
    return 0.5 * jnp.sum(r**2) / y.size


@functools.partial(jax.jit, donate_argnums=0)
def step(weights, h0, y, w_unembed):
    """One gradient step of every instance: learning rates L M D for both (alpha = eta = 1). Weights and gradients are
    (L, instances, M, D): the scan over the layers takes and leaves them as they lie in memory."""
    each = jax.vmap(jax.value_and_grad(loss), in_axes=((1, 1), None, None, None), out_axes=(0, (1, 1)))
    value, gradient = each(weights, h0, y, w_unembed)
    L, _, M, D = weights[0].shape
    return jax.tree.map(lambda w, g: w - L * M * D * g, weights, gradient), value


def losses(case):
    h0 = jnp.asarray(case.x @ case.w_embed.T)
    weights = tuple(jnp.asarray(np.ascontiguousarray(w.swapaxes(0, 1))) for w in (case.u, case.v))
    out = []
    for _ in range(case.n["K"] + 1):
        weights, value = step(weights, h0, jnp.asarray(case.y), jnp.asarray(case.w_unembed))
        out.append(np.asarray(value))
    return np.stack(out, axis=1)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def draw(key, shape, scale, dtype):
    return scale * jax.random.normal(key, shape, dtype)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def draw_layers(key, shape, scale, dtype):
    """A layer at a time: all of them at once may be more numbers than 32 bits count, and take twice the memory."""
    return jax.lax.map(lambda k: scale * jax.random.normal(k, shape[1:], dtype), jax.random.split(key, shape[0]))


def seconds_per_step(D, M, L, N, instances, K, precision):
    dtype = jnp.float32 if precision == "f32" else jnp.float64
    keys = jax.random.split(jax.random.PRNGKey(0), 5)
    weights = tuple(draw_layers(k, (L, instances, M, D), D**0.5, dtype) for k in keys[:2])
    h0, y = draw(keys[2], (N, D), 1.0, dtype), draw(keys[3], (N, 5), 1.0, dtype)
    w_unembed = draw(keys[4], (D, 5), 5**0.5, dtype)

    def one():
        nonlocal weights
        start = time.perf_counter()
        weights, value = step(weights, h0, y, w_unembed)
        jax.block_until_ready((weights, value))
        return time.perf_counter() - start

    return peer.median(one, warm_up=3)


def release():
    """Memory of the last shape, also after it failed: arrays, and programs with their constants."""
    for array in jax.live_arrays():
        array.delete()
    jax.clear_caches()


if __name__ == "__main__":
    kind = jax.devices()[0]
    peer.main("jax", "cpu" if kind.platform == "cpu" else kind.device_kind, losses, seconds_per_step, release)

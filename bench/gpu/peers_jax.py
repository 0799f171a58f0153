#!/usr/bin/env python3
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

    def layer(h, uv):
        return h + jnp.tanh(h @ uv[0].T / D) @ uv[1] / (L * M), None

    h, _ = jax.lax.scan(layer, h0, (u, v))
    r = h @ w_unembed / D - y
    return 0.5 * jnp.sum(r**2) / y.size


@functools.partial(jax.jit, donate_argnums=0)
def step(weights, h0, y, w_unembed):
    """One gradient step of every instance: learning rates L M D for both (alpha = eta = 1)."""
    value, gradient = jax.vmap(jax.value_and_grad(loss), in_axes=(0, None, None, None))(weights, h0, y, w_unembed)
    _, L, M, D = weights[0].shape
    return jax.tree.map(lambda w, g: w - L * M * D * g, weights, gradient), value


def losses(case):
    h0 = jnp.asarray(case.x @ case.w_embed.T)
    weights = (jnp.asarray(case.u), jnp.asarray(case.v))
    out = []
    for _ in range(case.n["K"] + 1):
        weights, value = step(weights, h0, jnp.asarray(case.y), jnp.asarray(case.w_unembed))
        out.append(np.asarray(value))
    return np.stack(out, axis=1)


def seconds_per_step(D, M, L, N, instances, K, precision):
    dtype = jnp.float32 if precision == "f32" else jnp.float64
    keys = jax.random.split(jax.random.PRNGKey(0), 5)
    draw = lambda key, shape, scale: scale * jax.random.normal(key, shape, dtype)
    weights = tuple(draw(k, (instances, L, M, D), D**0.5) for k in keys[:2])
    h0, y, w_unembed = draw(keys[2], (N, D), 1.0), draw(keys[3], (N, 5), 1.0), draw(keys[4], (D, 5), 5**0.5)
    times = []
    for k in range(23):  # the first three compile and warm up
        start = time.perf_counter()
        weights, value = step(weights, h0, y, w_unembed)
        value.block_until_ready()
        times.append(time.perf_counter() - start)
    return float(np.median(times[3:]))


if __name__ == "__main__":
    peer.main("jax", losses, seconds_per_step)

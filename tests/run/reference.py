# SPDX-License-Identifier: BSD-3-Clause
"""The ResNet and its training in plain NumPy, straight from the formulas (Chizat 2025, arXiv 2509.10167, equations 22-23):
one network, one layer after the other, float64. Independent of the C code."""

import numpy as np
from scipy.special import erf, expit

SQRT2 = np.sqrt(2.0)


def normal_pdf(p):
    return np.exp(-p * p / 2) / np.sqrt(2 * np.pi)


ACTIVATIONS = {
    "tanh": (np.tanh, lambda p: 1 / np.cosh(p) ** 2),
    "erf": (erf, lambda p: 2 / np.sqrt(np.pi) * np.exp(-p * p)),
    "gelu": (lambda p: p * (1 + erf(p / SQRT2)) / 2, lambda p: (1 + erf(p / SQRT2)) / 2 + p * normal_pdf(p)),
    "silu": (lambda p: p * expit(p), lambda p: expit(p) * (1 + p * (1 - expit(p)))),
    "relu": (lambda p: np.maximum(p, 0), lambda p: (p > 0).astype(float)),
    "softplus": (lambda p: np.logaddexp(p, 0), expit),
    "sin": (np.sin, np.cos),
    "identity": (lambda p: p, np.ones_like),
}


def loss_and_gradient(kind, f, y):
    """Loss and dloss/df; f and y are (N, d_out)."""
    N, d_out = f.shape
    if kind == "squared":
        return np.sum((f - y) ** 2) / (2 * N * d_out), (f - y) / (N * d_out)
    top = f - f.max(axis=1, keepdims=True)
    log_softmax = top - np.log(np.exp(top).sum(axis=1, keepdims=True))
    return -np.sum(y * log_softmax) / N, (np.exp(log_softmax) - y) / N


def forward(problem, u, v):
    """States h^0..h^L, a list of (N, D), and the output (N, d_out); u, v are (L, M, D)."""
    L, M, D = u.shape
    rho = ACTIVATIONS[problem["activation"]][0]
    h = [problem["x"] @ problem["w_embed"].T]
    for l in range(L):
        h.append(h[-1] + problem["alpha"] / (L * M) * rho(h[-1] @ u[l].T / D) @ v[l])
    return h, h[-1] @ problem["w_unembed"] / D


def train(problem, u, v, steps):
    """Gradient descent; returns outputs, embeddings, losses at steps 0..steps and the final u, v."""
    u, v = u.copy(), v.copy()
    L, M, D = u.shape
    rho, slope = ACTIVATIONS[problem["activation"]]
    alpha = problem["alpha"]
    outputs, embeddings, losses = [], [], []
    for k in range(steps + 1):
        h, f = forward(problem, u, v)
        loss, gradient = loss_and_gradient(problem["loss"], f, problem["y"])
        outputs.append(f)
        embeddings.append(h[-1])
        losses.append(loss)
        if k == steps:
            break
        b = gradient @ problem["w_unembed"].T  # D times the gradient in h^L
        for l in reversed(range(L)):
            p, q = h[l] @ u[l].T / D, b @ v[l].T / D
            g = slope(p) * q
            before = b + alpha / (L * M) * g @ u[l]
            u[l] -= problem["eta_u"] / alpha * g.T @ h[l]
            v[l] -= problem["eta_v"] / alpha * rho(p).T @ b
            b = before
    return np.array(outputs), np.array(embeddings), np.array(losses), u, v

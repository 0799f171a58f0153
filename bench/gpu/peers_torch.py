#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch: bmm over the instances, a backward pass by hand, the whole step in a CUDA graph; no TF32."""
import time

import numpy as np
import torch

import peer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = False
torch.set_grad_enabled(False)


class Training:
    """All instances at once: u, v (L, instances, M, D); states (L + 1, instances, N, D)."""

    def __init__(self, u, v, h0, y, w_unembed):
        self.u, self.v, self.y, self.w = u, v, y, w_unembed
        self.L, self.I, self.M, self.D = u.shape
        self.h = h0.new_empty(self.L + 1, self.I, *h0.shape)
        self.h[0] = h0
        self.t = h0.new_empty(self.L, self.I, h0.shape[0], self.M)
        self.loss = h0.new_empty(self.I)

    def step(self):
        c, D = 1 / (self.L * self.M), self.D
        for l in range(self.L):
            torch.baddbmm(self.t[l], self.h[l], self.u[l].mT, beta=0, alpha=1 / D, out=self.t[l])
            self.t[l].tanh_()
            torch.baddbmm(self.h[l], self.t[l], self.v[l], alpha=c, out=self.h[l + 1])
        r = self.h[-1] @ self.w / D - self.y
        self.loss.copy_(0.5 * (r**2).sum((1, 2)) / self.y.numel())
        b = (r / self.y.numel()) @ self.w.T
        for l in reversed(range(self.L)):
            t = self.t[l]
            g = torch.ops.aten.tanh_backward(torch.baddbmm(t, b, self.v[l].mT, beta=0, alpha=1 / D), t)
            before = torch.baddbmm(b, g, self.u[l], alpha=c)
            self.u[l].baddbmm_(g.mT, self.h[l], alpha=-1)
            self.v[l].baddbmm_(t.mT, b, alpha=-1)
            b = before


def losses(case):
    tensor = lambda a: torch.tensor(np.ascontiguousarray(a), device=DEVICE)
    training = Training(tensor(case.u.swapaxes(0, 1)), tensor(case.v.swapaxes(0, 1)), tensor(case.x @ case.w_embed.T),
                        tensor(case.y), tensor(case.w_unembed))
    out = []
    for _ in range(case.n["K"] + 1):
        training.step()
        out.append(training.loss.cpu().numpy().copy())
    return np.stack(out, axis=1)


def seconds_per_step(D, M, L, N, instances, K, precision):
    dtype = torch.float32 if precision == "f32" else torch.float64
    draw = lambda *shape: torch.randn(*shape, device=DEVICE, dtype=dtype)
    training = Training(draw(L, instances, M, D).mul_(D**0.5), draw(L, instances, M, D).mul_(D**0.5), draw(N, D), draw(N, 5),
                        draw(D, 5) * 5**0.5)
    if DEVICE == "cpu":

        def plain():
            start = time.perf_counter()
            training.step()
            return time.perf_counter() - start

        return peer.median(plain, warm_up=2)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # warm up outside the default stream, as capture asks for
        training.step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        training.step()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def replay():
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        return 1e-3 * begin.elapsed_time(end)

    return peer.median(replay, warm_up=2)


def release():
    if DEVICE == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
    peer.main("torch", name, losses, seconds_per_step, release)

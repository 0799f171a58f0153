# SPDX-License-Identifier: BSD-3-Clause
"""Verdicts: one measured number with its interval, beside what the theory says."""

from .estimates import known


class Verdict:
    """name; estimate {value, low, high} (95%; low and high None: no statistical error) or None; expected: what the theory says, or None;
    note: anything else."""

    def __init__(self, name, estimate, expected=None, note=""):
        self.name, self.expected, self.note = name, expected, note
        if estimate is None:  # of a power law, as a rule
            estimate = {} if note.startswith("fewer than") else {"warning": "fewer than three points to fit"}
        self.value, self.low, self.high = (estimate.get(key) for key in ("value", "low", "high"))
        if not known(estimate):  # no value, or an interval without end
            self.value = self.low = self.high = None
            why = estimate.get("warning", "").removeprefix("not determined: ")
            self.note = "; ".join(filter(None, (why, note))) or "the file does not determine it"

    @property
    def agrees(self):
        """True, False, or None where there is nothing to compare."""
        if self.value is None or self.expected is None:
            return None
        return self.value == self.expected if self.low is None else self.low <= self.expected <= self.high

    def __str__(self):
        if self.value is None:
            return f"{self.name}: not determined ({self.note})"
        text = f"{self.name} = {with_interval(self.value, self.low, self.high)}"
        if self.expected is not None:
            text += f"; theory {self.expected:.4g}: {'agrees' if self.agrees else 'differs'}"
        return text + (f" ({self.note})" if self.note else "")

    def short(self):
        """Name and number for a caption."""
        return f"{self.name}: {interval(self, 2)}."


def interval(verdict, digits):
    """The number for a caption."""
    if verdict.value is None:
        return "not determined"
    return with_interval(verdict.value, verdict.low, verdict.high,
                         lambda v: f"{v:.{digits}f}" if 10**-digits <= abs(v) < 1e6 or v == 0 else f"{v:.3g}")


def with_interval(value, low, high, text=None):
    """The number and its interval, or in words that it has none. text: of one number."""
    text = text or number
    return f"{text(value)} [{text(low)}, {text(high)}]" if low is not None else f"{text(value)} (no statistical error)"


def number(value):
    size = abs(value)
    return f"{value:.3g}" if size >= 1e6 or 0 < size < 1e-3 else f"{value:.4f}" if size < 0.1 else f"{value:.3f}"

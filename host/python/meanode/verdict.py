"""Verdicts: one measured number with its interval, beside what the theory says."""


class Verdict:
    """name; estimate {value, low, high} (95%) or None; expected: what the theory says, or None; note: anything else."""

    def __init__(self, name, estimate, expected=None, note=""):
        self.name, self.expected, self.note = name, expected, note
        estimate = estimate or {}
        self.value, self.low, self.high = (estimate.get(key) for key in ("value", "low", "high"))
        if self.value is None:
            self.note = note or estimate.get("warning", "not determined")

    @property
    def agrees(self):
        """True, False, or None where there is nothing to compare."""
        if self.value is None or self.expected is None:
            return None
        return self.low <= self.expected <= self.high

    def __str__(self):
        if self.value is None:
            return f"{self.name}: not determined ({self.note})"
        text = f"{self.name} = {number(self.value)} [{number(self.low)}, {number(self.high)}]"
        if self.expected is not None:
            text += f"; theory {self.expected:.4g}: {'agrees' if self.agrees else 'differs'}"
        return text + (f" ({self.note})" if self.note else "")


def number(value):
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}"


def power_law(x, y):
    """Exponent of y against x from points whose scatter is unknown: {value, low, high} of log y on log x, from the residuals."""
    import numpy
    from scipy import stats

    x, y = numpy.log(numpy.asarray(x, float)), numpy.log(numpy.asarray(y, float))
    if len(x) < 3:
        return None
    fit = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return {"value": fit.slope, "low": fit.slope - half, "high": fit.slope + half, "intercept": fit.intercept}

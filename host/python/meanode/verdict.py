"""Verdicts: one measured number with its interval, beside what the theory says."""


class Verdict:
    """name; estimate {value, low, high} (95%) or None; expected: what the theory says, or None; note: anything else."""

    def __init__(self, name, estimate, expected=None, note=""):
        self.name, self.expected, self.note = name, expected, note
        estimate = estimate or {}
        self.value, self.low, self.high = (estimate.get(key) for key in ("value", "low", "high"))
        if None in (self.value, self.low, self.high):  # no value, or an interval without end
            self.value = None
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

    def short(self):
        """Name and number for a caption."""
        return f"{self.name}: " + ("not determined." if self.value is None else f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}].")


def number(value):
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}" if abs(value) < 1e6 else f"{value:.3g}"


def power_law(x, y, correction=None, error=None):
    """Exponent of y against x: {value, low, high, intercept} of log y = intercept + p log x (+ e correction(x), where there are five points
    or more), None for fewer than three points. The interval comes from the residuals; relative standard errors of y weight the points and
    widen it where the residuals are smaller than they."""
    import numpy
    from scipy import stats

    x, y = numpy.asarray(x, float), numpy.log(numpy.asarray(y, float))
    if len(x) < 3:
        return None
    columns = [numpy.ones(len(x)), numpy.log(x)] + ([correction(x)] if correction is not None and len(x) >= 5 else [])
    design = numpy.stack(columns, axis=1)
    sigma = numpy.ones(len(x)) if error is None else numpy.asarray(error, float)
    covariance = numpy.linalg.inv(design.T @ (design / sigma[:, None] ** 2))
    coefficients = covariance @ (design.T @ (y / sigma**2))
    freedom = len(x) - len(columns)
    scatter = numpy.sum(((y - design @ coefficients) / sigma) ** 2) / freedom
    half = stats.t.ppf(0.975, freedom) * numpy.sqrt(scatter * covariance[1, 1])
    if error is not None:
        half = max(half, 1.96 * numpy.sqrt(covariance[1, 1]))
    return {"value": coefficients[1], "low": coefficients[1] - half, "high": coefficients[1] + half, "intercept": coefficients[0],
            "curve": lambda at: numpy.exp(sum(c * f for c, f in zip(coefficients, [1, numpy.log(at)] + ([correction(at)] if len(columns) > 2 else []))))}

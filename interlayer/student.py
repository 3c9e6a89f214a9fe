"""Student's t without any library: tail probability and quantile."""

import math


def tail(t: float, degrees: float) -> float:
    """Return P(T > t) for `degrees` of freedom, accurate however small it is."""
    if t < 0:
        return 1 - tail(-t, degrees)
    # P(T > t) = I_x(ν/2, 1/2) / 2 with x = ν / (ν + t²).
    whole = degrees + t * t
    return _incomplete_beta(degrees / 2, 0.5, degrees / whole, t * t / whole) / 2


def quantile(upper: float, degrees: float) -> float:
    """Return the t that is exceeded with probability `upper`, from 0 to 0.5."""
    low, high = 0.0, 1.0
    while tail(high, degrees) > upper:
        high *= 2
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, degrees) > upper else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), y being 1 - x, by its continued fraction (Lentz)."""
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, y, x)
    front = math.exp(a * math.log(x) + b * math.log(y) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    fraction = d
    for m in range(1, 1000):
        for step in (
            m * (b - m) / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + step * x * d or tiny)
            c = 1 + step * x / c or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction / a

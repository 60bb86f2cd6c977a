"""Records population stability indexes computed by NumPy and SciPy, as the expected values of the tests beside this folder.

    python psi.py            writes psi.json
    python psi.py --check    fails if psi.json is not what would be written

SciPy's rel_entr(p, q) is p ln(p/q), so rel_entr(p, q) + rel_entr(q, p) is (p - q) ln(p/q), a bin's part of the index.
Counts come from numpy.histogram, whose bins are half open but for the last, as those of an artifact are.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.special import rel_entr
from scipy.stats import entropy

FILE = Path(__file__).resolve().parent / "psi.json"
FLOOR = 1e-4


def main():
    """Writes the file, or compares it; returns the exit code."""
    text = "[\n" + ",\n".join(json.dumps(case) for case in cases()) + "\n]\n"
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if FILE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{FILE.name} differs", file=sys.stderr)
    return 1


def cases():
    """Yields every case, each from a seed of its own."""
    draw = np.random.default_rng
    yield case("the same distribution", "float64", draw(1).normal(0, 1, 500), draw(2).normal(0, 1, 300))
    yield case("shifted", "float64", draw(3).normal(0, 1, 500), draw(4).normal(1, 1, 300))
    yield case("wider, beyond both ends", "float64", draw(5).normal(0, 1, 500), draw(6).normal(0, 4, 300))
    yield case("all below", "float64", draw(7).uniform(5, 6, 200), draw(8).uniform(0, 1, 100))
    yield case("all above", "float64", draw(9).uniform(5, 6, 200), draw(10).uniform(8, 9, 100))
    yield case("on the edges", "float64", np.arange(0, 11.0), np.repeat(np.arange(0, 11.0), np.arange(1, 12)))
    yield case("equal widths, empty bins", "float64", draw(11).exponential(1, 300), draw(12).exponential(2, 90), quantiles=False)
    yield case("one sample", "float64", draw(13).normal(0, 1, 100), np.array([0.5]))
    missing = draw(14).normal(0.3, 1, 200)
    missing[::7] = np.nan
    yield case("values missing", "float64", draw(15).normal(0, 1, 300), missing)
    tenths = draw(16).integers(0, 80, 300) / 10
    yield case("tenths as float32", "float32", tenths, draw(17).integers(10, 90, 200) / 10)
    yield case("integers", "int64", draw(18).poisson(9, 400), draw(19).poisson(12, 200))
    yield case("small integers", "int32", draw(20).poisson(3, 400), draw(21).poisson(2, 200))
    yield case("flags", "bool", draw(22).integers(0, 2, 100), draw(23).integers(0, 6, 120) > 0, quantiles=False)


def case(name, kind, reference, live, quantiles=True):
    """Bins the reference in float64, as training does, and the live values in the type that they arrive in."""
    reference = reference.astype("float64")
    if kind == "bool":
        edges = np.array([0.0, 0.5, 1.0])
    elif quantiles:
        edges = np.unique(np.quantile(reference, np.linspace(0, 1, 11), method="lower"))
    else:
        edges = np.linspace(reference.min(), reference.max(), 13)
    live = live.astype(kind)
    arrived = live.astype("float64")
    seen = arrived[~np.isnan(arrived)]
    rounded = edges.astype("float32").astype("float64") if kind == "float32" else edges
    low, high = rounded[0], rounded[-1]
    before = np.histogram(reference, edges)[0]
    after = np.histogram(np.clip(seen, low, high), rounded)[0]
    return {
        "name": name,
        "type": kind,
        "edges": edges.tolist(),
        "reference": before.tolist(),
        "values": [None if np.isnan(v) else v for v in arrived.tolist()],
        "counts": after.tolist(),
        "missing": int(np.isnan(arrived).sum()),
        "out_of_range": int(((seen < low) | (seen > high)).sum()),
        "psi": round(psi(after, before), 9),
    }


def psi(live, reference):
    """Returns the index of two histograms."""
    p, q = live / live.sum(), reference / reference.sum()
    index = divergence(np.maximum(p, FLOOR), np.maximum(q, FLOOR))
    if p.min() >= FLOOR and q.min() >= FLOOR:
        # Where no share is raised to the floor, it is Jeffreys' divergence, and SciPy's entropy gives it as well.
        assert np.isclose(index, entropy(p, q) + entropy(q, p), rtol=1e-12, atol=1e-12)
    return index


def divergence(p, q):
    """Returns the sum of (p - q) ln(p/q)."""
    return float((rel_entr(p, q) + rel_entr(q, p)).sum())


if __name__ == "__main__":
    sys.exit(main())

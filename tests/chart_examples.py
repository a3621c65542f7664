"""The charts that the explorers show, made of invented numbers: what `Chart` has to be able to say."""

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Mark, Series, spread

DEPTHS = np.array([8, 14, 20, 32, 44, 56, 74, 92, 110])
LAYER = "layer (1 sees the image, the last gives the classes)"
PERCENT = Axis("error", 0, 100, unit="%")


def errors(seed: int = 0) -> dict[str, np.ndarray]:
    """Error in percent by depth, (9, 3) each; one depth of the plain network has one seed, one has none."""
    random = np.random.default_rng(seed)
    plain = 2 + 96 / (1 + np.exp(-(DEPTHS[:, None] - 50) / 9)) + random.normal(0, 3, (9, 3))
    residual = 2 + DEPTHS[:, None] / 40 + random.normal(0, 0.5, (9, 3))
    plain, residual = plain.clip(0, 100), residual.clip(0, 100)
    plain[5, 1:], plain[7] = np.nan, np.nan
    return {"plain": plain, "residual": residual}


def degradation(depth: int = 56) -> list[Chart]:
    """Error against depth with bands over seeds, and learning curves of one depth with recorded ghosts."""
    random, epochs = np.random.default_rng(depth), np.arange(1, 31)
    overview = [
        Series(kind.capitalize(), DEPTHS, **spread(values), kind=kind) for kind, values in errors().items()
    ]
    unfinished = Series("not finished", [8, 8, 92], [30, 34, 88], kind="plain", line="none", look="open")
    curves = []
    for kind, end in (("plain", min(90, depth)), ("residual", 3)):
        ran = 90 * np.exp(-epochs / (4 + depth / 20))[:, None] + end + random.normal(0, 1.2, (30, 3))
        trained = spread(ran)
        y = trained["y"]
        live = np.where(epochs <= 12, y + 4, np.nan)
        series = [
            Series("training", epochs, kind=kind, marker="none", **trained),
            Series("test", epochs, y + 5, kind=kind, line="dashed", marker="none"),
            Series("this run", epochs, live),
            Series("recorded", epochs, y - 2, kind=kind, look="ghost"),
        ]
        x = Axis("epoch", 0.5, 30.5, whole=True)
        curves.append(Chart(f"{kind.capitalize()}-{depth}", x, PERCENT, series, kind=kind))
    x = Axis("depth (layers with weights)", 7, 122, "log", name="depth", ticks=[int(d) for d in DEPTHS])
    y = Axis("training error", -3, 103, unit="%")
    first = Chart(
        "Training error of all depths", x, y, [*overview, unfinished], chosen=depth, share=1.5,
        note="Open marks: runs that are not finished.",
    )  # fmt: skip
    return [first, *curves]


def gradients(layers: int = 56, seed: int = 0) -> Chart:
    """Gradient norms over 14 decades: gaps, zeros, what has overflowed, a guide, and a shaded part."""
    random, x = np.random.default_rng(seed), np.arange(1, layers + 1)
    plain = 10 ** np.linspace(5, -6, layers) * np.exp(random.normal(0, 0.4, layers))
    residual = 10 ** np.linspace(-1, -2, layers) * np.exp(random.normal(0, 0.2, layers))
    plain[:2], plain[10], plain[-3:], plain[30] = [np.inf, 1e9], np.nan, 0, 1e-12
    return Chart(
        "", Axis(LAYER, 0, layers + 1, name="layer", whole=True),
        Axis("gradient norm of the weights", 1e-8, 1e6, "log"),
        [
            Series("Plain", x, plain, "plain"),
            Series("Residual", x, residual, kind="residual"),
            Series("alpha 0.5", x, np.sqrt(plain * residual), kind="guide", look="ghost"),
        ],
        [Mark("first block", x=1.5, to=3.5)],
        note="Triangles: beyond the axis; crosses: exactly 0.",
        says="The plain network's gradient falls by eleven orders of magnitude, the residual's by one.",
    )  # fmt: skip


def growth(depth: int = 56) -> list[Chart]:
    """What grows with depth: three linear panels from 0, a limit, and the point of one depth."""
    values = {
        "parameters": DEPTHS * 15_500.0,
        "multiply-adds": DEPTHS * 2.3e6,
        "receptive field": 6.0 * DEPTHS - 15,
    }
    units = ("", "", "px")
    charts = []
    for (name, y), unit in zip(values.items(), units, strict=True):
        x = Axis("depth (layers with weights)", 0, 116, name="depth", whole=True)
        marks = [Mark("the image: 32 px", y=32)] if unit else []
        series = [Series("Residual", DEPTHS, y, "residual")]
        charts.append(
            Chart(name.capitalize(), x, Axis.around(name, y, unit=unit), series, marks, chosen=depth)
        )
    return charts


def layers(step: int = 0) -> list[Chart]:
    """Responses layer by layer, and the same sorted, with bands over seeds."""
    random, x = np.random.default_rng(step), np.arange(1, 56)
    found = {
        "plain": 1 + 0.4 * random.random((55, 3)) * (1 + step / 5),
        "residual": (0.5 + 0.2 * random.random((55, 3))) * np.linspace(1.2, 0.6, 55)[:, None],
    }
    charts = []
    for title, label, name in (
        ("Layer by layer", "convolution (1 sees the image)", "convolution"),
        ("Sorted", "rank of the layer (1 has the largest)", "rank"),
    ):
        rows = {k: v if name != "rank" else -np.sort(-v, axis=0) for k, v in found.items()}
        series = [Series(k.capitalize(), x, **spread(v), kind=k) for k, v in rows.items()]
        charts.append(Chart(title, Axis(label, 0.4, 56, name=name, whole=True), Axis("std", 0, 2), series))
    return charts


def statistics(block: int = 9) -> list[Chart]:
    """Statistics of activations through depth: five small panels, a line at one block."""
    random, charts = np.random.default_rng(3), []
    for name, scale in (
        ("mean", "linear"), ("standard deviation", "log"), ("dead channels", "linear"),
        ("branch over skip", "linear"), ("effective rank", "linear"),
    ):  # fmt: skip
        y = {k: np.cumsum(random.random(18)) * (10 if k == "plain" else 1) for k in ("plain", "residual")}
        if scale == "log":
            y = {k: v**4 for k, v in y.items()}
        if name == "branch over skip":
            y = {"plain": np.full(18, np.nan), "residual": y["residual"]}
        x = np.arange(1, 19.0)
        series = [Series(k.capitalize(), x, v, kind=k) for k, v in y.items()]
        axis = Axis.around(name, *y.values(), scale=scale, unit="%" if name.startswith("dead") else "")
        charts.append(
            Chart(name.capitalize(), Axis("block", 0.4, 18.4, whole=True), axis, series, chosen=block)
        )
    return charts


def claims() -> list[Chart]:
    """A claim's curves, two of a kind, with triangles beyond the axis and a formula; another on log axes."""
    random, x = np.random.default_rng(5), np.arange(0, 40)
    series = []
    for name, rate, look in (("plain 56", 0.8, "full"), ("plain 110", 1.1, "open")):
        y = 10 ** (4 - rate * np.minimum(x, 14))[None] * np.exp(random.normal(0, 0.3, (3, 40)))
        series.append(Series(name, x, **spread(y.T, np.nanmedian), kind="plain", look=look))
    y = np.exp(random.normal(0, 0.2, (40, 3)))
    series.append(Series("residual 56", x, **spread(y, np.nanmedian), kind="residual"))
    series.append(Series("as large at both ends", [0, 39], [1, 1], line="dashed"))
    norms = Axis("gradient at the first over the last", 1e-6, 1e6, "log")
    first = Chart(
        "Ten steps take the explosion away",
        Axis("step of SGD", -0.5, 39.5, name="step", whole=True),
        norms,
        series,
    )
    at, fine = np.array([1, 2, 4, 9, 16, 25, 36, 54]), np.geomspace(1, 54, 80)
    noise = at[:, None] ** -0.5 * np.exp(random.normal(0, 0.05, (8, 5)))
    second = Chart(
        "A block adds 1/√l of its skip",
        Axis("block l", 0.9, 60, "log", ticks=[int(k) for k in at]),
        Axis("branch over skip", 0.08, 2.5, "log"),
        [
            Series("residual", at, **spread(noise, np.nanmedian), kind="residual"),
            Series("1/√l", fine, fine**-0.5, line="dashed"),
        ],
    )
    return [first, second]


def spectra() -> list[Chart]:
    """Singular values of blocks: two bands, one in the other, the median, the largest and a line at 1."""
    charts = []
    for kind, drift in (("plain", 0.4), ("residual", 1.0)):
        x = np.arange(1, 28.0)
        middle = drift * (1 + 0.1 * np.sin(x))
        series = [
            Series("middle 90 %", x, np.full(27, np.nan), kind, middle / 8, middle * 3, marker="none"),
            Series("middle half", x, np.full(27, np.nan), kind, middle / 2, middle * 1.6, marker="none"),
            Series("median", x, middle, kind=kind, marker="none"),
            Series("largest", x, middle * 6, kind=kind, line="none", marker="up"),
        ]
        y = Axis("singular values", 1e-2, 1e2, "log")
        axis = Axis("block", 0.5, 27.5, whole=True)
        charts.append(Chart(kind.capitalize(), axis, y, series, [Mark("no stretch", y=1)], kind=kind))
    return charts


def verdict() -> Chart:
    """Insertion: the class's probability while pixels come, the method's beside random maps'."""
    share = np.linspace(0, 100, 21)
    method = 100 / (1 + np.exp(-(share - 25) / 7))
    chance = np.stack([100 / (1 + np.exp(-(share - 50 - k) / 11)) for k in range(-9, 10)], 1)
    return Chart(
        "Insertion: pixels come in the map's order", Axis("pixels shown", 0, 100, unit="%"),
        Axis("probability of the class", 0, 105, unit="%"),
        [
            Series("Grad-CAM", share, method, kind="residual", marker="none"),
            Series("19 random maps", share, **spread(chance), kind="muted"),
        ],
    )  # fmt: skip


def odd() -> list[Chart]:
    """What must not break a chart: nothing, no number, one point, no range, below 0 on a logarithmic axis."""
    x, none = Axis("x", 0, 4), Axis.around("y", [np.nan])
    nothing = [Series("empty", [], []), Series("NaN", [1, 2], [np.nan] * 2, "plain"), None]
    one = [Series("Plain", [2], [3], "plain"), Series("flat", [0, 4], [0, 0], "other")]
    below = [Series("Residual", [0, 1, 2, 3, 4], [-1, 0, 1, np.inf, 100], "residual")]
    return [
        Chart("No series", x, Axis("y", 0, 1)),
        Chart("Empty and no number", x, none, nothing, [None, Mark("nowhere", y=np.nan)], chosen=np.nan),
        Chart("One point", x, Axis.around("y", [3]), one),
        Chart("Below 0", x, Axis("y", 0.1, 10, "log"), below),
    ]


ALL = {
    "degradation": degradation,
    "gradients": lambda: [gradients()],
    "growth": growth,
    "layers": layers,
    "statistics": statistics,
    "claims": claims,
    "spectra": spectra,
    "verdict": lambda: [verdict()],
    "odd": odd,
}

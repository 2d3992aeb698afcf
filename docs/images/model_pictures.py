"""Draw the pictures of docs/model.md: python docs/images/model_pictures.py"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

FOLDER = Path(__file__).parent
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
plt.rcParams.update({"svg.hashsalt": "skdiffrec", "font.size": 11})


def canvas(width, height):
    figure, ax = plt.subplots(figsize=(width, height))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    figure.subplots_adjust(0, 0, 1, 1)
    return figure, ax


def box(ax, x, y, width, height, text, color=GREY, fill="white"):
    ax.add_patch(
        FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0.04", ec=color, fc=fill, linewidth=1.6
        )
    )
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", color="black")


def arrow(ax, start, end, color=GREY, style="-|>", bend=0.0):
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle=style,
            mutation_scale=14,
            color=color,
            linewidth=1.4,
            connectionstyle=f"arc3,rad={bend}",
        )
    )


def cells(ax, x, y, values, size=0.22, missing=()):
    """A row of items: dark where there is an interaction, outlined where it is in the target."""
    for i, value in enumerate(values):
        shade = plt.cm.Blues(0.12 + 0.75 * float(np.clip(value, 0, 1)))
        edge = ORANGE if i in missing else "white"
        ax.add_patch(
            plt.Rectangle((x + i * size, y), size * 0.9, size * 0.9, fc=shade, ec=edge, lw=1.6)
        )


def save(figure, name):
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def noise():
    """The forward process to the right, the reverse process to the left."""
    figure, ax = canvas(9, 2.7)
    rng = np.random.default_rng(4)
    row = np.zeros(8)
    row[[0, 2, 3, 6]] = 1
    left = row
    z = rng.standard_normal(8)
    for i, (kept, name) in enumerate(
        [(1.0, "$x_0$, the row"), (0.7, ""), (0.3, "$x_t$"), (0.02, "$x_T$, noise")]
    ):
        x = 0.35 + 2.25 * i
        values = np.sqrt(kept) * left + np.sqrt(1 - kept) * (0.5 + 0.35 * z)
        cells(ax, x, 1.3, values)
        ax.text(x + 0.88, 0.95, name, ha="center", va="center")
        if i < 3:
            arrow(ax, (x + 1.1, 1.65), (x + 3.05, 1.65), GREY, bend=-0.25)
            arrow(ax, (x + 3.05, 0.75), (x + 1.1, 0.75), BLUE, bend=-0.25)
    ax.text(4.5, 2.45, "forward: add noise", ha="center", color=GREY)
    ax.text(4.5, 0.2, "reverse: the network removes noise", ha="center", color=BLUE)
    save(figure, "model_noise")


def training():
    """Condition, target and null token."""
    figure, ax = canvas(9, 3.9)
    row = np.array([1, 0, 1, 1, 0, 0, 1, 1, 0, 1])
    shown = row * np.array([1, 1, 0, 1, 1, 1, 1, 0, 1, 1])
    ax.text(0.3, 3.5, "a user's row")
    cells(ax, 0.3, 3.1, row)
    arrow(ax, (2.65, 3.25), (3.8, 3.25))
    ax.text(3.2, 3.42, "4 of 5 rows", ha="center", fontsize=9, color=GREY)
    cells(ax, 4.0, 3.1, shown, missing=(2, 7))
    ax.text(6.4, 3.2, "condition: a part of the row", color=BLUE, va="center")
    cells(ax, 4.0, 2.5, row - shown, missing=(2, 7))
    ax.text(6.4, 2.6, "target: the rest", color=ORANGE, va="center")
    arrow(ax, (1.4, 3.0), (3.8, 1.35), bend=0.2)
    ax.text(2.0, 1.75, "1 of 5", ha="right", fontsize=9, color=GREY)
    box(ax, 4.04, 1.2, 2.1, 0.25, "∅", BLUE)
    ax.text(6.4, 1.32, "condition: the null token", color=BLUE, va="center")
    cells(ax, 4.0, 0.6, row)
    ax.text(6.4, 0.7, "target: the whole row", color=ORANGE, va="center")
    ax.text(
        4.5,
        0.15,
        'With values="time" the condition is what came first, and the target is what came later.',
        ha="center",
        fontsize=9.5,
        color=GREY,
    )
    save(figure, "model_training")


def network():
    """The body, its linear input and output layers, its two heads and the closed form."""
    figure, ax = canvas(9.4, 4.1)
    box(ax, 0.2, 3.0, 1.9, 0.6, "noisy row $x_t$")
    box(ax, 0.2, 1.9, 1.9, 0.6, "timestep $t$")
    box(ax, 0.2, 0.8, 1.9, 0.6, "history $c$, or ∅", BLUE)
    box(ax, 3.1, 1.7, 1.9, 1.0, "body\n$h = \\varphi(\\cdot)$\n240 units", BLUE, "#eaf3fa")
    arrow(ax, (2.2, 3.25), (3.1, 2.55))
    ax.text(2.55, 3.15, "$W$")
    arrow(ax, (2.2, 2.2), (3.05, 2.2))
    arrow(ax, (2.2, 1.15), (3.1, 1.85))
    ax.text(2.45, 1.6, "$U$")
    box(ax, 6.0, 2.95, 3.1, 0.65, "estimate of $x_0$, for the steps")
    box(ax, 6.0, 1.85, 3.1, 0.65, "item scores, for the ranking", ORANGE, "#fdf0e8")
    arrow(ax, (5.1, 2.4), (5.95, 3.2))
    ax.text(5.3, 2.95, "$R$")
    arrow(ax, (5.1, 2.2), (5.95, 2.2))
    ax.text(5.45, 2.3, "$O$")
    box(ax, 3.1, 0.35, 1.9, 0.65, "closed form $D$", GREEN, "#e8f5f0")
    arrow(ax, (2.2, 1.0), (3.05, 0.72), GREEN)
    arrow(ax, (5.1, 0.7), (6.6, 1.8), GREEN, bend=0.25)
    ax.text(6.55, 1.1, "times a weight, added after training", color=GREEN, fontsize=10)
    arrow(ax, (7.6, 3.7), (1.2, 3.7), GREY, bend=0.09)
    ax.text(4.4, 3.72, "next step", ha="center", color=GREY, fontsize=10)
    save(figure, "model_network")


def guidance():
    """Unconditional scores, conditional scores, and scores at scale 2."""
    figure, ax = canvas(9, 2.6)
    items = ["popular,\nother taste", "popular,\nown taste", "rare,\nown taste"]
    scores = {0.0: (0.9, 0.85, 0.3), 1.0: (0.5, 1.0, 0.7)}
    scores[2.0] = tuple(2 * b - a for a, b in zip(scores[0.0], scores[1.0], strict=True))
    titles = {
        0.0: "scale 0: unconditional",
        1.0: "scale 1: conditional",
        2.0: "scale 2: more personal",
    }
    for i, (scale, values) in enumerate(scores.items()):
        x0 = 0.3 + 3.0 * i
        for j, (item, value) in enumerate(zip(items, values, strict=True)):
            ax.add_patch(
                plt.Rectangle((x0 + 0.85 * j, 0.75), 0.6, 1.05 * value, fc=(GREY, BLUE, GREEN)[j])
            )
            ax.text(x0 + 0.85 * j + 0.3, 0.4, item, ha="center", va="center", fontsize=8.5)
        ax.plot([x0 - 0.1, x0 + 2.4], [0.75, 0.75], color="black", lw=0.8)
        ax.text(x0 + 1.15, 2.35, titles[scale], ha="center", fontsize=10.5)
    save(figure, "model_guidance")


if __name__ == "__main__":
    noise()
    training()
    network()
    guidance()

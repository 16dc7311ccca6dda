#!/usr/bin/env python3
"""Draws docs/performance.png from target/bench/engine.json."""

import json
import pathlib
from statistics import median

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from bench_tables import middle, ratio, values

FIGURES = pathlib.Path("target/bench/engine.json")
PICTURE = pathlib.Path("docs/performance.png")
COLOURS = {"llama.cpp": "#9aa5b1", "bedside": "#0f766e"}
KINDS = {"pp": "prompt", "tg": "generation", "tg × 8": "generation, batch of 8"}


def main() -> None:
    figures = json.loads(FIGURES.read_text())
    engines = figures["engines"]
    picture, places = pyplot.subplots(2, 3, figsize=(15, 9), layout="constrained")
    for place, (kind, name) in zip(places[0], KINDS.items(), strict=True):
        draw_rates(place, engines, kind)
        place.set_title(f"{name}, tokens/s")
    draw_ratios(places[1][0], engines)
    draw_servers(places[1][1], figures["servers"], ("generated_tokens_per_s",), 1, "{:.0f}")
    places[1][1].set_title("8 patients at once, tokens/s in all")
    draw_servers(places[1][2], figures["servers"], ("first_token_ms", "p50"), 1000, "{:.1f}")
    places[1][2].set_title("8 patients at once, first token after (median), s")
    machine = figures["machine"]
    picture.suptitle(f"Bedside and llama.cpp: {machine['cpu']}, {machine['threads']} threads, {machine['date']}")
    picture.savefig(PICTURE, dpi=110)


def draw_rates(place, engines: list[dict], kind: str) -> None:
    """Logarithmic, since the models differ by so much; each bar says its figure."""
    names = [short(engine["model"]) for engine in engines]
    rates = {it: [median(values(engine, it, kind)) for engine in engines] for it in COLOURS}
    draw_pairs(place, names, rates, "{:.0f}")
    place.set_yscale("log")
    place.set_ylim(top=place.get_ylim()[1] * 2)
    place.minorticks_off()


def draw_ratios(place, engines: list[dict]) -> None:
    width = 0.8 / len(KINDS)
    for number, (kind, name) in enumerate(KINDS.items()):
        ratios = [ratio(values(engine, "bedside", kind), values(engine, "llama.cpp", kind)) for engine in engines]
        bars = place.bar([at + (number - 1) * width for at in range(len(engines))], ratios, width, label=name)
        place.bar_label(bars, [f"{it:.1f}" for it in ratios], fontsize=8)
    place.axhline(1, color="black", linewidth=0.8)
    place.set_xticks(range(len(engines)), [short(engine["model"]) for engine in engines])
    place.set_title("Bedside / llama.cpp")
    place.margins(y=0.25)
    place.legend(loc="upper center", ncols=len(KINDS), fontsize=8)


def draw_servers(place, servers: list[dict], path: tuple[str, ...], unit: float, form: str) -> None:
    names = [scenario["scenario"] for scenario in servers]
    middles = {
        server: [middle(scenario["reports"][server], *path) / unit for scenario in servers]
        for server in COLOURS
    }
    draw_pairs(place, names, middles, form)


def draw_pairs(place, names: list[str], heights: dict[str, list[float]], form: str) -> None:
    for number, (server, colour) in enumerate(COLOURS.items()):
        at = [name + (number - 0.5) * 0.4 for name in range(len(names))]
        bars = place.bar(at, heights[server], 0.4, color=colour, label=server)
        place.bar_label(bars, [form.format(it) for it in heights[server]], fontsize=8)
    place.set_xticks(range(len(names)), names)
    place.margins(y=0.25)
    place.legend(loc="upper center", ncols=len(COLOURS), fontsize=8)


def short(model: str) -> str:
    """`SmolLM2-135M-Instruct.Q4_1` → SmolLM2 and Q4_1 on two lines."""
    name, kind = model.rsplit(".", 1)
    return f"{name.removesuffix('-135M-Instruct')}\n{kind}"


if __name__ == "__main__":
    main()

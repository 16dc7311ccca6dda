"""The figures of target/bench/engine.json as Markdown, and into the docs."""

import pathlib
import re
from functools import reduce
from operator import getitem
from statistics import median

LABELS = {"pp": "prompt", "tg": "generation"}


def markdown(figures: dict) -> str:
    machine = figures["machine"]
    return "\n".join([
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, {machine['date']}; "
        f"Bedside at {machine['commit']}, llama.cpp of llama-cpp-python {machine['llama_cpp_python']}.",
        "",
        *engine_table(figures["engines"]),
        "",
        *server_table(figures["servers"]),
        "",
    ])  # fmt: skip


def engine_table(engines: list[dict]) -> list[str]:
    """The last column: how much of what the memory's speed allows is reached."""
    lines = [
        "| model | what | llama.cpp tokens/s | Bedside tokens/s | ratio | of the memory's speed |",
        "|---|---|---|---|---|---|",
    ]
    for engine in engines:
        ceiling = engine["read_gb_per_s"] * 1e9 / engine["weight_bytes"]
        for kind in engine["figures"]["bedside"][0]:
            theirs, ours = values(engine, "llama.cpp", kind), values(engine, "bedside", kind)
            reached = f"{median(ours) / ceiling:.0%} of {ceiling:.0f}" if kind == "tg" else ""
            lines.append(
                f"| {engine['model']} | {label(kind)} | {median(theirs):.1f} | {median(ours):.1f} "
                f"| {ratio(ours, theirs):.2f} | {reached} |"
            )
    return lines


def server_table(servers: list[dict]) -> list[str]:
    lines = [
        "| 8 patients | server | generated tokens/s | ratio | first token p50 | p95 | between tokens p50 | p95 "
        "| memory, at most | anonymous, at most |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for scenario in servers:
        theirs = scenario["reports"]["llama.cpp"]
        for server, reports in scenario["reports"].items():
            lines.append(f"| {scenario['scenario']} | {server} | {server_figures(reports, theirs)} |")
    return lines


def server_figures(reports: list[dict], theirs: list[dict]) -> str:
    rates = [[it["generated_tokens_per_s"] for it in some] for some in (reports, theirs)]
    first, between, memory = "first_token_ms", "inter_token_ms", "memory"
    return " | ".join([
        f"{median(rates[0]):.1f}",
        f"{ratio(*rates):.2f}",
        *(f"{middle(reports, first, it) / 1000:.2f} s" for it in ("p50", "p95")),
        *(f"{middle(reports, between, it):.0f} ms" for it in ("p50", "p95")),
        *(f"{middle(reports, memory, it, 'max'):.0f} MB" for it in ("resident", "anonymous")),
    ])  # fmt: skip


def rewrite(path: pathlib.Path, tables: str) -> None:
    text = path.read_text()
    place = re.compile(r"(<!-- bench -->\n).*(<!-- /bench -->)", re.DOTALL)
    changed, count = place.subn(lambda it: it[1] + tables + it[2], text)
    if count != 1:
        raise SystemExit(f"{path} has no place for the tables")
    path.write_text(changed)


def values(engine: dict, name: str, kind: str) -> list[float]:
    return [run[kind] for run in engine["figures"][name]]


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Of runs that followed each other."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def label(kind: str) -> str:
    return LABELS.get(kind, kind.replace("tg ×", "generation, batch of"))


def middle(reports: list[dict], *path: str) -> float:
    """The median of what stands at that path in each."""
    return median(reduce(getitem, path, report) for report in reports)

#!/usr/bin/env python3
"""Measures Bedside's engine and llama.cpp in turns, and their servers; writes target/bench/engine.{json,md}."""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import gguf
import numpy

import bench_servers
import bench_tables

BEDSIDE = pathlib.Path("target/release/bedside")
LLAMA = pathlib.Path("target/llama.cpp/bin")
MODELS = pathlib.Path("target/bench-models")
FURTHER = ("SmolLM2-135M-Instruct.Q4_0", "SmolLM2-135M-Instruct.Q8_0", "random-1b.Q4_K_M")
OUT = pathlib.Path("target/bench")
DOCS = pathlib.Path("docs/performance.md")
THREADS = 2
PROMPT, GENERATE = 256, 64
BATCHES = (1, 2, 4, 8, 16)
BATCH_PROMPT, BATCH_GENERATE = 64, 32
LONGEST_RUN = 900


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--base", type=pathlib.Path, required=True, help="the default model's GGUF file")
    arguments.add_argument("--runs", type=int, default=5, help="runs of each engine, in turns")
    arguments.add_argument("--write-docs", action="store_true", help=f"put the tables into {DOCS}")
    arguments = arguments.parse_args()
    signal.signal(signal.SIGTERM, stop)
    OUT.mkdir(parents=True, exist_ok=True)

    models = [arguments.base, *(MODELS / f"{name}.gguf" for name in FURTHER)]
    adapters = sorted(MODELS.glob("adapter-*.gguf"))
    figures = {
        "machine": machine(),
        "engines": [compare_engines(model, arguments.runs) for model in models],
        "servers": bench_servers.compare(arguments.base, adapters, arguments.runs),
    }
    (OUT / "engine.json").write_text(json.dumps(figures, indent=1) + "\n")
    tables = bench_tables.markdown(figures)
    (OUT / "engine.md").write_text(tables)
    if arguments.write_docs:
        bench_tables.rewrite(DOCS, tables)
    print(tables)


def stop(*_) -> None:
    """Ends as an error does, so that a server under way is ended as well."""
    raise SystemExit("stopped")


def machine() -> dict:
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": THREADS,
        "date": time.strftime("%Y-%m-%d"),
        "commit": output("git", "rev-parse", "--short", "HEAD").strip(),
        "llama_cpp_python": pathlib.Path("target/llama.cpp/version").read_text().strip(),
    }


def compare_engines(model: pathlib.Path, runs: int) -> dict:
    """Each engine `runs` times, in turns, so that both see the same moods of the machine."""
    say(f"engines: {model.name}")
    engines = {"llama.cpp": llama_cpp_figures, "bedside": bedside_figures}
    found = {name: [] for name in engines}
    for run in range(runs):
        for name in in_turns(list(engines), run):
            found[name].append(engines[name](model))
    return {
        "model": model.stem,
        "weight_bytes": weight_bytes(model),
        "read_gb_per_s": read_gb_per_s(),
        "figures": found,
    }


def in_turns(names: list[str], run: int) -> list[str]:
    return names if run % 2 == 0 else names[::-1]


def llama_cpp_figures(model: pathlib.Path) -> dict[str, float]:
    """Tokens per second by what was measured: `pp`, `tg`, and `tg × n` for n sequences at once."""
    prompt, generate = llama_bench(model, PROMPT, GENERATE)
    figures = {"pp": prompt["avg_ts"], "tg": generate["avg_ts"]}
    lines = output(
        LLAMA / "llama-batched-bench", "-m", model, "-t", THREADS, "-tb", THREADS,
        "-npp", BATCH_PROMPT, "-ntg", BATCH_GENERATE, "-npl", ",".join(map(str, BATCHES)),
        "-c", max(BATCHES) * (BATCH_PROMPT + BATCH_GENERATE), "--output-format", "jsonl",
    )  # fmt: skip
    for line in lines.splitlines():
        if line.startswith("{"):
            batch = json.loads(line)
            figures[f"tg × {batch['pl']}"] = batch["speed_tg"]
    return figures


def llama_bench(model: pathlib.Path, prompt: int, generate: int) -> list[dict]:
    """Of reading and of generating; it warms up by itself."""
    command = (LLAMA / "llama-bench", "-m", model, "-p", prompt, "-n", generate, "-t", THREADS, "-r", 1, "-o", "json")
    return json.loads(output(*command))


def bedside_figures(model: pathlib.Path) -> dict[str, float]:
    alone = bedside_bench(model, PROMPT, GENERATE)
    together = bedside_bench(model, BATCH_PROMPT, BATCH_GENERATE, "--batch", ",".join(map(str, BATCHES)))
    figures = {result["kind"]: result["tokens_per_s"] for result in alone}
    figures |= {f"tg × {it['batch']}": it["tokens_per_s"] for it in together if it["kind"] == "tg"}
    return figures


def bedside_bench(model: pathlib.Path, prompt: int, generate: int, *more: str) -> list[dict]:
    command = (BEDSIDE, "model", "bench", "--json", "--model", model, "--prompt", prompt, "--generate", generate)
    return json.loads(output(*command, "--threads", THREADS, *more))["results"]


def weight_bytes(model: pathlib.Path) -> int:
    """What one generated token has to read: all but an embedding that is not the head as well."""
    tensors = {tensor.name: int(tensor.n_bytes) for tensor in gguf.GGUFReader(model).tensors}
    if "output.weight" in tensors:
        tensors.pop("token_embd.weight")
    return sum(tensors.values())


def read_gb_per_s() -> float:
    """The best of some passes over memory that no cache holds, by all threads at once."""
    parts = [numpy.ones(64_000_000, numpy.float32) for _ in range(THREADS)]

    def once() -> float:
        readers = [threading.Thread(target=part.max) for part in parts]
        begun = time.perf_counter()
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        return sum(part.nbytes for part in parts) / (time.perf_counter() - begun) / 1e9

    return max(once() for _ in range(10))


def output(*command) -> str:
    words = [str(it) for it in command]
    return subprocess.run(
        words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=LONGEST_RUN
    ).stdout


def say(line: str) -> None:
    print(f"bench: {line}", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs Bedside and chatglm.cpp in turn on the same random ChatGLM-6B and prints tokens/s, memory, and how near decoding
comes to the time in which the weights can be read."""

import argparse
import json
import pathlib
import os
import re
import statistics
import subprocess

# The pieces of scripts/make-chatglm.py's vocabulary, so that each is about one token.
PROMPT = "患者发烧咳嗽头疼两天医生建议多喝水休息观察体温如果加重请及时去医院就诊检查"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--models", type=pathlib.Path, required=True)
    arguments.add_argument("--theirs", type=pathlib.Path, required=True)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--long", type=int, default=960, help="prompt tokens of the memory figure")
    arguments = arguments.parse_args()
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours.append(bedside(arguments.models, "32", 64))
        theirs.append(chatglm_cpp(arguments.theirs, arguments.models))
        print(f"decode: bedside {ours[-1]['tg']:.2f}, chatglm.cpp {theirs[-1]['tg']:.2f} tokens/s", flush=True)
    long = bedside(arguments.models, f"32,{arguments.long}", 64)
    median = lambda figures, key: statistics.median(it[key] for it in figures)
    print("| | prompt tokens/s | decode tokens/s | load | memory |\n|---|---|---|---|---|")
    print(f"| chatglm.cpp | {median(theirs, 'pp'):.1f} | {median(theirs, 'tg'):.2f} | | {median(theirs, 'peak') / 1e9:.2f} GB |")
    print(f"| bedside | {median(ours, 'pp'):.1f} | {median(ours, 'tg'):.2f} | {median(ours, 'load'):.1f} s "
          f"| {median(ours, 'peak') / 1e9:.2f} GB |")
    print("ratio of decode, round by round: "
          + ", ".join(f"{a['tg'] / b['tg']:.2f}" for a, b in zip(ours, theirs)))
    for name, figures, context in [("32 tokens", ours, 64), (f"{arguments.long} tokens", [long], arguments.long + 32)]:
        slower = [it["tg_seconds"] / ((it["weights"] + context * it["kv"]) / it["read"]) for it in figures]
        print(f"decode behind {name}: {statistics.median(slower):.3f} × the time to read its bytes")
    print(f"memory with {arguments.long + 64} tokens of f16 keys and values: {long['peak'] / 1e9:.2f} GB at most")


def bedside(models: pathlib.Path, prompts: str, generate: int) -> dict:
    """Figures of the last of the prompts; all lengths with commas between."""
    command = ["target/release/bedside", "model", "bench", "--model", models / "chatglm-6b.Q4_0.gguf",
               "--prompt", prompts, "--generate", str(generate), "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    pp, tg = (it["tokens_per_s"] for it in found["results"][-2:])
    memory = found["memory"]
    return {"pp": pp, "tg": tg, "tg_seconds": 1 / tg, "load": found["load_seconds"],
            "weights": memory["bytes_per_token"], "kv": memory["kv_bytes_per_token"],
            "read": found["read_gb_per_s"] * 1e9, "peak": memory["peak_resident_bytes"]}


def chatglm_cpp(binary: pathlib.Path, models: pathlib.Path) -> dict:
    command = [binary, "-m", models / "chatglm-6b.Q4_0.ggml", "-p", PROMPT, "--mode", "generate", "--temp", "0",
               "--max_new_tokens", "64", "-v"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, said
    rates = re.findall(r"(prompt|output) time: [\d.]+ ms / \d+ tokens \(([\d.]+) ms/token\)", said)
    rates = {name: 1000 / float(each) for name, each in rates}
    return {"pp": rates["prompt"], "tg": rates["output"], "peak": usage.ru_maxrss * 1024}


if __name__ == "__main__":
    main()

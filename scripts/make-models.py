#!/usr/bin/env python3
"""Writes the models of `make bench` that are not there yet: BASE in other quantizations, a random model
of a billion parameters, and four random LoRA adapters of BASE. What they say is of no matter, only how fast."""

import argparse
import pathlib
import subprocess

import gguf
import numpy

QUANTIZE = pathlib.Path("target/llama.cpp/bin/llama-quantize")
ADAPTERS = 4
RANK = 8
ALPHA = 16.0
LINEARS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")

WIDTH, LAYERS, HEADS, KV_HEADS, INNER, CONTEXT = 2048, 16, 32, 8, 8192, 4096
KV_WIDTH = WIDTH // HEADS * KV_HEADS
BLOCK = {
    "attn_norm": (WIDTH,),
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (KV_WIDTH, WIDTH),
    "attn_v": (KV_WIDTH, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_norm": (WIDTH,),
    "ffn_gate": (INNER, WIDTH),
    "ffn_up": (INNER, WIDTH),
    "ffn_down": (WIDTH, INNER),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--base", type=pathlib.Path, required=True, help="the default model's GGUF file")
    arguments.add_argument("--out", type=pathlib.Path, default=pathlib.Path("target/bench-models"))
    arguments = arguments.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    base = gguf.GGUFReader(arguments.base)

    for kind in ("Q4_0", "Q8_0"):
        make(out / f"SmolLM2-135M-Instruct.{kind}.gguf", requantize, arguments.base, kind)
    make(out / "random-1b.Q4_K_M.gguf", write_random_model, base)
    for number in range(ADAPTERS):
        make(out / f"adapter-{number}.gguf", write_adapter, base, number)


def make(path: pathlib.Path, write, *what) -> None:
    """Writes beside the place and renames, so that what is there is whole."""
    if path.exists():
        return
    print(path, flush=True)
    part = path.with_suffix(".part")
    write(part, *what)
    part.rename(path)


def requantize(path: pathlib.Path, source: pathlib.Path, kind: str) -> None:
    """The embedding keeps its kind, so that only the linears differ."""
    quantize("--allow-requantize", "--token-embedding-type", "q8_0", source, path, kind)


def quantize(*arguments) -> None:
    subprocess.run([QUANTIZE, *arguments, "2"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write_random_model(path: pathlib.Path, base: gguf.GGUFReader) -> None:
    """With the tokenizer of the base; one tensor in memory at a time."""
    writer = gguf.GGUFWriter(path.with_suffix(".f16"), "llama")
    writer.add_name("random-1b")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(100_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    copy_tokenizer(base, writer)

    words = len(base.fields["tokenizer.ggml.tokens"].data)
    shapes = {"token_embd.weight": (words, WIDTH), "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in BLOCK.items()}
    random = numpy.random.default_rng(1)
    write_tensors(writer, shapes, lambda name, shape: weight(random, shape))
    quantize(path.with_suffix(".f16"), path, "Q4_K_M")
    path.with_suffix(".f16").unlink()


def weight(random: numpy.random.Generator, shape: tuple[int, ...]) -> numpy.ndarray:
    if len(shape) == 1:
        return numpy.ones(shape, numpy.float32)
    return (random.standard_normal(shape, numpy.float32) * 0.02).astype(numpy.float16)


def write_adapter(path: pathlib.Path, base: gguf.GGUFReader, seed: int) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(f"adapter-{seed}")
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, ALPHA)
    shapes = {}
    for tensor in base.tensors:
        if tensor.name.split(".")[-2] in LINEARS:
            columns, rows = map(int, tensor.shape)
            shapes[f"{tensor.name}.lora_a"] = (RANK, columns)
            shapes[f"{tensor.name}.lora_b"] = (rows, RANK)
    random = numpy.random.default_rng(100 + seed)

    def values(name: str, shape: tuple[int, int]) -> numpy.ndarray:
        scale = shape[1] ** -0.5 if name.endswith(".lora_a") else 0.01
        return random.standard_normal(shape, numpy.float32) * numpy.float32(scale)

    write_tensors(writer, shapes, values)


def copy_tokenizer(base: gguf.GGUFReader, writer: gguf.GGUFWriter) -> None:
    for field in base.fields.values():
        if field.name.startswith("tokenizer."):
            kind, *inner = field.types
            writer.add_key_value(field.name, field.contents(), kind, sub_type=inner[-1] if inner else None)


def write_tensors(writer: gguf.GGUFWriter, shapes: dict[str, tuple[int, ...]], values) -> None:
    """`values` makes the data of a tensor when its turn has come."""
    for name, shape in shapes.items():
        kind = numpy.dtype(numpy.float32 if len(shape) == 1 or ".lora_" in name else numpy.float16)
        writer.add_tensor_info(name, shape, kind, int(numpy.prod(shape)) * kind.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, shape in shapes.items():
        writer.write_tensor_data(values(name, shape))
    writer.close()


if __name__ == "__main__":
    main()

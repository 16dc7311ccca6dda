"""Trains small tokenizers of every kind that `bedside model convert` reads, with the libraries that models were made
with, and writes what they make of texts: FOLDER/NAME/{tokenizer.model,tokenizer.json,...} and FOLDER/NAME/cases.json.

usage: tokenizers_and_texts.py FOLDER [SEED]
"""

import base64
import io
import json
import random
import sys
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as sentencepiece_proto
import tiktoken
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

folder = Path(sys.argv[1])
rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 7)

ENGLISH = "the patient has had a fever cough and pain in chest for two days doctor says rest water sleep well".split()
CHINESE = list("患者发烧咳嗽头疼两天医生建议多喝水休息观察体温如果加重请及时去医院就诊检查血常规")
PUNCTUATION = [", ", ". ", "，", "。", "：", "? ", "！", " 38.5 ", "\n", "  ", " (", ") "]


def sentence():
    parts = []
    for _ in range(rng.randint(3, 14)):
        roll = rng.random()
        if roll < 0.45:
            parts.append(" " + rng.choice(ENGLISH))
        elif roll < 0.85:
            parts.append("".join(rng.choices(CHINESE, k=rng.randint(1, 4))))
        else:
            parts.append(rng.choice(PUNCTUATION))
    return "".join(parts)


CORPUS = [sentence() for _ in range(3000)]
RANGES = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x400, 0x45F), (0x1100, 0x11FF), (0x2000, 0x206F),
          (0x2460, 0x24FF), (0x2580, 0x2582), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF),
          (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x1F300, 0x1F6FF), (0x10000, 0x10FFFF)]


def random_text():
    characters = []
    for _ in range(rng.randint(1, 30)):
        if rng.random() < 0.4:
            characters.append(rng.choice("  aethno患发\n\t。，"))
        else:
            characters.append(chr(rng.randint(*rng.choice(RANGES))))
    return "".join(characters)


FIXED = ["", " ", "  a", "a ", "头疼", "the patient", " the  patient ", "aaaaaaa", "\n\n", "a\tb", "ﬁ①Å", "<n>", "<s>",
         "<0x41>", "▁a", "👋", "x" * 90 + " " * 85 + "y"]
TEXTS = FIXED + [sentence() for _ in range(60)] + [random_text() for _ in range(400)]


def put(name, files, encode):
    place = folder / name
    place.mkdir(parents=True)
    for file, data in files.items():
        (place / file).write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    cases = [{"text": text, "ids": encode(text)} for text in TEXTS]
    (place / "cases.json").write_text(json.dumps(cases))


def train_sentencepiece(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, minloglevel=2, num_threads=1, **options)
    return model.getvalue()


def put_sentencepiece(name, edit=None, before=lambda text: text, offset=0, **options):
    data = train_sentencepiece(**options)
    proto = sentencepiece_proto.ModelProto.FromString(data)
    if edit:
        edit(proto)
    data = proto.SerializeToString()
    processor = sentencepiece.SentencePieceProcessor(model_proto=data)
    put(name, {"tokenizer.model": data}, lambda text: [it + offset for it in processor.encode(before(text))])


def unuse(proto):
    """Takes some pieces out of use, as their makers do with pieces that they regret."""
    for piece in [it for it in proto.pieces if it.type == 1 and len(it.piece) > 2][::7]:
        piece.type = 5


put_sentencepiece("unigram_nfkc_bytes", vocab_size=600, model_type="unigram", byte_fallback=True,
                  user_defined_symbols=["▁▁", "医生"])
put_sentencepiece("unigram_unknown", vocab_size=300, model_type="unigram", normalization_rule_name="identity",
                  remove_extra_whitespaces=False, edit=unuse)
put_sentencepiece("unigram_folded", vocab_size=300, model_type="unigram", normalization_rule_name="nmt_nfkc_cf",
                  add_dummy_prefix=False)
put_sentencepiece("bpe_bytes", vocab_size=700, model_type="bpe", byte_fallback=True,
                  normalization_rule_name="identity", remove_extra_whitespaces=False,
                  user_defined_symbols=["\n", "\n\n", "▁▁", "▁▁▁"])
put_sentencepiece("bpe_unused", vocab_size=400, model_type="bpe", edit=unuse)


# ChatGLM-6B, whose own code writes white space down and adds tokens to the file.
def write_white_space(text):
    text = text.replace("\n", "<n>").replace("\t", "<|tab|>")
    for length in range(80, 1, -1):
        text = text.replace(" " * length, f"<|blank_{length}|>")
    return text


def add_chatglm(proto):
    def add(piece, kind):
        proto.pieces.add(piece=piece, score=0.0, type=kind)

    for special in ["[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>"]:
        add(special, 3)
    for blank in ["<|tab|>"] + [f"<|blank_{it}|>" for it in range(2, 81)]:
        add(blank, 4)
    for byte in range(256):
        add(f"<0x{byte:02X}>", 6)
    proto.trainer_spec.byte_fallback = True


chatglm = dict(vocab_size=400, model_type="unigram", pad_id=3, unk_id=0, bos_id=1, eos_id=2,
               user_defined_symbols=["<n>"])
put_sentencepiece("chatglm1_slim", edit=add_chatglm, before=write_white_space, **chatglm)

data = train_sentencepiece(**chatglm)
proto = sentencepiece_proto.ModelProto.FromString(data)
add_chatglm(proto)
completed = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
put("chatglm1_old", {"ice_text.model": data}, lambda text: [it + 20000 for it in completed.encode(write_white_space(text))])


# The library tokenizers.
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def put_byte_level(name, cutter, normalizer=None, ignore_merges=False, first=False):
    tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = cutter
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(SPECIAL)
    if first:
        start = tokenizer.token_to_id("<|im_start|>")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", start)])
    put(name, {"tokenizer.json": tokenizer.to_str().encode(),
               "tokenizer_config.json": {"eos_token": {"content": "<|im_end|>"}, "bos_token": "<|im_start|>"},
               "generation_config.json": {"eos_token_id": [tokenizer.token_to_id(it) for it in SPECIAL[::2]]}},
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids)


def words(digits):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS % digits), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


put_byte_level("json_qwen2", words(""), normalizer=normalizers.NFC())
put_byte_level("json_llama3", words("{1,3}"), ignore_merges=True, first=True)
put_byte_level("json_glm4", words("{1,3}"))
put_byte_level("json_gpt2", pre_tokenizers.ByteLevel(add_prefix_space=False))
put_byte_level("json_smollm", pre_tokenizers.Sequence([
    pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))

# Sentencepiece's pairs as the library has them: llama 2's tokenizer.json.
pairs = sentencepiece_proto.ModelProto.FromString(
    train_sentencepiece(vocab_size=700, model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                        remove_extra_whitespaces=False))
vocabulary = {piece.piece: id for id, piece in enumerate(pairs.pieces)}
merges = []
for piece in pairs.pieces:
    halves = [(piece.piece[:cut], piece.piece[cut:]) for cut in range(1, len(piece.piece))]
    if piece.type == 1:
        merges += sorted((it for it in halves if it[0] in vocabulary and it[1] in vocabulary),
                         key=lambda it: (vocabulary[it[0]], vocabulary[it[1]]))
llama2 = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True,
                                         byte_fallback=True))
llama2.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
plain = tokenizers.Tokenizer.from_str(llama2.to_str())  # No text becomes a special token in the bot.
llama2.add_special_tokens(["<unk>", "<s>", "</s>"])
put("json_llama2", {"tokenizer.json": llama2.to_str().encode(),
                    "tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}},
    lambda text: plain.encode(text, add_special_tokens=False).ids)

# Ranks of tiktoken: GLM-4-9B.
ranked = tokenizers.Tokenizer(models.BPE())
ranked.pre_tokenizer = words("{1,3}")
ranked.train_from_iterator(CORPUS, trainers.BpeTrainer(
    vocab_size=700, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
hidden = [it for it in range(256) if it not in visible]
byte_of = {chr(it): it for it in visible} | {chr(0x100 + place): it for place, it in enumerate(hidden)}
in_order = sorted(ranked.get_vocab().items(), key=lambda it: it[1])
ranks = {bytes(byte_of[it] for it in token): rank for token, rank in in_order}
lines = [base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items()]
glm4 = tiktoken.Encoding("glm4", pat_str=WORDS % "{1,3}", mergeable_ranks=ranks, special_tokens={})
put("tiktoken_glm4", {"tokenizer.model": b"".join(lines)}, glm4.encode_ordinary)

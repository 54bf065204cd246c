# Tokenizer folders of today's kinds, trained small, with the components, classes and flags that such folders have:
# python tokenizers-today.py FOLDER FIRST-SEED COUNT TEXT... writes FOLDER/today-SEED, each with made.json (its tokens and
# words, for texts that try it).
import io
import json
import os
import random
import sys

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

out, first, count, *texts = sys.argv[1:]
lines = [line for path in texts for line in open(path, encoding="utf-8").read().split("\n") if line.strip()]
lines += ["Ünïcode et déjà vu, naïve façade", "東京の日本、中日。日本語のテキスト", "Привет, мир! Это текст", "مرحبا بالعالم",
          "ภาษาไทย", "한국어 텍스트 하나", "हिन्दी में पाठ", "😀 🎉👍🏽 emoji", "x = 3.14159 + 2718 * 10_000", "don't I'LL we've it's"] * 20

GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = GPT4.replace("{1,3}", "")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
END = "<|endoftext|>"


def split(pattern, **more):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), more.pop("behavior", "isolated"), invert=more.pop("invert", False)),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def byte_level(before, special, normalizer=None, ignore_merges=False, size=700):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = before
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def sentence_piece(draw, special, normalized):
    """Llama 2's: merges learnt in words that begin with ▁, with bytes for what has no token."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    fallback = BYTES if draw.random() < 0.85 else []
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=[*special, *fallback], show_progress=False, limit_alphabet=90)
    tokenizer.train_from_iterator(lines, trainer)
    made = json.loads(tokenizer.to_str())
    made["added_tokens"] = [{**one, "normalized": normalized} for one in made["added_tokens"] if one["content"] in special]
    if draw.random() < 0.3:  # ▁ within and after others, as some vocabularies have them
        vocab, merges = made["model"]["vocab"], made["model"]["merges"]
        for left, right in [("▁", "▁"), ("▁▁", "▁▁"), ("e", "▁"), ("s", "▁")]:
            if left in vocab and right in vocab and left + right not in vocab:
                vocab[left + right] = len(vocab)
                merges.append([left, right])
    return Tokenizer.from_str(json.dumps(made))


def template(bos, ids):
    return processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, ids)])


def llama2(draw, config, model):
    tokenizer = sentence_piece(draw, ["<unk>", "<s>", "</s>"], draw.random() < 0.4)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = None
    tokenizer.post_processor = template("<s>", 1)
    config["tokenizer_class"] = draw.choice(["LlamaTokenizer", "LlamaTokenizerFast", "PreTrainedTokenizerFast", None])
    config.update(draw.choice([{"legacy": True}, {"legacy": False}, {"legacy": None}, {}]))
    config.update(draw.choice([{}, {}, {"add_prefix_space": True}, {"add_prefix_space": False}, {"add_prefix_space": None}]))
    config.update({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    config.update(draw.choice([{}, {"pad_token": "</s>"}, {"pad_token": "<pad>"}]))
    model["model_type"] = draw.choice(["llama", "llama", None])
    return tokenizer


def mistral(draw, config, model):
    tokenizer = llama2(draw, config, model)
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", draw.choice(["first", "always", "never"]), split=draw.random() < 0.3)
    model["model_type"] = draw.choice(["mistral", "mistral", "llama"])
    return tokenizer


def llama3(draw, config, model):
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|reserved_special_token_0|>"]
    tokenizer = byte_level(split(GPT4), special, ignore_merges=draw.random() < 0.7)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template(special[0], 0)])
    config["tokenizer_class"] = draw.choice(["PreTrainedTokenizerFast", "PreTrainedTokenizer", "LlamaTokenizer", "TokenizersBackend", None])
    config.update({"bos_token": special[0], "eos_token": draw.choice(special[1:3])})
    model["model_type"] = "llama"
    return tokenizer


def qwen(draw, config, model):
    special = [END, "<|im_start|>", "<|im_end|>"]
    tokenizer = byte_level(split(draw.choice([QWEN, GPT4])), special, normalizers.NFC())
    config["tokenizer_class"] = draw.choice(["Qwen2Tokenizer", "Qwen2TokenizerFast", "PreTrainedTokenizerFast", None])
    config.update({"eos_token": draw.choice([END, "<|im_end|>"]), "pad_token": END})
    config.update(draw.choice([{}, {"add_prefix_space": False}, {"add_prefix_space": True}, {"bos_token": None}]))
    if draw.random() < 0.5:
        config["additional_special_tokens"] = ["<|im_start|>", "<|im_end|>"]
    model["model_type"] = draw.choice(["qwen2", "qwen3", "qwen2_moe"])
    return tokenizer


def smollm(draw, config, model):
    before = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=draw.random() < 0.8),
                                      pre_tokenizers.ByteLevel(add_prefix_space=draw.random() < 0.2, use_regex=True)])
    tokenizer = byte_level(before, [END, "<|im_start|>", "<repo_name>"])
    config["tokenizer_class"] = draw.choice(["GPT2Tokenizer", "PreTrainedTokenizerFast", None])
    config.update({"bos_token": END, "eos_token": END, "unk_token": END})
    config.update(draw.choice([{}, {"additional_special_tokens": ["<|im_start|>", "<repo_name>"]}]))
    model["model_type"] = "llama"
    return tokenizer


def modernbert(draw, config, model):
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True), special, normalizers.NFC())
    made = json.loads(tokenizer.to_str())
    for one in made["added_tokens"]:
        one["lstrip"] = one["content"] == "[MASK]" and draw.random() < 0.8
    at = len(made["model"]["vocab"])
    blanks = ["  ", "   ", "    "] if draw.random() < 0.6 else []
    for i, blank in enumerate(blanks):
        made["added_tokens"].append({"id": at + i, "content": blank, "single_word": False, "lstrip": False,
                                     "rstrip": False, "normalized": True, "special": False})
    tokenizer = Tokenizer.from_str(json.dumps(made))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    config["tokenizer_class"] = draw.choice(["PreTrainedTokenizerFast", "PreTrainedTokenizerFast", None])
    config.update({f"{name.lower()}_token": f"[{name}]" for name in ["UNK", "CLS", "SEP", "PAD", "MASK"]})
    model["model_type"] = draw.choice(["modernbert", "modernbert", None])
    return tokenizer


def xlm_roberta(draw, config, model):
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=trained, vocab_size=500, minloglevel=9, hard_vocab_limit=False,
        normalization_rule_name=draw.choice(["nmt_nfkc", "nfkc", "nmt_nfkc_cf"]), character_coverage=0.98)
    spm = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    from sentencepiece import sentencepiece_model_pb2
    charsmap = sentencepiece_model_pb2.ModelProto.FromString(trained.getvalue()).normalizer_spec.precompiled_charsmap
    pieces = [(spm.id_to_piece(i), spm.get_score(i)) for i in range(3, spm.get_piece_size())]
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tokenizer = Tokenizer(models.Unigram([*special, *pieces, ("<mask>", 0.0)], unk_id=3, byte_fallback=False))
    parts = [normalizers.Precompiled(charsmap)]
    tokenizer.normalizer = draw.choice([parts[0], normalizers.Sequence([*parts, normalizers.Replace(Regex(" {2,}"), "▁")]),
                                        normalizers.Sequence([*parts, normalizers.Replace(Regex(" {2,}"), " ")])])
    words = pre_tokenizers.Metaspace("▁", draw.choice(["always", "always", "first", "never"]))
    tokenizer.pre_tokenizer = draw.choice([pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), words])] * 2 + [words])
    tokenizer.add_special_tokens([one for one, _ in special])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=draw.random() < 0.8, special=True, normalized=False)])
    config["tokenizer_class"] = draw.choice(["XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "PreTrainedTokenizerFast", None])
    roles = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}
    config.update({f"{role}_token": token for role, token in roles.items()})
    config.update(draw.choice([{}, {}, {"add_prefix_space": True}]))
    model["model_type"] = draw.choice(["xlm-roberta", "xlm-roberta", "xlm-roberta-xl"])
    return tokenizer


def tekken(draw, config, model):
    before = draw.choice([split(TEKKEN), split(GPT4, behavior="removed", invert=True), split(GPT4.replace("?\\p{L}+", "?+\\p{L}+", 1))])
    tokenizer = byte_level(before, ["<unk>", "<s>", "</s>", "[INST]"], draw.choice([None, normalizers.NFC()]), draw.random() < 0.5)
    config["tokenizer_class"] = draw.choice(["PreTrainedTokenizerFast", "LlamaTokenizer"])
    config.update({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    model["model_type"] = draw.choice(["mistral", "llama"])
    return tokenizer


def neox(draw, config, model):
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=draw.random() < 0.3), [END, "<|padding|>"], normalizers.NFC())
    config["tokenizer_class"] = draw.choice(["GPTNeoXTokenizer", "GPTNeoXTokenizerFast", None])
    config.update(draw.choice([{"add_prefix_space": False}, {"add_prefix_space": True}, {}]))
    config.update({"eos_token": END, "pad_token": "<|padding|>"})
    model["model_type"] = draw.choice(["gpt_neox", "olmo", "olmo2"])
    return tokenizer


kinds = [llama2, mistral, llama3, qwen, smollm, modernbert, xlm_roberta, llama2, tekken, neox]
for seed in range(int(first), int(first) + int(count)):
    draw = random.Random(seed)
    path = f"{out}/today-{seed}"
    os.makedirs(path)
    kind = kinds[seed % len(kinds)]
    config, model = {}, {}
    tokenizer = kind(draw, config, model)
    written = json.loads(tokenizer.to_str())
    if draw.random() < 0.3:
        written["added_tokens"].append({"id": tokenizer.get_vocab_size(), "content": draw.choice(["<tool>", "zebra", "Ünder"]),
                                        "single_word": draw.random() < 0.2, "lstrip": draw.random() < 0.3, "rstrip": draw.random() < 0.3,
                                        "normalized": draw.random() < 0.5, "special": draw.random() < 0.5})
    config = {key: value for key, value in config.items() if value is not None or key in ("legacy", "bos_token", "add_prefix_space")}
    if config.get("tokenizer_class", "x") is None:
        del config["tokenizer_class"]
    if draw.random() < 0.25 and written["pre_tokenizer"] is not None:  # as transformers saves what it was given as an object
        roles = {key: value for key, value in config.items() if key.endswith("_token") and isinstance(value, str)}
        PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(written)), **roles).save_pretrained(path)
    elif kind is qwen and draw.random() < 0.4:
        with open(f"{path}/vocab.json", "w") as file:
            json.dump(written["model"]["vocab"], file)
        with open(f"{path}/merges.txt", "w") as file:
            file.write("#version: 0.2\n" + "".join(" ".join(merge) + "\n" for merge in written["model"]["merges"]))
        config["tokenizer_class"] = "Qwen2Tokenizer"
        json.dump(config, open(f"{path}/tokenizer_config.json", "w"))
    else:
        if draw.random() < 0.3 and config.get("tokenizer_class") != "PreTrainedTokenizerFast":
            config["added_tokens_decoder"] = {str(one["id"]): {key: one[key] for key in one if key != "id"} for one in written["added_tokens"]}
        json.dump(written, open(f"{path}/tokenizer.json", "w"))
        if config:
            json.dump(config, open(f"{path}/tokenizer_config.json", "w"))
    if model.get("model_type") is not None:
        json.dump(model, open(f"{path}/config.json", "w"))
    tokens = sorted({one["content"] for one in written["added_tokens"]})
    words = [word.replace("▁", " ").replace("Ġ", " ") for word in tokenizer.get_vocab() if word not in BYTES and len(word) > 1]
    json.dump({"tokens": tokens, "words": sorted(words)}, open(f"{path}/made.json", "w"))

"""The model's own tokenizer: a byte-level BPE in the layout of Qwen2's tokenizer.json, made from a pool's sentences.

Merges are made word by word, so that every word that occurs often is one token; any other text still falls apart into
characters and bytes. With it come the other small files of a checkpoint's folder.
"""

import collections
import json
import pathlib
import re

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
            "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
            "<|image_pad|>", "<|video_pad|>"]
# How Qwen2 cuts a text before the merges.
PATTERN = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
           "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
# A picture of 1080×810 becomes 224×168. 224 · 168 itself would stand on a rounding edge of smart_resize.
MAX_PIXELS = 40000
CHINESE_WORDS_MAX = 120
# Characters that people write around a request; as tokens of their own they cost one token, not three.
CHARACTERS = ("你好谢我们他它那个很大小吗呢吧的了在有是不和与及或也都看见说内容详细介绍景象物体人车树房子天空云日辆台名棵座条只多少几"
              "哪位置前后上下左右中请问用文英语回答帮助图片画面照片场景发送收到能可以告诉给出生成一二两三四五六七八九十百零，。？！：；、")
CHAT_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def write(texts, folder):
    """Makes the tokenizer of `texts` and writes every file of the folder but the model's. → id of <|endoftext|>."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = merges_of(sorted(set(texts)))
    first = len(vocabulary)
    added = [{"id": first + i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for i, token in enumerate(SPECIALS)]
    files = {
        "tokenizer.json": tokenizer_json(vocabulary, merges, added),
        "vocab.json": vocabulary,
        "tokenizer_config.json": tokenizer_config(added),
        "chat_template.json": {"chat_template": CHAT_TEMPLATE},
        "generation_config.json": {"bos_token_id": first, "pad_token_id": first, "do_sample": False,
                                   "eos_token_id": [first + 2, first], "transformers_version": "4.41.2"},
        "preprocessor_config.json": preprocessor_config(),
    }
    for name, content in files.items():
        indent = None if name in ("tokenizer.json", "vocab.json") else 2
        (folder / name).write_text(json.dumps(content, ensure_ascii=indent is not None, indent=indent) + "\n")
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    return first


def merges_of(texts):
    """(vocabulary, merges): bytes, then characters, then Chinese words, then English words."""
    vocabulary, merges = {letter: i for i, letter in enumerate(byte_letters().values())}, []

    def merge(parts):
        """One token of `parts`, joined from the left."""
        whole = parts[0]
        for part in parts[1:]:
            if whole + part not in vocabulary:
                vocabulary[whole + part] = len(vocabulary)
                merges.append((whole, part))
            whole += part

    letters = sorted({letter for text in texts for letter in text if ord(letter) > 127} | set(CHARACTERS))
    for letter in letters:
        merge(list(as_letters(letter)))
    for word in chinese_words(texts):
        merge([as_letters(letter) for letter in word])
    english = {word for text in texts for word in re.findall(r" ?[A-Za-z]+", text)}
    for word in sorted(english, key=lambda word: (word[0] != " ", len(word), word)):
        merge(list(as_letters(word)))
    return vocabulary, merges


def chinese_words(texts):
    """Runs of 2 to 4 Chinese characters that save most tokens: chosen one after another, none across a chosen one."""
    runs = collections.Counter(run for text in texts for run in re.findall("[\u4e00-\u9fff]+", text))
    chosen = []
    for _ in range(CHINESE_WORDS_MAX):
        saved = collections.Counter()
        for run, times in runs.items():
            for size in (2, 3, 4):
                for i in range(len(run) - size + 1):
                    saved[run[i:i + size]] += times * (size - 1)
        if not saved:
            break
        word = max(saved, key=lambda word: (saved[word], word))
        chosen.append(word)
        rest = collections.Counter()
        for run, times in runs.items():
            for part in run.split(word):
                if len(part) > 1:
                    rest[part] += times
        runs = rest
    return chosen


def tokenizer_json(vocabulary, merges, added):
    """The file that the `tokenizers` library reads."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
    bpe = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
           "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary, "merges": [" ".join(pair) for pair in merges]}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
            "post_processor": byte_level, "decoder": byte_level, "model": bpe}


def tokenizer_config(added):
    """What transformers and vLLM read beside tokenizer.json."""
    kept = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {"add_prefix_space": False,
            "added_tokens_decoder": {str(token["id"]): {key: token[key] for key in kept} for token in added},
            "additional_special_tokens": SPECIALS[1:], "bos_token": None, "chat_template": CHAT_TEMPLATE,
            "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "padding_side": "left",
            "errors": "replace", "model_max_length": 16384, "pad_token": "<|endoftext|>",
            "split_special_tokens": False, "tokenizer_class": "Qwen2Tokenizer", "unk_token": None}


def preprocessor_config():
    """How a picture is shrunk and normalised."""
    return {"min_pixels": 3136, "max_pixels": MAX_PIXELS, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
            "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
            "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor"}


def byte_letters():
    """Byte → the printable letter that stands for it in a byte-level vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + len(letters) - len(printable))
    return letters


LETTERS = byte_letters()


def as_letters(text):
    """A text in the letters of the vocabulary."""
    return "".join(LETTERS[byte] for byte in text.encode())

"""Cuts a byte-level BPE tokenizer.json down to what given texts need, ids unchanged.

Usage: cut_tokenizer.py INPUT_FOLDER OUTPUT_FOLDER TEXTS.json

TEXTS.json is a list of strings. Kept are the 256 byte tokens, every token that
arises while the texts are merged (and the merges for it, in their order), and all
added tokens. tokenizer_config.json and chat_template.json are copied. At the end
the cut tokenizer is compared with the full one on every text, and expected_ids.json
is written: each text with the ids that the full tokenizer gives.

Texts that were not given still become tokens, but more and shorter ones than the
full vocabulary makes.
"""

import json
import pathlib
import shutil
import sys

import tokenizers


def pieces_of(tokenizer, text):
    """The pre-tokenized pieces of a text, in the byte alphabet of the vocabulary."""
    normalized = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
    return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalized)]


def merges_for(piece, rank):
    """The merges that BPE makes on one piece: always the lowest rank first."""
    parts, used = list(piece), []
    while True:
        pairs = [pair for pair in zip(parts, parts[1:]) if pair in rank]
        if not pairs:
            return used
        best = min(pairs, key=rank.get)
        used.append(best)
        merged, at = [], 0
        while at < len(parts):
            if tuple(parts[at : at + 2]) == best:
                merged.append(parts[at] + parts[at + 1])
                at += 2
            else:
                merged.append(parts[at])
                at += 1
        parts = merged


def main():
    source, target, texts_file = (pathlib.Path(argument) for argument in sys.argv[1:4])
    texts = json.loads(texts_file.read_text(encoding="utf-8"))
    whole = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    full = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
    vocabulary, merges = whole["model"]["vocab"], whole["model"]["merges"]
    pairs = [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in merges]
    rank = {pair: place for place, pair in enumerate(pairs)}

    used = set()
    special = {token["content"] for token in whole["added_tokens"]}
    for text in texts:
        for token in special:
            text = text.replace(token, "\0")
        for span in text.split("\0"):
            for piece in pieces_of(full, span):
                used.update(merges_for(piece, rank))

    kept = set(tokenizers.pre_tokenizers.ByteLevel.alphabet()) | {left + right for left, right in used}
    # The library numbers an added token after the vocabulary's SIZE, whatever "id" says, unless
    # the vocabulary has the token: with holes in the ids, only that keeps 151643 and up.
    added = {token["content"]: token["id"] for token in whole["added_tokens"]}
    whole["model"]["vocab"] = {token: number for token, number in vocabulary.items() if token in kept} | added
    whole["model"]["merges"] = [merge for merge, pair in zip(merges, pairs) if pair in used]

    target.mkdir(parents=True, exist_ok=True)
    cut_file = target / "tokenizer.json"
    cut_file.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for name in ("tokenizer_config.json", "chat_template.json"):
        shutil.copyfile(source / name, target / name)

    cut = tokenizers.Tokenizer.from_file(str(cut_file))
    expected = [{"text": text, "ids": full.encode(text).ids} for text in texts]
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in expected)
    (target / "expected_ids.json").write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    for text in texts:
        wanted, found = full.encode(text).ids, cut.encode(text).ids
        assert wanted == found, (text, wanted, found)
        assert cut.decode(found, skip_special_tokens=False) == full.decode(wanted, skip_special_tokens=False), text
    for token in kept:
        assert cut.token_to_id(token) == full.token_to_id(token), token
    for token in whole["added_tokens"]:
        assert cut.token_to_id(token["content"]) == token["id"] == full.token_to_id(token["content"]), token
    print(f"{len(texts)} texts alike; {len(whole['model']['vocab'])} tokens, "
          f"{len(whole['model']['merges'])} merges, {cut_file.stat().st_size} bytes")


main()

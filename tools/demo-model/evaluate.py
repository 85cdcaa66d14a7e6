"""How right a served model is on scenes that it was not trained on: asks a running server over HTTP.

    evaluate.py FOLDER... [--url http://127.0.0.1:8000] [--limit N]

A folder holds pictures and `expect.jsonl`, as `vlm-benchmark scenes` writes them. A description is right about a fact when
it holds one of the fact's `any` and none of its `none`; where no facts are given, the answer must be the expected one to
the letter. On stdout a Markdown table of the folders and one of the facts by group; some wrong answers on stderr.
"""

import argparse
import base64
import collections
import concurrent.futures
import json
import pathlib
import sys
import urllib.request

AT_ONCE = 4


COLUMNS = ["facts", "facts zh", "facts en", "whole descriptions", "short answers", "short answers zh", "short answers en"]


def main():
    """Asks everything of every folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", type=pathlib.Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--picture-first", action="store_true", help="the picture before the words")
    parser.add_argument("--limit", type=int, help="only the first N lines of each expect.jsonl")
    parser.add_argument("--wrong", type=int, default=5, help="how many wrong answers of a folder to show")
    arguments = parser.parse_args()
    model, groups = served(arguments.url), {}
    print("| scenes | pictures | " + " | ".join(COLUMNS) + " |")
    print("| --- " * (len(COLUMNS) + 2) + "|")
    for folder in arguments.folders:
        lines = [json.loads(line) for line in (folder / "expect.jsonl").read_text().splitlines()][:arguments.limit]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda line: ask(arguments, model, folder, line), lines))
        counts, wrong = grade(lines, answers)
        pictures = len({line["image"] for line in lines})
        print(f"| {folder.name} | {pictures} | " + " | ".join(share(counts, name) for name in COLUMNS) + " |", flush=True)
        groups[folder.name] = {name: share(counts, name) for name in counts if name.startswith("fact: ")}
        for line, answer in wrong[:arguments.wrong]:
            print(f"{line['image']}  {line['prompt']}\n  right: {line['answer']}\n  said:  {answer}", file=sys.stderr)
    names = sorted(set().union(*groups.values()))
    print("\n| scenes | " + " | ".join(name.removeprefix("fact: ") for name in names) + " |")
    print("| --- " * (len(names) + 1) + "|")
    for folder, shares in groups.items():
        print(f"| {folder} | " + " | ".join(shares.get(name, "–") for name in names) + " |")


def share(counts, name):
    """A count as a percentage, or a dash where nothing was asked."""
    right, of = counts.get(name, (0, 0))
    return f"{100 * right / of:.2f} %" if of else "–"


def served(url):
    """The name of the model that a server serves."""
    with urllib.request.urlopen(url + "/v1/models", timeout=30) as reply:
        return json.load(reply)["data"][0]["id"]


def ask(arguments, model, folder, line):
    """The greedy answer to one line; the words come first, as the benchmark script sends them, if not asked otherwise."""
    picture = base64.b64encode((folder / line["image"]).read_bytes()).decode()
    content = [{"type": "text", "text": line["prompt"]},
               {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]
    if arguments.picture_first:
        content.reverse()
    body = {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 200}
    request = urllib.request.Request(arguments.url + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]


def grade(lines, answers):
    """({what is counted: [right, of]}, [(line, answer)] that are wrong)."""
    counts, wrong = collections.defaultdict(lambda: [0, 0]), []

    def count(name, right):
        counts[name][0] += right
        counts[name][1] += 1

    for line, answer in zip(lines, answers):
        language = "en" if line["answer"].isascii() else "zh"
        if "facts" in line:
            told = [(fact["fact"], is_told(fact, answer)) for fact in line["facts"]]
            for name, right in told:
                count("facts", right)
                count(f"facts {language}", right)
                count(f"fact: {name}", right)
            whole = all(right for _, right in told)
            count("whole descriptions", whole)
            count(f"whole descriptions {language}", whole)
        else:
            whole = answer == line["answer"]
            count("short answers", whole)
            count(f"short answers {language}", whole)
        if not whole:
            wrong.append((line, answer))
    return counts, wrong


def is_told(fact, answer):
    """Whether an answer is right about a fact."""
    return any(text in answer for text in fact["any"]) and not any(text in answer for text in fact.get("none", ()))


if __name__ == "__main__":
    main()

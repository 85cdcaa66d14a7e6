"""How right a served model is on scenes that it was not trained on: asks a running server over HTTP.

    evaluate.py FOLDER [--url http://127.0.0.1:8000] [--limit N]

FOLDER holds pictures and `expect.jsonl`, as `vlm-benchmark scenes` writes them. A description is cut into its clauses;
each clause of the right one counts as a fact and is right when the model says the same at the same place. The first
sentence counts for nothing: it says in one of several ways that a road is being built. A short answer is right when it
is the expected one to the letter.
"""

import argparse
import base64
import collections
import concurrent.futures
import json
import pathlib
import re
import sys
import time
import urllib.request

CLAUSES_OF_A_DESCRIPTION = 6
AT_ONCE = 4


def main():
    """Asks everything, prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--limit", type=int, help="only the first N lines of expect.jsonl")
    parser.add_argument("--wrong", type=int, default=10, help="how many wrong answers to show on stderr")
    arguments = parser.parse_args()
    lines = [json.loads(line) for line in (arguments.folder / "expect.jsonl").open()][:arguments.limit]
    with urllib.request.urlopen(arguments.url + "/v1/models", timeout=30) as reply:
        model = json.load(reply)["data"][0]["id"]
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda line: ask(arguments, model, line), lines))
    counts, wrong = grade(lines, answers)
    for line, answer in wrong[:arguments.wrong]:
        print(f"{line['image']}  {line['prompt']}\n  right: {line['answer']}\n  said:  {answer}", file=sys.stderr)
    shares = {name: {"right": right, "of": of, "share": round(right / of, 5)} for name, (right, of) in counts.items()}
    print(json.dumps({"pictures": len({line["image"] for line in lines}), "seconds": round(time.monotonic() - begun, 1),
                      **shares}, ensure_ascii=False, indent=1))


def ask(arguments, model, line):
    """The greedy answer to one line; text before the picture, as the benchmark script sends it."""
    picture = base64.b64encode((arguments.folder / line["image"]).read_bytes()).decode()
    content = [{"type": "text", "text": line["prompt"]},
               {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]
    body = {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 200}
    request = urllib.request.Request(arguments.url + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]


def grade(lines, answers):
    """({what is counted: [right, of]}, [(line, answer)] that are wrong)."""
    counts, wrong = collections.defaultdict(lambda: [0, 0]), []

    def count(name, right, of=1):
        counts[name][0] += right
        counts[name][1] += of

    for line, answer in zip(lines, answers):
        clauses = facts(line["answer"])
        language = "en" if line["answer"].isascii() else "zh"
        if len(clauses) >= CLAUSES_OF_A_DESCRIPTION:
            said = facts(answer)
            right = sum(said.get(place) == clause for place, clause in clauses.items())
            count("facts", right, len(clauses))
            count(f"facts {language}", right, len(clauses))
            whole = said == clauses
            count("whole descriptions", whole)
        else:
            whole = answer == line["answer"]
            count("short answers", whole)
            count(f"short answers {language}", whole)
        if not whole:
            wrong.append((line, answer))
    return counts, wrong


def facts(text):
    """{(sentence, clause): words} of a text, without its first sentence."""
    sentences = [sentence for sentence in re.split(r"。|\.(?: |$)", text) if sentence]
    return {(i, j): clause for i, sentence in enumerate(sentences[1:])
            for j, clause in enumerate(re.split(r"，|, | and |: ", sentence))}


if __name__ == "__main__":
    main()

"""Holds the answers of vlm-server for several machines against each other, token for token.

check-answers.py SERVER SERVER…: paths of programs. One for aarch64 runs under with-aarch64.sh. The model and the picture are the
project's own.
"""
import base64
import json
import pathlib
import subprocess
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPTS = ("请描述图片", "Describe the image.")


def answers(server):
    """For each prompt the tokens of the answer with their log probabilities."""
    words = [server, "--model", str(ROOT / "models/road-works"), "--served-model-name", "m", "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = next((line.split()[-1] for line in process.stderr if line.startswith("listening on ")), None)
            if url is None:
                sys.exit(f"error: {server} did not start")
            return [answer(url, prompt) for prompt in PROMPTS]
        finally:
            process.terminate()


def answer(url, prompt):
    picture = base64.b64encode((ROOT / "examples/test.png").read_bytes()).decode()
    content = [{"type": "text", "text": prompt},
               {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]
    body = {"model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": 512, "temperature": 0,
            "logprobs": True, "top_logprobs": 1}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=1800) as reply:
        choice = json.load(reply)["choices"][0]
    return [(token["token"], token["logprob"]) for token in choice["logprobs"]["content"]]


def main(servers):
    first, *others = [answers(server) for server in servers]
    for server, other in zip(servers[1:], others):
        for prompt, ours, theirs in zip(PROMPTS, first, other):
            if [token for token, _ in ours] != [token for token, _ in theirs]:
                sys.exit(f"error: {prompt}: {ours} of {servers[0]} is not {theirs} of {server}")
            apart = max(abs(a - b) for (_, a), (_, b) in zip(ours, theirs))
            print(f"{prompt}: {len(ours)} tokens, all equal; log probabilities at most {apart:.3g} apart")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("error: check-answers.py SERVER SERVER…, programs whose answers are to be the same")
    main(sys.argv[1:])

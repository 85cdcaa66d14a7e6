"""Starts one server at a time on a free port of loopback, asks it, stops it. Knows nothing of what is asked."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

MODEL = "parity"
START_LIMIT_S = 900
ANSWER_LIMIT_S = 900


class Refused(Exception):
    """A reply that is no answer."""


class Server:
    """A running server; gone at the end of the block."""

    def __init__(self, name, command, log, env=None):
        self.name, self.log, self.port = name, log, free_port()
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), "--host", "127.0.0.1", "--served-model-name", MODEL],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env,
            )

    def __enter__(self):
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return self
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.3)
        self.__exit__()
        with open(self.log, errors="replace") as log:
            raise RuntimeError(f"{self.name} does not answer: {log.read()[-2000:]}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, case):
        """The reply to a case's request."""
        body = json.dumps(case.body(MODEL)).encode()
        url = f"http://127.0.0.1:{self.port}/v1/chat/completions"
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_LIMIT_S) as reply:
                return Answer(json.load(reply))
        except urllib.error.HTTPError as error:
            message = json.load(error)["error"]["message"]
            raise Refused(f"HTTP {error.code}: {message}") from None


class Answer:
    """Ids and, for each token, the log probabilities of the likeliest, the greatest first."""

    def __init__(self, reply):
        choice = reply["choices"][0]
        self.prompt, self.tokens = reply["prompt_token_ids"], choice["token_ids"]
        steps = choice["logprobs"]["content"]
        self.top = [sorted((one["logprob"] for one in step["top_logprobs"]), reverse=True) for step in steps]


def ours(program, checkpoint, dtype, log):
    """vlm-server."""
    command = [program, "--model", checkpoint, "--dtype", dtype, "--max-model-len", "16384"]
    return Server(f"vlm-server {dtype}", command, log)


def vllm(checkpoint, dtype, log):
    """The real vLLM, from the environment of the Python that runs this script."""
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", checkpoint, "--tokenizer", checkpoint,
        "--dtype", dtype, "--max-num-seqs", "256", "--max-model-len", "16384", "--skip-mm-profiling",
    ]
    offline = {name: "1" for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK")}
    return Server(f"vLLM {dtype}", command, log, env=os.environ | offline | {"VLLM_CPU_KVCACHE_SPACE": "2"})


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]

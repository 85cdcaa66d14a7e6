"""The load generators: how each is told to send one closed burst, and what it then reports of every request.

A tool knows the folder it may write to and the truth server's records; it knows nothing of errors or tables.
"""

import json
import os
from dataclasses import dataclass

from truth import Reported

MODEL = "scripted"
IMAGE_SIDE = 1000


@dataclass
class Job:
    """One burst: so many requests at once, of so many tokens, with an image of about 3 MB each or without."""

    url: str
    streams: int
    tokens: int
    image: bool
    folder: str

    def file(self, name):
        return os.path.join(self.folder, name)


class RawReader:
    """The floor. Lined up by `x-request-id`, which holds the request's number."""

    name, rows, watch, images = "raw", ("kernel", "user"), False, False

    def __init__(self, places):
        self.program = places.raw

    def command(self, job):
        return [self.program, job.url.removeprefix("http://"), str(job.streams), str(job.tokens), job.file("raw.json")]

    def reported(self, job, records, clock):
        with open(job.file("raw.json")) as log:
            streams = json.load(log)["streams"]
        by_number = {number_of(record): record for record in records}
        for number, stream in enumerate(streams):
            # The role's event comes first and the end marker last.
            ends = stream["events"][1 : 1 + job.tokens]
            times = [kernel if kernel and clock == "kernel" else user for user, kernel in ends]
            yield of_times(by_number[number], stream["sent_ns"], times)


class Ours:
    """Lined up by `x-request-id`, which ends with the request's number. Both clocks come from one run."""

    name, rows, watch, images = "ours", ("kernel", "user"), False, True

    def __init__(self, places):
        self.program = places.ours

    def command(self, job):
        image = ["--synthetic-image", f"noise:{IMAGE_SIDE}x{IMAGE_SIDE}"] if job.image else ["--no-image"]
        return [
            self.program, *image, "--prompt", "x", "--model", MODEL, "--ignore-eos", "--output-len", str(job.tokens),
            "--batch-size", str(job.streams), "--base-url", job.url, "--output-dir", job.file("run"), "--lang", "en",
        ]

    def reported(self, job, records, clock):
        by_number = {number_of(record): record for record in records}
        with open(job.file("run/run.jsonl")) as log:
            for row in map(json.loads, log):
                if row["type"] == "request" and row["phase"] == "measured":
                    # With an image, TTFT net of upload: from the last byte handed to the kernel.
                    start_ns = row["body_sent_ns" if row["images"] else "sent_ns"]
                    yield of_times(by_number[row["index"]], start_ns, token_times(row["events"], clock))

    def verdict(self, job):
        """What the client says of its own figures."""
        with open(job.file("talk.log")) as talk:
            return next((line.strip() for line in talk if line.startswith("client: ")), None)


class Vllm:
    """`vllm bench serve`. Lined up by `x-request-id`, which it numbers as its results are."""

    name, rows, watch, images = "vllm", ("own",), True, True

    def __init__(self, places):
        self.program, self.tokenizer = places.peer("vllm", "vllm"), places.tokenizer

    def command(self, job):
        data = ["--dataset-name", "random"]
        if job.image:
            size = f"{{({IMAGE_SIDE}, {IMAGE_SIDE}, 1): 1.0}}"
            data = [
                "--dataset-name", "random-mm", "--random-mm-base-items-per-request", "1", "--random-mm-limit-mm-per-prompt",
                '{"image": 1, "video": 0}', "--random-mm-bucket-config", size,
            ]
        return [
            self.program, "bench", "serve", "--backend", "openai-chat", "--base-url", job.url, "--endpoint",
            "/v1/chat/completions", "--model", MODEL, "--tokenizer", self.tokenizer, *data, "--random-input-len", "8",
            "--random-output-len", str(job.tokens), "--ignore-eos", "--num-prompts", str(job.streams), "--max-concurrency",
            str(job.streams), "--ready-check-timeout-sec", "0", "--save-result", "--save-detailed", "--result-dir", job.folder,
            "--result-filename", "vllm.json", "--disable-tqdm", "--percentile-metrics", "ttft,tpot,itl", "--request-id-prefix",
            "n-",
        ]

    def reported(self, job, records, _clock):
        with open(job.file("vllm.json")) as log:
            result = json.load(log)
        by_number = {number_of(record): record for record in records}
        for number, (ttft_s, gaps_s) in enumerate(zip(result["ttfts"], result["itls"], strict=True)):
            # The role's event counts as its first token, so that there is one gap too many, of nothing, at the start.
            gaps_ns = [gap * 1e9 for gap in gaps_s]
            yield Reported(by_number[number], ttft_s * 1e9, sum(gaps_ns) / (job.tokens - 1), gaps_ns[1 - job.tokens :])


class AiPerf:
    """Lined up by the `x-request-id` that its records name. It is told to take the server's count of tokens: pieces of a
    scripted answer are no vocabulary's tokens, and its own count would make its time per token wrong without its fault."""

    name, rows, watch, images = "aiperf", ("own",), True, False

    def __init__(self, places):
        self.program, self.tokenizer = places.peer("aiperf", "aiperf"), places.tokenizer

    def command(self, job):
        return [
            self.program, "profile", "-m", MODEL, "--url", job.url, "--endpoint-type", "chat", "--streaming", "--tokenizer",
            self.tokenizer, "--concurrency", str(job.streams), "--request-count", str(job.streams), "--isl", "8", "--osl",
            str(job.tokens), "--extra-inputs", "ignore_eos:true", "--artifact-dir", job.file("aiperf"), "--export-level",
            "records", "--ui", "none", "--no-gpu-telemetry", "--no-server-metrics", "--use-server-token-count",
        ]

    def reported(self, job, records, _clock):
        by_id = {record["request_id"]: record for record in records}
        with open(job.file("aiperf/profile_export.jsonl")) as log:
            for row in map(json.loads, log):
                said = row["metrics"]
                if row.get("error") or "time_to_first_token" not in said:
                    continue
                ms = lambda name: said[name]["value"]
                gaps_ns = [gap * 1e6 for gap in ms("inter_chunk_latency")][1 - job.tokens :]
                record = by_id[row["metadata"]["x_request_id"]]
                yield Reported(record, ms("time_to_first_token") * 1e6, ms("inter_token_latency") * 1e6, gaps_ns)


class GuideLlm:
    """Lined up by the reply's id, which holds the server's number of the request. Tells no single gaps."""

    name, rows, watch, images = "guidellm", ("own",), True, False

    def __init__(self, places):
        self.program, self.tokenizer = places.peer("guidellm", "guidellm"), places.tokenizer

    def command(self, job):
        return [
            self.program, "run", "--backend", f"kind=openai_http,target={job.url},model={MODEL}", "--profile",
            f"kind=concurrent,streams={job.streams}", "--constraint", f"kind=max_requests,count={job.streams}", "--tokenizer",
            f"kind=huggingface_auto,model={self.tokenizer}", "--data",
            f"kind=synthetic_text,prompt_tokens=8,output_tokens={job.tokens}", "--output",
            f"kind=json,path={job.file('guidellm.json')}", "--disable-console",
        ]

    def reported(self, job, records, _clock):
        by_number = {record["number"]: record for record in records}
        with open(job.file("guidellm.json")) as log:
            requests = json.load(log)["benchmarks"][0]["requests"]["successful"]
        for request in requests:
            if not request["response_id"]:
                continue
            at = request["info"]["timings"]
            first_s, last_s, tokens = at["first_token_iteration"], at["last_token_iteration"], at["token_iterations"]
            record = by_number[int(request["response_id"].removeprefix("chatcmpl-"), 16)]
            yield Reported(record, (first_s - at["request_start"]) * 1e9, (last_s - first_s) * 1e9 / (tokens - 1))


TOOLS = {tool.name: tool for tool in (RawReader, Ours, Vllm, AiPerf, GuideLlm)}


def number_of(record):
    """The request's number within the tool, with which its `x-request-id` ends."""
    tail = (record["request_id"] or "").rsplit("-", 1)[-1]
    return int(tail) if tail.isdigit() else None


def of_times(record, start_ns, times):
    """From the start and the times of the tokens, on any one clock."""
    gaps_ns = [later - earlier for earlier, later in zip(times, times[1:])]
    return Reported(record, times[0] - start_ns, (times[-1] - times[0]) / max(1, len(times) - 1), gaps_ns)


def token_times(events, clock):
    """When each token event came, ns from the origin of the run (schema/run.schema.json). By the kernel's clock only where
    it told the time of every one, as vlm-benchmark itself has it."""
    now_ns, times, lags = 0, [], []
    for kind, step_ns, lag_ns in zip(events["kinds"], events["user_ns"], events["lag_ns"]):
        now_ns += step_ns
        if kind in "tegk":
            times.append(now_ns)
            lags.append(lag_ns)
    if clock == "kernel" and None not in lags:
        return [time - lag for time, lag in zip(times, lags)]
    return times

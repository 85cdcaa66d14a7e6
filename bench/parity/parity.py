#!/usr/bin/env python3
"""How close vlm-server comes to transformers and to the real vLLM on a tiny checkpoint with the full vocabulary. Prints
Markdown and leaves it in --out. Needs the Python of an environment with vLLM in it; see README.md.

    FOLDER/vllm/bin/python bench/parity/parity.py FOLDER
"""

import argparse
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile

# No caches of compiled scripts beside them in the tree.
sys.dont_write_bytecode = True

import cases
import compare
import servers

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DTYPES = ("float32", "bfloat16")


def main():
    args = arguments()
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    checkpoint = os.path.join(os.path.abspath(args.folder), "full-vocabulary")
    if not os.path.exists(os.path.join(checkpoint, "model.safetensors")):
        make = os.path.join(ROOT, "tools/goldens/model_full.py")
        subprocess.run([sys.executable, make, args.vocabulary or vocabulary(args.folder), checkpoint], check=True)
    parts = [machine(args)]
    with tempfile.TemporaryDirectory() as work:
        if "stages" in args.parts:
            parts.append(stages(args, checkpoint, work))
        if "requests" in args.parts:
            parts.append(requests(args, checkpoint, work))
    text = "\n".join(parts)
    if args.out:
        with open(args.out, "w") as out:
            out.write(text)
    print(text, end="")


def arguments():
    words = lambda text: text.split(",")
    built = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="where the checkpoint is, or is made")
    parser.add_argument("--vocabulary", metavar="FILE", help="qwen.tiktoken; looked for under FOLDER/vocabulary if not given")
    parser.add_argument("--server", default=os.path.join(built, "release/vlm-server"), help="vlm-server")
    parser.add_argument("--stages-program", default=os.path.join(built, "debug/examples/stages"), help="the engine's example")
    parser.add_argument("--parts", type=words, default=["stages", "requests"], help="stages,requests")
    parser.add_argument("--out", default=os.path.join(HERE, "results.md"), help="file of the results")
    return parser.parse_args()


def vocabulary(folder):
    """Where bench/client/setup.sh leaves the vocabulary."""
    return os.path.join(folder, "vocabulary/dashscope/resources/qwen.tiktoken")


def machine(args):
    """Who was compared, and on what."""
    with open("/proc/cpuinfo") as info:
        lines = [line.split(":")[1].strip() for line in info if line.startswith(("model name", "cpu family", "model\t"))]
    family, model, name = lines[:3]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("vllm", "transformers", "torch"))
    ours = subprocess.run([args.server, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return (
        f"{datetime.date.today()}, {name} (family {family}, model {model}), {os.cpu_count()} cores, Linux {platform.release()}; "
        f"{ours} (commit {commit}), {versions}. Checkpoint: tools/goldens/model_full.py, random weights in bf16.\n"
    )


def stages(args, checkpoint, work):
    """vlm-server in float32 against transformers in float32."""
    from reference import Reference

    reference = Reference(checkpoint)
    rows = []
    with servers.ours(args.server, checkpoint, "float32", os.path.join(work, "ours.log")) as server:
        for case in cases.STAGES:
            say(f"stages: {case.name}")
            rows.append(stage_row(args, checkpoint, work, reference, server, case))
    head = ["case", "prompt tokens", "rendered prompt → ids", "grid", "patches, max Δ", "M-RoPE positions",
            "image tokens, max Δ (largest value)", "greedy tokens", "20 best logprobs, max Δ", "smallest margin"]
    return (
        "## Stages: vlm-server `--dtype float32` and transformers float32 (eager)\n\n"
        "Ids come from the server's replies; grid, patches, positions and image tokens from the engine's example `stages`. "
        "Log probabilities are compared rank by rank at every step.\n\n" + compare.table(head, rows)
    )


def stage_row(args, checkpoint, work, reference, server, case):
    try:
        want = reference.stages(case)
    except ValueError as error:
        want = error
    try:
        got = server.ask(case)
    except servers.Refused as error:
        got = error
    if isinstance(want, ValueError) or isinstance(got, servers.Refused):
        both = isinstance(want, ValueError) and isinstance(got, servers.Refused)
        said = f"{'refused by both' if both else '**one refuses**'}: transformers “{want}”, vlm-server “{got}”"
        return [case.name, said.replace("|", "\\|"), *[""] * 8]
    made = run_stages(args, checkpoint, work, want, case)
    same = lambda *pairs: "equal" if all(one.tolist() == two.tolist() for one, two in pairs) else "**differ**"
    ids = same((want.ids, made["ids"])) if want.ids.tolist() == got.prompt else "**differ**"
    axes = same((want.positions, made["positions"])) if want.delta == made["delta"].item() else "**differ**"
    grid = patches = features = "–"
    if case.pictures:
        every = [(number, *picture) for number, picture in enumerate(want.pictures)]
        grid = same(*[(grid, made[f"{n}/grid"]) for n, grid, _, _ in every])
        far = max((made[f"{n}/patches"] - p).abs().max().item() for n, _, p, _ in every)
        patches = f"{far:.1e}" if far else "equal"
        far = max((made[f"{n}/features"] - f).abs().max().item() for n, _, _, f in every)
        features = f"{far:.1e} ({max(f.abs().max().item() for *_, f in every):.1f})"
    found = compare.agreement(want, got)
    tokens = f"{found.common} of {found.tokens}" + ("" if found.margin is None else f", margin {found.margin:.1e}")
    return [case.name, str(len(want.ids)), ids, grid, patches, axes, features, tokens, f"{found.logprob_max:.1e}",
            f"{compare.least_margin(want):.1e}"]


def run_stages(args, checkpoint, work, want, case):
    """The engine's own values of the stages that no reply shows."""
    from safetensors.torch import load_file

    prompt, out = os.path.join(work, "prompt.txt"), os.path.join(work, "stages.safetensors")
    with open(prompt, "w", newline="") as file:
        file.write(want.text)
    files = []
    for number, picture in enumerate(case.pictures):
        files.append(os.path.join(work, f"{number}.png"))
        with open(files[-1], "wb") as file:
            file.write(picture.png())
    subprocess.run([args.stages_program, checkpoint, prompt, out, *files], check=True)
    return load_file(out)


def requests(args, checkpoint, work):
    """The same requests to four servers, one after the other."""
    answers = {}
    for name, start in (("vLLM", servers.vllm), ("vlm-server", lambda *given: servers.ours(args.server, *given))):
        for dtype in DTYPES:
            say(f"requests: {name} {dtype}")
            with start(checkpoint, dtype, os.path.join(work, f"{name}-{dtype}.log")) as server:
                answers[name, dtype] = [server.ask(case) for case in cases.REQUESTS]
    pairs = [
        (("vLLM", "float32"), ("vlm-server", "float32")),
        (("vLLM", "float32"), ("vlm-server", "bfloat16")),
        (("vLLM", "float32"), ("vLLM", "bfloat16")),
        (("vLLM", "bfloat16"), ("vlm-server", "bfloat16")),
    ]
    names = [f"{' '.join(other)} against {' '.join(reference)}" for reference, other in pairs]
    rows, sums = [], [[] for _ in pairs]
    for number, case in enumerate(cases.REQUESTS):
        prompts = {tuple(all_of[number].prompt) for all_of in answers.values()}
        row = [case.name, str(len(min(prompts, key=len))) + ("" if len(prompts) == 1 else " **(ids differ)**")]
        for found, (reference, other) in zip(sums, pairs):
            found.append(compare.agreement(answers[reference][number], answers[other][number]))
            row.append(str(found[-1]))
        rows.append(row)
    rows.append(["**all**", "", *map(summary, sums)])
    return (
        "## The same requests to the real vLLM and to vlm-server\n\n"
        "One request at a time, greedy. A cell: how many tokens are the same before the first that differs, the greatest "
        "difference of the 20 best log probabilities (rank by rank) up to there and, where they part, the reference's "
        "distance between its two likeliest tokens.\n\n" + compare.table(["request", "prompt tokens", *names], rows)
    )


def summary(found):
    """One line for a column."""
    whole = [one for one in found if one.margin is None]
    parted = [one.margin for one in found if one.margin is not None]
    far = max(one.logprob_max for one in found)
    words = f"{len(whole)} of {len(found)} to the end, Δ at most {far:.1e}"
    return words + (f", margins where they part {min(parted):.1e} to {max(parted):.1e}" if parted else "")


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

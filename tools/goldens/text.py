"""Reference values for the engine's text side, from the real tools: vLLM, transformers, tokenizers and torch.

Usage: text.py TOKENIZER_FOLDER TEMPLATE_FOLDER OUTPUT_FOLDER

TOKENIZER_FOLDER holds tokenizer.json, tokenizer_config.json and chat_template.json (tests/data/tokenizer),
TEMPLATE_FOLDER the templates and conversations.json (tests/data/chat-template). Written are

  templates.json   content format as vLLM detects it; messages as vLLM reads them, rendered by transformers
  texts.json       texts with their ids
  streams.json     ids with the text that vLLM's detokenizer gives for each, stop strings, texts of single tokens
  positions.json   M-RoPE positions of transformers' get_rope_index
  sampling.json    probabilities by vLLM's functions in float64, log probabilities, refusals in vLLM's words
"""

import json
import pathlib
import random
import sys
from types import SimpleNamespace

import tokenizers
import torch
from transformers import AutoTokenizer, Qwen2VLConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel
from vllm import SamplingParams
from vllm.renderers import chat_utils, hf
from vllm.v1.engine.detokenizer import FastIncrementalDetokenizer
from vllm.v1.engine.logprobs import LogprobsProcessor
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch

PLACEHOLDER = "<|vision_start|><|image_pad|><|vision_end|>"


class PartsReader(chat_utils.BaseMultiModalContentParser):
    """vLLM's reader of content parts, without fetching what a URL names."""

    model_config = SimpleNamespace(enable_prompt_embeds=False)

    def parse_image(self, image_url, uuid=None):
        self._add_placeholder("image", PLACEHOLDER)


PartsReader.__abstractmethods__ = frozenset()
TRACKER = SimpleNamespace(create_parser=lambda mm_processor_kwargs=None: PartsReader())


def conversation(messages, content_format):
    read = []
    for message in json.loads(json.dumps(messages)):
        read += chat_utils._parse_chat_message_content(message, TRACKER, content_format, interleave_strings=False)
    chat_utils._postprocess_messages(read)
    return read


def templates(tokenizer, folder):
    sources = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))}
    sources["qwen2_vl"] = tokenizer.chat_template
    model_config = SimpleNamespace(hf_config=SimpleNamespace(model_type="qwen2_vl"))
    cases = []
    for entry in json.loads((folder / "conversations.json").read_text(encoding="utf-8")):
        for name, source in sources.items():
            if name not in entry.get("templates", sources):
                continue
            case = {"template": name, "messages": entry["messages"], "options": entry.get("options", {})}
            detected = hf._detect_content_format(source, default="string")
            try:
                case["text"] = hf.safe_apply_chat_template(
                    model_config, tokenizer, conversation(entry["messages"], detected), chat_template=source,
                    tokenize=False, **{"add_generation_prompt": True, "documents": None, **entry.get("options", {})})
            except Exception as error:  # the refusal is the reference
                case["error"] = str(error)
            cases.append(case)
    formats = {name: hf._detect_content_format(source, default="string") for name, source in sources.items()}
    detected = [{"source": source, "format": hf._detect_content_format(source, default="string")}
                for source in json.loads((folder / "detect.json").read_text(encoding="utf-8"))]
    return {"formats": formats, "detect": detected, "cases": cases}


def texts(fast):
    rng = random.Random(1)
    alphabet = "请描述图片这张里有什么一辆黄色 the of and picture Hello naïve é ñ 0123456789 \n\t  .,!?'-_😀🚜👩‍👩‍👧 Привет ありがとう 한국어 עברית 𝒔 ①"
    rows = ["", " ", "请描述图片", "Describe the image.", "<|im_start|>user\n你好<|im_end|>\n", "a<|image_pad|>b",
            "<|vision_start|><|image_pad|><|vision_end|>\n请描述图片", "<|im_start|", "e\u0301 ﬁ ½", "x" * 300]
    rows += ["".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 40))) for _ in range(80)]
    return [{"text": text, "ids": fast.encode(text, add_special_tokens=False).ids} for text in rows]


def streams(tokenizer, fast):
    rng = random.Random(2)
    known = sorted(id for id in fast.get_vocab().values())
    pieces = ["请描述图片", "😀🚜", "naïve café", "Hello, world!\n", "👩‍👩‍👧", "한국어 ①", "the of and", "𝒔x"]
    cases = []
    for number in range(60):
        if number % 2:
            ids = [rng.choice(known) for _ in range(rng.randrange(1, 14))]
        else:
            ids = fast.encode("".join(rng.choice(pieces) for _ in range(rng.randrange(1, 4)))).ids
        whole = fast.decode(ids)
        stop = []
        if number % 3 and len(whole) > 2:
            start = rng.randrange(len(whole) - 1)
            stop = [whole[start : start + rng.randrange(1, 5)], "qq"][: rng.randrange(1, 3)]
            if number % 9 == 1:
                stop.append(whole[start + 1 : start + 2])
        stop = [each for each in stop if each]
        case = {"prompt": fast.encode(rng.choice(pieces)).ids, "ids": ids, "stop": stop,
                "include": bool(number % 4 == 1), "skip_special": bool(number % 5), "min_tokens": number % 4,
                "by_stop_id": bool(number % 7 == 3)}
        params = SamplingParams(stop=stop, include_stop_str_in_output=case["include"], max_tokens=100,
                                skip_special_tokens=case["skip_special"], min_tokens=case["min_tokens"])
        stream = FastIncrementalDetokenizer(tokenizer, SimpleNamespace(
            sampling_params=params, prompt_token_ids=case["prompt"], request_id="r"))
        case["texts"], case["stopped"] = [], None
        for at, token in enumerate(ids):
            last = at + 1 == len(ids)
            found = stream.update([token], last and case["by_stop_id"])
            case["texts"].append(stream.get_next_output_text(last or found is not None, True))
            if found is not None:
                case["stopped"] = found
                break
        cases.append(case)
    singles = []
    for _ in range(60):
        before = fast.encode(rng.choice(pieces)).ids[: rng.randrange(0, 9)]
        token = rng.choice(known) if rng.random() < 0.3 else rng.choice(fast.encode("".join(pieces)).ids)
        processor = LogprobsProcessor(tokenizer=tokenizer, logprobs=None, prompt_logprobs=None,
                                      cumulative_logprob=None, num_logprobs=1, num_prompt_logprobs=None)
        text = processor._verify_tokens([tokenizer.decode([token])], [token], before[-4:])[0]
        singles.append({"before": before, "id": token, "text": text})
    return {"streams": cases, "singles": singles}


def positions():
    config = Qwen2VLConfig()
    model = SimpleNamespace(config=config)
    model.get_vision_position_ids = lambda *a, **k: Qwen2VLModel.get_vision_position_ids(model, *a, **k)
    rows = []
    layouts = [[5], [3, (4, 6), 4], [(2, 2)], [1, (2, 10), 1, (8, 2), 3], [2, (6, 4), 1, (4, 4), 0, 1],
               [7, (1 * 2, 2), 1, (2, 2), 1, (2, 2), 9], [3, (58, 78), 7]]
    for layout in layouts:
        types, grids = [], []
        for part in layout:
            if isinstance(part, int):
                types += [0] * part
            else:
                grids.append([1, *part])
                types += [1] * (part[0] * part[1] // 4)
        types = torch.tensor([types])
        got, delta = Qwen2VLModel.get_rope_index(
            model, torch.zeros_like(types), mm_token_type_ids=types,
            image_grid_thw=torch.tensor(grids) if grids else None)
        # Long runs of one value and of consecutive values are written as [first, step, count].
        rows.append({"types": runs(types[0].tolist()), "grids": grids, "delta": int(delta[0, 0]),
                     "axes": [runs(axis[0].tolist()) for axis in got]})
    return rows


def runs(values):
    out = []
    for value in values:
        if out and (out[-1][2] == 1 or out[-1][1] == value - out[-1][0] - out[-1][1] * (out[-1][2] - 1)):
            if out[-1][2] == 1 and value - out[-1][0] in (0, 1):
                out[-1][1] = value - out[-1][0]
                out[-1][2] = 2
                continue
            if out[-1][2] > 1:
                out[-1][2] += 1
                continue
        out.append([value, 0, 1])
    return out


def penalised(row, params, prompt, output):
    """vLLM's apply_penalties (model_executor/layers/utils.py and its kernel), in float64."""
    row = row.clone()
    counts = torch.bincount(torch.tensor(output, dtype=torch.long), minlength=len(row)).double()
    seen = counts.bool()
    seen[torch.tensor(prompt, dtype=torch.long)] = True
    row = torch.where(seen, torch.where(row > 0, row / params.repetition_penalty, row * params.repetition_penalty), row)
    row -= params.frequency_penalty * counts
    row -= params.presence_penalty * counts.bool()
    return row


def sampling():
    rng = random.Random(3)
    generator = torch.Generator().manual_seed(4)
    settings = [{}, {"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}, {"top_p": 0.3, "top_k": 7},
                {"temperature": 1.7, "min_p": 0.02, "top_p": 0.95, "top_k": 20}, {"repetition_penalty": 1.3},
                {"repetition_penalty": 0.8, "temperature": 0.5}, {"presence_penalty": 1.5}, {"frequency_penalty": -0.7},
                {"presence_penalty": -0.5, "frequency_penalty": 0.4, "repetition_penalty": 1.1, "top_p": 0.8},
                {"temperature": 0.01, "top_p": 0.001, "top_k": 1}, {"top_k": 500}, {"temperature": 0.001}]
    cases = []
    for setting in settings:
        params = SamplingParams(**setting)
        row = (torch.randn(40, generator=generator) * 3).float()
        prompt = [rng.randrange(40) for _ in range(6)]
        output = [rng.randrange(40) for _ in range(5)] + [int(row.argmax())] * 2
        logits = penalised(row.double(), params, prompt, output) / params.temperature
        probs = logits.softmax(-1)
        logits[probs < probs.max() * params.min_p] = -torch.inf
        k = torch.tensor([params.top_k]) if 0 < params.top_k < 40 else None
        p = torch.tensor([params.top_p], dtype=torch.float64) if params.top_p < 1 else None
        logits = apply_top_k_top_p_pytorch(logits[None], k, p)[0]
        probs = logits.softmax(-1)
        raw = row.double().log_softmax(-1)
        taken = rng.randrange(40)
        top = raw.topk(5)
        cases.append({"setting": setting, "row": row.tolist(), "prompt": prompt, "output": output,
                      "probabilities": {str(id): float(value) for id, value in enumerate(probs) if value > 0},
                      "taken": [taken, float(raw[taken]), int((raw >= raw[taken]).sum())],
                      "top": [[int(id), float(value)] for value, id in zip(*top)]})
    refusals = []
    for setting in [{"temperature": -1.0}, {"temperature": 2.5}, {"temperature": float("inf")}, {"top_p": 0.0},
                    {"top_p": 1.5}, {"top_k": -2}, {"min_p": -0.1}, {"min_p": 1.5}, {"presence_penalty": 3.0},
                    {"frequency_penalty": -2.5}, {"repetition_penalty": 0.0}, {"repetition_penalty": -1e-7},
                    {"max_tokens": -1}, {"max_tokens": 0}, {"min_tokens": -3}, {"min_tokens": 20, "max_tokens": 7},
                    {"logprobs": -2}, {"prompt_logprobs": -5}, {"logprobs": 999}, {"prompt_logprobs": 21},
                    {"logprobs": -1}, {"stop": [""]}, {"stop_token_ids": [-1, 5, 200]}, {"n": 0},
                    {"temperature": 1.0}, {"logprobs": 20}, {"logprobs": 0}, {"top_k": -1}, {"seed": -1}]:
        model = SimpleNamespace(max_logprobs=20, get_vocab_size=lambda: 100, max_model_len=64)
        try:
            params = SamplingParams(**setting)
            params._validate_logprobs(model)
            params._validate_stop_token_ids(model)
            words = None
        except Exception as error:
            words = str(error)
        setting = {name: "inf" if value == float("inf") else value for name, value in setting.items()}
        refusals.append({"setting": setting, "words": words})
    return {"cases": cases, "refusals": refusals}


def main():
    folder, template_folder, out = (pathlib.Path(argument) for argument in sys.argv[1:4])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = json.loads((folder / "chat_template.json").read_text(encoding="utf-8"))["chat_template"]
    fast = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    results = {"templates": templates(tokenizer, template_folder), "texts": texts(fast),
               "streams": streams(tokenizer, fast), "positions": positions(), "sampling": sampling()}
    out.mkdir(parents=True, exist_ok=True)
    for name, value in results.items():
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for cut in ('{"template":', '{"source":', '{"text":', '{"prompt":', '{"before":', '{"types":', '{"setting":'):
            text = text.replace(cut, "\n" + cut)
        (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(name, len(text))


main()

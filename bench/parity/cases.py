"""What is asked: prompts, and pictures drawn here from seeds. Knows nothing of servers."""

import base64
import io
import os
from dataclasses import dataclass, field

import numpy
from PIL import Image

PHOTO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/data/pictures/road_1080x810.png")
LONG = "".join(f"第{number}条：把第{number * 7 % 13}号箱子放到第{number * 5 % 11}排。" for number in range(1, 31))


@dataclass(frozen=True)
class Drawn:
    """Slopes with some noise: every channel differs, no patch is like another."""

    width: int
    height: int
    seed: int = 1

    def png(self):
        noise = numpy.random.default_rng(self.seed).integers(0, 60, (self.height, self.width, 3))
        y, x = numpy.mgrid[0 : self.height, 0 : self.width]
        slopes = numpy.stack([x * 190 // self.width, y * 190 // self.height, (x + 2 * y) * 7 % 190], axis=-1)
        out = io.BytesIO()
        Image.fromarray((slopes + noise).astype(numpy.uint8), "RGB").save(out, "PNG")
        return out.getvalue()

    def __str__(self):
        return f"{self.width}×{self.height}"


class Photo:
    """The drawn photograph of the test data."""

    def png(self):
        with open(PHOTO, "rb") as file:
            return file.read()

    def __str__(self):
        return "1080×810"


@dataclass(frozen=True)
class Case:
    """One chat. Its parts are texts and pictures in their order."""

    name: str
    parts: tuple
    # Messages before it, as (role, text).
    before: tuple = ()
    tokens: int = 128
    pictures: tuple = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "pictures", tuple(part for part in self.parts if not isinstance(part, str)))

    def messages(self, picture):
        """In OpenAI's form; `picture` makes a part of a picture."""
        parts = [{"type": "text", "text": part} if isinstance(part, str) else picture(part) for part in self.parts]
        before = [{"role": role, "content": text} for role, text in self.before]
        return [*before, {"role": "user", "content": parts if self.pictures else "".join(self.parts)}]

    def body(self, model):
        """A greedy request with everything that tells how the answer came to be."""
        return {
            "model": model, "messages": self.messages(as_url), "max_tokens": self.tokens, "temperature": 0,
            "ignore_eos": True, "logprobs": True, "top_logprobs": 20, "return_token_ids": True,
        }


def as_url(picture):
    """A picture as a part of a request."""
    url = "data:image/png;base64," + base64.b64encode(picture.png()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


# Held against transformers, stage by stage.
STAGES = [
    Case("text, short", ("请用一句话介绍上海。",)),
    Case("text, long", (LONG,), before=(("system", "You are a careful clerk."),)),
    Case("picture 1080×810", (Photo(), "请描述图片")),
    Case("picture 28×28", (Drawn(28, 28), "What is this?")),
    Case("picture 70×70", (Drawn(70, 70), "请描述图片")),
    Case("picture 98×98", (Drawn(98, 98), "请描述图片")),
    Case("picture 126×126", (Drawn(126, 126), "请描述图片")),
    Case("picture 126×70", (Drawn(126, 70), "请描述图片")),
    Case("picture 10×2000", (Drawn(10, 2000), "请描述图片")),
    Case("two pictures", (Drawn(84, 126, 2), Drawn(250, 133, 3), "Compare them.")),
    Case("picture 1×2000", (Drawn(1, 2000), "请描述图片")),
]

# Sent to every server.
REQUESTS = [
    Case("text, Chinese", ("请用一句话介绍上海。",)),
    Case("text, English", ("Explain what a turbine does.",)),
    Case("text, 900 characters", (LONG,)),
    Case("text, system and history", ("再说一遍",),
         before=(("system", "You are brief."), ("user", "你好"), ("assistant", "你好！有什么可以帮你？"))),
    Case("picture 1080×810", (Photo(), "请描述图片")),
    Case("picture 28×28", (Drawn(28, 28), "What is this?")),
    Case("picture 98×98, after the text", ("请描述图片", Drawn(98, 98))),
    Case("picture 126×70", (Drawn(126, 70), "What colours are there?")),
    Case("picture 10×2000", (Drawn(10, 2000), "请描述图片")),
    Case("two pictures", (Drawn(84, 126, 2), Drawn(250, 133, 3), "Compare them.")),
    Case("two pictures, text between", (Drawn(224, 224, 4), "和", Drawn(333, 100, 5), "有什么不同？")),
    Case("three pictures", (Drawn(56, 56, 6), Drawn(112, 56, 7), Photo(), "How many pictures do you see?")),
]

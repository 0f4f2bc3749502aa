"""Our calls of vLLM fit its documented signatures; vLLM itself does not run here.

`signatures` stands in for the package: what it is called with must bind to the signatures below,
written down from vLLM's reference (0.10 and later: LLM, LLMEngine, EngineArgs, SamplingParams,
LoRARequest, TokensPrompt). What an engine would say is not tested.
"""

from __future__ import annotations

import inspect
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from novicegym.agents.base import StreamingAgent
from novicegym.agents.registry import make_agent
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import DialogFormat, open_dialog
from novicegym.errors import UsageError

pytest.importorskip("torch")
pytest.importorskip("transformers")

from novicegym.training.tiny import ModelSize, course_texts, write_model

ENGINE_ARGS = {  # those of EngineArgs that LLM takes as **kwargs
    "max_model_len": int,
    "enable_prefix_caching": bool,
    "enable_lora": bool,
    "max_lora_rank": int,
}
LORA_RANKS = {1, 8, 16, 32, 64, 128, 256, 320, 512}


class LLM:
    """Takes what vllm.LLM takes and answers every prompt with `answer`."""

    answer: list[int] = []
    made: list[LLM] = []

    def __init__(
        self,
        model: str,
        *,
        runner: str = "auto",
        convert: str = "auto",
        tokenizer: str | None = None,
        tokenizer_mode: str = "auto",
        skip_tokenizer_init: bool = False,
        trust_remote_code: bool = False,
        tensor_parallel_size: int = 1,
        dtype: str = "auto",
        quantization: str | None = None,
        revision: str | None = None,
        seed: int = 0,
        gpu_memory_utilization: float = 0.9,
        enforce_eager: bool = False,
        **kwargs: Any,
    ) -> None:
        assert isinstance(model, str)
        assert dtype in ("auto", "float32", "float16", "bfloat16")
        for name, value in kwargs.items():
            assert type(value) is ENGINE_ARGS[name], name
        assert kwargs.get("max_lora_rank", 16) in LORA_RANKS
        self.model, self.settings = model, kwargs
        self.requests: list[tuple[Any, SamplingParams, Any]] = []
        self.llm_engine = LLMEngine(self)
        self.made.append(self)

    def generate(
        self,
        prompts: Any,
        sampling_params: Any = None,
        *,
        use_tqdm: bool | Callable[..., Any] = True,
        lora_request: Any = None,
        priority: list[int] | None = None,
        tokenization_kwargs: dict[str, Any] | None = None,
    ) -> list[Any]:
        assert len(sampling_params) == len(prompts)
        for prompt, sampling in zip(prompts, sampling_params, strict=True):
            self.note(prompt, sampling, lora_request)
        return [SimpleNamespace(outputs=[self.said()]) for _ in prompts]

    def note(self, prompt: Any, sampling: Any, lora_request: Any) -> None:
        assert lora_request is None or self.settings["enable_lora"]
        assert set(prompt) == {"prompt_token_ids"}  # TokensPrompt
        size = len(prompt["prompt_token_ids"]) + sampling.settings["max_tokens"]
        assert size <= self.settings["max_model_len"]
        self.requests.append((prompt, sampling, lora_request))

    def said(self) -> Any:
        return SimpleNamespace(token_ids=tuple(self.answer))  # a sequence, not always a list


class LLMEngine:
    """Takes what vllm.LLMEngine takes; a step says a bit of all, and the last bit of the oldest."""

    def __init__(self, llm: LLM) -> None:
        self.llm, self.asked = llm, list[str]()

    def add_request(
        self,
        request_id: str,
        prompt: Any,
        params: Any,
        arrival_time: float | None = None,
        lora_request: Any = None,
        tokenization_kwargs: dict[str, Any] | None = None,
        trace_headers: Any = None,
        priority: int = 0,
    ) -> None:
        assert isinstance(request_id, str)
        assert request_id not in self.asked
        self.llm.note(prompt, params, lora_request)
        self.asked.append(request_id)

    def abort_request(self, request_ids: list[str]) -> None:
        assert all(isinstance(one, str) for one in request_ids)
        self.asked = [one for one in self.asked if one not in request_ids]

    def step(self) -> list[Any]:
        oldest, *rest = self.asked
        self.asked = rest
        bits = [SimpleNamespace(request_id=one, finished=False, outputs=[]) for one in rest]
        ended = SimpleNamespace(request_id=oldest, finished=True, outputs=[self.llm.said()])
        return [*bits, ended]


class SamplingParams:
    """Takes what vllm.SamplingParams takes."""

    signature = inspect.signature(
        lambda n=1, presence_penalty=0.0, frequency_penalty=0.0, repetition_penalty=1.0,
        temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, seed=None, stop=None, stop_token_ids=None,
        ignore_eos=False, max_tokens=16, min_tokens=0, logprobs=None, prompt_logprobs=None,
        detokenize=True, skip_special_tokens=True: None
    )  # fmt: skip

    def __init__(self, **settings: Any) -> None:
        self.signature.bind(**settings)
        self.settings = settings


class LoRARequest:
    """Takes what vllm.lora.request.LoRARequest takes."""

    def __init__(self, lora_name: str, lora_int_id: int, lora_path: str = "") -> None:
        assert lora_int_id > 0
        self.path = lora_path


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> type[LLM]:
    """Put the signatures of vLLM in its place."""
    package, lora, request = (ModuleType(n) for n in ("vllm", "vllm.lora", "vllm.lora.request"))
    package.__dict__.update(LLM=LLM, SamplingParams=SamplingParams)
    request.__dict__.update(LoRARequest=LoRARequest)
    for module in (package, lora, request):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(LLM, "made", [])
    return LLM


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_course: Course) -> Path:
    out = tmp_path_factory.mktemp("models") / "tiny"
    size = ModelSize(hidden=32, layers=1, heads=2, key_value_heads=1, head_dim=16, intermediate=32)
    write_model(course_texts(small_course), out, size, vocabulary=400, seed=0)
    return out


def ask(course: Course, agent: Any) -> list[str]:
    assignments = list(course.assignments.values())
    infos = [
        {"student_id": "s", "assignment_id": one.id, "position": 0, "step": 0}
        for one in assignments
    ]
    answers: list[str] = agent.act([open_dialog(a, DialogFormat()) for a in assignments], infos)
    return answers


def test_calls_fit_the_signatures_of_vllm(signatures, folder: Path, small_course: Course) -> None:
    agent = make_agent(f"vllm:{folder}", small_course, seed=3)
    [engine] = signatures.made
    dialogs = agent._dialogs  # type: ignore[attr-defined]
    engine.answer = [*dialogs.turn("print(1)"), 5]
    assert ask(small_course, agent) == ["print(1)"] * 2
    assert (agent.name, engine.model) == ("tiny", str(folder))
    assert engine.settings == {"max_model_len": 4096, "enable_prefix_caching": True}
    add, double = engine.requests
    opening = open_dialog(small_course.assignments["add"], DialogFormat())
    assert add[0] == {"prompt_token_ids": dialogs.prompt(opening)}
    settings, others = add[1].settings, double[1].settings
    assert (settings["temperature"], settings["max_tokens"]) == (0.0, 1024)
    assert settings["stop_token_ids"] == [dialogs.end_id]
    assert settings["seed"] != others["seed"]
    assert add[2] is None


def test_dialogs_are_taken_in_while_others_are_answered(
    signatures, folder: Path, small_course: Course
) -> None:
    agent = make_agent(f"vllm:{folder}", small_course)
    assert isinstance(agent, StreamingAgent)
    [engine] = signatures.made
    engine.answer = agent._dialogs.turn("print(1)")
    dialog = open_dialog(small_course.assignments["add"], DialogFormat())
    info = {"student_id": "s", "assignment_id": "add", "position": 0, "step": 0}
    waiting = [[(7, dialog, info), (8, dialog, info)], [(9, dialog, info)], [], [], []]
    waits: list[bool] = []

    def take(wait: bool) -> list[Any]:
        waits.append(wait)
        return waiting.pop(0)

    assert list(agent.stream(take)) == [[(ticket, "print(1)")] for ticket in (7, 8, 9)]
    assert waits == [True, False, False, True]

    waiting = [[(10, dialog, info), (11, dialog, info)]]
    answers = agent.stream(take)
    assert next(answers) == [(10, "print(1)")]
    answers.close()  # as when whoever asks meets an error
    assert engine.llm_engine.asked == []


@pytest.mark.parametrize(("rank", "room"), [(8, 8), (9, 16), (200, 256)])
def test_adapter_is_asked_for_with_room_for_it(
    signatures, folder: Path, small_course: Course, tmp_path: Path, rank: int, room: int
) -> None:
    adapter = {"base_model_name_or_path": str(folder), "r": rank, "peft_type": "LORA"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter))
    agent = make_agent(f"vllm:{tmp_path}", small_course)
    [engine] = signatures.made
    ask(small_course, agent)
    assert (engine.model, engine.settings["max_lora_rank"]) == (str(folder), room)
    assert {request[2].path for request in engine.requests} == {str(tmp_path)}


def test_training_run_is_asked_by_its_folder(
    signatures, folder: Path, small_course: Course, tmp_path: Path
) -> None:
    model = shutil.copytree(folder, tmp_path / "dpo" / "model")
    (tmp_path / "dpo" / "run.json").write_text('{"kind": "training", "recipe": {"context": 4096}}')
    agent = make_agent(f"vllm:{tmp_path / 'dpo'}", small_course)
    [engine] = signatures.made
    assert (agent.name, engine.model) == ("dpo", str(model))


def test_machine_without_vllm_is_told_what_to_do(
    folder: Path, small_course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UsageError, match=r"needs vLLM and a CUDA device: pip install vllm; hf:"):
        make_agent(f"vllm:{folder}", small_course)

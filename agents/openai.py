"""A language model behind an API in the student's seat: any endpoint that speaks OpenAI's chat
completions.

It reads what `LanguageModelAgent` reads, the longest window of the dialog that leaves room for an
answer; the endpoint's tokenizer is not here, so tokens are estimated. What the model says is the
completion as it stands, cut at the limit or not. A refusal is the model's answer, too: its words,
or none. An endpoint that fails is not: after all retries the run ends with an error. Answers that
came before, or were on their way then, are in the cache, so the same command goes on.

Covered: requests at once, limits, retries (the package's own: connections, timeouts, 408, 409,
429, 5xx, a server's Retry-After up to two minutes; here also answers that are none), tokens and
cost, equal requests asked once. Not covered: streaming, tools, batch APIs; equal answers to equal
requests, which endpoints at best try for (the seed is sent): the cache alone makes runs repeat.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from novicegym.agents.api_calls import Calls
from novicegym.agents.api_pace import Pace
from novicegym.agents.api_settings import ApiSettings
from novicegym.agents.base import Asked, act_by_streaming
from novicegym.agents.language_model import (
    COMPLETION,
    check_context,
    prompt_window,
    sampling_seed,
)
from novicegym.agents.response_cache import (
    Answer,
    ResponseCache,
    cache_key,
    default_cache,
    open_cache,
)
from novicegym.dialogs.serialize import Dialog, Message
from novicegym.dialogs.windows import MessageCounter, TokenCounter
from novicegym.errors import AgentError, EndpointError, NovicegymError, UsageError

_BYTES_PER_TOKEN = 3
"""Few: the tokenizers of today take 3 to 4 bytes of English or code for a token."""
_TOKENS_PER_MESSAGE = 4
"""What a chat template puts around one."""
_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 0.1
"""How often to look for new dialogs while no answer comes."""
_SHOWN_CHARS = 300
_SECRET_CHARS = 8
"""What is shorter is no secret but a placeholder, and may be part of any word."""


@dataclass(slots=True)
class _Usage:
    """What has been asked so far. Counts answers of the endpoint, not of the cache."""

    requests: int = 0
    retries: int = 0
    answers: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    cut: int = 0
    refused: int = 0

    def add(self, answer: Answer) -> None:
        self.answers += 1
        self.prompt_tokens += answer.prompt_tokens or 0
        self.cached_prompt_tokens += answer.cached_tokens or 0
        self.completion_tokens += answer.completion_tokens or 0
        self.uncounted += answer.prompt_tokens is None or answer.completion_tokens is None
        self.cut += answer.finish == "length"
        self.refused += answer.refused


@dataclass(frozen=True, slots=True)
class _Request:
    """One thing to ask."""

    key: bytes
    body: dict[str, Any]
    """As it goes over the wire."""
    assignment_id: str


class OpenAIAgent:
    """Submits what a model behind an API says."""

    listens = True

    def __init__(
        self,
        model: str,
        *,
        api_key: str,
        base_url: str | None = None,
        name: str | None = None,
        settings: ApiSettings | None = None,
        cache: Path | None = None,
        counter: TokenCounter | None = None,
        completion: int = COMPLETION,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Seat a model; `load` reads all but the sampling from the environment.

        base_url: the package's default where None. name: what tables call the agent, by default
        the model. cache: file of answers; None keeps none. counter: counts the prompt's tokens
        exactly, as `dialogs.counters.make_counter("hf:PATH")` does; without one they are
        estimated. completion: most tokens of an answer. temperature: 0 is greedy. seed: sent with
        each request; of a sampled answer one drawn from it and the seat. Raises UsageError without
        the package, for an address that is none and for a context that leaves no room, and
        AgentError for a cache that cannot be used.
        """
        try:
            import httpx2
            import openai
        except ImportError as error:
            raise UsageError(
                f"models behind an API need {error.name}: pip install 'novicegym[api]'"
            ) from None
        settings = settings or ApiSettings()
        check_context(settings.context, completion)
        try:
            with openai.OpenAI(api_key=api_key, base_url=base_url) as client:
                url = client.base_url
        except httpx2.InvalidURL:
            url = httpx2.URL("http:")
        # Without its value: an address that is none may hold a password anywhere.
        if url.scheme not in ("http", "https"):
            raise UsageError("OPENAI_BASE_URL must begin with http:// or https://")
        if not url.host:
            raise UsageError("OPENAI_BASE_URL is no address such as http://localhost:8000/v1")
        # Shown and hashed: an address may hold a password or a key.
        self._shown_url = str(url.copy_with(userinfo=b"", query=None, fragment=None))
        secrets = (api_key, url.password, url.query.decode(), *url.params.values())
        self._secrets = [secret for secret in secrets if len(secret) >= _SECRET_CHARS]
        if cache is not None:
            with open_cache(cache):  # to fail now, not after the first answers are paid
                pass
        self.name = name or model
        self._model, self._base_url, self._api_key = model, str(url), api_key
        self._settings, self._cache = settings, cache
        self._counter = counter or MessageCounter(_estimate, _TOKENS_PER_MESSAGE)
        self._completion, self._seed = completion, seed
        self._temperature, self._top_p = temperature, top_p
        self._pace = Pace(settings.requests_per_minute, settings.tokens_per_minute)
        self._usage = _Usage()

    @classmethod
    def load(
        cls,
        model: str,
        *,
        name: str | None = None,
        counter: TokenCounter | None = None,
        completion: int = COMPLETION,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Self:
        """Seat a model of the endpoint that the environment names; see `ApiSettings`.

        Raises UsageError also without OPENAI_API_KEY and for a variable that holds no value of
        its kind.
        """
        api_key = os.environ.get("OPENAI_API_KEY")
        if not api_key:
            raise UsageError(
                f"openai:{model} needs the endpoint's key in OPENAI_API_KEY (any text for a server "
                "that asks for none) and, but for OpenAI's own, its address in OPENAI_BASE_URL"
            )
        return cls(
            model,
            api_key=api_key,
            name=name,
            settings=ApiSettings.from_environment(),
            cache=default_cache(),
            counter=counter,
            completion=completion,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
        )

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the model's answers, in order.

        Greedy answers are asked by the dialog alone, sampled ones by the seat, too. Raises
        UsageError for what asking again cannot mend (a wrong key, an unknown model, a request
        the endpoint refuses, a prompt that does not fit) and AgentError where the endpoint
        or the cache fails. Works in a notebook, too, whose thread runs an event loop already.
        """
        return act_by_streaming(self, dialogs, infos)

    def stream(self, take: Callable[[bool], Sequence[Asked]]) -> Iterator[list[tuple[int, str]]]:
        """Answer dialogs as they come, see `StreamingAgent`; what is said is what `act` returns.

        Whoever asks while others wait is asked on at once, as far as requests at once may be.
        Raises what `act` does, after the last answer that was on its way, with nothing more
        sent; what was answered until then is in the cache. Ctrl-C does not wait.
        """
        self._pace.is_stopped = False
        while asked := take(True):
            with (
                nullcontext() if self._cache is None else open_cache(self._cache) as cache,
                Calls(self._client, self._ask, self._settings.concurrency) as calls,
            ):
                waiting: dict[bytes, list[int]] = {}
                try:
                    while asked or waiting:
                        if known := self._begin(asked, waiting, calls, cache):
                            yield known
                        if waiting:
                            ended = calls.ended(_LOOK_SECONDS)
                            for key, answer in self._keep(ended, cache):
                                yield [(ticket, answer.text) for ticket in waiting.pop(key)]
                            for _, call in ended:
                                call.result()  # raises what it raised
                        asked = take(False)
                except Exception:
                    # The endpoint charges for what it is answering: that is waited for.
                    self._pace.is_stopped = True
                    while calls.under_way:
                        self._keep(calls.ended(_LOOK_SECONDS), cache)
                    raise
                finally:
                    # Paid, whatever ends this: they wait here, to be kept.
                    self._keep(calls.ended(0), cache)

    def _begin(
        self,
        asked: Sequence[Asked],
        waiting: dict[bytes, list[int]],
        calls: Calls[_Request, Answer],
        cache: ResponseCache | None,
    ) -> list[tuple[int, str]]:
        """Ask what neither the cache knows nor anybody waits for; return what it knows."""
        known = []
        requests = [(ticket, self._request(dialog, info)) for ticket, dialog, info in asked]
        for ticket, request in requests:
            answer = None
            if request.key not in waiting and cache is not None:
                answer = cache.get(request.key)
            if answer is not None:
                known.append((ticket, answer.text))
            elif request.key in waiting:
                waiting[request.key].append(ticket)
            else:
                waiting[request.key] = [ticket]
                calls.begin(request)
                continue
            self._usage.cache_hits += 1
        return known

    def _keep(
        self, ended: Iterable[tuple[_Request, Future[Answer]]], cache: ResponseCache | None
    ) -> list[tuple[bytes, Answer]]:
        """Return the answers there are by their keys, noted and in the cache."""
        answers = [
            (request.key, call.result())
            for request, call in ended
            if not call.cancelled() and call.exception() is None
        ]
        for _, answer in answers:
            self._usage.add(answer)
        if cache is not None:
            for key, answer in answers:
                cache.put(key, answer)
        return answers

    @property
    def settings(self) -> dict[str, Any]:
        """What makes it another run, but for sampling and seed; JSON. The key is not in it."""
        return {
            "base_url": self._shown_url,
            "model": self._model,
            "context": self._settings.context,
            "completion": self._completion,
            "body": dict(self._settings.body),
        }

    def usage(self) -> dict[str, float | None]:
        """Return what this agent has asked so far; all but None add up over agents.

        requests: sent, `retries` of them again. answers: of the endpoint. cache_hits: dialogs
        answered without it. prompt_tokens, cached_prompt_tokens (of these), completion_tokens: as
        the endpoint counts; it did not in `uncounted` answers. cut: answers at the limit of
        tokens. refused: by the model or a filter. cost: of the answers, None without prices or
        where tokens are uncounted; cached prompt tokens at the full price. What an endpoint
        charges for answers that never came whole is not in it.
        """
        used, settings = self._usage, self._settings
        cost = None
        if settings.input_price is not None and settings.output_price is not None:
            cost = used.prompt_tokens * settings.input_price / 1e6
            cost += used.completion_tokens * settings.output_price / 1e6
        return asdict(used) | {"cost": None if used.uncounted else cost}

    def _request(self, dialog: Dialog, info: Mapping[str, Any]) -> _Request:
        assignment_id = info["assignment_id"]
        window = prompt_window(
            self._counter, dialog, info, self._settings.context, self._completion
        )
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [
                {"role": message["role"], "content": _sendable(message["content"])}
                for message in window.dialog
            ],
            # Not max_completion_tokens, which some servers ignore, and go on without a limit.
            "max_tokens": self._completion,
            "temperature": self._temperature,
            "top_p": self._top_p,
            "seed": self._seed,
            **self._settings.body,
        }
        draw = None
        if body["temperature"] != 0:
            draw = sampling_seed(self._seed, info) >> 1  # some servers take 31 bits
            if "seed" not in self._settings.body:
                body["seed"] = draw
        body = {name: value for name, value in body.items() if value is not None}
        # Two seats are two draws, also where no seed is sent.
        key = cache_key({"url": self._shown_url, "body": body, "draw": draw})
        return _Request(key, body, assignment_id)

    def _client(self) -> Any:
        import openai

        return openai.AsyncOpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=self._settings.retries,
            timeout=self._timeout(),
            http_client=openai.DefaultAsyncHttpxClient(
                event_hooks={"request": [self._before], "response": [self._after]}
            ),
        )

    async def _ask(self, client: Any, request: _Request) -> Answer:
        import openai

        try:
            raw = await client.chat.completions.with_raw_response.create(
                model=self._model, messages=[], extra_body=request.body
            )
        except openai.APIStatusError as error:
            if error.status_code == 400 and error.code == "content_filter":
                return Answer("", "content_filter", True, 0, 0, 0)  # how Azure refuses a prompt
            raise self._failure(error, request) from error
        except openai.APIConnectionError as error:
            reason = self._printable(f"{type(error.__cause__).__name__}: {error.__cause__}")
            raise self._gave_up(reason) from error
        return read_answer(raw.http_response.json())

    async def _before(self, request: Any) -> None:
        """Wait for its turn; called with every request that is about to be sent."""
        await self._pace.wait(self._estimated(request))
        self._usage.requests += 1
        self._usage.retries += request.headers.get("x-stainless-retry-count", "0") != "0"

    async def _after(self, response: Any) -> None:
        """Make an answer that is none a failure of the connection, which the package retries."""
        import httpx2

        if not response.is_success:
            return
        await response.aread()
        try:
            answer = read_answer(response.json())
        except ValueError as error:  # no JSON, too
            raise httpx2.DecodingError(
                f"no answer in the response: {error}", request=response.request
            ) from error
        if answer.prompt_tokens is not None and answer.completion_tokens is not None:
            used = answer.prompt_tokens + answer.completion_tokens
            self._pace.correct(self._estimated(response.request), used)

    def _estimated(self, request: Any) -> int:
        return len(request.content) // _BYTES_PER_TOKEN + self._completion

    def _timeout(self) -> Any:
        import openai

        return openai.Timeout(
            self._settings.timeout, connect=min(self._settings.timeout, _CONNECT_SECONDS)
        )

    def _failure(self, error: Any, request: _Request) -> NovicegymError:
        """Return what to raise for a status that is an error and was not, or no longer, retried."""
        status, said = error.status_code, self._printable(str(error))
        if status in (408, 409, 429) or status >= 500:
            return self._gave_up(said)
        if status in (401, 403):
            # 403 may also be about the prompt: routers refuse what their moderation flags.
            kind = EndpointError if status == 401 else UsageError
            return kind(f"{self._shown_url} does not accept OPENAI_API_KEY: {said}")
        if status == 404:
            return EndpointError(
                f"there is no model {self._model!r} at {self._shown_url}, or OPENAI_BASE_URL is "
                f"wrong (it mostly ends in /v1): {said}"
            )
        return UsageError(
            f"{self._shown_url} refuses the request for assignment {request.assignment_id!r}: "
            f"{said}; NOVICEGYM_API_BODY changes a request's fields, NOVICEGYM_API_CONTEXT its size"
        )

    def _gave_up(self, reason: str) -> AgentError:
        return AgentError(
            f"no answer from {self._shown_url} after {self._settings.retries} retries: {reason}; "
            "what it answered before is kept, and the same command goes on"
        )

    def _printable(self, text: str) -> str:
        """Return what the endpoint said, which may quote secrets, as part of one line."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:_SHOWN_CHARS]


def read_answer(body: Any) -> Answer:
    """Return the answer in the JSON of a chat completion; ValueError where there is none.

    Read by hand: the package takes any JSON for a completion.
    """
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise ValueError(f"it holds no choice with a message: {body!r:.200}")
    finish = choice.get("finish_reason")
    if finish == "error":  # a router's word for a provider that failed half-way
        raise ValueError(f"it ends in an error: {choice!r:.200}")
    content, refusal = message.get("content"), message.get("refusal")
    text = content or refusal or ""
    if not isinstance(text, str):
        raise ValueError(f"its content is no text: {text!r:.200}")
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Answer(
        text,
        finish if isinstance(finish, str) else None,
        bool(refusal) or finish == "content_filter",
        _count(usage.get("prompt_tokens")),
        _count(details.get("cached_tokens") if isinstance(details, dict) else None),
        _count(usage.get("completion_tokens")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _estimate(message: Message) -> int:
    size = len(_sendable(message["content"]).encode())
    return _TOKENS_PER_MESSAGE - -size // _BYTES_PER_TOKEN


def _sendable(text: str) -> str:
    """Return the text with "?" for lone surrogates, which a model's answer may have held."""
    return text.encode("utf-8", "replace").decode()

"""What a causal language model says to many prompts: greedy or sampled, up to the end of turn.

Two things make it faster than `model.generate` on prompts as rollouts have them:

- **Shared prefixes.** The positions of a trajectory, and the trajectories of an assignment, begin
  alike. Prompts are read in lexicographic order, each from where it departs from the one before;
  a group of equal prompts is read once.
- **A batch that stays full.** A row whose turn has ended leaves and a waiting prompt takes its
  place, of `generate_stream` also one that came meanwhile. Keys and values are written into room
  that was made before, not copied at every token.

`benchmarks/generation.py` measures both. They need a model whose layers all attend to everything
(transformers' DynamicLayer) by torch's own attention ("sdpa"). Any other is read and continued in
batches of left-padded prompts, with the model's own cache.

Covered: any device, adapters, one process. Not covered: models that are split over processes,
beam search, several tokens that end a turn, prompts longer than the model's context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from novicegym.errors import UsageError

_CHUNK = 512
"""Tokens read at a time after a shared prefix: torch's attention skips what a token may not see
only where there is no prefix, so that a long rest read at once would cost twice."""
_SPARE = 64
"""Tokens that rows may grow by before their keys and values move to a larger place."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What follows one prompt."""

    ids: list[int] = field(default_factory=list)
    """With the token that ends the turn, if it came to that."""
    logprobs: list[float] = field(default_factory=list)
    """Of each id under the distribution it was drawn from; when greedy, under the model's own.
    Empty unless asked for."""


Prompt: TypeAlias = tuple[int, Sequence[int], torch.Generator | None]
"""A ticket, the tokens, and where this prompt's random numbers come from; None: torch's own."""


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    end_id: int,
    pad_id: int,
    most_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    logprobs: bool = False,
    batch_size: int = 32,
    share_prefixes: bool = True,
) -> list[Generated]:
    """Return what the model says to each prompt, in their order.

    generator: of the random numbers, on the CPU; one for each prompt makes what a prompt gets
    independent of the others, else it depends on the generator's state and the prompt's place in
    the list; None: torch's own. The other settings are those of `generate_stream`.
    """
    generators = generator if isinstance(generator, Sequence) else [generator] * len(prompts)
    if len(generators) != len(prompts):
        raise UsageError(f"{len(prompts)} prompts need as many generators, got {len(generators)}")
    coming = [list(zip(range(len(prompts)), prompts, generators, strict=True))]
    said = [Generated() for _ in prompts]
    for ended in generate_stream(
        model,
        lambda _: coming.pop() if coming else [],
        end_id=end_id,
        pad_id=pad_id,
        most_tokens=most_tokens,
        temperature=temperature,
        top_p=top_p,
        logprobs=logprobs,
        batch_size=batch_size,
        share_prefixes=share_prefixes,
    ):
        for place, one in ended:
            said[place] = one
    return said


def generate_stream(
    model: Any,
    take: Callable[[bool], Sequence[Prompt]],
    *,
    end_id: int,
    pad_id: int,
    most_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    logprobs: bool = False,
    batch_size: int = 32,
    share_prefixes: bool = True,
) -> Iterator[list[tuple[int, Generated]]]:
    """Yield (ticket, what the model says) of prompts that come while it speaks, as turns end.

    model: a transformers causal LM, with or without a peft adapter; it is left as it was found.
    take: called with whether to wait for a prompt; returns those that came since. It ends when
    `take` has waited and returns nothing. most_tokens: where a turn is cut that has not ended.
    temperature: 0 is greedy. top_p: sample from the likeliest tokens that together have this
    probability. batch_size: rows at a time; neither it nor what else is in the batch changes a
    result, up to rounding of the logits (in float32 that shows only where two tokens are almost
    equally likely).
    """
    _check(most_tokens, temperature, top_p, batch_size)
    speech = _Speech(end_id, most_tokens, temperature, top_p, logprobs)

    def arrived(wait: bool) -> list[_Turn]:
        return [speech.turn(*prompt) for prompt in take(wait)]

    was_training = model.training
    model.eval()  # dropout would sample from another policy
    try:
        with torch.no_grad():
            if _attends_to_everything(model):
                said = _refilled(model, arrived, speech, pad_id, batch_size, share_prefixes)
            else:
                said = _padded(model, arrived, speech, pad_id, batch_size)
            yield from filter(None, said)
    finally:
        if was_training:
            model.train()


@dataclass(slots=True, eq=False)
class _Turn:
    """One prompt, and what was said to it so far."""

    ticket: int
    prompt: Sequence[int]
    uniform: Any
    """Random numbers drawn beforehand, one a token; None when greedy."""
    said: Generated = field(default_factory=Generated)
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Speech:
    """How tokens are chosen, and when a turn ends."""

    end_id: int
    most_tokens: int
    temperature: float
    top_p: float
    logprobs: bool

    def turn(self, ticket: int, prompt: Sequence[int], generator: torch.Generator | None) -> _Turn:
        """Return a turn that has not begun; its random numbers are drawn now."""
        if not prompt:
            raise UsageError("a prompt must have at least one token, got an empty one")
        uniform: Any = None
        if self.temperature > 0:
            uniform = torch.empty(self.most_tokens, dtype=torch.float64)
            uniform.uniform_(generator=generator)
        return _Turn(ticket, prompt, uniform)

    def extend(self, turns: Sequence[_Turn], logits: Any) -> Any:
        """Add a token to each turn by its row of logits (turns x vocabulary); return the tokens."""
        tokens, logprobs = self._choose(turns, logits)
        for turn, token in zip(turns, tokens.tolist(), strict=True):
            turn.said.ids.append(token)
            turn.ended = token == self.end_id or len(turn.said.ids) == self.most_tokens
        for turn, logprob in zip(turns, logprobs, strict=False):
            turn.said.logprobs.append(logprob)
        return tokens

    def _choose(self, turns: Sequence[_Turn], logits: Any) -> tuple[Any, list[float]]:
        """Return a token for each turn, and their log-probabilities if they are asked for."""
        if self.temperature == 0:
            tokens = logits.argmax(-1)
            if not self.logprobs:
                return tokens, []
            chosen = logits.float().log_softmax(-1).gather(-1, tokens[:, None])
            return tokens, chosen[:, 0].tolist()
        # The sum over a large vocabulary asks for double precision, which Apple's GPUs lack.
        exact = torch.float32 if logits.device.type == "mps" else torch.float64
        shares = (logits.to(exact) / self.temperature).softmax(-1)
        order: Any = None
        if self.top_p < 1:
            shares, order = shares.sort(-1, descending=True)
            shares = shares.where(shares.cumsum(-1) - shares < self.top_p, 0)
        sums = shares.cumsum(-1)
        drawn = torch.stack([turn.uniform[len(turn.said.ids)] for turn in turns])
        target = drawn.to(exact).to(logits.device)[:, None] * sums[:, -1:]
        places = torch.searchsorted(sums, target, right=True).clamp_(max=sums.shape[-1] - 1)
        tokens = places if order is None else order.gather(-1, places)
        chosen = (shares.gather(-1, places) / sums[:, -1:]).log()
        return tokens[:, 0], chosen[:, 0].tolist() if self.logprobs else []


def _ended(turns: Sequence[_Turn]) -> list[tuple[int, Generated]]:
    return [(turn.ticket, turn.said) for turn in turns if turn.ended]


def _padded(
    model: Any,
    arrived: Callable[[bool], list[_Turn]],
    speech: _Speech,
    pad_id: int,
    batch_size: int,
) -> Iterator[list[tuple[int, Generated]]]:
    """Batch after batch of left-padded prompts, each until its last turn ends."""
    device = _device(model)
    waiting: list[_Turn] = []
    while True:
        waiting += arrived(not waiting)
        if not waiting:
            return
        waiting.sort(key=lambda turn: len(turn.prompt))
        batch, waiting = waiting[:batch_size], waiting[batch_size:]
        width = len(batch[-1].prompt)
        padding = [width - len(turn.prompt) for turn in batch]
        ids = torch.tensor(
            [[pad_id] * pad + list(t.prompt) for t, pad in zip(batch, padding, strict=True)],
            device=device,
        )
        mask = torch.ones_like(ids)
        for place, pad in enumerate(padding):
            mask[place, :pad] = 0
        positions = (mask.cumsum(-1) - 1).clamp_(min=0)
        memory = None
        while places := [place for place, turn in enumerate(batch) if not turn.ended]:
            out = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=memory,
                use_cache=True,
                logits_to_keep=1,
            )
            memory = out.past_key_values
            speaking = [batch[place] for place in places]
            tokens = speech.extend(speaking, out.logits[places, -1])
            yield _ended(speaking)
            ids = torch.full_like(ids[:, :1], pad_id)
            ids[places, 0] = tokens
            mask = torch.cat([mask, torch.ones_like(ids)], dim=-1)
            positions = positions[:, -1:] + 1


def _refilled(
    model: Any,
    arrived: Callable[[bool], list[_Turn]],
    speech: _Speech,
    pad_id: int,
    batch_size: int,
    share_prefixes: bool,
) -> Iterator[list[tuple[int, Generated]]]:
    """One batch that waiting prompts join as turns end."""
    reader = _Reader(model, share_prefixes)
    batch = _Batch(model, speech, pad_id)
    waiting: list[_Turn] = []
    while True:
        if came := arrived(not (waiting or len(batch))):
            waiting = sorted([*waiting, *came], key=lambda turn: list(turn.prompt), reverse=True)
        if not (waiting or len(batch)):
            return
        # Half of the places at once, so that the others' keys and values seldom move.
        if waiting and 2 * len(batch) <= batch_size:
            free = min(batch_size - len(batch), len(waiting))
            yield batch.join([waiting.pop() for _ in range(free)], reader)
        yield batch.step()


class _Reader:
    """Reads prompts one by one, each from where it departs from the one before."""

    def __init__(self, model: Any, share_prefixes: bool) -> None:
        self._model, self._share = model, share_prefixes
        self._device = _device(model)
        self._prompt: Sequence[int] = ()
        self._logits: Any = None
        self.memory: Any = None
        """The cache after the last prompt: one row."""

    def read(self, prompt: Sequence[int]) -> Any:
        """Return the logits (1 x vocabulary) after the prompt."""
        shared = _shared(self._prompt, prompt) if self._share else 0
        if 0 < shared == len(prompt) == len(self._prompt):
            return self._logits
        shared = min(shared, len(prompt) - 1)  # the last token's logits are wanted
        if shared == 0:
            self.memory = DynamicCache(config=self._model.config)
        for layer in self.memory.layers if shared else ():
            layer.keys, layer.values = layer.keys[:, :, :shared], layer.values[:, :, :shared]
        for begin in range(shared, len(prompt), _CHUNK if shared else len(prompt)):
            piece = prompt[begin : begin + _CHUNK] if shared else prompt
            out = self._model(
                input_ids=torch.tensor([list(piece)], device=self._device),
                position_ids=torch.arange(begin, begin + len(piece), device=self._device)[None],
                past_key_values=self.memory,
                use_cache=True,
                logits_to_keep=1,
            )
        self._prompt, self._logits = prompt, out.logits[:, -1]
        return self._logits


class _Batch:
    """The turns that go on. Every row's keys and values end in the same, the newest column."""

    def __init__(self, model: Any, speech: _Speech, pad_id: int) -> None:
        self._model, self._speech, self._pad_id = model, speech, pad_id
        self._memory = DynamicCache(config=model.config)
        self._memory.layers = [_RoomyLayer() for _ in self._memory.layers]
        self._turns: list[_Turn] = []
        """Which turn each row of the tensors is; some have ended."""
        self._lengths: list[int] = []
        """Tokens read, by row; the columns before them are not looked at."""
        self._next: Any = None
        """The tokens to be read now, rows x 1."""
        self._seen: Any = None
        """Which columns a row looks at, rows x columns."""

    def __len__(self) -> int:
        """Return how many turns go on."""
        return sum(not turn.ended for turn in self._turns)

    def join(self, turns: Sequence[_Turn], reader: _Reader) -> list[tuple[int, Generated]]:
        """Read the prompts of turns and begin these; return those that end at once."""
        logits: list[Any] = []
        for turn in turns:
            logits.append(reader.read(turn.prompt))
            if len(logits) == 1:  # only now are the shapes known
                width = max(len(one.prompt) for one in turns)
                self._move(len(turns), width, reader.memory.layers)
            columns = slice(self._used - len(turn.prompt), self._used)
            place = len(self._turns)
            for mine, read in zip(self._memory.layers, reader.memory.layers, strict=True):
                mine.keys[place, :, columns] = read.keys[0]
                mine.values[place, :, columns] = read.values[0]
            self._seen[place, columns] = True
            self._turns.append(turn)
            self._lengths.append(len(turn.prompt))
        self._next[-len(turns) :, 0] = self._speech.extend(turns, torch.cat(logits))
        return _ended(turns)

    def step(self) -> list[tuple[int, Generated]]:
        """Read the next token of each turn, choose the one after it; return those that end."""
        ended = len(self._turns) - len(self)
        if 8 * ended >= len(self._turns) or self._used == self._seen.shape[1]:
            self._move(0, 0, self._memory.layers)
        if not self._turns:
            return []
        device = self._next.device
        self._seen[:, self._used] = True
        out = self._model(
            input_ids=self._next,
            attention_mask=self._seen[:, None, None, : self._used + 1],
            position_ids=torch.tensor(self._lengths, device=device)[:, None],
            past_key_values=self._memory,
            use_cache=True,
        )
        self._lengths = [length + 1 for length in self._lengths]
        places = self._going()
        logits = out.logits[:, -1] if len(places) == len(self._turns) else out.logits[places, -1]
        speaking = [self._turns[place] for place in places]
        self._next[places, 0] = self._speech.extend(speaking, logits)
        return _ended(speaking)

    def _going(self) -> list[int]:
        return [place for place, turn in enumerate(self._turns) if not turn.ended]

    @property
    def _used(self) -> int:
        return int(self._memory.get_seq_length())

    def _move(self, joining: int, width: int, like: Any) -> None:
        """Move the turns that go on to tensors with room for new rows and for _SPARE tokens.

        width: tokens of the longest row that is to join. like: layers of the same shapes.
        """
        device = like[0].keys.device
        kept = self._going()
        longest = max((self._lengths[place] for place in kept), default=0)
        width = max(width, longest)
        size = (len(kept) + joining, width + _SPARE)
        old, new = slice(self._used - longest, self._used), slice(width - longest, width)
        seen = torch.zeros(size, dtype=torch.bool, device=device)
        following = torch.full((size[0], 1), self._pad_id, device=device)
        if kept:
            seen[: len(kept), new] = self._seen[kept, old]
            following[: len(kept)] = self._next[kept]
        self._seen, self._next = seen, following
        for layer, other in zip(self._memory.layers, like, strict=True):
            layer.keys = _moved(layer.keys, other.keys, kept, old, new, size)
            layer.values = _moved(layer.values, other.values, kept, old, new, size)
            layer.used = width
        self._turns = [self._turns[place] for place in kept]
        self._lengths = [self._lengths[place] for place in kept]


def _moved(
    tensor: Any, like: Any, kept: list[int], old: slice, new: slice, size: tuple[int, int]
) -> Any:
    # Zeros, not what happens to be there: a weight of 0 does not silence a NaN.
    moved = like.new_zeros((size[0], like.shape[1], size[1], like.shape[3]))
    if kept:
        moved[: len(kept), :, new] = tensor[kept, :, old]
    return moved


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Writes into room made before, not into a copy of everything."""

    used = 0
    """Columns that hold something."""

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        begin, self.used = self.used, self.used + key_states.shape[2]
        self.keys[:, :, begin : self.used] = key_states
        self.values[:, :, begin : self.used] = value_states
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]

    def get_seq_length(self) -> int:
        return self.used


def _attends_to_everything(model: Any) -> bool:
    layers = DynamicCache(config=model.config).layers
    by_torch = model.config._attn_implementation == "sdpa"
    return by_torch and all(type(layer) is DynamicLayer for layer in layers)


def _device(model: Any) -> Any:
    return next(model.parameters()).device


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))


def _check(most_tokens: int, temperature: float, top_p: float, batch_size: int) -> None:
    for name, number in (("most_tokens", most_tokens), ("batch_size", batch_size)):
        if number < 1:
            raise UsageError(f"{name} must be at least 1, got {number}")
    if temperature < 0:
        raise UsageError(f"temperature must be at least 0, got {temperature}")
    if not 0 < top_p <= 1:
        raise UsageError(f"top_p must be above 0 and at most 1, got {top_p}")

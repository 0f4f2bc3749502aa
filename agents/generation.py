"""What a causal language model says to many prompts: greedy or sampled, up to the end of turn.

Two things make it faster than `model.generate` on prompts as rollouts have them:

- **Shared prefixes.** The positions of a trajectory, and the trajectories of an assignment, begin
  alike. Prompts are read in lexicographic order, each from where it departs from the one before;
  a group of equal prompts is read once.
- **A batch that stays full.** A row whose turn has ended leaves and a waiting prompt takes its
  place. Keys and values are written into room that was made before, not copied at every token.

`benchmarks/generation.py` measures both. They need a model whose layers all attend to everything
(transformers' DynamicLayer) by torch's own attention ("sdpa"). Any other is read and continued in
batches of left-padded prompts, with the model's own cache.

Covered: any device, adapters, one process. Not covered: models that are split over processes,
beam search, several tokens that end a turn, prompts longer than the model's context.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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

    model: a transformers causal LM, with or without a peft adapter; it is left as it was found.
    most_tokens: where a turn is cut that has not ended. temperature: 0 is greedy. top_p: sample
    from the likeliest tokens that together have this probability. generator: of the random
    numbers, on the CPU; one for each prompt makes what a prompt gets independent of the others,
    else it depends on the generator's state and the prompt's place in the list; None: torch's own.
    batch_size: rows at a time; neither it nor what else is in the batch changes a result, up to
    rounding of the logits (in float32 that shows only where two tokens are almost equally
    likely).
    """
    _check(prompts, most_tokens, temperature, top_p, generator, batch_size)
    said = [Generated() for _ in prompts]
    was_training = model.training
    model.eval()  # dropout would sample from another policy
    try:
        with torch.no_grad():
            turns = _Turns(
                said,
                _Sampler(len(prompts), most_tokens, temperature, top_p, generator, logprobs),
                end_id,
                most_tokens,
            )
            if _attends_to_everything(model):
                _generate_refilled(model, prompts, turns, pad_id, batch_size, share_prefixes)
            else:
                _generate_padded(model, prompts, turns, pad_id, batch_size)
    finally:
        if was_training:
            model.train()
    return said


class _Sampler:
    """Chooses tokens by random numbers that are drawn beforehand: one a prompt and token."""

    def __init__(
        self,
        prompts: int,
        most_tokens: int,
        temperature: float,
        top_p: float,
        generator: torch.Generator | Sequence[torch.Generator] | None,
        logprobs: bool,
    ) -> None:
        self._temperature, self._top_p, self._logprobs = temperature, top_p, logprobs
        self._uniform: Any = None
        if temperature > 0:
            self._uniform = torch.empty(prompts, most_tokens, dtype=torch.float64)
            if isinstance(generator, Sequence):
                for row, own in zip(self._uniform, generator, strict=True):
                    row.uniform_(generator=own)
            else:
                self._uniform.uniform_(generator=generator)

    def choose(self, logits: Any, rows: list[int], steps: list[int]) -> tuple[Any, list[float]]:
        """Return a token for each row of logits (rows x vocabulary), and their log-probabilities.

        rows, steps: which prompt it is and how many tokens it got before. The probabilities are
        left empty unless asked for.
        """
        if self._uniform is None:
            tokens = logits.argmax(-1)
            if not self._logprobs:
                return tokens, []
            chosen = logits.float().log_softmax(-1).gather(-1, tokens[:, None])
            return tokens, chosen[:, 0].tolist()
        # The sum over a large vocabulary asks for double precision, which Apple's GPUs lack.
        exact = torch.float32 if logits.device.type == "mps" else torch.float64
        shares = (logits.to(exact) / self._temperature).softmax(-1)
        order: Any = None
        if self._top_p < 1:
            shares, order = shares.sort(-1, descending=True)
            shares = shares.where(shares.cumsum(-1) - shares < self._top_p, 0)
        sums = shares.cumsum(-1)
        uniform = self._uniform[rows, steps].to(exact).to(logits.device)
        target = uniform[:, None] * sums[:, -1:]
        places = torch.searchsorted(sums, target, right=True).clamp_(max=sums.shape[-1] - 1)
        tokens = places if order is None else order.gather(-1, places)
        chosen = (shares.gather(-1, places) / sums[:, -1:]).log()
        return tokens[:, 0], chosen[:, 0].tolist() if self._logprobs else []


@dataclass(frozen=True, slots=True)
class _Turns:
    """What was said so far, and when it ends."""

    said: list[Generated]
    sampler: _Sampler
    end_id: int
    most_tokens: int

    def extend(self, logits: Any, rows: list[int]) -> tuple[Any, list[bool]]:
        """Add a token to the turns `rows`; return the tokens and whether each turn goes on."""
        steps = [len(self.said[row].ids) for row in rows]
        tokens, logprobs = self.sampler.choose(logits, rows, steps)
        ids: list[int] = tokens.tolist()
        for row, token in zip(rows, ids, strict=True):
            self.said[row].ids.append(token)
        for row, logprob in zip(rows, logprobs, strict=False):
            self.said[row].logprobs.append(logprob)
        return tokens, [
            token != self.end_id and step + 1 < self.most_tokens
            for token, step in zip(ids, steps, strict=True)
        ]


def _generate_padded(
    model: Any, prompts: Sequence[Sequence[int]], turns: _Turns, pad_id: int, batch_size: int
) -> None:
    """Batch after batch of left-padded prompts, each until its last turn ends."""
    device = _device(model)
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        width = len(prompts[rows[-1]])
        padding = [width - len(prompts[row]) for row in rows]
        ids = torch.tensor(
            [[pad_id] * pad + list(prompts[row]) for row, pad in zip(rows, padding, strict=True)],
            device=device,
        )
        mask = torch.ones_like(ids)
        for place, pad in enumerate(padding):
            mask[place, :pad] = 0
        positions = (mask.cumsum(-1) - 1).clamp_(min=0)
        going, memory = [True] * len(rows), None
        while any(going):
            out = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=memory,
                use_cache=True,
                logits_to_keep=1,
            )
            memory = out.past_key_values
            places = [place for place, goes in enumerate(going) if goes]
            tokens, go_on = turns.extend(out.logits[places, -1], [rows[p] for p in places])
            ids = torch.full_like(ids[:, :1], pad_id)
            ids[places, 0] = tokens
            for place, goes in zip(places, go_on, strict=True):
                going[place] = goes
            mask = torch.cat([mask, torch.ones_like(ids)], dim=-1)
            positions = positions[:, -1:] + 1


def _generate_refilled(
    model: Any,
    prompts: Sequence[Sequence[int]],
    turns: _Turns,
    pad_id: int,
    batch_size: int,
    share_prefixes: bool,
) -> None:
    """One batch that waiting prompts join as turns end."""
    reader = _Reader(model, share_prefixes)
    batch = _Batch(model, turns, pad_id)
    waiting = deque(sorted(range(len(prompts)), key=lambda row: list(prompts[row])))
    while waiting or len(batch):
        # Half of the places at once, so that the others' keys and values seldom move.
        if waiting and 2 * len(batch) <= batch_size:
            free = batch_size - len(batch)
            joining = [waiting.popleft() for _ in range(min(free, len(waiting)))]
            batch.join([(row, prompts[row]) for row in joining], reader)
        batch.step()


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

    def __init__(self, model: Any, turns: _Turns, pad_id: int) -> None:
        self._model, self._turns, self._pad_id = model, turns, pad_id
        self._memory = DynamicCache(config=model.config)
        self._memory.layers = [_RoomyLayer() for _ in self._memory.layers]
        self._rows: list[int] = []
        """Whose turn each row of the tensors is; of some it has ended."""
        self._goes: list[bool] = []
        self._lengths: list[int] = []
        """Tokens read, by row; the columns before them are not looked at."""
        self._next: Any = None
        """The tokens to be read now, rows x 1."""
        self._seen: Any = None
        """Which columns a row looks at, rows x columns."""

    def __len__(self) -> int:
        """Return how many turns go on."""
        return sum(self._goes)

    def join(self, prompts: Sequence[tuple[int, Sequence[int]]], reader: _Reader) -> None:
        """Read prompts, given with their numbers, and begin their turns."""
        logits: list[Any] = []
        for row, prompt in prompts:
            logits.append(reader.read(prompt))
            if len(logits) == 1:  # only now are the shapes known
                width = max(len(own) for _, own in prompts)
                self._move(len(prompts), width, reader.memory.layers)
            place, columns = len(self._rows), slice(self._used - len(prompt), self._used)
            for mine, read in zip(self._memory.layers, reader.memory.layers, strict=True):
                mine.keys[place, :, columns] = read.keys[0]
                mine.values[place, :, columns] = read.values[0]
            self._seen[place, columns] = True
            self._rows.append(row)
            self._lengths.append(len(prompt))
        rows = [row for row, _ in prompts]
        tokens, goes = self._turns.extend(torch.cat(logits), rows)
        self._next[-len(rows) :, 0] = tokens
        self._goes += goes

    def step(self) -> None:
        """Read the next token of each turn and choose the one after it."""
        ended = len(self._rows) - len(self)
        if 8 * ended >= len(self._rows) or self._used == self._seen.shape[1]:
            self._move(0, 0, self._memory.layers)
        if not self._rows:
            return
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
        places = [place for place, goes in enumerate(self._goes) if goes]
        logits = out.logits[:, -1] if len(places) == len(self._rows) else out.logits[places, -1]
        tokens, goes = self._turns.extend(logits, [self._rows[place] for place in places])
        self._next[places, 0] = tokens
        for place, goes_on in zip(places, goes, strict=True):
            self._goes[place] = goes_on

    @property
    def _used(self) -> int:
        return int(self._memory.get_seq_length())

    def _move(self, joining: int, width: int, like: Any) -> None:
        """Move the turns that go on to tensors with room for new rows and for _SPARE tokens.

        width: tokens of the longest row that is to join. like: layers of the same shapes.
        """
        device = like[0].keys.device
        kept = [place for place, goes in enumerate(self._goes) if goes]
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
        self._rows = [self._rows[place] for place in kept]
        self._lengths = [self._lengths[place] for place in kept]
        self._goes = [True] * len(kept)


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


def _check(
    prompts: Sequence[Sequence[int]],
    most_tokens: int,
    temperature: float,
    top_p: float,
    generator: object,
    batch_size: int,
) -> None:
    for name, number in (("most_tokens", most_tokens), ("batch_size", batch_size)):
        if number < 1:
            raise UsageError(f"{name} must be at least 1, got {number}")
    if temperature < 0:
        raise UsageError(f"temperature must be at least 0, got {temperature}")
    if not 0 < top_p <= 1:
        raise UsageError(f"top_p must be above 0 and at most 1, got {top_p}")
    if isinstance(generator, Sequence) and len(generator) != len(prompts):
        raise UsageError(f"{len(prompts)} prompts need as many generators, got {len(generator)}")
    if not all(prompts):
        raise UsageError("a prompt must have at least one token, got an empty one")

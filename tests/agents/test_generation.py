"""Generation: what is said, against transformers' own, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from novicegym.errors import UsageError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from novicegym.agents.generation import generate, generate_stream  # noqa: E402

VOCABULARY = 20
PAD, END = 0, 1
MOST = 24


def make_model(kind: str = "Qwen3", attention: str = "sdpa", **settings: Any) -> Any:
    """A model whose random weights are large enough for it to say this and that."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
        attn_implementation=attention,
        **settings,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return make_model()


def make_prompts() -> list[list[int]]:
    """What rollouts ask: families of prompts with one beginning, prefixes of others, twins."""
    rng = np.random.default_rng(0)
    prompts = [rng.integers(2, VOCABULARY, size=size).tolist() for size in (1, 2, 31)]
    for _ in range(3):
        whole = rng.integers(2, VOCABULARY, size=60).tolist()
        prompts += [whole[:20], whole, whole[:41], [*whole[:41], 7, 8], whole[:20]]
    return [prompts[place] for place in rng.permutation(len(prompts))]


def said_by_transformers(model: Any, prompt: list[int]) -> list[int]:
    with torch.no_grad():
        ids = torch.tensor([prompt])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=MOST, do_sample=False
        )
    said: list[int] = out[0, len(prompt) :].tolist()
    return said


def said(model: Any, prompts: list[list[int]], **settings: Any) -> list[list[int]]:
    generated = generate(
        model, prompts, **({"end_id": END, "pad_id": PAD, "most_tokens": MOST} | settings)
    )
    return [one.ids for one in generated]


@contextmanager
def reading(model: Any) -> Iterator[list[tuple[int, int]]]:
    """Collect the shape (rows, tokens) of all that the model reads."""
    shapes: list[tuple[int, int]] = []

    def note(_module: Any, inputs: tuple[Any, ...]) -> None:
        shapes.append(tuple(inputs[0].shape))

    hook = model.get_input_embeddings().register_forward_pre_hook(note)
    yield shapes
    hook.remove()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16, 100])
@pytest.mark.parametrize("share_prefixes", [True, False])
def test_greedy_text_is_that_of_transformers_whatever_the_batch(
    model, batch_size, share_prefixes
) -> None:
    prompts = make_prompts()
    expected = [said_by_transformers(model, prompt) for prompt in prompts]
    lengths = {len(ids) for ids in expected}
    assert len(lengths) > 3, "turns should end at different times, or little is tested"
    assert MOST in lengths
    assert said(model, prompts, batch_size=batch_size, share_prefixes=share_prefixes) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "Llama"},
        {"attention": "eager"},
        {"kind": "Mistral", "sliding_window": 6},
        {
            "use_sliding_window": True,
            "sliding_window": 6,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ],
    ids=["llama", "eager", "sliding", "hybrid"],
)
def test_other_models_say_what_they_say_by_transformers(other) -> None:
    model = make_model(**other)
    prompts = make_prompts()
    expected = [said_by_transformers(model, prompt) for prompt in prompts]
    for batch_size in (1, 4, 16):
        assert said(model, prompts, batch_size=batch_size) == expected


# peft 0.21 reads an attribute that transformers 5.23 has renamed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapter_speaks_without_dropout_and_goes_on_training(model) -> None:
    peft = pytest.importorskip("peft")
    adapted = peft.get_peft_model(
        make_model(),
        peft.LoraConfig(r=4, lora_alpha=8, lora_dropout=0.5, target_modules="all-linear"),
    )
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    prompts = make_prompts()
    expected = [said_by_transformers(adapted.eval(), prompt) for prompt in prompts]
    assert expected != said(model, prompts), "the adapter should change what is said"
    assert said(adapted.train(), prompts, batch_size=4) == expected
    assert adapted.training
    assert all(m.training for m in adapted.modules())


def test_what_prompts_share_is_read_once(model) -> None:
    prompts = make_prompts()
    prefixes = {tuple(prompt[:size]) for prompt in prompts for size in range(1, len(prompt) + 1)}
    shared, alone = (
        sum(rows * tokens for rows, tokens in shapes)
        for shapes in (read(model, prompts, True), read(model, prompts, False))
    )
    assert shared == len(prefixes)
    assert alone == sum(map(len, prompts))


def read(model: Any, prompts: list[list[int]], share_prefixes: bool) -> list[tuple[int, int]]:
    with reading(model) as shapes:
        said(model, prompts, most_tokens=1, share_prefixes=share_prefixes)
    return shapes


def test_waiting_prompts_take_the_places_of_turns_that_ended(model) -> None:
    prompts = make_prompts() * 4
    with reading(model) as shapes:
        lengths = [len(ids) for ids in said(model, prompts, batch_size=8)]
    steps = [rows for rows, tokens in shapes if tokens == 1 and rows > 1]
    assert max(steps) == 8
    # A batch that waits for its longest turn would take MOST - 1 steps for each 8 prompts.
    assert len(steps) < 0.75 * (MOST - 1) * len(prompts) / 8
    assert sum(steps) < 1.3 * sum(length - 1 for length in lengths)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (0.7, 1.0), (1.5, 0.6)])
def test_logprobs_are_those_of_the_distribution_drawn_from(attention, temperature, top_p) -> None:
    model = make_model(attention=attention)
    prompts = make_prompts()
    generated = generate(
        model,
        prompts,
        end_id=END,
        pad_id=PAD,
        most_tokens=MOST,
        temperature=temperature,
        top_p=top_p,
        generator=torch.Generator().manual_seed(0),
        logprobs=True,
        batch_size=4,
    )
    for prompt, one in zip(prompts, generated, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + one.ids])).logits[0, len(prompt) - 1 : -1]
        shares = (logits.double() / (temperature or 1)).softmax(-1)
        for step, (token, logprob) in enumerate(zip(one.ids, one.logprobs, strict=True)):
            inside = nucleus(shares[step], top_p)
            assert token in inside
            expected = shares[step, token] / shares[step, list(inside)].sum()
            assert logprob == pytest.approx(expected.log().item(), abs=1e-4)


def nucleus(shares: Any, top_p: float) -> set[int]:
    """The fewest, likeliest tokens whose shares add up to `top_p`."""
    inside: set[int] = set()
    total = 0.0
    for token in shares.argsort(descending=True).tolist():
        if total >= top_p:
            break
        inside.add(token)
        total += shares[token].item()
    return inside


def test_samples_have_the_distribution_of_the_model(model) -> None:
    prompt, many = make_prompts()[0], 20_000
    drawn = said(
        model,
        [prompt] * many,
        most_tokens=1,
        temperature=2.0,
        generator=torch.Generator().manual_seed(1),
        batch_size=many,
    )
    with torch.no_grad():
        shares = (model(torch.tensor([prompt])).logits[0, -1] / 2).softmax(-1).numpy()
    counts = np.bincount([ids[0] for ids in drawn], minlength=VOCABULARY)
    deviation = np.abs(counts / many - shares) / np.sqrt(shares * (1 - shares) / many)
    assert deviation.max() < 4.5


def test_seed_decides_samples_and_the_batch_does_not(model) -> None:
    prompts = make_prompts()

    def sample(seed: int, **settings: Any) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return said(model, prompts, temperature=1.0, generator=generator, **settings)

    first = sample(0)
    assert sample(0, batch_size=1) == first
    assert sample(0, batch_size=3, share_prefixes=False) == first
    assert sample(1) != first


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_generator_of_its_own_keeps_a_prompt_apart_from_the_others(attention) -> None:
    model, prompts = make_model(attention=attention), make_prompts()

    def sample(places: list[int]) -> list[list[int]]:
        generators = [torch.Generator().manual_seed(place) for place in places]
        chosen = [prompts[place] for place in places]
        return said(model, chosen, temperature=1.0, generator=generators)

    together = sample(list(range(len(prompts))))
    assert sample([5, 2]) == [together[5], together[2]]


def test_equal_prompts_are_answered_differently(model) -> None:
    prompt = make_prompts()[0]
    generator = torch.Generator().manual_seed(0)
    group = said(model, [prompt] * 8, temperature=1.0, generator=generator)
    assert len({tuple(ids) for ids in group}) > 2


def test_turn_ends_with_its_end_or_at_the_limit(model) -> None:
    for ids in said(model, make_prompts(), most_tokens=6):
        assert END not in ids[:-1]
        assert ids[-1] == END or len(ids) == 6


def test_turns_longer_than_the_spare_room_go_on(model) -> None:
    prompts = make_prompts()[:3]
    never = VOCABULARY + 1
    long = said(model, prompts, most_tokens=150, end_id=never)
    assert [len(ids) for ids in long] == [150] * 3
    assert long == said(make_model(attention="eager"), prompts, most_tokens=150, end_id=never)


def test_no_prompts_are_no_answers(model) -> None:
    assert said(model, []) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"most_tokens": 0}, "most_tokens must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"temperature": -1.0}, r"temperature must be at least 0, got -1\.0"),
        ({"top_p": 0.0}, r"top_p must be above 0 and at most 1, got 0\.0"),
        ({"generator": []}, "1 prompts need as many generators, got 0"),
    ],
)
def test_wrong_settings_are_refused(model, settings, message) -> None:
    with pytest.raises(UsageError, match=message):
        said(model, [[5, 6]], **settings)


def test_empty_prompt_is_refused(model) -> None:
    with pytest.raises(UsageError, match="at least one token"):
        said(model, [[5], []])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_prompts_that_come_while_others_are_answered_get_the_same_answers(
    attention: str, temperature: float
) -> None:
    model, prompts = make_model(attention=attention), make_prompts()
    seeded = [torch.Generator().manual_seed(place) for place in range(len(prompts))]
    expected = said(model, prompts, temperature=temperature, generator=seeded)
    waited: list[bool] = []
    later = list(range(len(prompts)))

    def take(wait: bool) -> list[tuple[int, list[int], Any]]:
        waited.append(wait)
        coming = [later.pop() for _ in range(min(len(later), 2 if wait else 1))]
        return [(place, prompts[place], torch.Generator().manual_seed(place)) for place in coming]

    settings = {"end_id": END, "pad_id": PAD, "most_tokens": MOST, "temperature": temperature}
    order: list[int] = []
    for ended in generate_stream(model, take, batch_size=4, **settings):
        for place, one in ended:
            assert one.ids == expected[place]
            order.append(place)
    assert sorted(order) == list(range(len(prompts)))
    assert order != sorted(order, reverse=True), "short answers overtake long ones"
    assert waited[0]
    assert waited[-1]
    if attention == "sdpa":  # else a batch is answered to its end
        assert not all(waited)


def test_a_turn_that_ends_gives_its_place_to_a_prompt_that_came_later(model) -> None:
    prompts = make_prompts()
    lengths = [len(ids) for ids in said(model, prompts)]
    first, last = lengths.index(min(lengths)), lengths.index(max(lengths))
    ended: list[int] = []
    coming = [[(0, prompts[first], None), (1, prompts[last], None)]]

    def take(wait: bool) -> list[tuple[int, list[int], Any]]:
        if coming:
            return coming.pop()
        # Once the short turn has ended, and not before, another one comes.
        if ended == [0] and not wait:
            ended.append(-1)
            return [(2, prompts[first], None)]
        return []

    settings = {"end_id": END, "pad_id": PAD, "most_tokens": MOST}
    for answers in generate_stream(model, take, batch_size=2, **settings):
        ended += [place for place, _ in answers]
    assert ended == [0, -1, 2, 1]

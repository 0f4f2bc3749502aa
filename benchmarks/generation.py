"""Generating the turns of rollouts: tokens per second, three ways, in one run.

    python benchmarks/generation.py [--model DIR | --size 5M] [--trajectories 6] [--repeats 3]

The prompts are those of a rollout's first step by the paper's protocol: every position t > 2 of
logged trajectories of cs1, with the grader's full feedback, windowed to the context.

    generate   transformers' model.generate: left-padded batches, prompts sorted by length
    refilled   ours without shared prefixes: a prompt waiting takes the place of a turn that ended
    shared     ours: and what prompts have in common is read once

Then the same for groups of four equal prompts, sampled as in DAPO. The ways take turns, in
another order each time, and the ratios are those of their medians. Without --model the weights
are random, and turns are made to end after as many tokens as logged ones, on average. All ways say
the same to rollouts' prompts, which the numbers of tokens show (bfloat16 may differ); to groups
they say what they draw.

"read" is the number of prompt tokens the model reads with and without sharing. How much is shared
depends on the context: once a dialog is longer, windows begin at different submissions, and have
only system prompt and assignment in common.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from novicegym.agents.generation import generate
from novicegym.courses.load import load_course
from novicegym.courses.splits import sample_trajectories
from novicegym.dialogs.serialize import DialogFormat
from novicegym.dialogs.tokens import DialogTokenizer
from novicegym.dialogs.windows import prefix_windows
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.training.logged import LoggedDialog, logged_dialogs
from novicegym.training.tiny import SIZES, init_model

MIN_POSITION = 3
"""The paper's rollouts begin at t > 2."""
GROUP = 4
"""Completions of a prompt in DAPO."""


def rollout_prompts(
    logged: Sequence[LoggedDialog], dialogs: DialogTokenizer, context: int, completion: int
) -> list[list[int]]:
    """Return the prompt of every position t > 2."""
    prompts: list[list[int]] = []
    for one in logged:
        windows = prefix_windows(
            one.dialog, context, dialogs, reserve=completion, generation_prompt=True
        )
        if windows is None:
            raise UsageError(f"assignment {one.assignment_id!r} does not fit {context} tokens")
        prompts += [dialogs.prompt(window.dialog) for window in windows[MIN_POSITION:]]
    return prompts


def mean_turn(logged: Sequence[LoggedDialog], dialogs: DialogTokenizer) -> float:
    """Return the tokens of a logged submission, on average."""
    said = [message for one in logged for message in one.dialog if message["role"] == "assistant"]
    return statistics.fmean(len(dialogs.turn(message["content"])) for message in said)


def end_turns(model: Any, end_id: int, mean: float) -> None:
    """Let an untrained model end its turns, after `mean` tokens on average.

    Whether a turn ends hangs on its last token and that token's place in the dialog, so that
    greedy turns are the same for every way to generate them.
    """

    def decide(_module: Any, _: Any, inputs: dict[str, Any], out: Any) -> None:
        place, token = inputs["position_ids"][:, -1], inputs["input_ids"][:, -1]
        mixed = ((place * 1_000_003 + token) * 6_364_136_223_846_793_005 >> 33).abs()
        out.logits[:, -1, end_id] = torch.where(mixed % round(mean) == 0, 1e4, -1e4)

    model.register_forward_hook(decide, with_kwargs=True)


def by_transformers(
    model: Any,
    prompts: Sequence[Sequence[int]],
    dialogs: DialogTokenizer,
    completion: int,
    temperature: float,
    batch_size: int,
) -> int:
    """Generate with model.generate; return the tokens said."""
    sampling = {"temperature": temperature, "top_k": 0} if temperature else {}
    settings = GenerationConfig(
        max_new_tokens=completion,
        do_sample=temperature > 0,
        eos_token_id=dialogs.end_id,
        pad_token_id=dialogs.tokenizer.pad_token_id,
        **sampling,
    )
    order = sorted(prompts, key=len)
    tokens = 0
    for first in range(0, len(order), batch_size):
        batch = {"input_ids": order[first : first + batch_size]}
        padded = dialogs.tokenizer.pad(
            batch, padding_side="left", return_tensors="pt", return_attention_mask=True
        ).to(model.device)
        with torch.no_grad():
            out = model.generate(**padded, generation_config=settings)
        said = out[:, padded["input_ids"].shape[1] :]
        # What a row says: up to its first end token, or everything.
        ended = (said == dialogs.end_id).cumsum(-1)
        tokens += int(((ended == 0) | ((ended == 1) & (said == dialogs.end_id))).sum())
    return tokens


def prefixes(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many tokens are left when equal beginnings count once."""
    count, before = 0, [-1]
    for prompt in sorted(map(list, prompts)):
        pairs = enumerate(zip(prompt, before, strict=False))
        same = next((place for place, (a, b) in pairs if a != b), min(len(prompt), len(before)))
        count += len(prompt) - same
        before = prompt
    return count


def measure(
    title: str, ways: dict[str, Callable[[], int]], repeats: int, prompts: Sequence[Sequence[int]]
) -> None:
    """Let the ways take turns and print the tokens per second of each."""
    lengths = sorted(map(len, prompts))
    read, shared = sum(lengths), prefixes(prompts)
    print(
        f"{title}: {len(prompts)} prompts of {lengths[0]} to {lengths[-1]} tokens, median "
        f"{statistics.median(lengths):.0f}; read {read:,}, shared {shared:,} "
        f"({read / shared:.1f}x fewer)"
    )
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats):
        names = list(ways)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            tokens = ways[name]()
            speeds[name].append(tokens / (time.perf_counter() - start))
            print(f"  {name:<12}{tokens:>8,} tokens{speeds[name][-1]:>10.1f} tokens/s", flush=True)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    baseline, alone = medians["generate"], medians["refilled"]
    for name, median in medians.items():
        print(
            f"{name:<12}{median:>10.1f} tokens/s{median / baseline:>8.2f}x generate"
            f"{median / alone:>8.2f}x refilled"
        )


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", metavar="DIR", help="a model directory (default: made here)")
    parser.add_argument("--size", choices=SIZES, default="5M", help="of the model made here")
    parser.add_argument("--trajectories", type=int, default=6, help="of cs1, all their positions")
    parser.add_argument("--groups", type=int, default=8, help="prompts asked 4 times, as in DAPO")
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--completion", type=int, default=1024, help="most tokens of a turn")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="which trajectories, and sampling")
    parser.add_argument("--threads", type=int, help="of torch (default: torch's choice)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    course = load_course("cs1")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.model
        if folder is None:
            folder = str(Path(temporary) / "model")
            init_model(course, folder, size=arguments.size)
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        model = model.to(device).eval()
        dialogs = DialogTokenizer(AutoTokenizer.from_pretrained(folder))
    played = sample_trajectories(course, arguments.trajectories, arguments.seed)
    with Grader() as grader:
        logged = logged_dialogs(played, grader, DialogFormat())
    prompts = rollout_prompts(logged, dialogs, arguments.context, arguments.completion)
    if not prompts:
        raise SystemExit(f"no position t > 2 in {arguments.trajectories} trajectories; take more")
    if arguments.model is None:
        end_turns(model, dialogs.end_id, mean_turn(logged, dialogs))
    place = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(
        f"{model.num_parameters() / 1e6:.1f} M parameters, {dtype}, {place}, "
        f"{torch.get_num_threads()} threads, batches of {arguments.batch_size}; "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )

    def ours(asked: Sequence[Sequence[int]], heat: float, share: bool) -> int:
        turns = generate(
            model,
            asked,
            end_id=dialogs.end_id,
            pad_id=dialogs.tokenizer.pad_token_id,
            most_tokens=arguments.completion,
            temperature=heat,
            batch_size=arguments.batch_size,
            share_prefixes=share,
        )
        return sum(len(turn.ids) for turn in turns)

    def ways(asked: Sequence[Sequence[int]], heat: float) -> dict[str, Callable[[], int]]:
        return {
            "generate": lambda: by_transformers(
                model, asked, dialogs, arguments.completion, heat, arguments.batch_size
            ),
            "refilled": lambda: ours(asked, heat, False),
            "shared": lambda: ours(asked, heat, True),
        }

    torch.manual_seed(arguments.seed)
    measure("rollout", ways(prompts, 0.0), arguments.repeats, prompts)
    if arguments.groups:
        step = max(1, len(prompts) // arguments.groups)
        asked = [prompt for prompt in prompts[::step][: arguments.groups] for _ in range(GROUP)]
        measure("groups of 4", ways(asked, 1.0), arguments.repeats, asked)


if __name__ == "__main__":
    main()

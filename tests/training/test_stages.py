"""Whole stages on a class of ten, in seconds: what they learn from, what they leave behind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import DialogFormat
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.training.logged import logged_dialogs
from novicegym.training.recipes import read_recipe
from novicegym.training.rows import NO_LOSS, make_rows

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import (  # noqa: E402
    EventAccumulator,
)
from transformers import TrainingArguments  # noqa: E402

from novicegym.courses.splits import split_students, take_students  # noqa: E402
from novicegym.training import fit as fitting  # noqa: E402
from novicegym.training import stages  # noqa: E402
from novicegym.training.dpo import make_dpo_trainer  # noqa: E402
from novicegym.training.models import LoadedModel, load_model  # noqa: E402
from novicegym.training.order import OrderByLength  # noqa: E402

# transformers renames a setting that TRL's configurations still set.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`(is_)?gradient_checkpointing(_enable|_disable)?`:FutureWarning"
)
Train = Callable[..., Path]
STAGES = ("base", "sft", "para", "dpo", "dapo")
TUTORS = ("tutor-sft", "tutor-dapo")


@pytest.fixture(scope="module")
def train(
    school: Course, grader: Grader, tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Train:
    """Run a stage on the school, on small batches; return its folder."""

    def train(
        stage: str,
        *,
        out: Path | None = None,
        course: Course = school,
        resume: bool = False,
        at_step: Callable[[int], None] = lambda step: None,
        **values: Any,
    ) -> Path:
        @contextmanager
        def bar(name: str) -> Iterator[Callable[[int, int], None]]:
            yield lambda done, total: at_step(done) if name == stage else None

        settings = {
            "model": tiny_model_dir,
            "adapter": "full",
            "context": 1200,
            "batch_size": 4,
            "accumulation": 1,
            "learning_rate": 1e-2,
            **({"completion": 16, "resamples": 0} if stage.endswith("dapo") else {}),
            **values,
        }
        recipe = read_recipe(stage, None, {key: str(value) for key, value in settings.items()})
        out = out or tmp_path_factory.mktemp("runs") / stage
        model = stages.train(recipe, course, out, bar=bar, resume=resume, grader=grader)
        assert model == out / "model"
        return out

    return train


@pytest.fixture(scope="module")
def sft(train: Train) -> Path:
    return train("sft", epochs=3)


@pytest.fixture(scope="module")
def lora(train: Train) -> Path:
    return train("sft", adapter="lora")


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trainers of the runs, which are made as ever, and not started."""
    made: list[Any] = []
    monkeypatch.setattr(fitting, "fit", lambda trainer, *_, **__: made.append(trainer))
    return made


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trainers of the runs, before they start; and they do."""
    fit, made = fitting.fit, []

    def noted(trainer: Any, *arguments: Any, **more: Any) -> None:
        made.append(trainer)
        fit(trainer, *arguments, **more)

    monkeypatch.setattr(fitting, "fit", noted)
    return made


def reports(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, without what a clock says."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if not k.endswith(("_runtime", "_per_second", "_time"))}
        for line in lines
    ]


def series(run: Path, key: str) -> list[float]:
    return [line[key] for line in reports(run) if key in line]


def weights(run: Path) -> bytes:
    [file] = (run / "model").glob("*.safetensors")
    return file.read_bytes()


def test_sft_learns_and_its_run_tells_how(sft: Path, train: Train, school: Course) -> None:
    losses, validation = series(sft, "loss"), series(sft, "eval_loss")
    # Of 400 tokens it knew nothing, and its random logits, of deviation 1, cost half a nat.
    assert losses[0] == pytest.approx(math.log(400) + 0.5, rel=0.02)
    assert losses[-1] < losses[0] - 0.5
    assert validation[-1] == min(validation) < losses[0] - 0.5

    run = json.loads((sft / "run.json").read_text())
    assert run["kind"] == "training"
    assert run["recipe"]["stage"] == "sft"
    assert (run["recipe"]["seed"], run["recipe"]["learning_rate"]) == (0, 1e-2)
    assert {"novicegym", "torch", "transformers", "trl", "peft", "grader"} <= run["versions"].keys()
    assert len(run["fingerprint"]) >= 16
    assert "git" in run
    assert (run["trajectories"], run["validation_trajectories"]) == (16, 4)

    data = json.loads((sft / "data.json").read_text())
    supervised = [data[part]["supervised_turns"] for part in ("training", "validation")]
    assert supervised == [8 * (5 + 2), 2 * (5 + 2)]

    steps = series(sft, "step")
    assert steps == sorted(steps)
    assert [line["step"] for line in reports(sft) if "loss" in line] == list(range(1, 13))
    assert reports(sft)[-1]["train_loss"] == pytest.approx(fmean(losses))

    board = EventAccumulator(str(sft / "tensorboard"))
    board.Reload()
    shown = [(event.step, event.value) for event in board.Scalars("train/loss")]
    assert shown == [(step, pytest.approx(loss)) for step, loss in enumerate(losses, start=1)]

    assert sorted(path.name for path in (sft / "model").iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    load_model(str(sft / "model"), device="cpu")


def test_the_same_seed_ends_with_the_same_metrics_and_another_does_not(
    sft: Path, train: Train
) -> None:
    again = train("sft", epochs=3)
    assert reports(again) == reports(sft)
    assert weights(again) == weights(sft)
    other = train("sft", epochs=3, seed=1)
    assert series(other, "loss")[-1] != series(sft, "loss")[-1]


def test_the_learning_rate_rises_over_the_warm_up_and_falls_by_the_cosine(train: Train) -> None:
    rates = series(train("sft", epochs=3, warmup=0.25), "learning_rate")  # 12 steps, 3 of them
    assert rates[:4] == pytest.approx([0, 1e-2 / 3, 2e-2 / 3, 1e-2])
    cosine = [1e-2 * (1 + math.cos(math.pi * n / 9)) / 2 for n in range(9)]
    assert rates[3:] == pytest.approx(cosine)


def test_a_loss_is_the_mean_over_all_tokens_with_loss_however_they_are_batched(
    train: Train, school: Course, grader: Grader, tiny_model_dir: Path
) -> None:
    loaded = load_model(str(tiny_model_dir), device="cpu")
    validation, training = split_students(school, 0.2, 0)
    expected = [mean_loss(loaded, part, grader) for part in (training, validation)]
    for batch_size, accumulation in ((1, 16), (5, 4), (16, 1)):
        run = train("sft", batch_size=batch_size, accumulation=accumulation)
        [step, checked, *_] = reports(run)  # one step, at the learning rate 0 of the warm-up
        assert [step["loss"], checked["eval_loss"]] == pytest.approx(expected, abs=1e-5)


def mean_loss(loaded: LoadedModel, course: Course, grader: Grader) -> float:
    """The mean negative log-probability of the tokens with loss, each from those before it."""
    total, count = 0.0, 0
    logged = logged_dialogs(course, grader, DialogFormat())
    for row in make_rows(logged, loaded.dialogs, 1200).rows:
        with torch.no_grad():
            logits = loaded.model(torch.tensor([row.input_ids])).logits[0]
        for place, label in enumerate(row.labels):
            if label != NO_LOSS:
                assert label == row.input_ids[place]
                total -= logits[place - 1].log_softmax(-1)[label].item()
                count += 1
    return total / count


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_best_checkpoint_is_kept(
    adapter: str, train: Train, fitted: list[Any], tmp_path: Path
) -> None:
    run = train("sft", epochs=3, adapter=adapter, at_step=lambda step: spoil(step, fitted))
    validation = series(run, "eval_loss")
    assert validation[1] < min(validation[2:])
    [kept] = (run / "checkpoints" / "checkpoint-6").glob("*model.safetensors")
    assert kept.read_bytes() == weights(run)


def test_all_stages_hold_out_the_same_students_and_train_on_no_text_of_theirs(
    train: Train, trainers: list[Any], school: Course
) -> None:
    held_out = {one.student_id for one in split_students(school, 0.2, 3)[0].trajectories}
    others = {one.student_id for one in school.trajectories} - held_out
    assert len(held_out) == 2
    for stage in STAGES:
        train(stage, seed=3)
        trainer = trainers.pop()
        if stage == "dapo":
            starts = trainer.rollout_func.starts
            assert {start.trajectory.student_id for start in starts} == others
            assert trainer.eval_dataset is None
            continue
        texts = [
            "".join(trainer.processing_class.batch_decode(ids))
            for part in (trainer.train_dataset, trainer.eval_dataset)
            for ids in [[ids for name in part.column_names if "ids" in name for ids in part[name]]]
        ]
        for student in held_out:
            assert (f"# {student}" in texts[0], f"# {student}" in texts[1]) == (False, True)
        for student in others:
            assert (f"# {student}" in texts[0], f"# {student}" in texts[1]) == (True, False)
        assert ("Grade: 25/100" in texts[0]) == (stage in ("sft", "dpo"))


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_dpo_begins_at_the_sft_policy_and_keeps_it_as_reference(
    adapter: str, train: Train, sft: Path, lora: Path, fitted: list[Any]
) -> None:
    start = {"full": sft, "lora": lora}[adapter]
    run = train("dpo", model=start, adapter=adapter, learning_rate=1e-3)
    losses = series(run, "loss")
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    assert losses[-1] < math.log(2)
    assert weights(run) != weights(start)
    [trainer] = fitted
    [file] = (start / "model").glob("*.safetensors")
    before = load_file(file)
    if adapter == "full":
        reference = dict(trainer.ref_model.named_parameters())
    else:
        assert trainer.ref_model is None
        parameters = dict(trainer.model.named_parameters())
        reference = {name: parameters[name.replace(".weight", ".ref.weight")] for name in before}
    for name, value in before.items():
        assert torch.equal(reference[name].detach(), value)
    assert json.loads((run / "run.json").read_text())["model_trained_with"]["stage"] == "sft"


def test_dpo_with_an_adapter_saves_the_policys_alone(train: Train, lora: Path) -> None:
    run = train("dpo", model=lora, adapter="lora")
    names = {path.name for path in (run / "model").rglob("*")}
    assert names == {path.name for path in (lora / "model").rglob("*")}
    loaded = load_model(str(run / "model"), adapter="lora", device="cpu")
    assert list(loaded.model.peft_config) == ["default"]
    saved = load_file(run / "model" / "adapter_model.safetensors")
    held = dict(loaded.model.named_parameters())
    for name, value in saved.items():
        assert torch.equal(held[name.replace(".weight", ".default.weight")].detach(), value)


def test_dpo_learns_what_is_preferred(tiny_model_dir: Path, tmp_path: Path) -> None:
    loaded = load_model(str(tiny_model_dir), device="cpu")
    recipe = read_recipe("dpo", None, {"batch_size": "2", "learning_rate": "1e-2"})

    def pairs(words: list[str]) -> list[dict[str, list[int]]]:
        return [
            {
                "prompt_ids": loaded.dialogs.prompt([{"role": "user", "content": word}]),
                "chosen_ids": loaded.dialogs.turn("return a + b"),
                "rejected_ids": loaded.dialogs.turn("return a - b"),
            }
            for word in words
        ]

    trainer = make_dpo_trainer(
        replace(recipe, accumulation=1),  # type: ignore[arg-type]
        loaded,
        pairs([f"add, the {n}th" for n in range(12)]),
        pairs(["sum up", "plus"]),
        tmp_path,
    )
    fitting.fit(trainer, tmp_path, tmp_path / "model", resume=False)
    margins = series(tmp_path, "rewards/margins")
    assert margins[0] == 0
    assert margins[-1] > 1
    assert series(tmp_path, "eval_rewards/margins")[-1] > 1
    assert series(tmp_path, "eval_rewards/accuracies")[-1] == 1


def test_a_broken_off_run_goes_on_in_any_epoch(train: Train, sft: Path, tmp_path: Path) -> None:
    def breaks_at(last: int) -> Callable[[int], None]:
        def at_step(step: int) -> None:
            if step == last:
                raise EOFError

        return at_step

    out = tmp_path / "run"
    # In the first epoch, at its end, and in the second; checkpoints are at 3, 6, 9 and 12.
    for resume, last in ((False, 5), (True, 7), (True, 11)):
        with pytest.raises(EOFError):
            train("sft", epochs=3, out=out, resume=resume, at_step=breaks_at(last))
        assert not (out / "model").exists()
    train("sft", epochs=3, out=out, resume=True)
    assert reports(out) == reports(sft)
    assert weights(out) == weights(sft)


def test_a_run_goes_on_from_another_place_and_past_a_broken_checkpoint(
    train: Train, sft: Path, tmp_path: Path
) -> None:
    def at_step(step: int) -> None:
        if step == 10:
            raise EOFError

    with pytest.raises(EOFError):
        train("sft", epochs=3, out=tmp_path / "run", at_step=at_step)
    (tmp_path / "run").rename(tmp_path / "moved")
    broken = tmp_path / "moved" / "checkpoints" / "checkpoint-12"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"a part")
    for content in (None, "", '{"global_st'):
        if content is not None:
            (broken / "trainer_state.json").write_text(content)
        found = fitting.last_checkpoint(tmp_path / "moved")
        assert found is not None
        assert found.name == "checkpoint-9"
    with (tmp_path / "moved" / "metrics.jsonl").open("a") as file:
        file.write('{"loss": 1.0, "st')
    run = train("sft", epochs=3, out=tmp_path / "moved", resume=True)
    assert reports(run) == reports(sft)
    assert weights(run) == weights(sft)


def test_a_run_broken_off_while_its_model_was_written_ends_like_another(
    train: Train, fitted: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_write_model", breaks)
        with pytest.raises(EOFError):
            train("sft", epochs=3, out=tmp_path / "run", at_step=lambda s: spoil(s, fitted))
    before = reports(tmp_path / "run")
    # Its best checkpoint is not its last, and has another path by now.
    (tmp_path / "run").rename(tmp_path / "moved")
    run = train("sft", epochs=3, out=tmp_path / "moved", resume=True)
    assert reports(run) == before
    assert weights(run) == (run / "checkpoints/checkpoint-6/model.safetensors").read_bytes()


def spoil(step: int, trainers: list[Any]) -> None:
    """Between the second checkpoint and the third, undo what was learnt."""
    if step == 8:
        with torch.no_grad():
            for weight in trainers[-1].model.parameters():
                weight.add_(torch.randn_like(weight))


def breaks(*_: object) -> None:
    raise EOFError


def test_a_finished_run_is_left_alone(train: Train, tmp_path: Path) -> None:
    run = train("sft", out=tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    train("sft", out=run, resume=True)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    with pytest.raises(UsageError, match="holds a run; go on with --resume, or choose another"):
        train("sft", out=run)
    with pytest.raises(
        UsageError, match=r"other settings \(held_out, recipe.epochs, recipe.seed, trained_on\)"
    ):
        train("sft", out=run, resume=True, epochs=2, seed=1)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.parametrize("stage", ["sft", "dpo", "dapo"])
def test_a_later_stage_holds_out_whom_the_first_did_whatever_part_it_is_given(
    stage: str, sft: Path, school: Course, train: Train, trainers: list[Any], tmp_path: Path
) -> None:
    held_out = set(json.loads((sft / "run.json").read_text())["held_out"])
    assert held_out == {one.student_id for one in split_students(school, 0.2, 0)[0].trajectories}
    students = sorted({one.student_id for one in school.trajectories} - held_out)
    part, _ = take_students(school, [*students[:3], min(held_out)])
    train(stage, model=sft, course=part, seed=5, out=tmp_path / stage)
    run = json.loads((tmp_path / stage / "run.json").read_text())
    assert set(run["held_out"]) == held_out, "known to the stages after it"
    everyone = {one.student_id for one in school.trajectories}
    assert set(run["trained_on"]) == everyone - held_out, "known, too: by those before it"
    assert (run["trajectories"], run["validation_trajectories"]) == (6, 2)
    if stage == "dapo":
        starts = trainers[0].rollout_func.starts
        assert {start.trajectory.student_id for start in starts} == set(students[:3])


def test_a_part_without_anybody_held_out_is_refused(
    sft: Path, school: Course, train: Train, tmp_path: Path
) -> None:
    held_out = json.loads((sft / "run.json").read_text())["held_out"]
    validation, training = take_students(school, held_out)
    with pytest.raises(UsageError, match=r"none of the students in this part .* some of them"):
        train("dpo", model=sft, course=training, out=tmp_path / "run")
    with pytest.raises(UsageError, match=r"all of the students in this part .* with others"):
        train("dpo", model=sft, course=validation, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_adapters_beside_four_bit_weights_are_trained_in_float32_as_they_came(
    stage: str, lora: Path, train: Train, trainers: list[Any], tmp_path: Path
) -> None:
    """TRL would cast them to bfloat16, where steps of 1e-5 are lost."""
    train(stage, model=lora, adapter="qlora", out=tmp_path / "run")
    saved = load_file(lora / "model" / "adapter_model.safetensors")
    trained = {n: w for n, w in trainers[0].model.named_parameters() if w.requires_grad}
    assert len(trained) == len(saved)
    for name, weight in trained.items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, saved[name.replace(".default", "")])


def test_one_process_trains_on_one_device_of_many(
    train: Train, trainers: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """TRL refuses torch's DataParallel, which transformers takes where it sees several."""
    monkeypatch.setattr(
        TrainingArguments, "n_gpu", property(lambda own: getattr(own, "_n_gpu", 0) or 2)
    )
    train("sft", out=tmp_path / "run")
    assert trainers[0].args._n_gpu == 1


def test_what_cannot_start_leaves_the_folder_to_other_settings(
    train: Train, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(UsageError, match="context"):
        train("sft", out=run, context=64)
    assert not run.exists()
    train("sft", out=run)

    def no_memory(step: int) -> None:
        if step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with pytest.raises(UsageError, match="memory"):
        train("sft", out=tmp_path / "late", at_step=no_memory, checkpoints=8)
    assert fitting.last_checkpoint(tmp_path / "late") is not None, "what was learnt is kept"


@pytest.mark.parametrize("where", ["cpu", "cuda", "python"])
def test_short_memory_is_told_with_what_to_change(where: str, train: Train, tmp_path: Path) -> None:
    def at_step(step: int) -> None:
        if where == "cpu":
            torch.empty(1 << 50, dtype=torch.uint8)  # torch's own error
        if where == "python":
            bytearray(1 << 50)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with pytest.raises(UsageError) as told:
        train("sft", batch_size=6, accumulation=2, out=tmp_path / "run", at_step=at_step)
    message = str(told.value)
    assert "the memory does not suffice; try " in message
    for advice in (
        "--set batch_size=3 --set accumulation=4",
        "--set gradient_checkpointing=true",
        "--set adapter=qlora",
        "a context of less than 1200",
    ):
        assert advice in message
    with pytest.raises(UsageError) as told:
        train("sft", gradient_checkpointing="true", batch_size=1, at_step=at_step)
    assert "batch_size" not in str(told.value)
    assert "gradient_checkpointing" not in str(told.value)


def test_other_errors_are_not_taken_for_short_memory(train: Train) -> None:
    def at_step(step: int) -> None:
        torch.ones(2) @ torch.ones(3)

    with pytest.raises(RuntimeError, match="size"):
        train("sft", at_step=at_step)


def test_a_tutor_learns_what_another_says_and_then_from_a_student(
    train: Train, trainers: list[Any], school: Course
) -> None:
    held_out = {one.student_id for one in split_students(school, 0.2, 0)[0].trajectories}
    train("tutor-sft", tutor="bug_hint", positions=3)
    texts = [
        "".join(trainers[0].processing_class.batch_decode([*part["input_ids"]]))
        for part in (trainers[0].train_dataset, trainers[0].eval_dataset)
    ]
    for one in school.trajectories:
        signed = [f"# {one.student_id}\n" in text for text in texts]
        assert signed == [one.student_id not in held_out, one.student_id in held_out]
    assert "You are a tutor" in texts[0]
    said = [
        "".join(trainers[0].processing_class.decode([token for token in labels if token >= 0]))
        for labels in trainers[0].train_dataset["labels"]
    ]
    # Three messages on add and one on double, of eight students.
    assert len(said) == 8 * (3 + 1)
    assert all(" line " in message for message in said)


def test_a_tutors_run_tells_what_it_said_and_earned(train: Train, tmp_path: Path) -> None:
    run = train("tutor-dapo", positions=1, batch_size=8, out=tmp_path / "run")
    recipe = json.loads((run / "run.json").read_text())["recipe"]
    assert (recipe["stage"], recipe["student"]) == ("tutor-dapo", "novice")
    told = ("reward", "leak", "leaking", "silent", "gain", "solved")
    assert all(len(series(run, f"rollout/{name}")) == 8 for name in told)
    train("tutor-dapo", positions=1, batch_size=8, out=run, resume=True)


@pytest.mark.parametrize("stage", STAGES + TUTORS)
def test_a_context_too_small_for_an_assignment_names_it(stage: str, train: Train) -> None:
    with pytest.raises(UsageError, match=r"assignment '(add|double)' alone takes \d+ tokens"):
        train(stage, context=64)


def test_no_pairs_is_told_apart_for_those_who_train_and_those_held_out(
    train: Train, school: Course
) -> None:
    def cut(students: set[str]) -> Course:
        return replace(
            school,
            trajectories=tuple(
                replace(one, submissions=one.submissions[:1]) if one.student_id in students else one
                for one in school.trajectories
            ),
        )

    everyone = {one.student_id for one in school.trajectories}
    held_out = {one.student_id for one in split_students(school, 0.2, 0)[0].trajectories}
    with pytest.raises(UsageError, match=r"^no preference pairs: strategy 'grade' needs"):
        train("dpo", course=cut(everyone))
    with pytest.raises(
        UsageError,
        match=r"held out to choose a checkpoint: no preference pairs.*"
        r"give a larger part of the course",
    ):
        train("dpo", course=cut(held_out))


def test_base_says_when_nobody_else_wrote_a_program_of_their_own(
    train: Train, small_course: Course
) -> None:
    with pytest.raises(
        UsageError, match=r"none is left to choose a checkpoint by; .* without a base"
    ):
        train("base", course=small_course)


def test_unsloth_without_a_gpu_is_an_error(train: Train, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="unsloth needs a CUDA GPU"):
        train("sft", backend="unsloth", adapter="lora", out=tmp_path / "run")
    assert not (tmp_path / "run").exists(), "the corrected command may take it"


def test_a_crash_before_the_first_step_leaves_no_folder(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise KeyError("grading")

    monkeypatch.setattr(stages, "logged_dialogs", crash)
    with pytest.raises(KeyError):
        train("sft", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_crash_later_on_leaves_what_the_steps_said(train: Train, tmp_path: Path) -> None:
    def crash(step: int) -> None:
        raise KeyError(step)

    with pytest.raises(KeyError):
        train("sft", out=tmp_path / "run", at_step=crash)
    assert (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("stage", STAGES + TUTORS)
def test_what_cannot_be_loaded_or_has_no_room_is_told_before_anything_is_graded(
    stage: str, train: Train, lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def graded(*_: Any, **__: Any) -> None:
        raise AssertionError("graded")

    monkeypatch.setattr(stages, "logged_dialogs", graded)
    monkeypatch.setattr(stages, "solution_dialogs", graded)
    with pytest.raises(UsageError, match="context"):
        train(stage, context=64)
    if stage.endswith("dapo"):
        with pytest.raises(UsageError, match=r"beside 1100 reserved, more than the context"):
            train(stage, completion=1100)
    if stage == "tutor-sft":
        with pytest.raises(UsageError, match="tutor 'nextstep'"):
            train(stage, tutor="nextstep")
    if stage == "tutor-dapo":
        with pytest.raises(UsageError, match="'persistence' does not listen"):
            train(stage, student="persistence")
        with pytest.raises(UsageError, match="tutor reward 'gian'"):
            train(stage, tutor_reward="gian")
    if stage != "sft":
        return
    with pytest.raises(UsageError, match="reads at most"):
        train("sft", context=1 << 20)
    with pytest.raises(UsageError, match="holds an adapter"):
        train("sft", model=lora)


def test_a_run_stands_for_its_model_if_it_is_there_and_speaks_alike(
    train: Train, trainers: list[Any], sft: Path, tmp_path: Path
) -> None:
    for named in (sft, sft / "model"):
        train("dpo", model=named)
        assert Path(trainers.pop().model.config.name_or_path) == sft / "model"
        with pytest.raises(
            UsageError,
            match=r"trained with feedback=full and code=code, .* add --set feedback=full",
        ):
            train("dpo", model=named, feedback="none")
        with pytest.raises(UsageError, match="code=code"):
            train("dpo", model=named, code="dual")
        with pytest.raises(UsageError, match=r"start para from what that run started from"):
            train("para", model=named)
        with pytest.raises(UsageError, match=r"--set feedback=full --set code=code$"):
            train("sft", model=named, feedback="grade")
    train("sft", out=tmp_path / "unfinished")
    with pytest.raises(UsageError, match="unfinished holds no model: its training has not ended"):
        train("dpo", model=tmp_path / "unfinished")
    train("base", out=tmp_path / "base")
    (tmp_path / "base" / "model").mkdir()
    # A base model knows no student, so no format binds what follows.
    for stage in ("sft", "para"):
        with pytest.raises(UsageError, match="holds no model"):
            train(stage, model=tmp_path / "base")


def test_rows_come_in_an_order_of_seed_and_epoch(train: Train, trainers: list[Any]) -> None:
    lengths = [5, 1, 9, 3, 8, 2, 7, 4, 6, 10, 11]
    epoch = 0

    def order(seed: int = 0) -> list[int]:
        return list(OrderByLength(lengths, 2, seed, lambda: epoch))

    first = order()
    assert sorted(first) == list(range(11))
    assert lengths[first[0]] == 11
    assert order() == first != order(seed=1)
    epoch = 1
    assert order() != first
    # Every batch holds neighbours: of 4 rows drawn at random (11 rows, batches of 2) the like.
    many = [n % 97 for n in range(1000)]
    rows = list(OrderByLength(many, 4, 0, lambda: 0))
    batches = [[many[row] for row in rows[n : n + 4]] for n in range(0, len(rows), 4)]
    spreads = [max(batch) - min(batch) for batch in batches]
    assert sum(spreads) / len(spreads) < 5
    assert list(OrderByLength([3], 4, 0, lambda: 0)) == [0]

"""A language model in the student's seat: loading, windows, seeds, and a rollout by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from novicegym.agents.registry import make_agent
from novicegym.courses.load import load_course
from novicegym.courses.model import Course
from novicegym.dialogs.serialize import Dialog, DialogFormat, serialize
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from novicegym.agents.language_model import LanguageModelAgent  # noqa: E402
from novicegym.training.tiny import ModelSize, course_texts, write_model  # noqa: E402

SIZE = ModelSize(hidden=32, layers=2, heads=2, key_value_heads=1, head_dim=16, intermediate=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model with the words of cs1; it is not to be changed."""
    out = tmp_path_factory.mktemp("models") / "tiny"
    write_model(course_texts(load_course("cs1")), out, SIZE, vocabulary=600, seed=0)
    config = transformers.AutoConfig.from_pretrained(out)
    config.tie_word_embeddings, config.initializer_range = False, 0.4  # to say this and that
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
        model.lm_head.weight[config.eos_token_id] *= 3  # and to come to an end
    model.save_pretrained(out)
    return out


@pytest.fixture(scope="module")
def asked(small_course: Course, grader: Grader) -> tuple[list[Dialog], list[dict[str, Any]]]:
    """The dialogs of all positions of the small course, and where they are."""
    dialogs, infos = [], []
    for trajectory in small_course.trajectories:
        assignment = small_course.assignment(trajectory.assignment_id)
        codes = [submission.code for submission in trajectory.submissions]
        verdicts = grader.grade_batch([(assignment, code) for code in codes])
        turns = list(zip(codes, verdicts, strict=True))
        for position in range(len(turns)):
            dialogs.append(serialize(assignment, turns[:position], DialogFormat()))
            infos.append(
                {
                    "student_id": trajectory.student_id,
                    "assignment_id": assignment.id,
                    "position": position,
                    "step": 0,
                }
            )
    return dialogs, infos


def test_answers_do_not_depend_on_the_batch(folder: Path, asked) -> None:
    dialogs, infos = asked
    dialogs, infos = (dialogs * 2)[:16], (infos * 2)[:16]
    assert len(dialogs) == 16
    together = LanguageModelAgent.load(str(folder), completion=40).act(dialogs, infos)
    alone = LanguageModelAgent.load(str(folder), completion=40, batch_size=1)
    assert together == [alone.act([d], [i])[0] for d, i in zip(dialogs, infos, strict=True)]
    assert len(set(together)) > 4


def test_samples_depend_on_the_seed_and_the_seat_alone(folder: Path, asked) -> None:
    dialogs, infos = asked

    def agent(seed: int) -> LanguageModelAgent:
        return LanguageModelAgent.load(str(folder), completion=20, temperature=1.0, seed=seed)

    first = agent(0).act(dialogs, infos)
    assert agent(0).act(dialogs[::-1], infos[::-1]) == first[::-1]
    assert agent(1).act(dialogs, infos) != first
    elsewhere = [info | {"student_id": "somebody else"} for info in infos]
    assert agent(0).act(dialogs, elsewhere) != first


def test_prompt_is_windowed_and_the_answer_has_its_room(folder: Path, asked) -> None:
    dialogs, infos = asked
    longest = max(range(len(dialogs)), key=lambda place: len(dialogs[place]))
    agent = LanguageModelAgent.load(str(folder), completion=30)
    whole = len(agent._dialogs.prompt(dialogs[longest]))
    lengths: list[int] = []
    embeddings = agent._model.get_input_embeddings()
    embeddings.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    agent.act([dialogs[longest]], [infos[longest]])
    assert lengths[0] == whole
    lengths.clear()
    agent._context = whole + 29
    agent.act([dialogs[longest]], [infos[longest]])
    assert lengths[0] < whole


def test_prompt_that_cannot_fit_names_its_assignment(folder: Path, asked) -> None:
    dialogs, infos = asked
    agent = LanguageModelAgent.load(str(folder), context=64, completion=32)
    with pytest.raises(UsageError, match=r"assignment 'add' alone takes \d+ tokens"):
        agent.act(dialogs[:1], infos[:1])


def test_defaults_leave_the_answer_a_quarter_of_a_small_context(
    folder: Path, tmp_path: Path
) -> None:
    agent = LanguageModelAgent.load(str(folder))
    assert (agent.name, agent._context, agent._completion) == ("tiny", 4096, 1024)
    small = shutil.copytree(folder, tmp_path / "small")
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 600}))
    agent = LanguageModelAgent.load(str(small))
    assert (agent._context, agent._completion) == (600, 150)


def test_a_runs_model_is_asked_within_the_context_it_was_trained_on(
    folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "sft"
    shutil.copytree(folder, run / "model")
    told = {"kind": "training", "recipe": {"context": 2048}}
    (run / "run.json").write_text(json.dumps(told))
    for named in (run, run / "model"):
        agent = LanguageModelAgent.load(str(named))
        assert (agent._context, agent._completion) == (2048, 512)
    assert LanguageModelAgent.load(str(run), context=3000)._context == 3000


def test_a_runs_model_is_asked_as_it_was_trained(
    folder: Path, tmp_path: Path, small_course: Course
) -> None:
    run = tmp_path / "para"
    shutil.copytree(folder, run / "model")
    recipe = {"stage": "para", "context": 2048, "code": "code", "feedback": "none"}
    (run / "run.json").write_text(json.dumps({"kind": "training", "recipe": recipe}))
    spec = f"hf:{run}"
    with pytest.raises(UsageError, match="ask it so: --feedback none --code-format code"):
        make_agent(spec, small_course, fmt=DialogFormat())
    own_words = DialogFormat(feedback="none", system_prompt="You are a student.")
    assert make_agent(spec, small_course, fmt=own_words).name == "para"
    # A base is where students with and without feedback both start.
    (run / "run.json").write_text(
        json.dumps({"kind": "training", "recipe": recipe | {"stage": "base"}})
    )
    make_agent(spec, small_course, fmt=DialogFormat())
    with pytest.raises(UsageError, match="ask it so: --feedback full --code-format code"):
        make_agent(spec, small_course, fmt=DialogFormat(code="dual"))


def test_batch_that_does_not_fit_in_memory_is_halved(folder: Path, asked) -> None:
    dialogs, infos = asked
    expected = LanguageModelAgent.load(str(folder), completion=10).act(dialogs, infos)
    agent = LanguageModelAgent.load(str(folder), completion=10, batch_size=8)
    room = 2

    def refuse(_: Any, inputs: tuple[Any, ...]) -> None:
        if len(inputs[0]) > room:
            raise torch.OutOfMemoryError

    agent._model.get_input_embeddings().register_forward_pre_hook(refuse)
    assert agent.act(dialogs, infos) == expected
    assert agent._batch_size == 2
    room = 0
    with pytest.raises(UsageError, match="tiny does not fit in memory with one dialog of 4096"):
        agent.act(dialogs, infos)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapter_directory_speaks_as_the_model_it_was_saved_from(
    folder: Path, asked, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    dialogs, infos = asked
    plain = LanguageModelAgent.load(str(folder), completion=20)
    before = plain.act(dialogs, infos)
    adapted = peft.get_peft_model(
        plain._model, peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    )
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    adapted.save_pretrained(tmp_path / "adapter")
    expected = LanguageModelAgent(
        adapted.eval(), plain._dialogs, name="adapted", completion=20
    ).act(dialogs, infos)
    assert expected != before
    loaded = LanguageModelAgent.load(str(tmp_path / "adapter"), completion=20)
    assert loaded.name == "adapter"
    assert loaded.act(dialogs, infos) == expected
    settings = tmp_path / "adapter" / "adapter_config.json"
    moved = json.loads(settings.read_text()) | {"base_model_name_or_path": str(tmp_path / "gone")}
    settings.write_text(json.dumps(moved))
    with pytest.raises(UsageError, match=r"was trained on '.*gone', which is not there"):
        LanguageModelAgent.load(str(tmp_path / "adapter"))


def test_wrong_models_are_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    course = Course("none", {}, ())
    with pytest.raises(UsageError, match="no model directory 'runs/a/typo'"):
        make_agent("hf:runs/a/typo", course)
    with pytest.raises(UsageError, match=r"neither config\.json nor adapter_config\.json"):
        make_agent(f"hf:{tmp_path}", course)
    with pytest.raises(UsageError, match="unknown agent 'hf:'"):
        make_agent("hf:", course)
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(UsageError, match="broken cannot be loaded: ") as caught:
        make_agent(f"hf:{broken}", course)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"completion must be at least 1 .* 64, got 64"):
        LanguageModelAgent.load(str(folder), context=64, completion=64)


def test_rollout_plays_a_model_by_its_directory(folder: Path, tmp_path: Path) -> None:
    from novicegym.cli import app
    from novicegym.eval.records import read_records

    model = shutil.copytree(folder, tmp_path / "student")
    for out in (tmp_path / "one", tmp_path / "two"):
        command = ["rollout", "--agent", f"hf:{model}", "--out", str(out), "--feedback", "grade"]
        command += ["--split", "trajectories:2:seed=1", "--batch-size", "16"]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    first, second = (read_records(out).to_pylist() for out in (tmp_path / "one", tmp_path / "two"))
    assert first == second
    assert first
    assert {row["agent"] for row in first} == {"student"}
    assert all(row["completion"] for row in first if row["stop"] is not None)


def test_rollout_of_a_training_run_is_named_after_it_and_knows_its_model(
    folder: Path, tmp_path: Path
) -> None:
    from novicegym.cli import app
    from novicegym.eval.records import read_records

    shutil.copytree(folder, tmp_path / "sft" / "model")
    recipe = {"stage": "sft", "context": 4096, "code": "code", "feedback": "grade"}
    (tmp_path / "sft" / "run.json").write_text(json.dumps({"kind": "training", "recipe": recipe}))
    command = ["rollout", "--agent", f"hf:{tmp_path / 'sft'}", "--out", str(tmp_path / "out")]
    command += ["--split", "trajectories:2:seed=1", "--feedback", "grade"]
    CliRunner().invoke(app, command, catch_exceptions=False)
    assert {row["agent"] for row in read_records(tmp_path / "out").to_pylist()} == {"sft"}
    CliRunner().invoke(app, command, catch_exceptions=False)
    (tmp_path / "sft" / "model" / "notes.txt").write_text("not the model that was asked")
    with pytest.raises(UsageError, match=r"other settings \(source\.agent_code\)"):
        CliRunner().invoke(app, command, catch_exceptions=False)

"""Prompts that are messages: the ids that fine-tuning and `generate --chat` have, the stop of the template, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import optax
import pytest

import tenfold
from tenfold.align.chat import Chat
from tenfold.align.policy import train_policy
from tenfold.align.prompts import read_prompts
from tenfold.align.reader import make_reader
from tenfold.align.templates import find_template
from tenfold.errors import UserError
from tenfold.model.params import init_params
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.recipe import ChatConfig, Recipe, save_recipe
from tenfold.train.state import state_of
from tiny_policy import CONFIG, tiny_policy

TOKENIZER = Tokenizer.load(Path(__file__).parent.parent / "golden" / "chat")
CHATML = find_template("chatml", None, "").source
ASKED = [{"role": "system", "content": "Add."}, {"role": "user", "content": "1+1? <|im_end|>"}]


def write(path: Path, *prompts) -> Path:
    path.write_text("".join(json.dumps({"prompt": prompt, "answer": "2", "messages": ["of the line"]}) + "\n" for prompt in prompts))
    return path


def test_messages_are_read_as_in_fine_tuning(tmp_path):
    """Up to where the assistant writes, with what makes it write next; a person's control token stays text. The end is the template's."""
    examples = read_prompts([write(tmp_path / "p.jsonl", ASKED, [ASKED[1]])], True)
    assert [example["prompt"] for example in examples] == ["system: Add.\n\nuser: 1+1? <|im_end|>", "1+1? <|im_end|>"]
    assert examples[0]["answer"] == "2" and [dict(each) for each in examples[0]["messages"]] == ASKED
    reader = make_reader(examples, TOKENIZER, "", CHATML, "m")
    ids, trained = Chat(find_template("chatml", None, ""), TOKENIZER).encode([*ASKED, {"role": "assistant", "content": "2"}])
    assert reader.prompt(examples[0]) == ids[: trained.index(True)]
    assert reader.end_of_text == TOKENIZER.control_tokens["<|im_end|>"] == ids[max(n for n, own in enumerate(trained) if own)]
    assert make_reader(examples, TOKENIZER, "plain", CHATML, "m").prompt(examples[1]) != reader.prompt(examples[1])


def test_texts_are_read_as_they_are(tmp_path):
    """Whatever else a line calls messages."""
    examples = read_prompts([write(tmp_path / "p.jsonl", "1+1=", "")], True)
    reader = make_reader(examples, TOKENIZER, "", CHATML, "m")
    assert [reader.prompt(example) for example in examples] == [TOKENIZER.encode("1+1="), [TOKENIZER.end_of_text]]
    assert reader.end_of_text == TOKENIZER.end_of_text


@pytest.mark.parametrize(
    ("prompts", "template", "own", "said"),
    [
        (["a", ASKED], "", CHATML, "the prompt 'a' is a text, and others are messages"),
        (["a"], "chatml", CHATML, "chat.template is 'chatml', but all prompts are texts"),
        ([ASKED], "", None, "m has no chat template.\n  Take one of"),
        ([[*ASKED, {"role": "assistant", "content": "2"}]], "", CHATML, "line 1: prompt ends with the assistant's message"),
        ([[ASKED[1], ASKED[1]]], "", CHATML, r"line 1: prompt\[1\].role is 'user', where assistant is due"),
        ([[]], "", CHATML, r"line 1: prompt is \[\], but must be a list"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, prompts, template, own, said):
    with pytest.raises(UserError, match=said):
        make_reader(read_prompts([write(tmp_path / "p.jsonl", *prompts)], True), TOKENIZER, template, own, "m")


def test_comparisons_are_texts(tmp_path):
    with pytest.raises(UserError, match="line 1: prompt is a list of messages, which only grpo and ppo read"):
        read_prompts([write(tmp_path / "p.jsonl", ASKED)])


@pytest.mark.slow
def test_a_policy_learns_to_answer_in_its_chat(tmp_path):
    """From a start with a template: its run answers by it. Another template than the run began with is another run."""
    config, start = replace(CONFIG, vocab=TOKENIZER.vocab, context=64), tmp_path / "start"
    params = init_params(jax.random.key(0), config)
    with Checkpoints(start / "checkpoints", keep=1) as checkpoints:
        checkpoints.save(state_of(params, config, optax.sgd(0.1), make_mesh(MeshConfig(), jax.devices()[:1])))
    TOKENIZER.save(start / "tokenizer")
    save_recipe(Recipe("start", model=config), start / "recipe.yaml")
    (start / "chat_template.jinja").write_text(CHATML)
    seen = []

    def worth(prompts, completions, examples):
        seen.extend(zip(prompts, completions, examples, strict=True))
        return [float(len(text)) for text in completions]

    policy = tiny_policy(start, write(tmp_path / "p.jsonl", ASKED, [ASKED[1]]), steps=1, batch=8)
    policy = replace(policy, recipe=replace(policy.recipe, model=replace(config)), reward=replace(policy.reward, names=()))
    run = train_policy(policy, tmp_path / "run", rewards={"worth": worth})
    metrics = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[0])
    assert metrics["logp_gap"] < 1e-4 and len(seen) == 8
    assert {prompt for prompt, _, _ in seen} == {"system: Add.\n\nuser: 1+1? <|im_end|>", "1+1? <|im_end|>"}
    assert (run.path / "chat_template.jinja").read_text() == CHATML
    assert isinstance(tenfold.load(run.path).chat("1+1?", max_tokens=2), str)
    other = replace(policy, recipe=replace(policy.recipe, chat=ChatConfig("llama3")))
    with pytest.raises(UserError):
        train_policy(other, tmp_path / "run", rewards={"worth": worth})

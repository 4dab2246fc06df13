"""Supervised fine-tuning on conversations: the trainer of documents, with rows and weights from a chat template.

The loss is the mean over the tokens that the assistant writes in the whole batch, however many its rows have of them and however it is cut
into microbatches or devices.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tenfold.align.chat import Chat, ChatTokenizer, Encoded
from tenfold.align.conversations import Conversation, read_conversations
from tenfold.align.pack import ConversationRows
from tenfold.align.templates import find_template
from tenfold.corpus.documents import HELD_OUT, is_held_out
from tenfold.corpus.files import fingerprint, write_atomically
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.batch_schedule import batch_schedule, schedule_advice
from tenfold.train.feed import Feed, held_out_size, with_noise
from tenfold.train.meter import Watch
from tenfold.train.noise import Plain
from tenfold.train.recipe import ChatConfig, Recipe
from tenfold.train.run import CHAT_TEMPLATE, Run
from tenfold.train.start import fitted, open_start
from tenfold.train.train import train_on

log = logging.getLogger(__name__)

SAMPLES = 3
"""Questions of held-out conversations that samples answer, where train.prompts names none."""


@dataclass(frozen=True)
class Side:
    """The conversations that are trained on, or those that are measured, as tokens."""

    conversations: list[Conversation]
    encoded: list[Encoded]
    dropped: int
    """Longer than a row, and left out."""
    cut: int
    """Longer than a row, and cut at its end."""

    def counts(self, rows: ConversationRows | None) -> dict:
        """What conversations.json says."""
        tokens, trained = sum(len(each.ids) for each in self.encoded), sum(sum(each.trained) for each in self.encoded)
        found = {"conversations": len(self.encoded), "dropped": self.dropped, "cut": self.cut, "tokens": tokens, "trained_tokens": trained}
        return found | {"rows": len(rows.packed) if rows else 0}


@dataclass(frozen=True)
class Material:
    """All that a run of conversations needs but the model: read, split and encoded."""

    chat: Chat
    train: Side
    held_out: Side


def train_sft(recipe: Recipe, out: Path | str | None = None, watch: Watch | None = None) -> Run:
    """Trains a recipe with a chat.template in the run directory `out` (runs/NAME), from its start or from where it stopped.

    Raises UserError for anything in the recipe, the template, the conversations or the machine that cannot work, before compiling.
    """
    path = Path(out) if out else Path("runs") / recipe.name
    recipe, material = prepared(recipe, path)
    rows, measured = (rows_of(recipe, side) for side in (material.train, material.held_out))
    assert rows, "a training set without conversations is refused"
    counts = {"train": material.train.counts(rows), "held_out": material.held_out.counts(measured)}
    recipe = planned(recipe, material, rows)
    for line in schedule_advice(recipe):
        log.warning("%s: %s", path, line)
    noise = Plain(True, restart=recipe.model.positions == "learned")

    def make_feed(recipe: Recipe, path: Path) -> Feed:
        write_atomically(path / CHAT_TEMPLATE, material.chat.template.source)
        material.chat.tokenizer.save(path / "tokenizer")
        write_atomically(path / "conversations.json", json.dumps(counts, indent=1) + "\n")
        held_out = measured.in_order(held_out_size(recipe), recipe.train.evaluate_rows) if measured else []
        found = {"command": "align sft", "conversations": counts}
        return Feed(
            rows, noise, with_noise(noise, held_out), ChatTokenizer(material.chat), _fingerprint(recipe.chat, material), rows.most, found
        )

    return train_on(make_feed, recipe, path, watch)


def prepared(recipe: Recipe, path: Path) -> tuple[Recipe, Material]:
    """The recipe with the shape of its start, and its conversations. Raises UserError for what cannot be used."""
    _check(recipe)
    named, start = recipe.data.tokenizer, open_start(recipe) if recipe.start is not None else None
    recipe = fitted(recipe, start, path) if start else recipe
    tokenizer = Tokenizer.load(named) if named else start.tokenizer() if start else None
    if tokenizer is None:
        raise UserError(f"{recipe.start or 'the recipe'} has no tokenizer to encode conversations with.\n  Name one with --data.tokenizer.")
    if tokenizer.vocab > recipe.model.vocab:
        raise UserError(
            f"the tokenizer has {tokenizer.vocab} tokens, but the model knows {recipe.model.vocab}.\n"
            "  Use the tokenizer that the model has learned."
        )
    _check_packs(recipe.chat, recipe.model)
    template = find_template(recipe.chat.template, start.chat_template if start else None, recipe.start or "a new model")
    chat = Chat(template, tokenizer)
    chat.check_trains()
    train, held_out = _split(recipe)
    sides = [_encode(chat, side, recipe.chat, recipe.model.context) for side in (train, held_out)]
    if not sides[0].encoded:
        raise UserError(
            f"none of the {len(train)} conversations to train on fits in model.context {recipe.model.context}.\n"
            "  Use a longer --model.context, or --chat.too-long cut."
        )
    return recipe, Material(chat, *sides)


def planned(recipe: Recipe, material: Material, rows: ConversationRows) -> Recipe:
    """The recipe with steps for its epochs, and with held-out questions for samples where it names no prompts."""
    train = recipe.train
    if recipe.chat.epochs:
        tokens = max(1, round(recipe.chat.epochs * len(rows.packed))) * recipe.model.context
        train = replace(train, steps=batch_schedule(recipe).steps_for(tokens))
    if train.prompts == ("",):
        asked = [c.messages[0]["content"] for c in material.held_out.conversations if len(c.messages) == 2]
        tokenizer, room = ChatTokenizer(material.chat), recipe.model.context // 2
        train = replace(train, prompts=tuple([text for text in asked[:100] if len(tokenizer.encode(text)) <= room][:SAMPLES]))
    return replace(recipe, train=train)


def shown(recipe: Recipe, path: Path, count: int) -> list[dict]:
    """The first conversations of the training side: where each is from, its tokens, and its text, [[what is trained on]] in brackets."""
    _, material = prepared(recipe, path)
    found = []
    for conversation, (ids, trained) in zip(material.train.conversations[:count], material.train.encoded, strict=False):
        turns = np.flatnonzero(np.diff([False, *trained, False]))
        parts = np.split(np.asarray(ids), turns)
        texts = [material.chat.tokenizer.decode(part) for part in parts]
        text = "".join(f"[[{part}]]" if number % 2 else part for number, part in enumerate(texts))
        found.append({"where": conversation.where, "tokens": len(ids), "trained_tokens": sum(trained), "text": text})
    return found


def _check(recipe: Recipe) -> None:
    if not recipe.chat.template:
        raise UserError("chat.template is empty, which means documents.\n  Name a template, such as --chat.template chatml.")
    if not recipe.data.paths:
        raise UserError("data.paths is empty: there are no conversations to train on.\n  Name .jsonl files with --data.")
    if recipe.data.weights:
        raise UserError(f"data.weights is {list(recipe.data.weights)}, but conversations are drawn evenly.\n  Leave it out.")


def _check_packs(chat: ChatConfig, config: ModelConfig) -> None:
    if chat.pack and any("dilated" in kind for kind in config.attention):
        raise UserError(
            f"chat.pack is True, but model.attention is {' '.join(config.attention)}: what dilated attention sees depends on the place.\n"
            "  Use --chat.no-pack, a row for each conversation."
        )


def _split(recipe: Recipe) -> tuple[list[Conversation], list[Conversation]]:
    """(train, held out): those of data.held_out, or a twentieth by the hash of what is asked first. No question is in both."""
    found = read_conversations(recipe.data.paths)
    if recipe.data.held_out:
        held_out = read_conversations([recipe.data.held_out])
        asked = {conversation.id for conversation in held_out}
    else:
        asked = {conversation.id for conversation in found if is_held_out(conversation.id, HELD_OUT)}
        held_out = [conversation for conversation in found if conversation.id in asked]
    train = [conversation for conversation in found if conversation.id not in asked]
    if not train:
        raise UserError(
            f"every one of the {len(found)} conversations of {', '.join(recipe.data.paths)} is held out.\n"
            "  Name more in --data, or others in --data.held-out."
        )
    return train, held_out


def _encode(chat: Chat, conversations: list[Conversation], config: ChatConfig, context: int) -> Side:
    """The tokens of those that fit a row's T + 1 tokens, with something to learn."""
    kept: list[Conversation] = []
    encoded: list[Encoded] = []
    dropped = cut = 0
    for conversation in conversations:
        try:
            ids, trained = chat.encode(conversation.messages)
        except UserError as error:
            raise UserError(f"{conversation.where}: {error}") from error
        if len(ids) > context + 1:
            if config.too_long == "drop" or not any(trained[1 : context + 1]):
                dropped += 1
                continue
            cut, ids, trained = cut + 1, ids[: context + 1], trained[: context + 1]
        if not any(trained[1:]):
            raise UserError(f"{conversation.where}: the chat template {chat.template.name} leaves nothing of it to train on.")
        kept.append(conversation)
        encoded.append(Encoded(ids, trained))
    return Side(kept, encoded, dropped, cut)


def rows_of(recipe: Recipe, side: Side) -> ConversationRows | None:
    """A side's rows; None where it has no conversation."""
    if not side.encoded:
        return None
    sources = [conversation.where for conversation in side.conversations]
    return ConversationRows(side.encoded, sources, recipe.model.context, recipe.data.seed, recipe.chat.pack)


def _fingerprint(config: ChatConfig, material: Material) -> str:
    def digest(encoded: Sequence[Encoded]) -> str:
        found = hashlib.sha256()
        for ids, trained in encoded:
            found.update(np.asarray([len(ids), *ids], np.int32).tobytes() + np.asarray(trained, bool).tobytes())
        return found.hexdigest()

    return fingerprint(config.pack, digest(material.train.encoded), digest(material.held_out.encoded))

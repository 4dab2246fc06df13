"""One item of a task, made ready to be asked. A task's file says how an item becomes one (task.py)."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """An item with its question and the answers that it admits."""

    id: str
    """The source's own, or the split and the number of its row: "test/17"."""
    question: str
    """What stands before the answer, without shots."""
    choices: tuple[str, ...] = ()
    """The answers to choose from, each as it continues the question (" Paris"); none where the model writes freely."""
    gold: int = 0
    """Which of the choices is right."""
    answers: tuple[str, ...] = ()
    """Free-form: every answer that counts as right, the first of which a shot shows."""
    contexts: tuple[str, ...] = ()
    """Partial scoring (Winograd): a question for each choice, and then all choices are the one continuation after the blank."""
    item: dict[str, Any] = field(default_factory=dict)
    """The fields as they were read."""

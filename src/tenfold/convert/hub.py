"""Models by name from the Hugging Face hub, where the network allows."""

import re
from pathlib import Path

from tenfold.errors import UserError
from tenfold.tokens import tokenizer

PREFIX = "hf:"
FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", *tokenizer.FILES)


def hub_name(source: str) -> str | None:
    """The owner/name that a source means: `hf:owner/name`, or `owner/name` where no such path exists."""
    if source.startswith(PREFIX):
        return source.removeprefix(PREFIX)
    is_name = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source) and not source.endswith(".gguf")
    return source if is_name and not Path(source).exists() and not Path(source).parent.exists() else None


def fetch(name: str) -> Path:
    """The directory that holds a model of the hub, fetched where it is not yet. Raises UserError where that cannot be."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        raise UserError(
            f"{name} is to come from the hub, but huggingface_hub is not installed.\n  Run: pip install 'tenfold[hub]'"
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except HFValidationError as error:
        raise UserError(f"{name!r} is no name of a model on the hub: {error}\n  Say {PREFIX}owner/name.") from error
    except Exception as error:  # its own, those of its HTTP library, and the system's: all say that the model did not come
        what = (str(error).strip() or repr(error)).splitlines()[0]
        raise UserError(
            f"{name} could not be fetched from the hub: {what}\n"
            "  Check the name and the network, or fetch it elsewhere (hf download) and name the directory."
        ) from error

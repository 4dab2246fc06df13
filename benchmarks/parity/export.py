"""What Tenfold saves, the Hugging Face library loads: without a word, and with the same logits.

    python benchmarks/parity/export.py --peers-python PATH_TO_A_PYTHON_WITH_TORCH_AND_TRANSFORMERS

Every tiny checkpoint of tests/golden/families is read and saved again by Tenfold, loaded by transformers from what was saved, and its
logits compared with those in expected.npz, which transformers computed from its own file. Prints a line a case: the largest difference,
whether the likeliest token is the same everywhere, and what the library had to say.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "families"


def save_all(out: Path) -> list[str]:
    """Tenfold's side."""
    import jax

    from tenfold.convert.hugging_face import open_checkpoint, save_checkpoint
    from tenfold.sharding.axes import make_mesh
    from tenfold.sharding.config import MeshConfig

    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    cases = sorted(path.parent.name for path in GOLDEN.glob("*/expected.npz"))
    for case in cases:
        checkpoint = open_checkpoint(GOLDEN / case, "float32")
        save_checkpoint(out / case, checkpoint.config, checkpoint.params(mesh), None)
    return cases


def compare(out: Path, case: str) -> None:
    """The peer's side, in a process of its own: prints the line."""
    import json
    import warnings

    import numpy as np
    import torch
    import transformers

    said: list[str] = []
    transformers.utils.logging.set_verbosity_warning()
    transformers.utils.logging.get_logger("transformers").handlers[:] = [_Keep(said)]
    with warnings.catch_warnings(record=True) as caught:
        architecture = json.loads((out / case / "config.json").read_text())["architectures"][0]
        attention = "sdpa" if case == "falcon_alibi" else "eager"
        model = getattr(transformers, architecture).from_pretrained(out / case, attn_implementation=attention).eval()
    said += [str(each.message) for each in caught]
    with np.load(GOLDEN / case / "expected.npz") as file:
        wanted = dict(file)
    inputs = {"input_ids": torch.from_numpy(wanted["tokens"].astype(np.int64))}
    if "decoder_tokens" in wanted:
        inputs["decoder_input_ids"] = torch.from_numpy(wanted["decoder_tokens"].astype(np.int64))
    with torch.inference_mode():
        found = model(**inputs).logits.numpy()
    same = (found.argmax(-1) == wanted["logits"].argmax(-1)).all()
    print(f"{case:<20} {np.abs(found - wanted['logits']).max():.1e}  {'same' if same else 'OTHER'} likeliest  {' | '.join(said) or '-'}")


class _Keep:
    """A log handler that keeps what it hears."""

    level = 0

    def __init__(self, said: list[str]):
        self.said = said

    def handle(self, record) -> None:
        self.said.append(record.getMessage())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=os.environ.get("PEERS_PYTHON"), help="a Python that has torch and transformers")
    parser.add_argument("--compare", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compare:
        for case in options.compare[1:]:
            compare(Path(options.compare[0]), case)
        return
    if not options.peers_python:
        sys.exit("Name a Python that has torch and transformers: --peers-python PATH (make bench makes one).")
    with tempfile.TemporaryDirectory() as folder:
        cases = save_all(Path(folder))
        subprocess.run([options.peers_python, __file__, "--compare", folder, *cases], check=True)


if __name__ == "__main__":
    main()

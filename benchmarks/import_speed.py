"""`tenfold convert import` beside `cp -r` of the same Hugging Face directory, both until the disk has everything, and the memory it takes.

    python benchmarks/import_speed.py [--megabytes 2000] [--rounds 5] [--folder DIR]

The checkpoint is a LLaMA with random bf16 weights. Both read it from the system's cache and write anew in turn; medians are compared.
"""

import argparse
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from random_checkpoint import extra_memory, write_random
from tenfold.convert.tensor_files import open_tensors
from tenfold.train.imported import import_model


def copied(source: Path, to: Path) -> float:
    """Seconds of cp and of flushing what it wrote."""
    began = time.perf_counter()
    subprocess.run(["cp", "-r", str(source), str(to)], check=True)
    subprocess.run(["sync", *[str(file) for file in to.iterdir()]], check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=float, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        import_model(write_random(folder / "small", 1), folder / "small-run")  # what starts once
        source, out = write_random(folder / "source", options.megabytes), folder / "out"
        largest = max(
            tensor.dtype.itemsize * tensor.shape[0] * tensor.shape[-1] for tensor in open_tensors(source).values() if tensor.shape[1:]
        )
        copies, imports = [], []
        for _ in range(options.rounds):
            copies.append(copied(source, out))
            shutil.rmtree(out)
            imports.append(extra_memory(lambda: import_model(source, out)))
            shutil.rmtree(out)
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {options.megabytes:g} MB of bf16")
    print("cp -r and sync  ", *[f"{seconds:6.2f}" for seconds in copies], "s")
    print("convert import  ", *[f"{each['seconds']:6.2f}" for each in imports], "s")
    middle = statistics.median(copies), statistics.median(each["seconds"] for each in imports)
    print(f"medians {middle[0]:.2f} s and {middle[1]:.2f} s: import at {middle[0] / middle[1]:.2f}x the speed of cp")
    print(f"memory: {max(each['bytes'] for each in imports) / 1e6:.0f} MB at most, {largest / 1e6:.0f} MB the largest tensor")


if __name__ == "__main__":
    main()

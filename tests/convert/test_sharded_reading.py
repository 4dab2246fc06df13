"""Two processes load one checkpoint on a mesh over both: each reads its own part of the file."""

import json
import socket
import subprocess
import sys

from conftest import process_environment
from random_checkpoint import write_random
from tenfold.api import export

PROGRAM = """
import dataclasses, json, sys
from pathlib import Path
import jax, numpy as np
from tenfold.convert import weights
from tenfold.convert.ggml_blocks import TYPES
from tenfold.convert.gguf_model import open_gguf
from tenfold.convert.hugging_face import open_checkpoint
from tenfold.convert.tensor_files import Tensor
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.sharding.processes import join

folder, coordinator, process = sys.argv[1:]
join(coordinator, 2, int(process))
maps, given, view, part = [], [], Tensor.view, weights.Leaf.part
Tensor.view = lambda self: (maps.append((self, view(self))), maps[-1][1])[1]
weights.Leaf.part = lambda self, index: (given.append(part(self, index)), given[-1])[1]
checkpoint = open_checkpoint(Path(folder), "float32")
params = checkpoint.params(make_mesh(MeshConfig(data=1, tensor=2)))
name_of = {tensor.offset: name for name, tensor in checkpoint.tensors.items()}
read = {}  # bytes of each tensor's map that have been brought into memory: bit 63 of a page's word
with open("/proc/self/pagemap", "rb") as pages:
    for tensor, array in maps:
        first, end = array.ctypes.data // 4096, -(-(array.ctypes.data + array.nbytes) // 4096)
        pages.seek(first * 8)
        words = np.frombuffer(pages.read((end - first) * 8), np.uint64)
        read[name_of[tensor.offset]] = int((words >> np.uint64(63)).sum()) * 4096
wanted = checkpoint.lazy()
same = jax.tree.map(lambda found, leaf: all(
    np.array_equal(shard.data, np.asarray(leaf)[shard.index]) for shard in found.addressable_shards), params, wanted)
held = sum(shard.data.nbytes for leaf in jax.tree.leaves(params) for shard in leaf.addressable_shards)
whole = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
size = {name: int(np.prod(tensor.shape)) * 2 for name, tensor in checkpoint.tensors.items()}
kind, blocks = TYPES["Q8_0"], []
TYPES["Q8_0"] = dataclasses.replace(kind, decode=lambda raw: (blocks.append(len(raw)), kind.decode(raw))[1])
packed = open_gguf(Path(folder + ".gguf"), "float32")
cut = packed.params(make_mesh(MeshConfig(data=1, tensor=2)))
part_blocks, all_blocks = sum(blocks), sum(t.bytes // kind.bytes for t in packed.file.tensors.values() if t.type == "Q8_0")
alike = jax.tree.map(lambda found, leaf: all(
    np.array_equal(shard.data, np.asarray(leaf)[shard.index]) for shard in found.addressable_shards), cut, packed.lazy())
print(json.dumps({"same": all(jax.tree.leaves(same)), "given": sum(a.nbytes for a in given[:len(jax.tree.leaves(params))]),
                  "held": held, "whole": whole, "read": read, "size": size,
                  "alike": all(jax.tree.leaves(alike)), "blocks": part_blocks, "all_blocks": all_blocks}))
"""


def test_each_process_reads_its_own_part(tmp_path):
    """The weights are the file's; what is made of them on a host is what its devices hold; and of tensors that are cut into runs of rows
    no more than those come into memory (a little is read around them). Of packed tensors each decodes its own blocks only."""
    write_random(tmp_path / "checkpoint", 24)
    export(tmp_path / "checkpoint", tmp_path / "checkpoint.gguf", "Q8_0")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "checkpoint"), coordinator]
    started = [
        subprocess.Popen([*command, str(number)], env=process_environment(1), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    try:
        said = [process.communicate(timeout=250) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    for out, _ in said:
        found = json.loads(out.splitlines()[-1])
        assert found["same"] and found["given"] == found["held"] < 0.51 * found["whole"]
        assert found["alike"] and 2 * found["blocks"] == found["all_blocks"] > 1000
        cut = tuple(f"{name}.weight" for name in ("embed_tokens", "lm_head", "up_proj", "q_proj"))
        rows = [name for name in found["size"] if name.endswith(cut)]
        assert len(rows) > 4
        read, size = (sum(found[what][name] for name in rows) for what in ("read", "size"))
        assert 0.49 < read / size < 0.85  # the system brings in some hundred kB around what is asked for

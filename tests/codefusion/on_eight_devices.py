"""Run by test_fusion_meshes.py in a process with 8 virtual CPU devices: the first steps of each kind, and of one with a language model that
reads the texts too, over data, fsdp and tensor axes.

By the trainer itself. Not a test.
"""

import sys
from dataclasses import replace
from pathlib import Path

from tenfold.codefusion.train import train_fusion
from tenfold.sharding.config import MeshConfig
from tiny_fusion import AUTOREGRESSIVE, FUSION, MASKED, tiny_fusion
from tiny_reader import with_reader

CUT = MeshConfig(data=2, fsdp=2, tensor=2)

for model in (FUSION, MASKED, AUTOREGRESSIVE):
    recipe = tiny_fusion(Path(sys.argv[1]), model, steps=4)
    train_fusion(replace(recipe, mesh=CUT), Path(sys.argv[2]) / model.kind)
train_fusion(replace(with_reader(tiny_fusion(Path(sys.argv[1]), steps=4), Path(sys.argv[3])), mesh=CUT), Path(sys.argv[2]) / "read")

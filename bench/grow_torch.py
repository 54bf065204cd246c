"""FPI from BERT-base to 1024 wide and 24 layers (cyclic maps, stacked), as one would write it in PyTorch.

Usage: grow_torch.py SOURCE OUT [--hash]      (--hash: the SHA-256 of source and result beside it, as bert2bert does)
"""
import hashlib
import os
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

source = load_file(Path(sys.argv[1]) / "model.safetensors")
out = Path(sys.argv[2])
out.mkdir()
hidden, ffn, layers = (768, 1024), (3072, 4096), 12

maps = {n: (torch.arange(m) % n, 1.0 / torch.bincount(torch.arange(m) % n)[torch.arange(m) % n]) for n, m in (hidden, ffn)}


def grow(name, tensor):
    # Every linear layer is [out, in]: the in dimension is shared. Embeddings, biases and norms are only copied.
    rows = tensor.shape[0] not in maps or "embeddings.word" in name
    grown = tensor if rows else tensor.index_select(0, maps[tensor.shape[0]][0])
    if tensor.dim() == 2 and tensor.shape[1] in maps:
        index, share = maps[tensor.shape[1]]
        grown = grown.index_select(1, index)
        if "embeddings" not in name:
            grown *= share
    if "transform.LayerNorm" in name:
        grown = grown * maps[768][1]
    return grown


result = {}
for name, tensor in source.items():
    grown = grow(name, tensor)
    found = re.search(r"layer\.(\d+)\.", name)
    if found is None:
        result[name] = grown
        continue
    for copy in range(2):
        layer = int(found.group(1)) + copy * layers
        result[name.replace(found.group(0), f"layer.{layer}.")] = grown if copy == 0 else grown.clone()
save_file(result, out / "model.safetensors", metadata={"format": "pt"})
with open(out / "model.safetensors", "rb+") as file:
    os.fsync(file.fileno())
if "--hash" in sys.argv:
    sums = {}
    for path in (Path(sys.argv[1]) / "model.safetensors", out / "model.safetensors"):
        with open(path, "rb") as file:
            sums[path] = hashlib.file_digest(file, "sha256").hexdigest()
    (out / "SHA256SUMS").write_text("".join(f"{digest}  {path}\n" for path, digest in sums.items()))

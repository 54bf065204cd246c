"""Whether grown folders compute in transformers what their sources compute there, and whether LEMON's weights are what its
formulas say (written from the paper's description).

Usage: lossless.py SOURCE GROWN...  Prints one JSON object a grown folder: the largest difference of the logits as a share of
the largest, loading's complaints, and the formulas that do not hold.
"""
import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()


def logits(folder):
    config = json.loads((Path(folder) / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    model, info = cls.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    model.eval()
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(5, config["vocab_size"], (3, 20), generator=generator)
    with torch.no_grad():
        out = model(input_ids=ids)
    found = [out.prediction_logits, out.seq_relationship_logits] if hasattr(out, "prediction_logits") else [out.logits]
    return found, {key: sorted(map(str, info[key])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}


def lemon(source, grown, folder):
    """Formulas of LEMON's width expansion for GPT-2 with equal shares; the names of those that do not hold."""
    wrong = []

    def holds(name, a, b, tolerance=1e-6):
        if not torch.allclose(a, b, rtol=tolerance, atol=tolerance):
            wrong.append(name)

    ds, dt = source["transformer.wte.weight"].shape[1], grown["transformer.wte.weight"].shape[1]
    k = dt // ds
    n = k * ds
    s = n / dt
    config = json.loads((folder / "config.json").read_text())
    if abs(config["layer_norm_epsilon"] - s * 1e-5) > 1e-15:
        wrong.append("eps")
    for name, old in source.items():
        new = grown[name]
        if name.endswith(("wte.weight", "wpe.weight", "c_proj.bias")):
            holds(name, new[..., :n], old.repeat(*[1] * (old.dim() - 1), k))
            holds(name, new[..., n:], old.mean(-1, keepdim=True).expand(*old.shape[:-1], dt - n))
        elif name.endswith(("ln_1.weight", "ln_2.weight")):
            holds(name, new[:n], s**0.5 * old.repeat(k))
        elif name.endswith(("ln_1.bias", "ln_2.bias")):
            holds(name, new[:n], old.repeat(k))
            holds(name, new[n:], torch.zeros(dt - n))
        elif name.endswith("ln_f.weight"):
            holds(name, new[:n], s**0.5 * old.repeat(k) / k)
        elif name.endswith("ln_f.bias"):
            holds(name, new[:n], old.repeat(k) / k)
            holds(name, new[n:], torch.zeros(dt - n))
        elif name.endswith(("c_attn.weight", "c_fc.weight")):
            # Old columns alone: copies of the stream share, q, k, v stand side by side.
            blocks = 3 if "c_attn" in name else 1
            width = old.shape[1] // blocks
            for o, m in zip(old.chunk(blocks, 1), new.chunk(blocks, 1)):
                holds(name, m[:n, :width], o.repeat(k, 1) / k)
            if float(new[n:].std()) < 0.01:
                wrong.append(f"{name}: free rows are not random")
    return wrong


source = sys.argv[1]
before, _ = logits(source)
weights = {name: tensor for name, tensor in load_file(Path(source) / "model.safetensors").items() if "lm_head" not in name}
for path in map(Path, sys.argv[2:]):
    after, info = logits(path)
    share = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(after, before))
    formulas = lemon(weights, load_file(path / "model.safetensors"), path) if path.name.startswith("lemon-equal") else []
    print(json.dumps({"case": path.name, "share": share, "wrong": formulas, **info}))

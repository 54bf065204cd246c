"""Grown vocabularies and contexts as transformers has them, in float64. Usage: extend.py FOLDER, which holds NAME/source and
NAME/vocab (more ids alone), NAME/both (wider, more ids and positions), for rotary models NAME/base and NAME/interpolate,
each of these with long.safetensors (input_ids, logits: what the package computes). Prints a JSON object a name."""
import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()


def load(folder):
    config = json.loads((folder / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    model, info = cls.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager", output_loading_info=True)
    return model.eval(), sum(len(info[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def logits(model, ids):
    with torch.no_grad():
        out = model(input_ids=ids)
    return out.prediction_logits if hasattr(out, "prediction_logits") else out.logits


for folder in sorted(Path(sys.argv[1]).iterdir()):
    source, _ = load(folder / "source")
    vocab = source.config.vocab_size
    both, odd = load(folder / "both")
    positions = int(json.loads((folder / "positions.json").read_text()))
    ids = torch.randint(5, vocab, (2, positions), generator=torch.Generator().manual_seed(1))
    before, after = logits(source, ids), logits(both, ids)
    found = {"name": folder.name, "odd": odd, "old": ((after[..., :vocab] - before).abs().max() / before.abs().max()).item()}
    more, _ = load(folder / "vocab")
    source.resize_token_embeddings(more.config.vocab_size)
    shapes = [{name: list(value.shape) for name, value in model.state_dict().items()} for model in (source, more)]
    found["shapes"] = shapes[0] == shapes[1]
    found["long"] = {}
    for kind in ("both", "base", "interpolate"):
        if not (folder / kind).exists():
            continue
        long = load_file(folder / kind / "long.safetensors")
        model, _ = load(folder / kind)
        there = logits(model, long["input_ids"].long())
        found["long"][kind] = ((there - long["logits"].double()).abs().max() / there.abs().max()).item()
    print(json.dumps(found))

"""A folder in transformers' auto classes: what loading misses, the evaluation's loss in float64, and what it does with a text.

Usage: whole-way.py FOLDER BATCHES TEXT  BATCHES: JSON, a list of {ids, gather, labels, weights}.  Prints one JSON object.
"""
import json
import sys

import torch
import transformers

transformers.logging.set_verbosity_error()
folder, batches, text = sys.argv[1:]
masked = transformers.AutoConfig.from_pretrained(folder).model_type == "modernbert"
auto = transformers.AutoModelForMaskedLM if masked else transformers.AutoModelForCausalLM
model, info = auto.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
inputs = tokenizer(text.replace("[MASK]", tokenizer.mask_token or ""), return_tensors="pt")
with torch.no_grad():
    if masked:
        place = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero()[0, 0]
        said = tokenizer.decode([int(model(input_ids=inputs["input_ids"]).logits[0, place].argmax())])
    else:
        made = model.generate(inputs["input_ids"], max_new_tokens=8, do_sample=False, pad_token_id=0)
        said = tokenizer.decode(made[0][inputs["input_ids"].shape[1]:])
    model = model.double().eval()
    total = count = 0.0
    with open(batches) as file:
        for batch in json.load(file):
            logits = model(input_ids=torch.tensor(batch["ids"])).logits.flatten(0, 1)
            if batch["gather"] is not None:
                logits = logits[torch.tensor(batch["gather"])]
            losses = torch.nn.functional.cross_entropy(logits, torch.tensor(batch["labels"]), reduction="none")
            weights = torch.tensor(batch["weights"], dtype=torch.float64)
            total += float((losses * weights).sum())
            count += float(weights.sum())
keys = {key: sorted(map(str, info[key])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
print(json.dumps(dict(**keys, loss=total / count, said=said)))

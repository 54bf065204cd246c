"""PyTorch loops and scikit-learn's metrics, for test/peers/finetune.test.ts.

    finetune.py train CASES OUT    CASES: [{folder, batches, rates, ...}]; OUT: the loss of each step, by case
    finetune.py open CASES OUT     CASES: [{folder, texts, length}]; OUT: its class, the keys that transformers misses or does
                                   not expect, and the logits of each text, by case
    finetune.py metrics CASES OUT  CASES: [[kind, found, wanted]]; OUT: the metrics of each
"""
import json
import math
import sys
import warnings

import torch
import transformers as t

torch.set_num_threads(1)
warnings.simplefilter("ignore")


def train(cases, out):
    losses = []
    for case in json.load(open(cases)):
        model = t.AutoModelForSequenceClassification.from_pretrained(case["folder"]).train()
        share = case["shares"]
        groups = [
            dict(params=[p], weight_decay=case["weight_decay"] if p.dim() > 1 else 0.0, share=share[name])
            for name, p in model.named_parameters()
        ]
        optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.999), eps=1e-6)
        own = []
        for batch, rate in zip(case["batches"], case["rates"]):
            rows, length = len(batch["labels"]), batch["length"]
            shaped = lambda name: torch.tensor(batch[name]).reshape(rows, length)
            given = dict(input_ids=shaped("ids"), attention_mask=shaped("mask").long())
            if model.config.model_type == "bert":
                given["token_type_ids"] = shaped("types")
            loss = model(**given, labels=torch.tensor(batch["labels"])).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), case["clip"])
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            optimizer.step()
            own.append(loss.item())
        losses.append(own)
    json.dump(losses, open(out, "w"))


@torch.no_grad()
def opened(cases, out):
    said = []
    for case in json.load(open(cases)):
        model, info = t.AutoModelForSequenceClassification.from_pretrained(case["folder"], output_loading_info=True)
        uncased = model.config.model_type in ("bert", "distilbert", "modernbert")
        tokenizer = (t.BertTokenizer if uncased else t.AutoTokenizer).from_pretrained(case["folder"])
        known = {"input_ids", "attention_mask"} | ({"token_type_ids"} if model.config.model_type == "bert" else set())
        encode = lambda texts: tokenizer(*texts, truncation="longest_first", max_length=case["length"], return_tensors="pt")
        logits = [model.eval()(**{k: v for k, v in encode(one).items() if k in known}).logits[0] for one in case["texts"]]
        shares = [one.tolist() if len(one) == 1 else one.softmax(-1).tolist() for one in logits]
        said.append([type(model).__name__, sorted(info["missing_keys"]), sorted(info["unexpected_keys"]), shares])
    json.dump(said, open(out, "w"))


def metrics(cases, out):
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    results = []
    for kind, found, wanted in json.load(open(cases)):
        if kind == "regression":
            values = dict(pearson=pearsonr(found, wanted)[0], spearman=spearmanr(found, wanted)[0])
        else:
            two = max(found + wanted) <= 1
            values = dict(
                accuracy=accuracy_score(wanted, found),
                f1=f1_score(wanted, found, average="binary" if two else "macro", zero_division=0),
                matthews=matthews_corrcoef(wanted, found),
            )
        results.append({name: None if math.isnan(value) else float(value) for name, value in values.items()})
    json.dump(results, open(out, "w"))


{"train": train, "open": opened, "metrics": metrics}[sys.argv[1]](*sys.argv[2:])

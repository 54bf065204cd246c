"""What transformers and lm-evaluation-harness give for tasks without training, for test/peers/tasks.test.ts.

    tasks.py make OUT TOKENIZERS         random gpt2, bert and roberta with the fixtures' tokenizers
    tasks.py generate FOLDER PROMPTS OUT what greedy search adds to each prompt, as ids
    tasks.py fill FOLDER TEXTS OUT       the five best tokens at each mask: [id, probability]
    tasks.py score FOLDER REQUESTS OUT   REQUESTS: {pairs: [[context, text]...], documents: [text...]}; OUT: the same with
                                         [log-probability, greedy], by the formula, item by item in float64, and where
                                         lm_eval is there by the harness itself
"""
import importlib.util
import json
import os
import shutil
import sys

import torch
import transformers as t

torch.set_num_threads(1)


def make(out, tokenizers):
    common = dict(num_attention_heads=4, num_hidden_layers=3, hidden_size=48)
    encoder = dict(common, intermediate_size=96)
    cases = {
        "gpt2": (t.GPT2LMHeadModel, t.GPT2Config(vocab_size=1205, n_positions=128, n_embd=48, n_head=4, n_layer=3, bos_token_id=0, eos_token_id=0), "gpt2"),
        "bert": (t.BertForMaskedLM, t.BertConfig(vocab_size=2000, max_position_embeddings=128, **encoder), "uncased"),
        "roberta": (t.RobertaForMaskedLM, t.RobertaConfig(vocab_size=1205, max_position_embeddings=130, type_vocab_size=1, **encoder), "roberta"),
    }
    for seed, (name, (cls, config, tokenizer)) in enumerate(cases.items()):
        torch.manual_seed(seed)
        model = cls(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(3)
        folder = os.path.join(out, name)
        model.save_pretrained(folder)
        shutil.copytree(os.path.join(tokenizers, tokenizer), folder, dirs_exist_ok=True)


def causal(model, tokenizer):
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    most = model.config.n_positions

    def scored(context, continuation):
        read = (context + continuation)[-(most + 1):][:-1]
        logprobs = model(torch.tensor([read])).logits[0].log_softmax(-1)[-len(continuation):]
        wanted = torch.tensor(continuation)
        return [logprobs.gather(1, wanted[:, None]).sum().item(), bool((logprobs.argmax(-1) == wanted).all())]

    def pair(context, text):
        spaces = len(context) - len(context.rstrip())
        if spaces:
            context, text = context[:-spaces], context[-spaces:] + text
        if context == "":
            ids = tokenizer.encode(text, add_special_tokens=False)
            return scored([first], ids) if ids[0] != first else scored(ids[:1], ids[1:])
        before = tokenizer.encode(context)
        return scored(before, tokenizer.encode(context + text)[len(before):])

    def document(text):
        ids = tokenizer.encode(text)
        total = 0.0
        for start in range(0, len(ids), most):
            end = min(start + most, len(ids))
            # Tokens that the window has room for before the first it scores, and one that it always has.
            begin = max(end - most - 1, 0) if start else None
            context = [first] if begin is None else ids[begin:start]
            total += scored(context, ids[start:end])[0]
        return [total, False]

    return pair, document


def masked(model, tokenizer):
    def pair(context, text):
        whole = tokenizer.encode(context + text, add_special_tokens=False)
        own = len(whole) - len(tokenizer.encode(context.rstrip(), add_special_tokens=False))
        ids = tokenizer.encode(context + text)
        end = len(ids) - 1
        total, greedy = 0.0, True
        for at in range(end - own, end):
            hidden = list(ids)
            hidden[at] = tokenizer.mask_token_id
            logprobs = model(torch.tensor([hidden])).logits[0, at].log_softmax(-1)
            total += logprobs[ids[at]].item()
            greedy = greedy and logprobs.argmax().item() == ids[at]
        return [total, greedy]

    return pair, None


def harness(folder, requests):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=folder, device="cpu", batch_size=1, dtype="float32")
    instances = lambda kind, all: [Instance(request_type=kind, doc={}, arguments=tuple(one), idx=0) for one in all]
    pairs = lm.loglikelihood(instances("loglikelihood", requests["pairs"]), disable_tqdm=True)
    documents = lm.loglikelihood_rolling(instances("loglikelihood_rolling", [[one] for one in requests["documents"]]), disable_tqdm=True)
    return {"pairs": [[a, bool(b)] for a, b in pairs], "documents": [[one, False] for one in documents]}


@torch.no_grad()
def score(folder, path, out):
    requests = json.load(open(path))
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    config = t.AutoConfig.from_pretrained(folder)
    decoder = config.model_type == "gpt2"
    model = (t.AutoModelForCausalLM if decoder else t.AutoModelForMaskedLM).from_pretrained(folder).double().eval()
    pair, document = (causal if decoder else masked)(model, tokenizer)
    result = {"formula": {"pairs": [pair(*one) for one in requests["pairs"]], "documents": [document(one) for one in requests["documents"]]}}
    if decoder and importlib.util.find_spec("lm_eval") is not None:
        result["harness"] = harness(folder, requests)
    json.dump(result, open(out, "w"))


@torch.no_grad()
def generate(folder, path, out):
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    model = t.AutoModelForCausalLM.from_pretrained(folder).eval()
    added = []
    for prompt in json.load(open(path)):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=40)[0, ids.shape[1]:].tolist()
        added.append([made[:-1] if made[-1] == model.config.eos_token_id else made, tokenizer.decode(made, skip_special_tokens=True)])
    json.dump(added, open(out, "w"))


@torch.no_grad()
def fill(folder, path, out):
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    model = t.AutoModelForMaskedLM.from_pretrained(folder).eval()
    filled = []
    for text in json.load(open(path)):
        ids = tokenizer(text, return_tensors="pt").input_ids
        at = (ids[0] == tokenizer.mask_token_id).nonzero()[:, 0]
        best = model(ids).logits[0, at].softmax(-1).topk(5)
        filled.append([list(zip(i.tolist(), p.tolist())) for p, i in zip(best.values, best.indices)])
    json.dump(filled, open(out, "w"))


{"make": make, "score": score, "generate": generate, "fill": fill}[sys.argv[1]](*sys.argv[2:])

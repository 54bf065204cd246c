"""transformers on questions and on words, for test/peers/positions.test.ts.

    positions.py train CASES OUT   CASES: [{folder, task, batches, rates}]; OUT: the loss of each step, by case
    positions.py encode CASES OUT  CASES: [{folder, task, rows, length, stride}]; OUT: [[ids, labels]...] by case
    positions.py score CASES OUT   the same cases, with questions' null threshold; OUT: [class, missing and unexpected keys,
                                   metrics, what is predicted of each row] by case
    positions.py heads CASES OUT   CASES: [{folder, sequences}]; OUT: [class, missing and unexpected keys, logits of each
                                   sequence] by case
    positions.py answers CASES OUT CASES: [[found, wanted, version]]; OUT: [exact, f1] of each
    positions.py entities CASES OUT CASES: [[found, wanted]]; OUT: seqeval's f1 of each
"""
import collections
import json
import re
import string
import sys
import warnings

import torch
import transformers as t

torch.set_num_threads(1)
warnings.simplefilter("ignore")
CLASSES = {"question-answering": t.AutoModelForQuestionAnswering, "token-classification": t.AutoModelForTokenClassification}


def train(case):
    model = CLASSES[case["task"]].from_pretrained(case["folder"]).train()
    groups = [dict(params=[p], weight_decay=0.01 if p.dim() > 1 else 0.0) for p in model.parameters()]
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.999), eps=1e-6)
    losses = []
    for batch, rate in zip(case["batches"], case["rates"]):
        rows = len(batch["ids"]) // batch["length"]
        shaped = lambda name: torch.tensor(batch[name]).reshape(rows, batch["length"])
        given = dict(input_ids=shaped("ids"), attention_mask=shaped("mask").long())
        if model.config.model_type == "bert":
            given["token_type_ids"] = shaped("types")
        if case["task"] == "question-answering":
            starts, ends = torch.tensor(batch["labels"]).reshape(rows, 2).unbind(1)
            given.update(start_positions=starts, end_positions=ends)
        else:
            given["labels"] = shaped("labels")
        loss = model(**given).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        losses.append(loss.item())
    return losses


def windows(case):
    tokenizer = t.AutoTokenizer.from_pretrained(case["folder"])
    for number, row in enumerate(case["rows"]):
        found = tokenizer(
            row["question"].lstrip(), row["context"], truncation="only_second", max_length=case["length"],
            stride=case["stride"], return_overflowing_tokens=True, return_offsets_mapping=True,
        )
        for i, ids in enumerate(found["input_ids"]):
            own = [at for at, of in enumerate(found.sequence_ids(i)) if of == 1]
            places = {at: found["offset_mapping"][i][at] for at in own}
            cls = ids.index(tokenizer.cls_token_id) if tokenizer.cls_token_id in ids else 0
            labels = [cls, cls]
            if row["answers"]:
                start = row["answers"][0]["answer_start"]
                end = start + len(row["answers"][0]["text"])
                if places[own[0]][0] <= start and places[own[-1]][1] >= end:
                    labels = [max(at for at in own if places[at][0] <= start), min(at for at in own if places[at][1] >= end)]
            yield number, ids, labels, places


def sentences(case):
    kind = t.AutoConfig.from_pretrained(case["folder"]).model_type
    more = {"add_prefix_space": True} if kind in ("gpt2", "roberta") else {}
    tokenizer = t.AutoTokenizer.from_pretrained(case["folder"], **more)
    for row in case["rows"]:
        found = tokenizer(row["tokens"], is_split_into_words=True, truncation=True, max_length=case["length"])
        of = found.word_ids(0)
        labels = [row["ner_tags"][word] if word is not None and word != before else -100 for word, before in zip(of, [None] + of)]
        yield found["input_ids"], labels


def encode(case):
    if case["task"] == "question-answering":
        return [[ids, labels] for _, ids, labels, _ in windows(case)]
    return [list(one) for one in sentences(case)]


@torch.no_grad()
def heads(case):
    name = t.AutoConfig.from_pretrained(case["folder"]).architectures[0]
    model, info = getattr(t, name).from_pretrained(case["folder"], output_loading_info=True)
    found = [model.eval()(torch.tensor([ids])) for ids in case["sequences"]]
    logits = [torch.stack([one.start_logits, one.end_logits], -1) if "start_logits" in one else one.logits for one in found]
    return [name, sorted(info["missing_keys"]), sorted(info["unexpected_keys"]), [one.flatten().tolist() for one in logits]]


def normal(text):
    plain = "".join(ch for ch in text.lower() if ch not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def f1_of(found, right, version):
    a, b = normal(found).split(), normal(right).split()
    if version == 2 and (not a or not b):
        return float(a == b)
    same = sum((collections.Counter(a) & collections.Counter(b)).values())
    return 0.0 if same == 0 else 2 * (same / len(a)) * (same / len(b)) / (same / len(a) + same / len(b))


def answer(case):
    found, wanted, version = case
    if version == 2:
        wanted = [one for one in wanted if normal(one)] or [""]
    return [max(float(normal(found) == normal(one)) for one in wanted), max(f1_of(found, one, version) for one in wanted)]


def entities(case):
    from seqeval.metrics import f1_score

    found, wanted = case
    return float(f1_score(wanted, found))


@torch.no_grad()
def score(case):
    model, info = CLASSES[case["task"]].from_pretrained(case["folder"], output_loading_info=True)
    model.eval()
    keys = [type(model).__name__, sorted(info["missing_keys"]), sorted(info["unexpected_keys"])]
    if case["task"] == "token-classification":
        found, wanted, items = [], [], []
        for ids, labels in sentences(case):
            shares = model(torch.tensor([ids])).logits[0].softmax(-1)
            best = shares.argmax(-1).tolist()
            items.append([[model.config.id2label[best[i]], shares[i, best[i]].item()] for i, label in enumerate(labels) if label != -100])
            found.append([model.config.id2label[one] for one, label in zip(best, labels) if label != -100])
            wanted.append([label for label in labels if label != -100])
        pairs = [(a, b) for one, two in zip(found, wanted) for a, b in zip(one, two)]
        return keys + [dict(accuracy=sum(a == b for a, b in pairs) / len(pairs), f1=entities([found, wanted])), items]
    best = collections.defaultdict(lambda: [(-1e9, "", 0)])
    none = collections.defaultdict(lambda: 1e9)
    for number, ids, _, places in windows(case):
        types = {}
        if model.config.model_type == "bert":
            types["token_type_ids"] = torch.tensor([[int(at >= min(places)) for at in range(len(ids))]])
        out = model(torch.tensor([ids]), **types)
        starts, ends = out.start_logits[0].tolist(), out.end_logits[0].tolist()
        none[number] = min(none[number], starts[0] + ends[0])
        likely = lambda logits: sorted(range(len(ids)), key=lambda at: -logits[at])[:20]
        for a in likely(starts):
            for b in likely(ends):
                if a in places and b in places and a <= b < a + 30:
                    best[number].append((starts[a] + ends[b], case["rows"][number]["context"][places[a][0]:places[b][1]], places[a][0]))
    scores, items = [], []
    for number, row in enumerate(case["rows"]):
        # As run_qa.py's postprocess_qa_predictions with version_2_with_negative.
        nothing = (none[number], "", None)
        listed = sorted(best[number][1:] + [nothing], key=lambda one: -one[0])[:20]
        listed += [] if nothing in listed else [nothing]
        shares = torch.tensor([one[0] for one in listed]).double().softmax(0).tolist()
        most, text, _ = max(best[number], key=lambda one: one[0])
        text = "" if none[number] - most > case["threshold"] else text
        items.append([text, none[number], [[*one, share] for one, share in zip(listed, shares)]])
        scores.append(answer([text, [one["text"] for one in row["answers"]], 2]))
    return keys + [dict(exact_match=sum(a for a, _ in scores) / len(scores), f1=sum(b for _, b in scores) / len(scores)), items]


of = {"heads": heads, "train": train, "encode": encode, "score": score, "answers": answer, "entities": entities}[sys.argv[1]]
json.dump([of(case) for case in json.load(open(sys.argv[2]))], open(sys.argv[3], "w"))

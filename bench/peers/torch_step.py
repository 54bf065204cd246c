"""A training step in PyTorch, for bench/cpu-speed.ts and bench/gpu: transformers' model as it comes, or a script as an expert
would write it (query, key and value in one product, the head at the masked positions alone, scaled_dot_product_attention);
f32 or bf16 autocast; eager or under torch.compile; fused AdamW, gradients clipped to norm 1.

Reads what to do as one line of JSON, answers {"ready": ...}; then for each line with a number of steps runs them and
answers their seconds, their processor time and the peak memory in KiB (VmHWM). With `device` auto it takes the GPU where
there is one: then it waits for it after the last step alone, all steps have taken alike, and the memory is the GPU's.
"""

import contextlib
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

spec = json.loads(sys.stdin.readline())
device = "cuda" if spec.get("device") == "auto" and torch.cuda.is_available() else "cpu"
gpu = device == "cuda"
torch.set_default_device(device)
torch.set_num_threads(spec["threads"])
torch.manual_seed(1)
B, T, D, H, L, V = (spec[k] for k in ("batch", "length", "hidden", "heads", "layers", "vocabulary"))
p, masked, bert = spec["dropout"], spec["masked"], spec["kind"] == "bert"
ids = torch.randint(0, V, (B, T))
places = torch.stack([torch.randperm(T)[:masked].sort().values + row * T for row in range(B)]).flatten() if bert else None


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.o = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)

    def attend(self, x):
        q, k, v = (t.view(B, T, H, D // H).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=not bert, dropout_p=p)
        return F.dropout(self.o(a.transpose(1, 2).reshape(B, T, D)), p)

    def ffn(self, x):
        return F.dropout(self.down(F.gelu(self.up(x), approximate="none" if bert else "tanh")), p)

    def forward(self, x):
        if bert:
            x = self.n1(x + self.attend(x))
            return self.n2(x + self.ffn(x))
        x = x + self.attend(self.n1(x))
        return x + self.ffn(self.n2(x))


class Expert(nn.Module):
    def __init__(self):
        super().__init__()
        self.word, self.position, self.norm = nn.Embedding(V, D), nn.Embedding(T, D), nn.LayerNorm(D)
        self.blocks = nn.ModuleList(Block() for _ in range(L))
        for table in (self.word, self.position):
            nn.init.normal_(table.weight, std=0.02)
        if bert:
            self.dense, self.head, self.bias = nn.Linear(D, D), nn.LayerNorm(D), nn.Parameter(torch.zeros(V))

    def forward(self, ids):
        x = self.word(ids) + self.position.weight
        x = F.dropout(self.norm(x) if bert else x, p)
        for block in self.blocks:
            x = block(x)
        if bert:
            x = self.head(F.gelu(self.dense(x.view(-1, D)[places])))
            return F.cross_entropy((x @ self.word.weight.T + self.bias).float(), ids.view(-1)[places])
        logits = self.norm(x)[:, :-1] @ self.word.weight.T
        return F.cross_entropy(logits.reshape(-1, V).float(), ids[:, 1:].reshape(-1))


if spec["style"] == "expert":
    model = Expert()
    forward = model
else:
    import transformers

    if bert:
        model = transformers.BertForMaskedLM(transformers.BertConfig(
            vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H, intermediate_size=4 * D,
            max_position_embeddings=T, hidden_dropout_prob=p, attention_probs_dropout_prob=p))
        labels = torch.full((B * T,), -100)
        labels[places] = ids.view(-1)[places]
        labels = labels.view(B, T)
    else:
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
            vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_positions=T, resid_pdrop=p, embd_pdrop=p, attn_pdrop=p))
        labels = ids

    def forward(ids):
        return model(input_ids=ids, labels=labels).loss


model.train()
if spec["compile"]:
    forward = torch.compile(forward)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, eps=1e-6, fused=True)
half = spec["precision"] == "bf16"


def step():
    with torch.autocast(device, torch.bfloat16) if half else contextlib.nullcontext():
        loss = forward(ids)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss if gpu else loss.item()


def peak():
    if gpu:
        return torch.cuda.max_memory_allocated() // 1024
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


versions = f"torch {torch.__version__}" + ("" if spec["style"] == "expert" else f", transformers {transformers.__version__}")
print(json.dumps({"ready": versions}), flush=True)
for line in sys.stdin:
    seconds, processor = [], []
    began = time.perf_counter()
    for _ in range(int(line)):
        start, before = time.perf_counter(), time.process_time()
        step()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - before)
    if gpu:
        torch.cuda.synchronize()
        seconds = [(time.perf_counter() - began) / int(line)] * int(line)
    print(json.dumps({"seconds": seconds, "processor": processor, "peak": peak()}), flush=True)

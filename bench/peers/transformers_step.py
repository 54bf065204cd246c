"""A training step of transformers' BertForMaskedLM in float32 with PyTorch's fused AdamW, for bench/step-speed.ts.

Reads its shape as one line of JSON, answers {"ready": ...}; then for each line with a number of steps runs them and
answers their seconds. Ends with its input, after a line with its peak memory in KiB.
"""

import json
import sys
import time

import torch
import transformers
from transformers import BertConfig, BertForMaskedLM

shape = json.loads(sys.stdin.readline())
torch.set_num_threads(shape["threads"])
torch.manual_seed(1)
config = BertConfig(
    vocab_size=shape["vocabulary"],
    hidden_size=shape["hidden"],
    num_hidden_layers=shape["layers"],
    num_attention_heads=shape["heads"],
    intermediate_size=shape["ffn"],
    max_position_embeddings=shape["length"],
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
model = BertForMaskedLM(config).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, eps=1e-6, fused=True)
size = (shape["batch"], shape["length"])
ids = torch.randint(0, shape["vocabulary"], size)
labels = torch.full(size, -100)
for row in range(shape["batch"]):
    places = torch.randperm(shape["length"])[: shape["masked"]]
    labels[row, places] = ids[row, places]


def step():
    loss = model(input_ids=ids, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


print(json.dumps({"ready": f"torch {torch.__version__}, transformers {transformers.__version__}"}), flush=True)
for line in sys.stdin:
    seconds, processor = [], []
    for _ in range(int(line)):
        start, before = time.perf_counter(), time.process_time()
        step()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - before)
    print(json.dumps({"seconds": seconds, "processor": processor, "peak": peak()}), flush=True)

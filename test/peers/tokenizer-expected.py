# What transformers' own tokenizers make of the hard cases: rewrites test/fixtures/tokenizers/expected.json.
# python test/peers/tokenizer-expected.py test/fixtures/tokenizers
import json
import sys

from transformers import BertTokenizer, GPT2Tokenizer, RobertaTokenizer

folder = sys.argv[1]
classes = {"uncased": BertTokenizer, "cased": BertTokenizer, "gpt2": GPT2Tokenizer, "roberta": RobertaTokenizer}
cases = json.load(open(f"{folder}/hard-cases.json", encoding="utf-8"))
lines = []
for name, kind in classes.items():
    tokenizer = kind.from_pretrained(f"{folder}/{name}")
    ids = [tokenizer(case, add_special_tokens=False)["input_ids"] for case in cases]
    lines.append(f' {json.dumps(name)}: [\n' + ",\n".join(f"  {json.dumps(one)}" for one in ids) + "\n ]")
with open(f"{folder}/expected.json", "w") as file:
    file.write("{\n" + ",\n".join(lines) + "\n}\n")

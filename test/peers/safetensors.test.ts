/**
 * Python's safetensors and ours read what the other writes, and agree on what to accept.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { floatDTypes, roundTo } from "../../src/checkpoint/dtype.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { openWeights } from "../../src/checkpoint/weights.ts";
import { writeWeights } from "../../src/checkpoint/write.ts";
import { UserError } from "../../src/util/errors.ts";
import { RandomStream } from "../../src/util/random.ts";
import { bad, fileOf, good } from "../checkpoint/headers.ts";
import { Dice, mutate } from "../faults/fuzz.ts";
import { cli, python, temporaryFolder } from "../support.ts";

const peer = python(["safetensors", "torch", "huggingface_hub"]);

/** Normal numbers with hard ones among them: subnormal in F16, too large for it, ties. */
function numbers(name: string, count: number): Float32Array {
  const stream = new RandomStream(3, name);
  // What F16 has no room for is refused there (test/checkpoint/finite.test.ts); infinity is written where it is kept.
  const large = name.startsWith("F16") ? [] : [65520, 1e30, Infinity];
  const hard = [0, -0, 1e-7, -6e-8, 65519, -1e-40, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -8, ...large];
  return Float32Array.from({ length: count }, (_, i) => hard[i] ?? stream.normal(i));
}

const list = floatDTypes.flatMap((dtype) => [
  { name: `${dtype}.weight`, dtype, shape: [40, 30] },
  { name: `${dtype}.ünï 😀`, dtype, shape: [17] },
  { name: `${dtype}.scalar`, dtype, shape: [] },
  { name: `${dtype}.empty`, dtype, shape: [3, 0] },
]);

const keep = new Set(list.map(({ name }) => name));
const sources = list.map((tensor) => ({
  ...tensor,
  data: async () =>
    numbers(
      tensor.name,
      tensor.shape.reduce((a, b) => a * b, 1),
    ),
}));

describe.skipIf(peer === undefined)("Python's safetensors", () => {
  it("reads what we write, and rounds float32 as we do", async () => {
    const folder = temporaryFolder();
    await writeWeights(folder, sources, { keep });
    await writeWeights(
      folder,
      sources.map((s) => ({ ...s, dtype: "F32" })),
      { fileName: "f32.safetensors", keep },
    );
    const said = peer?.run(
      `
import sys, json, torch
from safetensors.torch import load_file
from safetensors import safe_open
ours, full = load_file(sys.argv[1] + "/model.safetensors"), load_file(sys.argv[1] + "/f32.safetensors")
types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
for name, tensor in ours.items():
    dtype = types[name.split(".")[0]]
    assert tensor.dtype == dtype and tensor.shape == full[name].shape, name
    assert torch.equal(tensor, full[name].to(dtype)), name
with safe_open(sys.argv[1] + "/model.safetensors", "pt") as f: print(json.dumps([len(ours), f.metadata()]))
`,
      [folder],
    );
    expect(JSON.parse(said ?? "")).toEqual([list.length, { format: "pt" }]);
  });

  it("writes the same bytes, single and in shards, and the same index", async () => {
    const [ours, theirs] = [temporaryFolder(), temporaryFolder()];
    for (const most of ["3kB", "1MB"]) {
      mkdirSync(join(ours, most));
      mkdirSync(join(theirs, most));
      await writeWeights(join(ours, most), sources, { maxShardBytes: most === "3kB" ? 3000 : 1e6, keep });
    }
    // The same tensors in the same order, written by the libraries that save_pretrained uses.
    peer?.run(
      `
import sys, json, torch
from safetensors.torch import load_file, save_file
from huggingface_hub import split_torch_state_dict_into_shards
ours, theirs, order = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
loaded = load_file(ours + "/1MB/model.safetensors")
state = {name: loaded[name] for name in order}
for most in ["3kB", "1MB"]:
    split = split_torch_state_dict_into_shards(state, filename_pattern="model{suffix}.safetensors", max_shard_size=most.replace("kB", "KB"))
    for file, names in split.filename_to_tensors.items():
        save_file({name: state[name] for name in names}, f"{theirs}/{most}/{file}", metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": {"total_parameters": sum(t.numel() for t in state.values()), **split.metadata}, "weight_map": split.tensor_to_filename}
        with open(f"{theirs}/{most}/model.safetensors.index.json", "w") as f:
            f.write(json.dumps(index, indent=2, sort_keys=True) + "\\n")
`,
      [ours, theirs, JSON.stringify(list.map((tensor) => tensor.name))],
    );
    const weights = await openWeights(join(theirs, "3kB"));
    expect(weights.files.length).toBeGreaterThan(2);
    for (const tensor of list) {
      const expected = roundTo(
        numbers(
          tensor.name,
          tensor.shape.reduce((a, b) => a * b, 1),
        ),
        tensor.dtype,
      );
      expect(await weights.readF32(tensor.name)).toEqual(expected);
    }
    const shards = weights.files.map((path) => path.slice(theirs.length));
    await weights.close();
    for (const file of [...shards, "/3kB/model.safetensors.index.json", "/1MB/model.safetensors"]) {
      expect(readFileSync(ours + file).equals(readFileSync(theirs + file)), file).toBe(true);
    }
  });

  it("agrees on a thousand headers and a thousand damaged ones, but for those that we refuse on purpose", async () => {
    const folder = temporaryFolder();
    // Accepted there and refused here: blanks before the header break the format's description; the rest is ambiguous.
    const stricter = /does not start with \{|given twice|unknown field|too large|not Unicode text|plain whole number/;
    const files = [...good, ...bad].map(([, bytes]) => bytes);
    for (let i = 0; files.length < 1000; i++) files.push(generated(i));
    // A thousand more whose JSON is damaged as in test/faults, behind a length that fits.
    for (let i = 0; files.length < 2000; i++) files.push(damaged(i));
    for (const [i, bytes] of files.entries()) writeFileSync(join(folder, `${i}.safetensors`), bytes);
    const said = peer?.run(
      `
import sys, json
from safetensors import safe_open
answers = []
for i in range(int(sys.argv[2])):
    try:
        with safe_open(f"{sys.argv[1]}/{i}.safetensors", "np") as f: answers.append(len(f.keys()))
    except Exception as e: answers.append(str(e))
print(json.dumps(answers))
`,
      [folder, String(files.length)],
    );
    const theirs: (number | string)[] = JSON.parse(said ?? "");
    let accepted = 0;
    for (const [i, answer] of theirs.entries()) {
      const path = join(folder, `${i}.safetensors`);
      const ours = await openSafetensors(path).then(
        async (file) => {
          await file.close();
          return file.tensors.size;
        },
        (error: unknown) => error,
      );
      if (typeof ours === "number") {
        expect(ours, `${path}: ${answer}`).toBe(answer);
        accepted++;
      } else {
        expect(ours).toBeInstanceOf(UserError);
        const message = ours instanceof UserError ? ours.what : "";
        if (typeof answer === "number") expect(message).toMatch(stricter);
      }
    }
    expect(accepted).toBeGreaterThan(300);
    expect(accepted).toBeLessThan(1600);
  });
});

function damaged(i: number): Uint8Array {
  const file = generated(i);
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = mutate(file.subarray(8, 8 + length), new Dice(i), undefined, 2);
  return fileOf(header, file.length - 8 - length);
}

/** A header of up to four tensors, sound in about half of the cases, else with one thing wrong. */
function generated(i: number): Uint8Array {
  const stream = new RandomStream(5, "headers", i);
  let draws = 0;
  const below = (n: number) => stream.below(n, draws++);
  const widths = { F32: 4, F16: 2, BF16: 2, I64: 8, U8: 1, BOOL: 1, F64: 8, F8_E4M3: 1, C64: 8 };
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }> = {};
  let position = 0;
  const count = 1 + below(4);
  for (let t = 0; t < count; t++) {
    const [dtype, width] = Object.entries(widths)[below(9)];
    const shape = Array.from({ length: below(4) }, () => below(4));
    const end = position + shape.reduce((a, b) => a * b, width);
    header[`t${t}`] = { dtype, shape, data_offsets: [position, end] };
    position = end;
  }
  const victim = header[`t${below(count)}`];
  let text = "";
  switch (below(16)) {
    case 0:
      victim.data_offsets[below(2)] += below(2) === 0 ? 1 : -1;
      break;
    case 1:
      victim.shape.push(below(4));
      break;
    case 2:
      victim.dtype = ["F32", "I8", "f16", "", "F128"][below(5)];
      break;
    case 3:
      position += below(3) - 1;
      break;
    case 4:
      victim.data_offsets = [...header.t0.data_offsets];
      break;
    case 5:
      text = JSON.stringify(header).replace(/[{}[\],:"]/g, (c) => (below(20) === 0 ? "" : c));
      break;
    case 6:
      text = JSON.stringify(header).replace(/\d/g, (c) => (below(10) === 0 ? String(below(10)) : c));
      break;
    case 7:
      text = JSON.stringify({ ...header, __metadata__: [{ a: "b" }, { a: 1 }, [], null, "x", {}][below(6)] });
      break;
  }
  return fileOf(text === "" ? JSON.stringify(header) : text, Math.max(0, position));
}

it.skipIf(python(["transformers"]) === undefined)(
  "shards as transformers saves them grow to the same bytes as a whole file",
  async () => {
    const root = temporaryFolder();
    peer?.run(
      `
import sys, transformers as t
config = t.LlamaConfig(vocab_size=90, hidden_size=32, num_attention_heads=4, num_key_value_heads=2, intermediate_size=44,
    num_hidden_layers=3, max_position_embeddings=32)
model = t.LlamaForCausalLM(config)
model.save_pretrained(sys.argv[1] + "/whole")
model.save_pretrained(sys.argv[1] + "/shards", max_shard_size="20KB")
`,
      [root],
    );
    const bytes = ["whole", "shards"].map((name) => {
      const out = join(root, `${name}-grown`);
      const done = cli(["grow", join(root, name), out, "--hidden", "64", "--method", "fpi"]);
      expect(done.code, done.stderr).toBe(0);
      return readFileSync(join(out, "model.safetensors"));
    });
    const weights = await openWeights(join(root, "shards"));
    expect(weights.files.length).toBeGreaterThan(2);
    await weights.close();
    expect(bytes[1].equals(bytes[0])).toBe(true);
  },
);

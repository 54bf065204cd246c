/**
 * The inputs of a probe: a safetensors file with `input_ids` [sequences, length] and, where wanted, `attention_mask`,
 * `token_type_ids` and `labels` of the same shape and `next_sentence_label` [sequences]; integers of any width. Labels
 * of −100 count nothing (PyTorch's `ignore_index`).
 */
import { isReadable, toFloat32 } from "../checkpoint/dtype.ts";
import { openSafetensors, type SafetensorsFile } from "../checkpoint/safetensors.ts";
import type { Model } from "../model/architecture.ts";
import { keeping } from "../util/closing.ts";
import { suggestion, UserError } from "../util/errors.ts";
import { printable } from "../util/json.ts";

const IGNORED = -100;
const names = ["input_ids", "attention_mask", "token_type_ids", "labels", "next_sentence_label"];

export interface Labels {
  /** i32, 0 where the weight is 0. */
  readonly labels: Int32Array;
  /** 1 over the number of labels that count, or 0. */
  readonly weights: Float32Array;
}

export interface ProbeInputs {
  readonly batch: number;
  readonly length: number;
  /** [batch · length] */
  readonly ids: Int32Array;
  readonly types?: Int32Array;
  /** 1 at a token, 0 at padding. */
  readonly mask?: Float32Array;
  /** For each position what the language model should predict there (already shifted for a causal one). */
  readonly lm?: Labels;
  /** One a sequence. */
  readonly nsp?: Labels;
}

/** @throws UserError if the file can't be read or holds what the model can't take */
export async function readProbeInputs(path: string, model: Model): Promise<ProbeInputs> {
  await using keep = keeping();
  const file = keep(await openSafetensors(path));
  for (const name of file.tensors.keys()) {
    if (names.includes(name)) continue;
    throw new UserError(`unknown input \`${printable(name)}\``, path, suggestion(name, names));
  }
  return await collect(file, model);
}

async function collect(file: SafetensorsFile, model: Model): Promise<ProbeInputs> {
  const { dimensions, outputs, architecture } = model;
  const terms = architecture.objectives(outputs);
  const shape = file.tensors.get("input_ids")?.shape;
  if (shape?.length !== 2 || shape[0] * shape[1] === 0) {
    throw new UserError("it holds no `input_ids` [sequences, length]", file.path, "write token ids under that name");
  }
  const [batch, length] = shape;
  if (length > dimensions.positions) {
    const what = `\`input_ids\` are ${length} tokens long, the model takes ${dimensions.positions}`;
    throw new UserError(what, file.path, "give shorter sequences");
  }
  if (dimensions.types === 0 && file.tensors.has("token_type_ids")) {
    throw new UserError(`a ${architecture.type} has no \`token_type_ids\``, file.path, "leave them out");
  }

  /** A tensor of integers from 0 to below `below`, −100 too where labels may say so. */
  const read = async (name: string, wanted: readonly number[], below: number, ignorable = false) => {
    const tensor = file.tensors.get(name);
    if (tensor === undefined) return undefined;
    if (tensor.shape.join() !== wanted.join() || !isReadable(tensor.dtype)) {
      const what = `\`${name}\` is ${tensor.dtype} [${tensor.shape}]`;
      throw new UserError(what, file.path, `make it integers of the shape [${wanted}]`);
    }
    const values = toFloat32(await file.read(name), tensor.dtype);
    for (const value of values) {
      if ((ignorable && value === IGNORED) || (Number.isInteger(value) && value >= 0 && value < below)) continue;
      const also = ignorable ? ` (or ${IGNORED}, which counts nothing)` : "";
      throw new UserError(`\`${name}\` holds ${value}`, file.path, `give whole numbers from 0 to ${below - 1}${also}`);
    }
    return Int32Array.from(values);
  };

  const ids = (await read("input_ids", shape, dimensions.vocab)) ?? new Int32Array(0);
  const types = await read("token_type_ids", shape, dimensions.types);
  const mask = await read("attention_mask", shape, 2);
  const labels = await read("labels", shape, dimensions.vocab, true);
  const next = await read("next_sentence_label", [batch], 2, true);
  const causal = terms.includes("clm");
  const predicting = causal || terms.includes("mlm");
  const lm = causal && labels !== undefined ? shifted(labels, length) : labels;
  return {
    batch,
    length,
    ids,
    types,
    mask: mask === undefined ? undefined : Float32Array.from(mask),
    lm: lm === undefined || !predicting ? undefined : weigh(lm, "labels", file),
    nsp: next === undefined || !terms.includes("nsp") ? undefined : weigh(next, "next_sentence_label", file),
  };
}

/** A causal model predicts the token that follows; nothing follows the last. */
function shifted(labels: Int32Array, length: number): Int32Array {
  return labels.map((_, i) => (i % length === length - 1 ? IGNORED : labels[i + 1]));
}

function weigh(labels: Int32Array, name: string, file: SafetensorsFile): Labels {
  const counted = labels.filter((label) => label !== IGNORED).length;
  if (counted === 0) throw new UserError(`no label of \`${name}\` counts`, file.path, "leave them out, or give some");
  return {
    labels: labels.map((label) => (label === IGNORED ? 0 : label)),
    weights: Float32Array.from(labels, (label) => (label === IGNORED ? 0 : 1 / counted)),
  };
}

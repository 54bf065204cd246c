/**
 * The patterns by which byte-level tokenizers split a text into words. The native library runs whatever pattern a file
 * holds, and one that backtracks without end takes the whole process with it: so a pattern may be made of these
 * alternatives only, in any order. Each takes time in proportion to the text, looks back at nothing, and has a space
 * nowhere but at its start or among white space alone (cut.ts relies on that).
 * From the tokenizer.json of GPT-2, GPT-4 and GPT-4o, Llama 3, Qwen 2 and 3.5, Mistral's Tekken and DeepSeek 3.
 */
const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const mark = String.raw`[^\r\n\p{L}\p{N}]?`;
const alternatives = [
  ...["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", contraction, "'(?i:[sdmt]|ll|ve|re)"],
  ...[`${mark}${upper}*${lower}+`, `${mark}${upper}+${lower}*`].flatMap((word) => [word, `${word}${contraction}?`]),
  String.raw`${mark}\p{L}+`,
  String.raw`${mark}[\p{L}\p{M}]+`,
  String.raw`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`,
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+",
  String.raw` ?\p{L}+`,
  ...[String.raw`\p{N}`, String.raw`\p{N}{1,3}`, String.raw`\p{N}+`, String.raw` ?\p{N}+`, "[一-龥぀-ゟ゠-ヿ]+"],
  ...["", String.raw`[\r\n]*`, String.raw`[\r\n/]*`].map((end) => String.raw` ?[^\s\p{L}\p{N}]+${end}`),
  ...[String.raw` ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*`, String.raw` ?[\p{P}\p{S}]+[\r\n]*`],
  ...["\\s*[\\r\\n]+", "\\s*[\\r\\n]", "\\s+(?!\\S)", "\\s+", "\\s"],
];
const one = alternatives
  .map(escaped)
  .sort((a, b) => b.length - a.length)
  .join("|");
const made = new RegExp(`^(?:${one})(?:\\|(?:${one}))*$`);

/** Whether a pattern is made of known alternatives; one that never backtracks (`?+`) counts as the same. */
export function isKnownPattern(pattern: string): boolean {
  return made.test(pattern.replace(/([?+])\+/g, "$1"));
}

/** A text as a pattern that finds it. */
export function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/**
 * Added and special tokens: what the files of a tokenizer's folder say of them, and which of them counts where they
 * disagree. After PreTrainedTokenizerBase._from_pretrained and TokenizersBackend.__init__ of transformers 5.24:
 * - tokenizer_config.json's `added_tokens_decoder` stands for special_tokens_map.json, added_tokens.json and the
 *   added tokens of tokenizer.json; only without it are those read, special_tokens_map.json over tokenizer_config.json;
 * - special is what plays a role (the class's own tokens where no file names others), what another key `…_token` names,
 *   and what `additional_special_tokens` or `extra_special_tokens` list. A merely added token is a word;
 * - a special token that is not there yet is added.
 */
import { isJsonObject, type Json, type JsonValue } from "../../util/json.ts";
import type { Vocabulary } from "./json.ts";

/** Roles as transformers' special_tokens_map.json names them, without `_token`. */
export const roles = ["cls", "sep", "mask", "pad", "bos", "eos", "unk"] as const;
export type Role = (typeof roles)[number];
export type RoleTokens = Readonly<Partial<Record<Role, string>>>;

/** In this order transformers adds the roles' tokens. */
const adding: readonly Role[] = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];
const roleKeys: ReadonlySet<string> = new Set(roles.map((role) => `${role}_token`));
const EXTRA = "extra_special_tokens";
const ADDITIONAL = "additional_special_tokens";

/** A token that is found in the text before anything else happens to it, as tokenizer.json describes it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

/** A special token that strips nothing and is never normalised. */
export function specialToken(id: number, content: string): AddedToken {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

/** A token as a file writes it. `normalized` undefined: what is special is not normalised, all else is. */
type Written = Omit<AddedToken, "id" | "normalized"> & { readonly normalized?: boolean };

export interface SpecialFiles {
  /** tokenizer_config.json, special_tokens_map.json and added_tokens.json, as far as they are there. */
  readonly config: Json;
  readonly map: Json;
  readonly added: Json;
  /** tokenizer.json's `added_tokens`. */
  readonly own: JsonValue | undefined;
}

/**
 * @param defaults the roles' tokens where no file says anything of them
 * @param kept tokens that are added already, as those of a tokenizer.json that is taken as it stands
 */
export function readSpecial(
  { config, map, added, own }: SpecialFiles,
  vocabulary: Vocabulary,
  defaults: RoleTokens,
  kept: readonly Written[],
) {
  /** tokenizer_config.json, and what special_tokens_map.json says in its place. */
  const settings: Record<string, JsonValue> = { ...config };
  if (settings[ADDITIONAL] !== undefined && isEmpty(settings[EXTRA])) {
    settings[EXTRA] = settings[ADDITIONAL];
    delete settings[ADDITIONAL];
  }
  const named: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(config)) {
    if (!namesOther(key) || typeof value !== "string") continue;
    named[key] = value;
    delete settings[key];
  }
  const takeNamed = () => {
    if (!isJsonObject(settings[EXTRA])) return;
    Object.assign(named, settings[EXTRA]);
    delete settings[EXTRA];
  };
  takeNamed();
  const stored = config.model_specific_special_tokens;
  if (Object.keys(named).length === 0 && isJsonObject(stored)) Object.assign(named, stored);
  const byId = new Map<number, Written>();
  if (isJsonObject(config.added_tokens_decoder)) {
    for (const [id, value] of Object.entries(config.added_tokens_decoder)) {
      for (const token of written(value)) byId.set(Number(id), token);
    }
  } else {
    for (const [key, value] of Object.entries(map)) {
      if (key !== EXTRA) settings[key] = asSpecial(value);
      else settings[EXTRA] = Array.isArray(value) ? [...listOf(settings[EXTRA]), ...value.map(asSpecial)] : value;
    }
    takeNamed();
    const said = [...listOf(settings[EXTRA]), ...adding.map((role) => settings[`${role}_token`])];
    const known = new Set(said.flatMap(written).map((token) => token.content));
    for (const [content, id] of Object.entries(added)) {
      const special = known.has(content);
      if (typeof id === "number") byId.set(id, { ...specialToken(id, content), normalized: !special, special });
    }
    for (const token of listOf(own))
      if (isJsonObject(token)) for (const one of written(token)) byId.set(Number(token.id), one);
  }
  const tokenOf = (role: Role) => {
    const value = settings[`${role}_token`];
    return written(value === undefined ? defaults[role] : value);
  };
  const other = Object.fromEntries(Object.entries(settings).filter(([key]) => namesOther(key)));
  const withRole = [...adding.flatMap(tokenOf), ...Object.values({ ...other, ...named }).flatMap(written)];
  const extra = listOf(EXTRA in settings ? settings[EXTRA] : settings[ADDITIONAL]).flatMap(written);
  const playing = new Set(withRole.map((token) => token.content));
  const first = [...byId].sort(([a], [b]) => a - b).map(([, token]) => token);
  const there = new Set([...kept, ...first].map((token) => token.content));
  const rest = new Map<string, Written>();
  for (const token of [...withRole, ...extra]) {
    if (!there.has(token.content)) rest.set(JSON.stringify(token), rest.get(JSON.stringify(token)) ?? token);
  }
  const played: RoleTokens = Object.fromEntries(
    adding.flatMap((role) => tokenOf(role).map(({ content }) => [role, content])),
  );
  return {
    roles: played,
    /** Every special token, those without a role included. */
    special: [...new Set([...withRole, ...extra].map((token) => token.content))],
    /** All added tokens, in the order in which they are added. */
    added: withIds(vocabulary, [
      kept,
      [...first, ...rest.values()].map((token) => (playing.has(token.content) ? { ...token, special: true } : token)),
    ]),
    settings,
  };
}

/**
 * Added tokens with the ids that the library gives them: a token of the vocabulary keeps its id, any other gets the next.
 * @param groups what is added together, one group after the other; of two tokens of one text the later counts
 */
function withIds(vocabulary: Vocabulary, groups: readonly (readonly Written[])[]): readonly AddedToken[] {
  const found = new Map<string, AddedToken>();
  for (const group of groups) {
    let next = [...found.values()].reduce((most, { id }) => Math.max(most, id + 1), vocabulary.size);
    for (const token of group) {
      const { content, special, normalized = !special } = token;
      if (content === "") continue;
      const id = found.get(content)?.id ?? vocabulary.get(content) ?? next++;
      found.set(content, { ...token, id, normalized });
    }
  }
  return [...found.values()];
}

/**
 * A token as a file writes it: a string, which makes it a special one, or an object with its `content`.
 * @returns none where it is neither
 */
export function written(value: JsonValue | undefined): readonly Written[] {
  if (typeof value === "string") return [specialToken(0, value)];
  if (!isJsonObject(value) || typeof value.content !== "string") return [];
  const flag = (key: string) => value[key] === true;
  const { content, normalized } = value;
  const [single_word, lstrip, rstrip, special] = ["single_word", "lstrip", "rstrip", "special"].map(flag);
  const token = { content, single_word, lstrip, rstrip, special };
  return [typeof normalized === "boolean" ? { ...token, normalized } : token];
}

/** Whether a setting names a special token that plays none of the roles, as `image_token` does. */
function namesOther(key: string): boolean {
  return key.endsWith("_token") && !roleKeys.has(key);
}

function asSpecial(value: JsonValue): JsonValue {
  return isJsonObject(value) ? { ...value, special: true } : value;
}

export function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function isEmpty(value: JsonValue | undefined): boolean {
  return value === undefined || value === null || (typeof value === "object" && Object.keys(value).length === 0);
}

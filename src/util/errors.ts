/**
 * Errors that a person reads.
 *
 * Whatever is wrong with what the user gave (a file, an option, a config) is thrown as a UserError: one sentence that
 * says what is wrong, where, and the way out. The command line prints it and exits with 2; it prints no stack trace
 * unless DEBUG=bert2bert. Anything else that is thrown is a defect of ours.
 */
export class UserError extends Error {
  override readonly name = "UserError";
  /** What is wrong, without a full stop. */
  readonly what: string;
  /** The file, key, option or line it was found at. */
  readonly where: string;
  /** What to do about it. */
  readonly wayOut: string;

  /** Foreign text in them stays on its line and can't reach the terminal's controls. */
  constructor(what: string, where: string, wayOut: string, options?: { cause?: unknown }) {
    const [a, b, c] = [where === "" ? '""' : where, what, wayOut].map(oneLine);
    super(`${a}: ${b}\nhint: ${c}`, options);
    this.what = b;
    this.where = a;
    this.wayOut = c;
  }
}

/** Line breaks, control characters and what changes the direction of writing, escaped. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** The known name nearest to a mistyped one, or undefined if none is near (Levenshtein distance above a third). */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const distances = Array.from(known, (candidate) => ({
    candidate,
    distance: editDistance(name.toLowerCase(), candidate.toLowerCase()),
  }));
  const best = distances.sort((a, b) => a.distance - b.distance).at(0);
  const most = Math.max(1, Math.ceil(Math.max(name.length, best?.candidate.length ?? 0) / 3));
  return best !== undefined && best.distance <= most ? best.candidate : undefined;
}

/** "did you mean `x`?" where a near name exists, else the list of those known. */
export function suggestion(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? `known are ${known.join(", ")}` : `did you mean \`${near}\`?`;
}

/** The one of a list that has a name. @param what is wrong where none has @throws UserError proposing the nearest */
export function named<T extends string | { readonly name: string }>(
  name: string,
  list: readonly T[],
  what: string,
  where: string,
): T {
  const names = list.map((one) => (typeof one === "string" ? one : one.name));
  if (names.includes(name)) return list[names.indexOf(name)];
  throw new UserError(what, where, suggestion(name, names));
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current[j] = Math.min(previous[j] + 1, current[j - 1] + 1, substitute);
    }
    previous = current;
  }
  return previous[b.length];
}

/** A long command was stopped by a signal, after saving what it had: exit code 128 + the signal's number. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly signal: "SIGINT" | "SIGTERM";

  /** @param message what was saved and how to carry on */
  constructor(signal: "SIGINT" | "SIGTERM", message: string) {
    super(message);
    this.signal = signal;
  }
}

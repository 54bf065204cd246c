/** What must be closed again, however the block that opened it ends. */

type Closable = { close(): unknown } | { release(): unknown };

/** `await using keep = keeping()`: what `keep` is given is closed at the end of the block, the last one first. */
export function keeping() {
  const open: Closable[] = [];
  const keep = <C extends Closable | undefined>(one: C): C => {
    if (one !== undefined) open.push(one);
    return one;
  };
  return Object.assign(keep, {
    async [Symbol.asyncDispose]() {
      for (const one of open.reverse()) await ("close" in one ? one.close() : one.release());
    },
  });
}

/** The same for work that is a function. */
export async function closing<T>(work: (keep: <C extends Closable>(one: C) => C) => Promise<T>): Promise<T> {
  await using keep = keeping();
  return await work(keep);
}

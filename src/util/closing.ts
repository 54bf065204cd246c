/** What must be closed again, however the work with it ends. */

interface Closable {
  close(): unknown;
}

/** @param work told to keep what it opens: that is closed when it ends, the last one first */
export async function closing<T>(work: (keep: <C extends Closable>(one: C) => C) => Promise<T>): Promise<T> {
  const open: Closable[] = [];
  try {
    return await work((one) => {
      open.push(one);
      return one;
    });
  } finally {
    for (const one of open.reverse()) await one.close();
  }
}

/**
 * How much the tests of faults do: a short seeded form in `npm test`, the full counts in `npm run test:faults`
 * (which sets BERT2BERT_FAULTS=full), and as many times those as a number says: BERT2BERT_FAULTS=10.
 */
const asked = process.env.BERT2BERT_FAULTS ?? "";
const times = asked === "full" ? 1 : Number(asked);

if (Number.isNaN(times) || times < 0) throw new Error(`BERT2BERT_FAULTS is "full" or a number, not "${asked}"`);

/** Whether the full counts are asked for. */
export const full = times > 0;

/** How many cases to try. @param short in `npm test`; @param long in the full form */
export function howMany(short: number, long: number): number {
  return full ? Math.ceil(long * times) : short;
}

/** How long a test may take, in milliseconds: only what hangs is to end. The full counts take an hour on a busy machine. */
export const patience = full ? 24 * 3_600_000 : 600_000;

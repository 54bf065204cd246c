/** SIGINT and SIGTERM for long commands: the first one is noted, a second one ends the process at once and says what is lost. */
import { note, Progress } from "./output.ts";

export interface Signals {
  /** @param step how far the run is @param saved up to where it is saved */
  readonly received: (step?: number, saved?: number) => "SIGINT" | "SIGTERM" | undefined;
  readonly end: () => void;
}

/** Does something long, with a line of progress and signals watched until it ends. */
export async function attended<T>(work: (progress: Progress, stopped: Signals["received"]) => Promise<T>): Promise<T> {
  const progress = new Progress();
  const signals = watchSignals();
  try {
    return await work(progress, signals.received);
  } finally {
    progress.end();
    signals.end();
  }
}

/** @param words what happens now, for a person */
export function watchSignals(words = "saving after this step"): Signals {
  let received: "SIGINT" | "SIGTERM" | undefined;
  let [at, safe] = [0, 0];
  const handle = (signal: "SIGINT" | "SIGTERM") => {
    if (received !== undefined) {
      const lost = at > safe ? `steps ${safe + 1} to ${at} are lost` : "no step is lost";
      const then = safe > 0 ? `carries on after step ${safe}` : "begins again";
      note(`${signal}: stopped at once: ${lost}; the same command ${then}`);
      process.exit(signal === "SIGINT" ? 130 : 143);
    }
    received = signal;
    note(`${signal}: ${words} (again to stop at once)`);
  };
  process.on("SIGINT", handle);
  process.on("SIGTERM", handle);
  return {
    received: (step, saved) => {
      if (step !== undefined && saved !== undefined) [at, safe] = [step, saved];
      return received;
    },
    end: () => {
      process.removeListener("SIGINT", handle);
      process.removeListener("SIGTERM", handle);
    },
  };
}

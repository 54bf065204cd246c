/** SIGINT and SIGTERM for long commands: the first one is noted, a second one ends the process at once and says what is lost. */
import { note } from "./output.ts";

export interface Signals {
  readonly received: () => "SIGINT" | "SIGTERM" | undefined;
  /** How far the run has come. */
  readonly at: (step: number) => void;
  /** Up to which step it is saved. */
  readonly saved: (step: number) => void;
  readonly end: () => void;
}

/** @param words what happens now, for a person */
export function watchSignals(words = "saving after this step"): Signals {
  let received: "SIGINT" | "SIGTERM" | undefined;
  let [at, saved] = [0, 0];
  const handle = (signal: "SIGINT" | "SIGTERM") => {
    if (received !== undefined) {
      note(`${signal}: stopped at once: ${lostWords(at, saved)}`);
      process.exit(signal === "SIGINT" ? 130 : 143);
    }
    received = signal;
    note(`${signal}: ${words} (again to stop at once)`);
  };
  process.on("SIGINT", handle);
  process.on("SIGTERM", handle);
  return {
    received: () => received,
    at: (step) => {
      at = step;
    },
    saved: (step) => {
      [at, saved] = [step, step];
    },
    end: () => {
      process.removeListener("SIGINT", handle);
      process.removeListener("SIGTERM", handle);
    },
  };
}

/** @param at steps done @param saved steps saved */
function lostWords(at: number, saved: number): string {
  const after = saved > 0 ? `carries on after step ${saved}` : "begins at the first step";
  if (at <= saved) return `no step that was done is lost; the same command ${saved > 0 ? after : "begins again"}`;
  const steps = at === saved + 1 ? `step ${at} is` : `steps ${saved + 1} to ${at} are`;
  return `${steps} lost; the same command ${after}`;
}

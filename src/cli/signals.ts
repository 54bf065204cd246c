/** SIGINT and SIGTERM for long commands: the first one is noted, a second one ends the process at once. */
import { note } from "./output.ts";

export interface Signals {
  readonly received: () => "SIGINT" | "SIGTERM" | undefined;
  readonly end: () => void;
}

/** @param words what happens now, for a person */
export function watchSignals(words = "saving after this step"): Signals {
  let received: "SIGINT" | "SIGTERM" | undefined;
  const handle = (signal: "SIGINT" | "SIGTERM") => {
    if (received !== undefined) process.exit(signal === "SIGINT" ? 130 : 143);
    received = signal;
    note(`${signal}: ${words} (again to stop at once)`);
  };
  process.on("SIGINT", handle);
  process.on("SIGTERM", handle);
  return {
    received: () => received,
    end: () => {
      process.removeListener("SIGINT", handle);
      process.removeListener("SIGTERM", handle);
    },
  };
}

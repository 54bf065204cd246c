import { expect, it } from "vitest";
import { full, howMany } from "./scale.ts";

it("does the full counts only when asked for", () => {
  expect(howMany(3, 1000) >= 1000).toBe(full);
});

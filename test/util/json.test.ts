import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UserError } from "../../src/util/errors.ts";
import { parseJson, parseJsonObject, printable } from "../../src/util/json.ts";

describe("JSON from files", () => {
  it("is what JSON.parse gives, whatever limits hold", () => {
    const limits = { depth: 20, uniqueKeys: true };
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), (text) => {
        expect(parseJson(text, "x", limits)).toEqual(JSON.parse(text));
      }),
    );
  });

  it("is refused with a UserError whatever the bytes", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'{}[]:,"\\eE-.019tfn ') }), (text) => {
        try {
          parseJson(text, "x", { uniqueKeys: true, naturalNumbers: true });
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['{"a":1,"a":2}', { uniqueKeys: true }, /twice/],
    ['{"b":[{"a":1,"a":{"c":3}}]}', { uniqueKeys: true }, /twice/],
    ['{"a":1,"\\u0061":2}', { uniqueKeys: true }, /twice/],
    [`${"[".repeat(65)}${"]".repeat(65)}`, {}, /deeper than 64/],
    [`${"[".repeat(1e6)}`, {}, /deeper than 64/],
    ["[1.0]", { naturalNumbers: true }, /whole number/],
    ["[1e3]", { naturalNumbers: true }, /whole number/],
    ["[-0]", { naturalNumbers: true }, /whole number/],
    ["{", {}, /not valid JSON/],
    ["", {}, /not valid JSON/],
  ])("refuses %.40s", (text, limits, message) => {
    expect(() => parseJson(text, "f.json", limits)).toThrow(UserError);
    expect(() => parseJson(text, "f.json", limits)).toThrow(message);
  });

  it.each(['{"a-b.E":"1e3 -1.5 { [ : \\" }","e":true}', '{"__proto__":1,"constructor":{"x":[]}}', "{}"])(
    "takes %s",
    (text) => {
      expect(parseJsonObject(text, "x", { uniqueKeys: true, naturalNumbers: true })).toEqual(JSON.parse(text));
    },
  );

  it.each(["[]", "null", "1", '"{}"'])("refuses %s where an object belongs", (text) => {
    expect(() => parseJsonObject(text, "x")).toThrow(/not a JSON object/);
  });

  it("shows foreign text on one line", () => {
    expect(printable("a\nb\u001b[31m\u202e")).toBe("a\\u{a}b\\u{1b}[31m\\u{202e}");
    expect(printable("x".repeat(500))).toHaveLength(120);
  });
});

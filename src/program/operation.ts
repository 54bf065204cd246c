/**
 * How an operation is put together: its name, a rule that says which tensors fit and what they give, and the rest. What
 * does not fit is a ProgramError that names the operation.
 */
import {
  type Attributes,
  type DType,
  type NoAttributes,
  type Operation,
  ProgramError,
  type Shape,
  sameShape,
  type Type,
} from "./graph.ts";

/** The outputs' types from the inputs' types, or what does not fit. */
type Rule<A> = (inputs: readonly Type[], attrs: A) => readonly Type[] | string;

export function operation<A extends Attributes = NoAttributes>(
  name: string,
  rule: Rule<A>,
  rest: Omit<Operation<A>, "name" | "infer"> = {},
): Operation<A> {
  const infer = (inputs: readonly Type[], attrs: A) => {
    const types = rule(inputs, attrs);
    if (typeof types === "string") throw new ProgramError(`${name}: ${types}`);
    return types;
  };
  return { name, infer, ...rest };
}

/** A rule for one tensor of either kind of number. @param to the shape of what it gives, or what does not fit */
export function ofOne<A>(to: (x: Type, attrs: A) => Shape | string): Rule<A> {
  return (inputs, attrs) => {
    if (inputs.length !== 1) return `takes 1 input, not ${inputs.length}`;
    const shape = to(inputs[0], attrs);
    return typeof shape === "string" ? shape : [{ dtype: inputs[0].dtype, shape }];
  };
}

interface Tensor {
  readonly name: string;
  readonly optional: boolean;
  readonly dtype: DType;
  readonly extents: readonly string[];
}

const forms = new Map<string, readonly [takes: readonly Tensor[], gives: readonly Tensor[]]>();

function parsed(form: string): readonly [takes: readonly Tensor[], gives: readonly Tensor[]] {
  const known = forms.get(form);
  if (known !== undefined) return known;
  const [takes, gives] = form.split("->").map((side) =>
    [...side.matchAll(/(?:(?!i32 )(\w+)(\??) )?(i32 )?\[(.*?)\]/g)].map(
      ([, name, optional, index, extents]): Tensor => ({
        name,
        optional: optional === "?",
        dtype: index === undefined ? "f32" : "i32",
        extents: extents.split(", ").filter((extent) => extent !== ""),
      }),
    ),
  );
  forms.set(form, [takes, gives]);
  return [takes, gives];
}

/**
 * A rule in one line, such as "x [rows, width], gain [width], ids? i32 [rows] -> [rows, width], [rows]". A name in brackets
 * is an extent, the same wherever it stands, and that of the attribute of this name where there is one; a `*` before the
 * others is any number of them. What is not said to be i32 is real, and inputs with a `?` may be left off.
 * @param form in parts, where some of them depend on the attributes
 * @param wrong what does not fit beyond that, from the extents by name
 */
export function takes<A extends Attributes>(
  form: string | ((attrs: A) => readonly (string | false | undefined)[]),
  wrong: (extents: Readonly<Record<string, number>>, attrs: A) => string | false = () => false,
): Rule<A> {
  return (inputs, attrs) => {
    const [takes, gives] = parsed(
      typeof form === "string"
        ? form
        : form(attrs)
            .filter((part) => part)
            .join(" "),
    );
    const least = takes.filter(({ optional }) => !optional).length;
    if (inputs.length < least || inputs.length > takes.length) {
      return `takes ${least === takes.length ? least : `${least} to ${takes.length}`} inputs, not ${inputs.length}`;
    }
    const known = new Map<string, Shape>();
    for (const [name, value] of Object.entries(attrs)) if (typeof value === "number") known.set(name, [value]);
    const extentsOf = (name: string) => known.get(name) ?? (/^\d+$/.test(name) ? [Number(name)] : undefined);
    for (const [i, { dtype, shape }] of inputs.entries()) {
      const { name, extents, dtype: expected } = takes[i];
      const several = extents[0] === "*" ? shape.length - extents.length + 1 : 0;
      const parts = extents[0] === "*" ? [shape.slice(0, several)] : [];
      parts.push(...shape.slice(several).map((extent) => [extent]));
      const fits = dtype === expected && several >= 0 && parts.length === extents.length;
      if (!fits || extents.some((of, at) => !sameShape(extentsOf(of) ?? parts[at], parts[at]))) {
        const wanted = extents.map((of) => extentsOf(of) ?? of).join(", ");
        return `${name} must be ${expected} [${wanted}], not ${dtype} [${shape.join(", ")}]`;
      }
      extents.forEach((of, at) => {
        known.set(of, parts[at]);
      });
    }
    const one = Object.fromEntries([...known].map(([name, [extent]]) => [name, extent]));
    return (
      wrong(one, attrs) ||
      gives.map(({ dtype, extents }) => ({ dtype, shape: extents.flatMap((of) => extentsOf(of) ?? []) }))
    );
  };
}

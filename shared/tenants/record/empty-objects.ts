/**
 * The value without objects that are empty, or that have only such objects. Removing the last field of a setting, such as the last own
 * limit, then removes the setting. No field of a record has a meaning without fields of its own. Lists stay as they are.
 */
export function withoutEmptyObjects<Value extends object>(value: Value): Value {
  const fields = Object.entries(value).flatMap(([name, field]: [string, unknown]) => {
    if (!isObject(field)) return [[name, field] as const];
    const kept = withoutEmptyObjects(field);
    return Object.keys(kept).length === 0 ? [] : [[name, kept] as const];
  });
  return Object.fromEntries(fields) as Value;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

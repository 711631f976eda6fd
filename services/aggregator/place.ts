/** The place of a record in the usage topic, as a key of a map. */
export function placeKey({
  partition,
  offset,
}: {
  readonly partition: number;
  readonly offset: number;
}): string {
  return `${partition}:${offset}`;
}

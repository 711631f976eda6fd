/** Limits a figure to the time from which all events are stored that it is counted from. */
export function completeFromText(from: string): string {
  return `Complete only from ${from} on: this is counted from single events, and older ones are deleted.`;
}

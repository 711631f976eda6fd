/** Tokens of one call, as the journal stores them. Cached tokens are part of the input, reasoning tokens of the output. */
export interface TokenUsage {
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly cacheWriteTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
}

/** A usage object in the form of one protocol. Nested objects are details of the counts. */
export interface ReportedUsage {
  readonly [name: string]: number | string | ReportedUsage | null;
}

export const usageDefects = [
  'missing',
  'null',
  'zero',
  'negative',
  'fraction',
  'huge',
  'text',
  'contradictory',
] as const;
/** How the reported usage differs from the true one. */
export type UsageDefect = (typeof usageDefects)[number];

/** Returns what a call reports instead of its true usage. `undefined`: the report is absent. */
export function distortUsage(
  usage: ReportedUsage,
  defect: UsageDefect | null,
): ReportedUsage | null | undefined {
  switch (defect) {
    case null:
      return usage;
    case 'missing':
      return undefined;
    case 'null':
      return null;
    case 'zero':
      return mapCounts(usage, () => 0);
    case 'negative':
      return mapCounts(usage, (count) => -count - 1);
    case 'fraction':
      return mapCounts(usage, (count) => count + 0.5);
    case 'huge':
      return mapCounts(usage, () => 1e18);
    case 'text':
      return mapCounts(usage, String);
    case 'contradictory':
      return contradict(usage);
  }
}

function mapCounts(usage: ReportedUsage, change: (count: number) => number | string): ReportedUsage {
  return mapMembers(usage, (value) => {
    if (typeof value === 'number') return change(value);
    return value === null || typeof value === 'string' ? value : mapCounts(value, change);
  });
}

/** A total below its parts, and details above the counts that they are a part of. */
function contradict(usage: ReportedUsage): ReportedUsage {
  return mapMembers(usage, (value, name) => {
    if (name === 'total_tokens') return 1;
    return typeof value === 'object' && value !== null ? mapCounts(value, (count) => count + 100) : value;
  });
}

type Member = ReportedUsage[string];

function mapMembers(usage: ReportedUsage, change: (value: Member, name: string) => Member): ReportedUsage {
  return Object.fromEntries(
    Object.entries(usage).map(([name, value]): [string, Member] => [name, change(value, name)]),
  );
}

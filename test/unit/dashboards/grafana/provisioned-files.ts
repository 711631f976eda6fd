import { parse } from 'yaml';

/** Objects of Grafana's files, read without assumptions about their shape. */
export type Json = Readonly<Record<string, unknown>>;

/** What Grafana reads at its start, from `generated/grafana`: path → text. */
export interface Provisioned {
  readonly dashboards: readonly { readonly path: string; readonly dashboard: Json }[];
  readonly dataSourceUids: ReadonlySet<string>;
  readonly ruleGroups: readonly Json[];
  readonly contactPoints: readonly Json[];
  readonly policies: readonly Json[];
  readonly muteTimes: readonly Json[];
  readonly providers: readonly Json[];
  /** Text of the YAML files of `provisioning`, in which Grafana replaces `$NAME`. */
  readonly provisioningTexts: ReadonlyMap<string, string>;
}

/** @param files path in `dashboards/generated` → text. */
export function provisionedFiles(files: ReadonlyMap<string, string>): Provisioned {
  const entries = [...files].filter(([path]) => path.startsWith('grafana/'));
  const yaml = entries.filter(([path]) => path.startsWith('grafana/provisioning/'));
  const listed = (key: string): readonly Json[] => yaml.flatMap(([, text]) => list(parse(text), key));
  return {
    dashboards: entries
      .filter(([path]) => path.endsWith('.json'))
      .map(([path, text]) => ({ path, dashboard: JSON.parse(text) as Json })),
    dataSourceUids: new Set(listed('datasources').map((source) => text(source, 'uid'))),
    ruleGroups: listed('groups'),
    contactPoints: listed('contactPoints'),
    policies: listed('policies'),
    muteTimes: listed('muteTimes'),
    providers: listed('providers'),
    provisioningTexts: new Map(yaml),
  };
}

export function list(value: unknown, key: string): readonly Json[] {
  const found = object(value)[key];
  return Array.isArray(found) ? (found as Json[]) : [];
}

export function text(value: unknown, key: string): string {
  const found = object(value)[key];
  return typeof found === 'string' ? found : '';
}

export function object(value: unknown, key?: string): Json {
  const found = key === undefined ? value : object(value)[key];
  return typeof found === 'object' && found !== null ? (found as Json) : {};
}

/** Grafana's rule for every uid. */
export function uidViolation(uid: string): string | null {
  if (uid === '') return 'has no uid';
  if (uid.length > 40) return `uid ${uid} has more than 40 characters`;
  return /^[\w-]+$/.test(uid) ? null : `uid ${uid} has characters other than letters, digits, - and _`;
}

export function repeated(values: readonly string[]): string[] {
  return [...new Set(values.filter((value, index) => values.indexOf(value) !== index))];
}

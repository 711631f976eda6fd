import { uniqueName } from '../../support/servers.ts';

/** A sample request to a route, and the status of its response with a valid credential. */
export interface Sample {
  readonly path: string;
  readonly body?: string;
  /**
   * Status of the response if the route needs no credential or the credential gives access. If it
   * depends on the credential, one status for each credential.
   */
  readonly status: number | Readonly<Record<string, number>>;
}

/** Functions that create a new sample for each request, because some requests write. */
export type Samples = Readonly<Record<string, () => Sample>>;

export const json = (value: object): string => JSON.stringify(value);
export const form = (value: Record<string, string>): string => new URLSearchParams(value).toString();
export const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();
export const tenant = (): string => uniqueName('walked');
export const show =
  (path: string, status = 200) =>
  (): Sample => ({ path, status });

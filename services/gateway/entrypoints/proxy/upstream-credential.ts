import { TollgateError } from '../../../../shared/runtime/errors.ts';

/** The header field with which Tollgate identifies itself to the upstream, for example by the key of an AI provider. */
export interface UpstreamCredential {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
}

/**
 * Reads `NAME: VALUE`. Returns null for an empty text. Throws CONFIG_INVALID, without the text, which may be a secret in
 * the wrong form.
 */
export function readUpstreamCredential(text: string): UpstreamCredential | null {
  if (text === '') return null;
  const [, name, value] = /^([A-Za-z][A-Za-z0-9-]*): ?([\x21-\x7e][\x20-\x7e]*)$/.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return { name: name.toLowerCase(), value };
  throw new TollgateError(
    'CONFIG_INVALID',
    'TOLLGATE_UPSTREAM_CREDENTIAL must be one header field, for example "Authorization: Bearer sk-…" or "x-api-key: sk-…"',
  );
}

/** Replaces the credential of the caller, which is for Tollgate only, by that of the upstream. */
export function replaceCredential(
  headers: Record<string, string | string[]>,
  { name, value }: UpstreamCredential,
): void {
  delete headers['authorization'];
  delete headers['x-api-key'];
  headers[name] = value;
}

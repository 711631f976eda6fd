/**
 * Why a credential was not accepted.
 *
 * - 401: it is bad.
 * - 503: whether it is good could not be found out.
 */
export interface CredentialRefusal {
  readonly status: 401 | 503;
  readonly detail: string;
}

export function badCredential(detail: string): CredentialRefusal {
  return { status: 401, detail };
}

export function undecidedCredential(detail: string): CredentialRefusal {
  return { status: 503, detail };
}

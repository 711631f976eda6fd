import { rate, series } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql } from '../queries.ts';

/** Panels on the keys that verify tokens, and on refused credentials. The variable `node` selects gateways. */
export function credentialPanels(node: string): Panels {
  return [
    series({
      title: 'Age of public keys',
      description:
        'Time since the keys that verify tokens were last fetched; 0 without jwks_url. The alert fires above 3 minutes.',
      queries: [promql('tollgate_jwks_age_seconds', '{{service}} {{instance}}')],
      unit: 's',
      warnAt: 90,
      badAt: 180,
    }),
    series({
      title: 'Fetches of public keys',
      description: 'By result. After any result but ok, the previous keys stay in use.',
      queries: [promql(`sum by (result) (rate(tollgate_jwks_fetches_total[${rate}]))`, '{{result}}')],
      unit: 'reqps',
    }),
    series({
      title: 'Refused credentials',
      description:
        'By response status: 401 invalid, 429 too many invalid ones from the address, 503 keys or tenant records missing. Events of 429s are sampled.',
      queries: [
        promql(`sum by (status) (rate(tollgate_credentials_refused_total{${node}}[${rate}]))`, '{{status}}'),
        promql(`sum(rate(tollgate_events_sampled_out_total{${node}}[${rate}]))`, 'events not written'),
      ],
      unit: 'reqps',
    }),
    series({
      title: 'Tokens verified',
      description:
        'Verifications of new tokens, by result; a token that was verified before is cached. Postponed: the address sends too many invalid tokens.',
      queries: [
        promql(`sum by (result) (rate(tollgate_token_verifications_total{${node}}[${rate}]))`, '{{result}}'),
      ],
      unit: 'reqps',
    }),
  ];
}

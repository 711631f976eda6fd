import type { AlertRule } from './rule.ts';

/** Alerts about budgets of tokens and money. */
export const budgetRules: readonly AlertRule[] = [
  {
    name: 'TollgateReservationsExpired',
    severity: 'warning',
    query: 'max(tollgate_reservations_expired_recently)',
    fires: 'above',
    threshold: 0,
    // A call may be longer than its reservation, and its settlement needs some seconds to be stored.
    forMinutes: 5,
    summary: 'VALUE {call|calls} of the last hour {was|were} never settled',
    format: 'count',
    impact:
      'They stay charged with what they reserved, usually more than they used, so their tenants may be refused early.',
    action:
      'List them with `tollgate reservations list --expired`. One gateway: it was killed. One tenant: its application does not settle.',
    where: {
      query: 'max by (tenant) (tollgate_reservations_expired_recently_by_tenant)',
      text: '{{ .Labels.tenant }} ({{ .Value | humanize }})',
    },
    runbook: 'reservations-expired',
    dashboard: 'spend',
    panel: 'Open and expired reservations',
    whenAbsent: 'keeps',
  },
];

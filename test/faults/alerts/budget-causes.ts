import { eventually, uniqueName } from '../../support/servers.ts';
import type { Cause } from './cause.ts';

/** Faults of calls with a reservation. */
export const budgetCauses: readonly Cause[] = [
  {
    title: 'an application that reserves tokens and never settles',
    alerts: ['TollgateReservationsExpired'],
    // The reconciler counts reservations once a minute.
    thresholdSeconds: 75,
    cause: async (fixture) => {
      const { run } = fixture;
      const tenant = uniqueName('unsettled');
      const api = async (request: string, body: object): Promise<string> => {
        const headers = { 'x-service-token': run.serviceToken };
        const answer = await run.api(request, { headers, body: { tenant_id: tenant, ...body } });
        if (answer.status !== 200) throw new Error(answer.text);
        return answer.text;
      };
      const reserve = { usage: { tokens: 100 }, expires_seconds: 1 };
      const checked = await api('POST /v1/check', { method: 'POST', path: '/things', reserve });
      const { id } = (JSON.parse(checked) as { readonly reservation: { readonly id: string } }).reservation;
      return async () => {
        await api(`POST /v1/reservations/${id}/cancel`, {});
        await eventually(async () => !(await fixture.firing()).includes('TollgateReservationsExpired'), {
          timeoutMs: 90_000,
        });
      };
    },
  },
];

import type { JournalEntry } from '../../../dev/sample/ai/journal.ts';
import type { BudgetInstallation } from './installation.ts';

/** A service that settles the calls of a tenant which a killed gateway left open. */
export interface LateSettlement {
  /** Settles a call with the figures of the journal. Returns the status of the response. */
  settle(entry: JournalEntry, more?: { readonly outputTokens: number }): Promise<number>;
  /** Cancels the reservation of a call that the upstream never received. */
  cancel(id: string): Promise<number>;
}

export function lateSettlement(
  { gateways, serviceToken }: BudgetInstallation,
  tenant: string,
): LateSettlement {
  const post = async (path: string, body: object): Promise<number> => {
    const response = await fetch(`${gateways[0]?.urls.api ?? ''}/v1/reservations/${path}`, {
      method: 'POST',
      headers: { 'x-service-token': serviceToken, 'content-type': 'application/json' },
      body: JSON.stringify({ tenant_id: tenant, ...body }),
    });
    await response.arrayBuffer();
    return response.status;
  };
  return {
    settle: ({ decision, model, inputTokens, cachedTokens, outputTokens }, more) =>
      post(`${decision ?? ''}/settle`, {
        model,
        status: 200,
        usage: {
          input_tokens: inputTokens,
          cached_input_tokens: cachedTokens,
          output_tokens: outputTokens + (more?.outputTokens ?? 0),
        },
      }),
    cancel: (id) => post(`${id}/cancel`, {}),
  };
}

import { hasRole } from '../../../../shared/domain/operators/operator.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import type { PartOptions } from '../../browser/parts.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { deliveryLog } from '../../notifications/delivery-log.ts';
import { targetTable, testForm } from '../../notifications/target-table.ts';
import type { TenantForms } from './tenant-forms.ts';

const deliveriesMax = 10;
const refreshMs = 2_000;

/** Targets of the tenant's notifications, without their secrets, each with its test; and the log of deliveries. */
export function notificationSection({ path, record, role }: TenantForms, log: Html): Html {
  return html`<section class="card stack" id="notifications">
    <h2>Notifications</h2>
    ${targetTable(record?.notifications, {
      address: ({ shown }) => shown,
      actions: hasRole(role, 'support') ? (target) => testForm(target, `${path}/test-alert`) : null,
      none: 'The tenant adds webhooks, Slack addresses and e-mail addresses in its portal.',
    })}
    <h3>Recent notifications</h3>
    ${log}
  </section>`;
}

export async function deliveriesPart(
  { usage, reads }: { readonly usage: Pick<UsageReader, 'alerts'>; readonly reads: StoreReads },
  id: string,
  zone: string,
): Promise<Html> {
  return deliveryLog(await reads.orNull(usage.alerts(id, deliveriesMax)), zone);
}

/** After a test message, the log follows its delivery. `done` is the key of the notice of the page. */
export function deliveriesRefresh(done: string | undefined): PartOptions {
  return done === 'tested' ? { refreshMs } : {};
}

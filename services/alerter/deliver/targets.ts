import type { NotificationSettings } from '../../../shared/domain/tenant.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import { targetsIn } from '../../../shared/tenants/notification-targets.ts';
import type { Target } from '../../../shared/tenants/notification-targets.ts';

const logTarget: Target = { id: 'log', channel: 'log', address: '', secrets: [], shown: 'log' };

/**
 * Returns the targets of an alert: the service's own log first, then the targets of the tenant. An alert of kind
 * `rearmed` has no targets, because tenants are not notified of it. A test alert with `only_target` has only that
 * target.
 */
export function targetsOf(settings: NotificationSettings | undefined, alert: AlertEvent): Target[] {
  if (alert.kind === 'rearmed') return [];
  const only = alert.only_target;
  return [logTarget, ...targetsIn(settings)].filter(
    ({ id, address }) => only === undefined || only === id || only === address,
  );
}

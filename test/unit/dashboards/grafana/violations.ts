import { alertingViolations } from './alerting-violations.ts';
import { dashboardViolations } from './dashboard-violations.ts';
import { notifierViolations } from './notifier-violations.ts';
import { provisionedFiles } from './provisioned-files.ts';

/**
 * Finds what Grafana 12 would reject or show wrongly in its provisioning files. Needs no running Grafana.
 *
 * @param files path in `dashboards/generated` → text.
 */
export function grafanaViolations(files: ReadonlyMap<string, string>): string[] {
  const provisioned = provisionedFiles(files);
  return [
    ...alertingViolations(provisioned),
    ...dashboardViolations(provisioned),
    ...notifierViolations(files, provisioned),
    ...[...provisioned.provisioningTexts].flatMap(([path, content]) =>
      [...content.matchAll(/(?<!\$)\$(?!\$)\{?\w+/g)].map(
        ([name]) => `${path}: Grafana replaces ${name} by an environment variable`,
      ),
    ),
  ];
}

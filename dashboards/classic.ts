import { DashboardBuilder } from '@grafana/grafana-foundation-sdk/dashboard';

/**
 * Grafana's classic dashboard schema: the one that file provisioning takes in every Grafana in use. The SDK prefers
 * the second version, which Grafana 12 takes only behind its resource API.
 */
// eslint-disable-next-line @typescript-eslint/no-deprecated -- see above
export class ClassicDashboard extends DashboardBuilder {}

export type Classic = ReturnType<ClassicDashboard['build']>;

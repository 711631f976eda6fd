import {
  ConstantVariableBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  VariableHide,
} from '@grafana/grafana-foundation-sdk/dashboard';
import type { DataSourceRef } from '@grafana/grafana-foundation-sdk/common';

/** The data sources as they are provisioned. Alert rules name them; dashboards default to them. */
export const prometheusUid = 'tollgate-prometheus';
export const clickhouseUid = 'tollgate-clickhouse';
export const clickhouseType = 'grafana-clickhouse-datasource';
export const clickhousePluginVersion = '4.14.0';

/** Dashboards refer to data sources by a variable, so that they also work beside data sources of another name. */
export const prometheus: DataSourceRef = { type: 'prometheus', uid: '${prometheus}' };
export const clickhouse: DataSourceRef = { type: clickhouseType, uid: '${clickhouse}' };
export const mixed: DataSourceRef = { type: 'datasource', uid: '-- Mixed --' };

/** A dashboard's uid is its address: links, alerts and bookmarks keep it. */
export const uids = {
  fleet: 'tollgate-fleet',
  tenant: 'tollgate-tenant',
  business: 'tollgate-business',
  pipeline: 'tollgate-pipeline',
} as const;

export type DashboardName = keyof typeof uids;

export const runbookUid = (name: string): string => `tollgate-runbook-${name}`;

/**
 * Grafana's classic dashboard schema: the one that file provisioning takes in every Grafana in use. The SDK prefers
 * the second version, which Grafana 12 takes only behind its resource API.
 */
// eslint-disable-next-line @typescript-eslint/no-deprecated -- see above
export class ClassicDashboard extends DashboardBuilder {}

export type Classic = ReturnType<ClassicDashboard['build']>;

/** What all four dashboards share: sources, links to each other, time, refresh. */
export function dashboard(name: DashboardName, title: string, description: string): ClassicDashboard {
  return new ClassicDashboard(title)
    .uid(uids[name])
    .description(description)
    .tags(['tollgate'])
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .editable()
    .link(
      new DashboardLinkBuilder('Tollgate')
        .type(DashboardLinkType.Dashboards)
        .tags(['tollgate'])
        .asDropdown(false)
        .includeVars(false)
        .keepTime(true),
    )
    .withVariable(sourceVariable('prometheus', 'prometheus', 'Tollgate Prometheus', prometheusUid))
    .withVariable(sourceVariable('clickhouse', clickhouseType, 'Tollgate ClickHouse', clickhouseUid))
    .withVariable(
      new ConstantVariableBuilder('database')
        .value('tollgate')
        .description('ClickHouse database of this installation (CLICKHOUSE_DATABASE).'),
    );
}

function sourceVariable(name: string, type: string, text: string, uid: string): DatasourceVariableBuilder {
  return new DatasourceVariableBuilder(name)
    .label(text)
    .type(type)
    .hide(VariableHide.HideVariable)
    .current({ text, value: uid, selected: true });
}

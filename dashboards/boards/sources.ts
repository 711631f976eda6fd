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

/** The provisioned data sources. Alert rules always use them; dashboards use them by default. */
export const prometheusUid = 'tollgate-prometheus';
export const clickhouseUid = 'tollgate-clickhouse';
export const clickhouseType = 'grafana-clickhouse-datasource';
export const clickhousePluginVersion = '4.14.0';

/**
 * Dashboards select their data sources with a variable, so that they also work if the data sources have other names.
 */
export const prometheus: DataSourceRef = { type: 'prometheus', uid: '${prometheus}' };
export const clickhouse: DataSourceRef = { type: clickhouseType, uid: '${clickhouse}' };
export const mixed: DataSourceRef = { type: 'datasource', uid: '-- Mixed --' };

/**
 * Links, alerts and bookmarks contain the URL of a dashboard, and the URL contains this uid. A uid must therefore not
 * change.
 */
export const uids = {
  fleet: 'tollgate-fleet',
  tenant: 'tollgate-tenant',
  business: 'tollgate-business',
  spend: 'tollgate-spend',
  pipeline: 'tollgate-pipeline',
} as const;

export type DashboardName = keyof typeof uids;

export const runbookUid = (name: string): string => `tollgate-runbook-${name}`;

/**
 * Dashboards in Grafana's classic schema, which every version of Grafana can provision from files. The SDK's default
 * is version 2, which Grafana 12 accepts only through its resource API.
 */
// eslint-disable-next-line @typescript-eslint/no-deprecated -- see above
export class ClassicDashboard extends DashboardBuilder {}

export type Classic = ReturnType<ClassicDashboard['build']>;

/** The common parts of the dashboards: their data sources and the links between them. */
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

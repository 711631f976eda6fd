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

/** The provisioned data sources. Alert rules use them; dashboards use them by default. */
export const prometheusUid = 'tollgate-prometheus';
export const clickhouseUid = 'tollgate-clickhouse';
export const clickhouseType = 'grafana-clickhouse-datasource';
export const clickhousePluginVersion = '4.14.0';

/** Dashboards refer to data sources by a variable, so that they also work with data sources of another name. */
export const prometheus: DataSourceRef = { type: 'prometheus', uid: '${prometheus}' };
export const clickhouse: DataSourceRef = { type: clickhouseType, uid: '${clickhouse}' };
export const mixed: DataSourceRef = { type: 'datasource', uid: '-- Mixed --' };

/** The uid of a dashboard is part of its URL, which links, alerts and bookmarks contain. */
export const uids = {
  fleet: 'tollgate-fleet',
  tenant: 'tollgate-tenant',
  business: 'tollgate-business',
  pipeline: 'tollgate-pipeline',
} as const;

export type DashboardName = keyof typeof uids;

export const runbookUid = (name: string): string => `tollgate-runbook-${name}`;

/**
 * Grafana's classic dashboard schema, which file provisioning supports in every version of Grafana. The SDK prefers
 * version 2, which Grafana 12 accepts only by its resource API.
 */
// eslint-disable-next-line @typescript-eslint/no-deprecated -- see above
export class ClassicDashboard extends DashboardBuilder {}

export type Classic = ReturnType<ClassicDashboard['build']>;

/** The common part of the four dashboards: data sources and links to each other. */
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

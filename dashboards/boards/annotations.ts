import { AnnotationQueryBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { prometheus } from './sources.ts';
import type { ClassicDashboard } from './sources.ts';

/** Marks what changed on all panels of a dashboard: releases, starts, edits of the policy, changes of tenants. */
export function withChanges(builder: ClassicDashboard): ClassicDashboard {
  const annotation = (name: string, color: string, expr: string, title: string): AnnotationQueryBuilder =>
    new AnnotationQueryBuilder()
      .name(name)
      .datasource(prometheus)
      .enable(true)
      .iconColor(color)
      .expr(expr)
      .titleFormat(title)
      .step('10s');
  return builder
    .annotation(
      annotation(
        'Releases',
        'purple',
        'count by (version) (tollgate_build_info) unless count by (version) (tollgate_build_info offset 1m)',
        'Version {{version}}',
      ),
    )
    .annotation(
      annotation(
        'Starts',
        'blue',
        'process_start_time_seconds{job=~"tollgate-.*"} * 1000',
        '{{service}} {{instance}} started',
      ).useValueForTime(true),
    )
    .annotation(
      annotation(
        'Policy edits',
        'orange',
        'sum by (service, result) (increase(tollgate_policy_reloads_total[20s])) > 0',
        'Policy {{result}} by {{service}}',
      ),
    )
    .annotation(
      annotation(
        'Tenant changes',
        'yellow',
        'sum by (action) (increase(tollgate_tenant_changes_total[20s])) > 0',
        'Tenant: {{action}}',
      ),
    );
}

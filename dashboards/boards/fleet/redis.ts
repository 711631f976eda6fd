import { rate, series } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql, quantile } from '../queries.ts';

/** Panels on Redis as measured by gateways, and on what all gateways must agree on. `node` selects gateways. */
export function redisPanels(node: string): Panels {
  return [
    series({
      title: 'Degraded checks',
      description: 'Decisions that a node made alone because Redis did not answer in time. Should be 0.',
      queries: [
        promql(`sum by (instance) (rate(tollgate_checks_degraded_total{${node}}[${rate}]))`, '{{instance}}'),
      ],
      unit: 'reqps',
      badAt: 0.1,
    }),
    series({
      title: 'Redis servers unavailable',
      description:
        'Redis servers without which a node decides, and how often its circuit breaker opened, by reason.',
      queries: [
        promql(`sum by (instance) (tollgate_redis_servers_away{${node}})`, 'unavailable to {{instance}}'),
        promql(
          `sum by (reason) (increase(tollgate_redis_breaker_opened_total{${node}}[${rate}]))`,
          'breaker opened: {{reason}}',
        ),
      ],
      unit: 'short',
    }),
    series({
      title: 'Latency of a Redis call',
      description: 'Time from sending a batch of checks to its response, measured by the node.',
      queries: [
        promql(quantile(0.5, 'tollgate_redis_call_duration_seconds', node), 'p50'),
        promql(quantile(0.99, 'tollgate_redis_call_duration_seconds', node), 'p99'),
      ],
      unit: 's',
      badAt: 0.005,
    }),
    series({
      title: 'Checks per Redis call',
      description: 'Checks of one event-loop iteration in one call. It should rise under load.',
      queries: [
        promql(
          `sum(rate(tollgate_redis_batch_checks_sum{${node}}[${rate}])) / sum(rate(tollgate_redis_batch_checks_count{${node}}[${rate}]))`,
          'checks',
        ),
      ],
      unit: 'short',
    }),
    series({
      title: 'Live nodes',
      description: 'Number of nodes that share the limits, according to each node. All should be equal.',
      queries: [promql(`tollgate_nodes_live{${node}}`, '{{instance}}')],
      unit: 'short',
    }),
    series({
      title: 'Policy',
      description: 'Time since each process loaded its policy.',
      width: 6,
      queries: [promql('time() - tollgate_policy_loaded_timestamp_seconds', '{{service}}')],
      unit: 's',
    }),
    series({
      title: 'Edits of the policy',
      description:
        'Edits of the policy file by result. After a refused edit the previous policy stays in use; the log has the reason.',
      width: 6,
      queries: [promql(`sum by (result) (increase(tollgate_policy_reloads_total[${rate}]))`, '{{result}}')],
      unit: 'short',
    }),
  ];
}

/** Panels on the Redis servers themselves, from their INFO, which the reconciler reads every 15 s. */
export function redisServerPanels(): Panels {
  return [
    series({
      title: 'Memory of Redis',
      description:
        'Memory that each Redis server uses, and its bound if it has one. At the bound Redis refuses writes, or evicts counters.',
      queries: [
        promql('max by (server) (tollgate_redis_memory_bytes)', 'used: {{server}}'),
        promql('max by (server) (tollgate_redis_memory_max_bytes) > 0', 'bound: {{server}}'),
      ],
      unit: 'bytes',
    }),
    series({
      title: 'Keys evicted by Redis',
      description:
        'Keys that Redis evicted because its memory was full. Must be 0: each may have been a counter.',
      queries: [
        promql(`max by (server) (increase(tollgate_redis_evicted_keys_total[${rate}]))`, '{{server}}'),
      ],
      unit: 'short',
      badAt: 1,
    }),
    series({
      title: 'Commands of Redis',
      description: 'Commands that each Redis server processes.',
      queries: [promql(`max by (server) (rate(tollgate_redis_commands_total[${rate}]))`, '{{server}}')],
      unit: 'ops',
    }),
    series({
      title: 'Own latency of Redis',
      description:
        'Mean time that Redis spends in one script, without network and queue. If a Redis call takes much longer, the network or the queue is the cause.',
      queries: [
        promql(
          `max by (server) (rate(tollgate_redis_script_seconds_total[${rate}]) / (rate(tollgate_redis_script_calls_total[${rate}]) > 0))`,
          '{{server}}',
        ),
      ],
      unit: 's',
      ...{ badAt: 0.001, runbook: 'check-slow' },
    }),
  ];
}

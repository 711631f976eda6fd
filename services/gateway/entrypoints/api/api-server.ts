import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { QueryShares } from '../../../../shared/clickhouse/query-shares.ts';
import type { EventsStoredSince } from '../../../../shared/clickhouse/queries/installation/event-retention.ts';
import type { TimeBounds } from '../../../../shared/domain/events/bounds.ts';
import type { Topics } from '../../../../shared/kafka/topics.ts';
import type { Sessions } from '../../../../shared/redis/leases/sessions.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import type { EventGroups } from '../../ingest/event-groups.ts';
import type { IngestShare } from '../../ingest/ingest-share.ts';
import type { EventLog } from '../../metering/meter.ts';
import type { TransportBounds } from '../../transport/bounds.ts';

/** Largest body that the API listener accepts; the bound applies before and after the body is decompressed. */
export const bodyBytesMax = 1_048_576;

/**
 * The Fastify server of the API listener, on which each entrypoint registers its routes. The types of requests and
 * responses follow from the schemas of the routes.
 */
export type ApiServer = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

export interface ApiOptions {
  readonly enforcer: Enforcer;
  readonly bounds: TransportBounds;
  readonly events: EventLog;
  readonly ingestShare: IngestShare;
  readonly eventGroups: EventGroups;
  readonly queries: QueryShares;
  readonly eventsStoredSince: EventsStoredSince;
  readonly sessions: Sessions;
  /** How far the time of a published event may be from the current time; see `publishedTimeBounds`. */
  readonly eventTimes: TimeBounds;
  /** Names of the topics, for the document that describes them. */
  readonly topics: Topics;
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { QueryShares } from '../../../../shared/clickhouse/query-shares.ts';
import type { TimeBounds } from '../../../../shared/domain/events/bounds.ts';
import type { Sessions } from '../../../../shared/redis/leases/sessions.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import type { EventGroups } from '../../ingest/event-groups.ts';
import type { IngestShare } from '../../ingest/ingest-share.ts';
import type { EventLog } from '../../metering/meter.ts';
import type { TransportBounds } from '../../transport/bounds.ts';

/** Largest body on the api listener, before and after decoding. */
export const bodyBytesMax = 1_048_576;

/** The server on which entrypoints of the api listener register their routes; types follow from schemas. */
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
  readonly sessions: Sessions;
  /** How far from now published events may be: `publishedTimeBounds`. */
  readonly eventTimes: TimeBounds;
}

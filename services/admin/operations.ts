import { Type } from 'typebox';
import { idLengthMax } from '../../shared/domain/identity.ts';
import { patchOf, settings } from '../../shared/tenants/record/schema.ts';
import * as answers from './answer-schemas.ts';
import {
  ApiKeyBody,
  RollBody,
  AuditQuery,
  BlockBody,
  BoostBody,
  LetterParams,
  LinkParams,
  LettersQuery,
  ListQuery,
  LossQuery,
  PortalLinkBody,
  ReasonBody,
  ReplayBody,
  ReservationsQuery,
  ResetAllBody,
  TenantBody,
  TenantParams,
  TenantPatch,
} from './request-schemas.ts';

/** Media type of JSON merge patches. */
export const mergePatchType = 'application/merge-patch+json';

const entityTag = {
  ETag: { description: 'Tag of the record, for If-Match.', schema: { type: 'string' } },
};
const ifMatch = {
  'If-Match': {
    description: 'Tags of the record that the change is meant for, or *; else 412.',
    schema: { type: 'string' },
  },
};
const actor = {
  'X-Actor': {
    description: 'Actor for the history: up to 100 printable ASCII characters.',
    schema: { type: 'string' },
  },
};
const id = Type.String({ minLength: 1, maxLength: idLengthMax });
const noBody = Type.Null({ description: 'Done.' }) as object;

const patchSchema = {
  ...patchOf(Type.Object(settings)),
  description: 'Settings to change; null removes one.',
  examples: [{ plan: 'pro', display_name: null, overrides: { minute: 500 } }],
};

/**
 * All operations, as the OpenAPI document describes them. The same schemas of parameters and bodies validate
 * requests.
 */
export const operations = {
  listTenants: {
    operationId: 'listTenants',
    tags: ['Tenants'],
    summary: 'List tenants',
    description:
      'Tenants with a record and tenants with usage in the last two weeks or in this month, busiest of today first.',
    querystring: ListQuery,
    response: { 200: answers.tenantsAnswer as object },
    problems: [422],
  },
  getTenant: {
    operationId: 'getTenant',
    tags: ['Tenants'],
    summary: 'Get the record of a tenant and its limits',
    params: TenantParams,
    response: { 200: answers.tenantAnswer as object },
    responseHeaders: { 200: entityTag },
  },
  replaceTenant: {
    operationId: 'replaceTenant',
    tags: ['Tenants'],
    summary: 'Replace the settings of a tenant',
    description:
      'Settings that the body does not name are removed; PATCH keeps them. Boosts, the block and API keys have ' +
      'endpoints of their own and stay unless the body names them.',
    params: TenantParams,
    body: TenantBody,
    requestHeaders: { ...actor, ...ifMatch },
    response: { 200: answers.recordAnswer as object },
    responseHeaders: { 200: entityTag },
    problems: [412, 422],
  },
  patchTenant: {
    operationId: 'patchTenant',
    tags: ['Tenants'],
    summary: 'Change settings of a tenant',
    description:
      'A JSON merge patch (RFC 7396): settings that it does not name stay, null removes a setting, a list is replaced.',
    params: TenantParams,
    body: TenantPatch,
    documentedBody: {
      content: { [mergePatchType]: { schema: patchSchema }, 'application/json': { schema: patchSchema } },
    },
    requestHeaders: { ...actor, ...ifMatch },
    response: { 200: answers.recordAnswer as object },
    responseHeaders: { 200: entityTag },
    problems: [412, 422],
  },
  deleteTenant: {
    operationId: 'deleteTenant',
    tags: ['Tenants'],
    summary: "Delete a tenant's record",
    params: TenantParams,
    requestHeaders: actor,
    response: { 204: noBody },
  },
  getTenantStatus: {
    operationId: 'getTenantStatus',
    tags: ['Tenants'],
    summary: 'Get requests, resets and blocks of a tenant now',
    params: TenantParams,
    response: { 200: answers.statusAnswer as object },
  },
  resetTenant: {
    operationId: 'resetTenant',
    tags: ['Controls'],
    summary: "Reset a tenant's counters",
    params: TenantParams,
    body: Type.Union([ReasonBody, Type.Null()]),
    requestHeaders: actor,
    response: { 200: answers.resetAnswer as object },
    problems: [422],
  },
  blockTenant: {
    operationId: 'blockTenant',
    tags: ['Controls'],
    summary: 'Block a tenant',
    params: TenantParams,
    body: BlockBody,
    requestHeaders: actor,
    response: { 200: answers.blockAnswer as object },
    problems: [422],
  },
  unblockTenant: {
    operationId: 'unblockTenant',
    tags: ['Controls'],
    summary: 'Lift a block',
    params: TenantParams,
    requestHeaders: actor,
    response: { 204: noBody },
    problems: [422],
  },
  listBoosts: {
    operationId: 'listBoosts',
    tags: ['Controls'],
    summary: 'List boosts: running, planned, and ended in the last 30 days',
    params: TenantParams,
    response: { 200: answers.boostsAnswer as object },
  },
  addBoost: {
    operationId: 'addBoost',
    tags: ['Controls'],
    summary: 'Raise a limit for a time',
    params: TenantParams,
    body: BoostBody,
    requestHeaders: actor,
    response: { 201: answers.boostAnswer as object },
    problems: [409, 422],
  },
  endBoost: {
    operationId: 'endBoost',
    tags: ['Controls'],
    summary: 'End a boost now',
    params: Type.Object({ id, boostId: Type.String({ minLength: 1, maxLength: 100 }) }),
    requestHeaders: actor,
    response: { 204: noBody },
    problems: [422],
  },
  listApiKeys: {
    operationId: 'listApiKeys',
    tags: ['Credentials'],
    summary: 'List API keys of a tenant, by their hashes, with their last use',
    params: TenantParams,
    response: { 200: answers.keysAnswer as object },
  },
  createApiKey: {
    operationId: 'createApiKey',
    tags: ['Credentials'],
    summary: 'Create an API key; shown once',
    params: TenantParams,
    body: Type.Union([ApiKeyBody, Type.Null()]),
    requestHeaders: actor,
    response: { 201: answers.newKeyAnswer as object },
    problems: [409, 422],
  },
  rollApiKey: {
    operationId: 'rollApiKey',
    tags: ['Credentials'],
    summary: 'Replace an API key by a successor of the same name and scope; shown once',
    params: Type.Object({ id, hashPrefix: Type.String({ minLength: 1, maxLength: 64 }) }),
    body: RollBody,
    requestHeaders: actor,
    response: { 201: answers.rolledKeyAnswer as object },
    problems: [409, 422],
  },
  deleteApiKey: {
    operationId: 'deleteApiKey',
    tags: ['Credentials'],
    summary: 'Revoke an API key at once, by the first digits of its SHA-256',
    params: Type.Object({ id, hashPrefix: Type.String({ minLength: 1, maxLength: 64 }) }),
    requestHeaders: actor,
    response: { 204: noBody },
    problems: [409, 422],
  },
  createPortalLink: {
    operationId: 'createPortalLink',
    tags: ['Credentials'],
    summary: 'Issue a signed link that opens the portal for one tenant',
    body: PortalLinkBody,
    requestHeaders: actor,
    response: { 201: answers.linkAnswer as object },
    problems: [422],
  },
  endPortalLink: {
    operationId: 'endPortalLink',
    tags: ['Credentials'],
    summary: 'End a portal link and the sessions that it opened',
    params: LinkParams,
    requestHeaders: actor,
    response: { 204: noBody },
  },
  endPortalSessions: {
    operationId: 'endPortalSessions',
    tags: ['Credentials'],
    summary: "End all of a tenant's portal links and sessions",
    params: TenantParams,
    requestHeaders: actor,
    response: { 204: noBody },
  },
  resetAllTenants: {
    operationId: 'resetAllTenants',
    tags: ['Installation'],
    summary: 'Emergency: reset the counters of all tenants',
    body: ResetAllBody,
    requestHeaders: actor,
    response: { 200: answers.resetAllAnswer as object },
  },
  listChanges: {
    operationId: 'listChanges',
    tags: ['Installation'],
    summary: 'List changes with their actors, newest first',
    querystring: AuditQuery,
    response: { 200: answers.changesAnswer as object },
  },
  listDeadLetters: {
    operationId: 'listDeadLetters',
    tags: ['Installation'],
    summary: 'List dead letters, newest first',
    querystring: LettersQuery,
    response: { 200: answers.lettersAnswer as object },
  },
  getDeadLetter: {
    operationId: 'getDeadLetter',
    tags: ['Installation'],
    summary: 'Get a dead letter',
    params: LetterParams,
    response: { 200: answers.letterAnswer as object },
  },
  replayDeadLetters: {
    operationId: 'replayDeadLetters',
    tags: ['Installation'],
    summary: 'Replay all selected dead letters; only counts them unless dry_run is false',
    body: ReplayBody,
    requestHeaders: actor,
    response: { 200: answers.replaysAnswer as object },
    problems: [422],
  },
  replayDeadLetter: {
    operationId: 'replayDeadLetter',
    tags: ['Installation'],
    summary: 'Replay a dead letter',
    params: LetterParams,
    requestHeaders: actor,
    response: { 200: answers.replayAnswer as object },
    problems: [409],
  },
  listReservations: {
    operationId: 'listReservations',
    tags: ['Installation'],
    summary: 'List reservations of calls in progress, and expired ones that were never settled',
    querystring: ReservationsQuery,
    response: { 200: answers.reservationsAnswer as object },
  },
  auditLosses: {
    operationId: 'auditLosses',
    tags: ['Installation'],
    summary: 'Look for lost events',
    querystring: LossQuery,
    response: { 200: answers.lossAnswer as object },
  },
};

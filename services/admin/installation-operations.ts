import type { Operations } from './answer.ts';
import * as answers from '../../shared/admin-answers/answer-schemas.ts';
import {
  AuditQuery,
  LetterParams,
  LettersQuery,
  LossQuery,
  ReplayBody,
  ReservationsQuery,
  ResetAllBody,
  actor,
} from './request-schemas.ts';

/** Operations on the whole installation. */
export const installationOperations = {
  resetAllTenants: {
    operationId: 'resetAllTenants',
    role: 'admin',
    tags: ['Installation'],
    summary: 'Emergency: reset the counters of all tenants',
    body: ResetAllBody,
    requestHeaders: actor,
    response: { 200: answers.resetAllAnswer as object },
  },
  listChanges: {
    operationId: 'listChanges',
    role: 'viewer',
    tags: ['Installation'],
    summary: 'List entries of the audit trail, newest first',
    description:
      'Changes with the values before and after, deletions, sign-ins, links and ended sessions, without end.',
    querystring: AuditQuery,
    response: { 200: answers.changesAnswer as object },
  },
  listDeadLetters: {
    operationId: 'listDeadLetters',
    role: 'viewer',
    tags: ['Installation'],
    summary: 'List dead letters, newest first',
    querystring: LettersQuery,
    response: { 200: answers.lettersAnswer as object },
  },
  getDeadLetter: {
    operationId: 'getDeadLetter',
    role: 'viewer',
    tags: ['Installation'],
    summary: 'Get a dead letter',
    params: LetterParams,
    response: { 200: answers.letterAnswer as object },
  },
  replayDeadLetters: {
    operationId: 'replayDeadLetters',
    role: 'admin',
    tags: ['Installation'],
    summary: 'Replay all selected dead letters; only counts them unless dry_run is false',
    body: ReplayBody,
    requestHeaders: actor,
    response: { 200: answers.replaysAnswer as object },
    problems: [422],
  },
  replayDeadLetter: {
    operationId: 'replayDeadLetter',
    role: 'admin',
    tags: ['Installation'],
    summary: 'Replay a dead letter',
    params: LetterParams,
    requestHeaders: actor,
    response: { 200: answers.replayAnswer as object },
    problems: [409],
  },
  listReservations: {
    operationId: 'listReservations',
    role: 'viewer',
    tags: ['Installation'],
    summary: 'List reservations of calls in progress, and expired ones that were never settled',
    querystring: ReservationsQuery,
    response: { 200: answers.reservationsAnswer as object },
  },
  auditLosses: {
    operationId: 'auditLosses',
    role: 'support',
    tags: ['Installation'],
    summary: 'Look for lost events',
    querystring: LossQuery,
    response: { 200: answers.lossAnswer as object },
  },
} satisfies Operations;

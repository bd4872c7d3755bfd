// Dead letters, and orders over many jobs.

import { Type } from 'typebox'
import {
  ControlTaskResource,
  DeadLetterExplanation,
  DeadLetterFilter,
  DeadLetterResource,
  JobFilter,
} from '../resources/control.ts'
import { List, page, type Operation } from './operation.ts'

export const controlOperations = {
  listDeadLetters: {
    method: 'GET',
    path: '/dead-letters',
    tag: 'jobs',
    summary: 'Tasks that no further attempt will help, newest first',
    query: Type.Object({ ...page, ...DeadLetterFilter.properties }),
    status: 200,
    response: List(DeadLetterResource),
  },
  getDeadLetter: {
    method: 'GET',
    path: '/dead-letters/{task_id}',
    tag: 'jobs',
    summary: 'Why a task is a dead letter: its problem and what was tried',
    params: Type.Object({ task_id: Type.String({ maxLength: 100 }) }),
    status: 200,
    response: DeadLetterExplanation,
  },
  replayDeadLetters: {
    method: 'POST',
    path: '/dead-letters/replay',
    tag: 'jobs',
    summary: 'Run the jobs of all dead letters that match again, in the background',
    body: DeadLetterFilter,
    status: 202,
    response: ControlTaskResource,
  },
  cancelJobs: {
    method: 'POST',
    path: '/jobs/cancel',
    tag: 'jobs',
    summary: 'Cancel all live jobs that match, in the background',
    body: JobFilter,
    status: 202,
    response: ControlTaskResource,
  },
  listControlTasks: {
    method: 'GET',
    path: '/control-tasks',
    tag: 'jobs',
    summary: 'What was asked of many at once, newest first',
    query: Type.Object(page),
    status: 200,
    response: List(ControlTaskResource),
  },
  getControlTask: {
    method: 'GET',
    path: '/control-tasks/{control_task_id}',
    tag: 'jobs',
    summary: 'How far it has come',
    params: Type.Object({ control_task_id: Type.String({ maxLength: 100 }) }),
    status: 200,
    response: ControlTaskResource,
  },
  cancelControlTask: {
    method: 'POST',
    path: '/control-tasks/{control_task_id}/cancel',
    tag: 'jobs',
    summary: 'Go no further; what is done stays done',
    params: Type.Object({ control_task_id: Type.String({ maxLength: 100 }) }),
    status: 200,
    response: ControlTaskResource,
  },
} as const satisfies Record<string, Operation>

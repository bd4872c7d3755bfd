// Batches that a cron orders again and again.

import { Type } from 'typebox'
import { ScheduleChange, ScheduleOrder, ScheduleResource } from '../resources/schedule.ts'
import { List, page, type Operation } from './operation.ts'

export const scheduleOperations = {
  createSchedule: {
    method: 'POST',
    path: '/schedules',
    tag: 'schedules',
    summary: 'Start a batch over a query, or an import, again and again',
    body: ScheduleOrder,
    status: 201,
    response: ScheduleResource,
  },
  listSchedules: {
    method: 'GET',
    path: '/schedules',
    tag: 'schedules',
    summary: 'Schedules of the tenant, newest first',
    query: Type.Object(page),
    status: 200,
    response: List(ScheduleResource),
  },
  getSchedule: {
    method: 'GET',
    path: '/schedules/{schedule_id}',
    tag: 'schedules',
    summary: 'One schedule with its last and next run',
    params: Type.Object({ schedule_id: Type.String({ maxLength: 100 }) }),
    status: 200,
    response: ScheduleResource,
  },
  updateSchedule: {
    method: 'PATCH',
    path: '/schedules/{schedule_id}',
    tag: 'schedules',
    summary: 'Change, pause or resume a schedule',
    params: Type.Object({ schedule_id: Type.String({ maxLength: 100 }) }),
    body: ScheduleChange,
    status: 200,
    response: ScheduleResource,
  },
  deleteSchedule: {
    method: 'DELETE',
    path: '/schedules/{schedule_id}',
    tag: 'schedules',
    summary: 'Delete a schedule; batches that it started go on',
    params: Type.Object({ schedule_id: Type.String({ maxLength: 100 }) }),
    status: 204,
  },
} as const satisfies Record<string, Operation>

import { Type } from 'typebox'
import {
  FinishRequest,
  Job,
  JobCreate,
  MountEvent,
  MountPending,
  MountRequest,
  MountResult,
  Worker,
} from '../../agent-protocol/job.ts'
import type { JobRow, WorkerRow } from '../../database/jobs.ts'
import { parseProject } from '../../model/ids.ts'
import type { Context } from '../context.ts'
import { within } from '../single-flight.ts'
import type { Api } from './api.ts'
import { sendEvents } from './event-stream.ts'
import { isSettled, jobResource, workerResource } from './job-resource.ts'
import { jsonOrNdjson, OPTIONAL_BODY } from './openapi.ts'
import {
  defaultBody,
  ProjectQuery,
  projectOf,
  ReferenceParams,
  WaitQuery,
} from './request-params.ts'

/** How often a waiting runner is told what it waits for. */
const PENDING_INTERVAL_MS = 1_000

const WorkerParams = Type.Object({ reference: Type.String(), worker: Type.Integer({ minimum: 1 }) })

export function jobRoutes(api: Api, context: Context): void {
  const { jobs, mounts, finishes } = context
  const find = (request: {
    params: { reference: string }
    query: { project_uuid?: string }
  }): JobRow => jobs.get(projectOf(request), request.params.reference)

  api.post(
    '/v1/jobs',
    {
      schema: {
        summary: 'Register a job',
        querystring: ProjectQuery,
        body: JobCreate,
        response: { 200: Job },
      },
    },
    async (request) => {
      const project = parseProject(
        request.body.project_uuid ?? request.query.project_uuid ?? 'default',
      )
      return jobResource(context, await jobs.register(project, request.body))
    },
  )
  api.get(
    '/v1/jobs',
    {
      schema: {
        summary: 'List the jobs of a project',
        querystring: ProjectQuery,
        response: { 200: Type.Array(Job) },
      },
    },
    (request) => jobs.list(projectOf(request)).map((row) => jobResource(context, row)),
  )
  api.get(
    '/v1/jobs/:reference',
    {
      schema: {
        summary: 'Show a job',
        params: ReferenceParams,
        querystring: ProjectQuery,
        response: { 200: Job },
      },
    },
    (request) => jobResource(context, find(request)),
  )

  api.post(
    '/v1/jobs/:reference/workers/:worker/mount',
    {
      preValidation: defaultBody,
      schema: {
        summary: 'Mount the checkpoints of a worker, once they are ready',
        ...OPTIONAL_BODY,
        params: WorkerParams,
        querystring: WaitQuery,
        body: MountRequest,
        response: { 200: jsonOrNdjson(MountResult, MountEvent), 202: MountPending },
      },
    },
    async (request, reply) => {
      const job = find(request)
      const { worker } = request.params
      jobs.getWorker(job, worker)
      const mounting = mounts.mount(job, worker, request.body)
      if (request.headers.accept === 'application/x-ndjson')
        return sendEvents(context, reply, (signal) =>
          followMount(context, job, worker, mounting, signal),
        )
      const waitMs = (request.query.wait ?? 0) * 1000 + GRACE_MS
      const result = await within(mounting, waitMs, context.stopping)
      if (result !== undefined) return result
      reply.status(202)
      return mounts.pending(job, worker)
    },
  )

  api.post(
    '/v1/jobs/:reference/workers/:worker/finish',
    {
      preValidation: defaultBody,
      schema: {
        summary: 'Release the mounts of a worker and save its output',
        ...OPTIONAL_BODY,
        params: WorkerParams,
        querystring: WaitQuery,
        body: FinishRequest,
        response: { 200: Worker, 202: Worker },
      },
    },
    async (request, reply) => {
      const job = find(request)
      const { worker } = request.params
      await finishes.begin(job, worker, request.body)
      await waitUntil(
        context,
        () => isSettled(jobs.getWorker(job, worker)),
        request.query.wait ?? 0,
      )
      const row = jobs.getWorker(job, worker)
      reply.status(row.state === 'finished' ? 200 : 202)
      return workerResource(context, job, row)
    },
  )

  api.post(
    '/v1/jobs/:reference/finish',
    {
      preValidation: defaultBody,
      schema: {
        summary: 'Finish all workers of a job',
        ...OPTIONAL_BODY,
        params: ReferenceParams,
        querystring: WaitQuery,
        body: FinishRequest,
        response: { 200: Job, 202: Job },
      },
    },
    async (request, reply) => {
      const job = find(request)
      const workers = (): WorkerRow[] => context.store.database.jobs.listWorkers(job.id)
      for (const { worker } of workers()) await finishes.begin(job, worker, request.body)
      await waitUntil(context, () => workers().every(isSettled), request.query.wait ?? 0)
      const row = jobs.get(job.project, job.id)
      reply.status(row.status === 'finished' ? 200 : 202)
      return jobResource(context, row)
    },
  )
}

/** Even without `wait`, what is done in a moment is answered with 200. */
const GRACE_MS = 100

/** Resolves when it is done, or when the time is up. */
async function waitUntil(context: Context, isDone: () => boolean, seconds: number): Promise<void> {
  const untilMs = context.now() + seconds * 1000 + GRACE_MS
  while (!isDone()) {
    const leftMs = untilMs - context.now()
    if (leftMs <= 0) return
    await context.finishes.changed.wait({
      timeoutMs: Math.min(leftMs, PENDING_INTERVAL_MS),
      signal: context.stopping,
    })
    context.stopping.throwIfAborted()
  }
}

async function* followMount(
  context: Context,
  job: JobRow,
  worker: number,
  mounting: Promise<MountResult>,
  signal: AbortSignal,
): AsyncGenerator<MountEvent> {
  for (;;) {
    const mount = await within(mounting, PENDING_INTERVAL_MS, signal)
    if (mount !== undefined) return yield { type: 'result', mount }
    yield { type: 'pending', pending: context.mounts.pending(job, worker) }
  }
}

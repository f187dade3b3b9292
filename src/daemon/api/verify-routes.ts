import { VerifyEvent, type VerifyReport } from '../../agent-protocol/checkpoint.ts'
import { type Damage, verifyStore } from '../../cache/verify.ts'
import type { WorkerRow } from '../../database/jobs.ts'
import type { Project } from '../../model/ids.ts'
import { startActivity } from '../activity.ts'
import type { Context } from '../context.ts'
import { noContent } from '../no-content.ts'
import { within } from '../single-flight.ts'
import type { Api } from './api.ts'
import { sendEvents } from './event-stream.ts'
import { ndjson } from './openapi.ts'
import { ProjectQuery, projectOf, ReferenceParams } from './request-params.ts'

/** How often progress is sent. */
const PROGRESS_INTERVAL_MS = 500

export function verifyRoutes(api: Api, context: Context): void {
  api.post(
    '/v1/verify',
    {
      schema: {
        summary: 'Verify the whole store',
        querystring: ProjectQuery,
        response: { 200: ndjson(VerifyEvent) },
      },
    },
    (_request, reply) => {
      void sendEvents(context, reply, (signal) => verify(context, {}, signal))
    },
  )
  api.post(
    '/v1/checkpoints/:reference/verify',
    {
      schema: {
        summary: 'Verify a checkpoint',
        params: ReferenceParams,
        querystring: ProjectQuery,
        response: { 200: ndjson(VerifyEvent) },
      },
    },
    (request, reply) => {
      const row = context.checkpoints.get(projectOf(request), request.params.reference)
      if (row.manifest_id === null) throw noContent(row)
      const what = { manifestId: row.manifest_id, project: row.project }
      void sendEvents(context, reply, (signal) => verify(context, what, signal))
    },
  )
}

/** Of one manifest, told to its project alone; by default of the store, told to the operator. */
async function* verify(
  context: Context,
  { manifestId, project }: { readonly manifestId?: number; readonly project?: Project },
  signal: AbortSignal,
): AsyncGenerator<VerifyEvent> {
  const activity = startActivity('verifying', context.now)
  const bad: VerifyReport['bad'] = []
  const verifying = verifyStore(context.store.context, {
    ...(manifestId === undefined ? {} : { manifestId }),
    signal,
    onBad: (found) => {
      const { kind, sha256, problem } = found
      context.log.error({ kind, sha256, problem }, 'damage was found')
      bad.push(badResource(context, found, project))
    },
    onProgress: ({ checkedObjects, checkedBytes, totalBytes }) =>
      activity.update({
        phase: 'verifying',
        bytesDone: checkedBytes,
        bytesTotal: totalBytes,
        filesDone: checkedObjects,
      }),
  })
  for (;;) {
    const done = await within(verifying, PROGRESS_INTERVAL_MS, signal)
    if (done !== undefined) {
      const report = { checked_objects: done.checkedObjects, checked_bytes: done.checkedBytes, bad }
      return yield { type: 'result', report }
    }
    yield { type: 'progress', progress: activity.progress() }
  }
}

function badResource(
  context: Context,
  { kind, sha256, executable, problem, checkpoints }: Damage,
  project: Project | undefined,
): VerifyReport['bad'][number] {
  const { database } = context.store
  const shown =
    project === undefined
      ? checkpoints
      : checkpoints.filter(({ checkpoint }) => checkpoint.project === project)
  return {
    kind,
    sha256,
    executable,
    problem,
    checkpoints: shown.map(({ checkpoint, paths }) => ({
      checkpoint_uuid: checkpoint.id,
      name: checkpoint.name,
      paths: [...paths],
    })),
    other_checkpoints: checkpoints.length - shown.length,
    mounted_by: shown.flatMap(({ jobs }) =>
      jobs.flatMap((job) =>
        database.jobs
          .listWorkers(job.id)
          .filter(isMounted)
          .map(({ worker }) => ({ job_uuid: job.id, name: job.name, worker })),
      ),
    ),
  }
}

function isMounted({ state }: WorkerRow): boolean {
  return state === 'mounting' || state === 'mounted' || state === 'finishing'
}

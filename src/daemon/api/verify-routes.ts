import type { VerifyEvent, VerifyReport } from '../../agent-protocol/checkpoint.ts'
import { type BadObject, verifyStore } from '../../cache/verify.ts'
import type { WorkerRow } from '../../database/jobs.ts'
import { CkptdError } from '../../model/errors.ts'
import { startActivity } from '../activity.ts'
import type { Context } from '../context.ts'
import { within } from '../single-flight.ts'
import type { Api } from './api.ts'
import { sendEvents } from './event-stream.ts'
import { ProjectQuery, projectOf, ReferenceParams } from './request-params.ts'

/** How often progress is sent. */
const PROGRESS_INTERVAL_MS = 500

export function verifyRoutes(api: Api, context: Context): void {
  api.post('/v1/verify', { schema: { querystring: ProjectQuery } }, (_request, reply) =>
    sendEvents(context, reply, (signal) => verify(context, undefined, signal)),
  )
  api.post(
    '/v1/checkpoints/:reference/verify',
    { schema: { params: ReferenceParams, querystring: ProjectQuery } },
    (request, reply) => {
      const row = context.checkpoints.get(projectOf(request), request.params.reference)
      if (row.manifest_id === null)
        throw new CkptdError(
          'not_ready',
          `the checkpoint "${row.name}" is ${row.status}; there is nothing to verify yet`,
        )
      const manifestId = row.manifest_id
      return sendEvents(context, reply, (signal) => verify(context, manifestId, signal))
    },
  )
}

async function* verify(
  context: Context,
  manifestId: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<VerifyEvent> {
  const activity = startActivity('verifying', context.now)
  const bad: VerifyReport['bad'] = []
  const verifying = verifyStore(context.store.context, {
    ...(manifestId === undefined ? {} : { manifestId }),
    signal,
    onBad: (found) => {
      context.log.error(
        { sha256: found.object.sha256, problem: found.problem },
        'a damaged object was found',
      )
      bad.push(badResource(context, found))
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

function badResource(context: Context, { object, problem, checkpoints }: BadObject) {
  const { database } = context.store
  return {
    sha256: object.sha256,
    executable: object.executable === 1,
    problem,
    checkpoints: checkpoints.map(({ checkpoint, paths }) => ({
      checkpoint_uuid: checkpoint.id,
      name: checkpoint.name,
      paths: [...paths],
    })),
    mounted_by: checkpoints.flatMap(({ jobs }) =>
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

import type { Job, MountRequest, MountResult } from '../../agent-protocol/job.ts'
import { mountEvents } from '../api/job-calls.ts'
import { persistentStream } from '../api/patience.ts'
import { CommandError, fromErrorBody } from '../command-error.ts'
import { type LiveLine, openLiveLine } from '../live-line.ts'
import type { Session } from '../session.ts'
import { printable } from '../text/printable.ts'
import { pendingText } from './pending-text.ts'

/** Mounts every worker, waiting until all checkpoints of the job are ready. */
export async function mountWorkers(
  session: Session,
  job: Job,
  request: MountRequest,
  signal: AbortSignal,
): Promise<MountResult[]> {
  using live = openLiveLine(session.io.stderr, session.io.clock)
  // One that fails makes the waiting of the others pointless.
  const oneFailed = new AbortController()
  const either = AbortSignal.any([signal, oneFailed.signal])
  const workers = Array.from({ length: job.worker_count }, (_, at) => at + 1)
  try {
    return await Promise.all(
      workers.map((worker) => mountWorker(session, { job: job.id, worker, request, live }, either)),
    )
  } finally {
    oneFailed.abort()
  }
}

interface WorkerMount {
  readonly job: string
  readonly worker: number
  readonly request: MountRequest
  readonly live: LiveLine
}

async function mountWorker(
  { api, io }: Session,
  { job, worker, request, live }: WorkerMount,
  signal: AbortSignal,
): Promise<MountResult> {
  const events = persistentStream(
    () => mountEvents(api, job, worker, request, signal),
    ({ type }) => type !== 'pending',
    {
      clock: io.clock,
      signal,
      onLost: ({ message }) => live.print(`ckpt: ${printable(message)}; trying again`),
    },
  )
  for await (const event of events) {
    if (event.type === 'result') return event.mount
    if (event.type === 'error') throw fromErrorBody(event.error)
    live.update(pendingText(event.pending))
  }
  throw new CommandError('unreachable', `the daemon did not say how worker ${worker} is mounted`)
}

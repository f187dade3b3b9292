import type { Job, MountRequest, MountResult } from '../../agent-protocol/job.ts'
import { mountEvents } from '../api/job-calls.ts'
import { persistentStream } from '../api/patience.ts'
import { CommandError, fromErrorBody } from '../command-error.ts'
import { type LiveLine, openLiveLine } from '../live-line.ts'
import type { Session } from '../session.ts'
import { printable } from '../text/printable.ts'
import { pendingText } from './pending-text.ts'

/** How often what passes by itself is asked for again, a second apart: a helper's restart takes a few. */
const MAX_RETRIES = 30
const RETRY_MS = 1_000

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
  const told = new Set<string>()
  const tell = (text: string): void => {
    if (!told.has(text)) live.print(`ckpt: ${text}`)
    told.add(text)
  }
  const workers = Array.from({ length: job.worker_count }, (_, at) => at + 1)
  try {
    return await Promise.all(
      workers.map((worker) =>
        mountWorker(session, { job: job.id, worker, request, live, tell }, either),
      ),
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
  /** Says something once, however many workers find it. */
  readonly tell: (text: string) => void
}

async function mountWorker(
  session: Session,
  mount: WorkerMount,
  signal: AbortSignal,
): Promise<MountResult> {
  for (let retries = 0; ; retries++) {
    try {
      return await askForMount(session, mount, signal)
    } catch (error) {
      if (!passesByItself(error) || retries === MAX_RETRIES) throw error
      mount.tell(`${printable(error.message)}; trying again for ${MAX_RETRIES} seconds`)
      await session.io.clock.sleep(RETRY_MS, signal)
    }
  }
}

/** A daemon that cannot be reached has been waited for already. */
function passesByItself(error: unknown): error is CommandError {
  return error instanceof CommandError && error.retryable && error.exit !== 'unreachable'
}

async function askForMount(
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

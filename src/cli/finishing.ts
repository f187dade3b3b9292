import type { FinishRequest, Job, Worker } from '../agent-protocol/job.ts'
import { finishJob, finishWorker } from './api/job-calls.ts'
import { retryUnreachable } from './api/patience.ts'
import { CommandError } from './command-error.ts'
import type { Session } from './session.ts'
import { workerNotes } from './text/job-text.ts'
import { printable } from './text/printable.ts'

/** How long one answer is held back; short of it the daemon answers at the moment it is done. */
const WAIT_SECONDS = 20
/** After a refusal that passes by itself: a container is not gone yet, a mount is still held. */
const RETRY_MS = 1_000

export interface Finishing {
  readonly request: FinishRequest
  /** Ends the waiting; what the daemon has been told goes on. */
  readonly signal: AbortSignal
  /** Whether to ask again where a container still runs, instead of failing with that. */
  readonly retryRefusals: boolean
  /** Told, safe for a terminal, what it waits for and who holds it. */
  readonly onUnfinished: (text: string) => void
}

/**
 * Whether a worker's output is not saved and waiting does not help: somebody has to decide, and
 * the error's hint says how.
 */
export function isNotSaved({ state, error }: Worker): boolean {
  return state === 'finishing' && error !== undefined && !error.retryable
}

/**
 * Finishes one worker and waits until its output is a ready checkpoint, or cannot become one;
 * says who holds it.
 */
export async function finishWorkerToTheEnd(
  session: Session,
  job: string,
  worker: number,
  finishing: Finishing,
): Promise<Worker> {
  const { request, signal } = finishing
  return untilDone(session, finishing, {
    ask: (waitSeconds) => finishWorker(session.api, job, worker, { request, waitSeconds, signal }),
    workersOf: (answer) => [answer],
  })
}

/** Finishes all workers of a job. */
export async function finishJobToTheEnd(
  session: Session,
  job: string,
  finishing: Finishing,
): Promise<Job> {
  const { request, signal } = finishing
  return untilDone(session, finishing, {
    ask: (waitSeconds) => finishJob(session.api, job, { request, waitSeconds, signal }),
    workersOf: (answer) => answer.workers,
  })
}

interface Question<T> {
  readonly ask: (waitSeconds: number) => Promise<T>
  readonly workersOf: (answer: T) => readonly Worker[]
}

async function untilDone<T>(
  { io }: Session,
  { signal, retryRefusals, onUnfinished }: Finishing,
  { ask, workersOf }: Question<T>,
): Promise<T> {
  // The first answer is not held back, so that the daemon has been told before anybody can
  // stop the waiting.
  for (let waitSeconds = 0; ; waitSeconds = WAIT_SECONDS) {
    const askedAt = io.clock.now()
    try {
      const answer = await retryUnreachable(() => ask(waitSeconds), {
        clock: io.clock,
        signal,
        onLost: ({ message }) => onUnfinished(`${printable(message)}; trying again`),
      })
      const unfinished = workersOf(answer).filter(
        (worker) => worker.state !== 'finished' && !isNotSaved(worker),
      )
      if (unfinished.length === 0) return answer
      onUnfinished(unfinishedText(unfinished))
      if (waitSeconds === 0 || io.clock.now() - askedAt >= RETRY_MS) continue
    } catch (error) {
      if (!retryRefusals || !isPassingRefusal(error)) throw error
      onUnfinished(printable(error.message))
    }
    await io.clock.sleep(RETRY_MS, signal)
  }
}

function isPassingRefusal(error: unknown): error is CommandError {
  return error instanceof CommandError && error.retryable && error.exit === 'conflict'
}

function unfinishedText(unfinished: readonly Worker[]): string {
  const notes = unfinished.map(workerNotes).join('').trimEnd().replaceAll('\n', '; ')
  const numbers = unfinished.map(({ worker }) => worker).join(', ')
  return notes === '' ? `finishing worker ${numbers}` : notes
}

import type { Job } from '../../agent-protocol/job.ts'
import { finishJob, registerJob } from '../api/job-calls.ts'
import { CommandError, errorText } from '../command-error.ts'
import { exitOfSignal } from '../exit-codes.ts'
import { Interrupted } from '../interruption.ts'
import { isInterrupting } from '../io.ts'
import type { Session } from '../session.ts'
import { mountWorkers } from './mount-workers.ts'
import type { MountedWorker, RunOrder } from './run-order.ts'
import { reportRun } from './run-report.ts'
import { runWorkers } from './run-workers.ts'
import { openSignalRelay, type SignalRelay } from './signal-relay.ts'

/** The longest that a failed start waits for its clean-up. */
const ABANDON_WAIT_SECONDS = 10

/**
 * The reference job runner: registers the job, mounts its workers, runs them, finishes each
 * when its container is gone, and returns the exit status. Whatever fails after the job is
 * registered, it is finished, so that nothing stays leased or mounted.
 */
export async function runJob(session: Session, order: RunOrder): Promise<number> {
  using relay = openSignalRelay(session.io)
  const job = await registerJob(session.api, order.job)
  const workers = await mountOrAbandon(session, relay, job, order)
  if (workers instanceof Interrupted) return exitOfSignal(workers.signal)
  const results = await runWorkers(session, relay, { job, workers })
  return await reportRun(session, job, results)
}

async function mountOrAbandon(
  session: Session,
  relay: SignalRelay,
  job: Job,
  order: RunOrder,
): Promise<MountedWorker[] | Interrupted> {
  const abort = new AbortController()
  relay.to((signal) => {
    if (isInterrupting(signal)) abort.abort(new Interrupted(signal))
  })
  try {
    const mounts = await mountWorkers(session, job, order.mount, abort.signal)
    return mounts.map((mount) => ({ mount, line: order.commandOf(mount) }))
  } catch (error) {
    const reason: unknown = abort.signal.reason
    const interrupted = reason instanceof Interrupted ? reason : undefined
    await abandon(session, job, interrupted === undefined ? 'failed' : 'stopped')
    if (interrupted === undefined) throw error
    return interrupted
  }
}

/** Nothing of it has run, so there is nothing to save. */
async function abandon(session: Session, job: Job, outcome: 'failed' | 'stopped'): Promise<void> {
  try {
    await finishJob(session.api, job.id, {
      request: { outcome, discard_output: true },
      waitSeconds: ABANDON_WAIT_SECONDS,
    })
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    const again = session.commandLine(`job finish ${job.id} --discard-output`)
    session.io.stderr.write(
      errorText(`the job ${job.id} could not be finished: ${error.message}`, `Finish it: ${again}`),
    )
  }
}

import type { FinishRequest } from '../agent-protocol/job.ts'
import type { Store } from '../cache/store.ts'
import type { JobRow, WorkerRow } from '../database/jobs.ts'
import { type ErrorCode, toErrorRecord } from '../model/errors.ts'
import type { MountClient } from '../mount/client.ts'
import { failpoint } from '../os/failpoint.ts'
import { type ChangeSignal, changeSignal } from './change-signal.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Config } from './config.ts'
import type { Jobs } from './jobs.ts'
import type { Log } from './log.ts'
import { type Holders, openOutputSaver } from './save-output.ts'
import { singleFlight } from './single-flight.ts'

/** The end of workers: mounts released, output handed over and saved as a checkpoint. */
export interface WorkerFinishes {
  /**
   * Flushes what the worker wrote, records durably that it ended, and starts the rest. Idempotent; asked again, a
   * worker that failed is tried again, and with `discard_output` an output is given up that is
   * not saved yet.
   */
  begin(job: JobRow, worker: number, report: FinishRequest): Promise<void>
  /** Goes on with a worker in state `finishing`. */
  resume(job: JobRow, worker: number): void
  /** Goes on with those workers for which nobody has to be asked: nothing of them is mounted. */
  resumeUnmounted(): void
  /** Told whenever something about a job's workers changed. */
  readonly changed: ChangeSignal
  settle(): Promise<void>
}

/** How soon a worker is looked at again whose mounts are still held or whose capture failed. */
const RETRY_HELD_MS = 1_000
const RETRY_FAILED_MS = 30_000
/** What a further attempt would only find again: the worker waits until somebody decides. */
const LASTING: ReadonlySet<ErrorCode> = new Set(['too_large', 'limit_exceeded', 'invalid_path'])

export function openWorkerFinishes(context: {
  store: Store
  checkpoints: Checkpoints
  jobs: Jobs
  helper: MountClient
  config: Config
  signal: AbortSignal
  now: () => number
  log: Log
}): WorkerFinishes {
  const { store, jobs, helper, signal } = context
  const { database } = store
  const flights = singleFlight<void>()
  const changed = changeSignal()
  const outputs = openOutputSaver(context)
  /** Of the workers that wait for their next attempt. */
  const pauses = new Map<string, ChangeSignal>()
  const keyOf = (job: JobRow, worker: number): string => `${job.id}/${worker}`

  /** Neither a mount nor an output directory was ever asked for, or nothing of it is left. */
  const isUnmounted = ({ job_id: job, worker, has_output: output }: WorkerRow): boolean =>
    output === 0 && database.leases.listOfWorker(job, worker).length === 0

  const release = async (job: JobRow, worker: number): Promise<Holders> => {
    const { released, holders } = await helper.releaseWorker({ job: job.id, worker })
    if (!released) return holders ?? []
    failpoint('release.unmounted')
    database.transaction(() => {
      database.leases.removeOfWorker(job.id, worker)
      database.jobs.setWorkerHolders(job.id, worker, null)
    })
    failpoint('release.recorded')
    await store.views.removeDisposable()
    return undefined
  }

  /** One attempt; true when the worker is finished, false when somebody still holds it. */
  const attempt = async (job: JobRow, worker: number): Promise<boolean> => {
    const row = jobs.getWorker(job, worker)
    let holders = isUnmounted(row) ? undefined : await release(job, worker)
    if (holders === undefined && row.has_output === 1) holders = await outputs.save(job, worker)
    if (holders !== undefined) {
      database.jobs.setWorkerHolders(job.id, worker, holders)
      return false
    }
    database.transaction(() => {
      database.jobs.setWorkerFinished(job.id, worker)
      database.jobs.setWorkerError(job.id, worker, null)
      if (database.jobs.countUnfinishedWorkers(job.id) === 0)
        database.jobs.setStatus(job.id, 'finished')
    })
    await database.flush()
    context.log.info({ job: job.id, worker }, 'worker finished')
    return true
  }

  /** Records why an attempt failed; answers when to try again, undefined: when somebody asks. */
  const recordFailure = (job: JobRow, worker: number, error: unknown): number | undefined => {
    const record = toErrorRecord(error)
    database.jobs.setWorkerError(job.id, worker, record)
    if (LASTING.has(record.code)) {
      context.log.warn({ job: job.id, worker, code: record.code }, record.message)
      return undefined
    }
    if (record.code === 'worker_running' || record.code === 'mounts_unavailable')
      return RETRY_HELD_MS
    context.log.error(
      { job: job.id, worker, err: error },
      'finishing a worker failed; it is tried again',
    )
    return RETRY_FAILED_MS
  }

  const pause = async (job: JobRow, worker: number, ms: number | undefined): Promise<void> => {
    const wake = changeSignal()
    pauses.set(keyOf(job, worker), wake)
    await wake.wait({ ...(ms === undefined ? {} : { timeoutMs: ms }), signal })
    pauses.delete(keyOf(job, worker))
  }

  const run = async (job: JobRow, worker: number): Promise<void> => {
    while (!signal.aborted) {
      const { discard_output: discarding } = jobs.getWorker(job, worker)
      let pauseMs: number | undefined = RETRY_HELD_MS
      try {
        if (await attempt(job, worker)) return changed.notify()
      } catch (error) {
        if (signal.aborted) return
        // Its output is to be discarded since the attempt began.
        if (jobs.getWorker(job, worker).discard_output !== discarding) continue
        pauseMs = recordFailure(job, worker, error)
      }
      changed.notify()
      await pause(job, worker, pauseMs)
    }
  }

  const start = (job: JobRow, worker: number): void => {
    void flights.join(keyOf(job, worker), () => run(job, worker))
  }

  const askAgain = (job: JobRow, worker: number, discardOutput: boolean): void => {
    if (discardOutput) {
      database.jobs.setWorkerDiscard(job.id, worker)
      outputs.stop(job, worker)
    }
    const paused = pauses.get(keyOf(job, worker))
    if (paused === undefined) return
    // What an earlier attempt met is no answer to this question.
    database.jobs.setWorkerError(job.id, worker, null)
    paused.notify()
  }

  /** Nobody else flushes it: once the end is acknowledged, no power cut may take a byte of it. */
  const flushOutput = async (job: JobRow, worker: number): Promise<void> => {
    const { has_output: output, state } = jobs.getWorker(job, worker)
    if (output === 1 && state !== 'finishing' && state !== 'finished')
      await store.threads.use((remote) => remote.flushForeignWrites())
  }

  return {
    changed,
    begin: async (job, worker, report) => {
      const discardOutput = report.discard_output ?? false
      if (!discardOutput) await flushOutput(job, worker)
      const row = jobs.getWorker(job, worker)
      if (row.state === 'finished') return
      if (row.state === 'finishing') askAgain(job, worker, discardOutput)
      else {
        database.jobs.setWorkerFinishing(job.id, worker, {
          outcome: report.outcome ?? null,
          exitCode: report.exit_code ?? null,
          discardOutput,
        })
        await database.flush()
        failpoint('finish.recorded')
      }
      start(job, worker)
    },
    resume: start,
    resumeUnmounted: () => {
      for (const row of database.jobs.listWorkersIn('finishing')) {
        const job = isUnmounted(row) ? database.jobs.find(row.job_id) : undefined
        if (job !== undefined) start(job, row.worker)
      }
    },
    settle: () => flights.settle(),
  }
}

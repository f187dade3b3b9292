import { join } from 'node:path'
import type { FinishRequest } from '../agent-protocol/job.ts'
import type { Store } from '../cache/store.ts'
import { captureTree } from '../capture/capture-tree.ts'
import type { JobRow, WorkerRow } from '../database/jobs.ts'
import { outputCheckpointName } from '../model/checkpoint-name.ts'
import { CkptdError, toErrorRecord } from '../model/errors.ts'
import type { CheckpointId } from '../model/ids.ts'
import type { MountClient } from '../mount/client.ts'
import { failpoint } from '../os/failpoint.ts'
import { startActivity } from './activity.ts'
import { type ChangeSignal, changeSignal } from './change-signal.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Config } from './config.ts'
import type { Jobs } from './jobs.ts'
import type { Log } from './log.ts'
import { singleFlight } from './single-flight.ts'

/** The end of workers: mounts released, output handed over and saved as a checkpoint. */
export interface WorkerFinishes {
  /** Records, durably, that a worker ended, and starts the rest. Idempotent. */
  begin(job: JobRow, worker: number, report: FinishRequest): Promise<void>
  /** Goes on with a worker in state `finishing`. */
  resume(job: JobRow, worker: number): void
  /** Told whenever something about a job's workers changed. */
  readonly changed: ChangeSignal
  settle(): Promise<void>
}

/** How soon a worker is looked at again whose mounts are still held or whose capture failed. */
const RETRY_HELD_MS = 1_000
const RETRY_FAILED_MS = 30_000

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
  const { store, checkpoints, jobs, helper, signal, now } = context
  const { database } = store
  const flights = singleFlight<void>()
  const changed = changeSignal()

  /** True once neither the worker's mounts nor its leases are left. */
  const release = async (job: JobRow, worker: number): Promise<boolean> => {
    const { released, holders } = await helper.releaseWorker({ job: job.id, worker })
    if (!released) {
      database.jobs.setWorkerHolders(job.id, worker, holders ?? [])
      changed.notify()
      return false
    }
    failpoint('release.unmounted')
    database.transaction(() => {
      database.leases.removeOfWorker(job.id, worker)
      database.jobs.setWorkerHolders(job.id, worker, null)
    })
    failpoint('release.recorded')
    await store.views.removeDisposable()
    return true
  }

  const handOver = async (job: JobRow, worker: number) => {
    try {
      return await helper.handOverOutput({ job: job.id, worker })
    } catch (error) {
      if (error instanceof CkptdError && error.code === 'not_found') return 'nothing there' as const
      throw error
    }
  }

  const outputCheckpoint = async (job: JobRow, worker: WorkerRow): Promise<CheckpointId> => {
    if (worker.output_checkpoint_id !== null) return worker.output_checkpoint_id
    const { id } = await checkpoints.create({
      project: job.project,
      name: outputCheckpointName(job.name, worker.worker, job.worker_count),
      sourceType: 'trainml',
      sourceUri: job.id,
      sourceOptions: {},
      sealedSource: null,
      ingest: 'capture',
      ingestState: {},
      alsoRecord: (id) => database.jobs.setWorkerOutput(job.id, worker.worker, id),
    })
    return id
  }

  const capture = async (job: JobRow, worker: number): Promise<boolean> => {
    const handed = await handOver(job, worker)
    if (handed === 'nothing there') {
      // Never written to, or saved and cleaned up by a daemon that died right after.
      const saved = jobs.getWorker(job, worker).output_checkpoint_id
      if (saved === null) return true
      if (checkpoints.get(job.project, saved).status !== 'ready')
        throw new CkptdError(
          'internal',
          `the output of worker ${worker} is gone before it was saved`,
        )
      await store.removal.dropIngest(saved)
      return true
    }
    if (!handed.handedOver || handed.stagingName === undefined) {
      database.jobs.setWorkerHolders(job.id, worker, handed.holders ?? [])
      changed.notify()
      return false
    }
    failpoint('capture.handed-over')
    const root = join(store.layout.staging, handed.stagingName)
    const id = await outputCheckpoint(job, jobs.getWorker(job, worker))
    const row = checkpoints.get(job.project, id)
    if (row.status !== 'ready') {
      const activity = startActivity('capturing', now)
      checkpoints.setProgress(id, activity.progress())
      if (row.status === 'new') {
        database.checkpoints.setStatus(id, 'downloading')
        checkpoints.log(id, `Saving the output of worker ${worker} of job "${job.name}"`)
      }
      const { leftOut } = await captureTree({
        ingest: store.openIngest(id, row.domain),
        threads: store.threads,
        root,
        log: (line) => checkpoints.log(id, line),
        onProgress: ({ filesDone, bytesDone }) => {
          activity.update({ phase: 'capturing', filesDone, bytesDone })
          checkpoints.setProgress(id, activity.progress())
        },
        signal,
      })
      if (leftOut > 0) {
        const untilMs = now() + context.config.keep_output_hours * 3_600_000
        database.jobs.setWorkerOutputKept(job.id, worker, untilMs)
        checkpoints.log(
          id,
          `${leftOut} entries were left out; the output directory is kept at ${root} until ${new Date(untilMs).toISOString()}`,
        )
      }
      await store.publisher.publish(id, now())
      failpoint('capture.published')
      checkpoints.log(id, 'Upload complete')
      checkpoints.setProgress(id, undefined)
    }
    await store.removal.dropIngest(id)
    const keptUntilMs = jobs.getWorker(job, worker).output_kept_until_ms ?? 0
    if (keptUntilMs <= now()) await store.threads.use((remote) => remote.removeTree(root))
    failpoint('capture.cleaned')
    return true
  }

  const discard = async (job: JobRow, worker: number): Promise<boolean> => {
    const { discarded, holders } = await helper.discardOutput({ job: job.id, worker })
    if (!discarded) database.jobs.setWorkerHolders(job.id, worker, holders ?? [])
    changed.notify()
    return discarded
  }

  /** One attempt; true when the worker is finished, false when somebody still holds it. */
  const attempt = async (job: JobRow, worker: number): Promise<boolean> => {
    if (!(await release(job, worker))) return false
    const row = jobs.getWorker(job, worker)
    if (row.has_output === 1) {
      const discarding = row.discard_output === 1 && row.output_checkpoint_id === null
      if (!(await (discarding ? discard(job, worker) : capture(job, worker)))) return false
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

  const run = async (job: JobRow, worker: number): Promise<void> => {
    while (!signal.aborted) {
      let pauseMs = RETRY_HELD_MS
      try {
        if (await attempt(job, worker)) return changed.notify()
      } catch (error) {
        if (signal.aborted) return
        const waiting =
          error instanceof CkptdError &&
          (error.code === 'worker_running' || error.code === 'mounts_unavailable')
        if (!waiting) {
          pauseMs = RETRY_FAILED_MS
          context.log.error(
            { job: job.id, worker, err: error },
            'finishing a worker failed; it is tried again',
          )
        }
        database.jobs.setWorkerError(job.id, worker, toErrorRecord(error))
        changed.notify()
      }
      await changed.wait({ timeoutMs: pauseMs, signal })
    }
  }

  const start = (job: JobRow, worker: number): void => {
    void flights.join(`${job.id}/${worker}`, () => run(job, worker))
  }

  return {
    changed,
    begin: async (job, worker, report) => {
      const row = jobs.getWorker(job, worker)
      if (row.state === 'finished') return
      if (row.state === 'finishing') {
        // Asked again: whoever was in the way may be gone.
        if (report.discard_output) database.jobs.setWorkerDiscard(job.id, worker)
        changed.notify()
      } else {
        database.jobs.setWorkerFinishing(job.id, worker, {
          outcome: report.outcome ?? null,
          exitCode: report.exit_code ?? null,
          discardOutput: report.discard_output ?? false,
        })
        await database.flush()
        failpoint('finish.recorded')
      }
      start(job, worker)
    },
    resume: start,
    settle: () => flights.settle(),
  }
}

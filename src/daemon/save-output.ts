import { join } from 'node:path'
import type { Store } from '../cache/store.ts'
import { captureTree } from '../capture/capture-tree.ts'
import type { JobRow, WorkerRow } from '../database/jobs.ts'
import { outputCheckpointName } from '../model/checkpoint-name.ts'
import { CkptdError } from '../model/errors.ts'
import type { CheckpointId } from '../model/ids.ts'
import type { MountClient } from '../mount/client.ts'
import { failpoint } from '../os/failpoint.ts'
import { startActivity } from './activity.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Config } from './config.ts'
import type { Jobs } from './jobs.ts'

/** What becomes of the output of a worker whose mounts are released. */
export interface OutputSaver {
  /**
   * Makes it a ready checkpoint, or gives it up where that was asked for before the checkpoint
   * was ready. Repeatable. Answers who still has it mounted, if anybody has.
   */
  save(job: JobRow, worker: number): Promise<Holders>
  /** Ends a capture under way: `save` rejects with `cancelled` and the next one gives it up. */
  stop(job: JobRow, worker: number): void
}

/** Undefined where nobody is in the way. */
export type Holders = readonly unknown[] | undefined

export function openOutputSaver(context: {
  store: Store
  checkpoints: Checkpoints
  jobs: Jobs
  helper: MountClient
  config: Config
  signal: AbortSignal
  now: () => number
}): OutputSaver {
  const { store, checkpoints, jobs, helper, now } = context
  const { database } = store
  const capturing = new Map<string, AbortController>()
  const keyOf = (job: JobRow, worker: number): string => `${job.id}.${worker}`

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

  const capture = async (
    job: JobRow,
    worker: number,
    id: CheckpointId,
    root: string,
  ): Promise<void> => {
    const row = checkpoints.get(job.project, id)
    const activity = startActivity('capturing', now)
    checkpoints.setProgress(id, activity.progress())
    if (row.status === 'new') {
      database.checkpoints.setStatus(id, 'downloading')
      checkpoints.log(id, `Saving the output of worker ${worker} of job "${job.name}"`)
    }
    const stop = new AbortController()
    const signal = AbortSignal.any([context.signal, stop.signal])
    capturing.set(keyOf(job, worker), stop)
    try {
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
      signal.throwIfAborted()
      if (leftOut > 0) {
        const untilMs = now() + context.config.keep_output_hours * 3_600_000
        database.jobs.setWorkerOutputKept(job.id, worker, untilMs)
        checkpoints.log(
          id,
          `Not all of it could be saved (see above): the output directory is kept at ${root} until ${new Date(untilMs).toISOString()}`,
        )
      }
    } finally {
      capturing.delete(keyOf(job, worker))
      checkpoints.setProgress(id, undefined)
    }
    await store.publisher.publish(id, now())
    failpoint('capture.published')
    checkpoints.log(id, 'Upload complete')
  }

  const keep = async (job: JobRow, worker: number): Promise<Holders> => {
    const handed = await handOver(job, worker)
    if (handed === 'nothing there') {
      // Never written to, or saved and cleaned up by a daemon that died right after.
      const saved = jobs.getWorker(job, worker).output_checkpoint_id
      if (saved === null) return undefined
      if (checkpoints.get(job.project, saved).status !== 'ready')
        throw new CkptdError(
          'internal',
          `the output of worker ${worker} is gone before it was saved`,
        )
      await store.removal.dropIngest(saved)
      return undefined
    }
    if (!handed.handedOver || handed.stagingName === undefined) return handed.holders ?? []
    failpoint('capture.handed-over')
    const root = join(store.layout.staging, handed.stagingName)
    const id = await outputCheckpoint(job, jobs.getWorker(job, worker))
    if (!isReady(id)) await capture(job, worker, id, root)
    await store.removal.dropIngest(id)
    const keptUntilMs = jobs.getWorker(job, worker).output_kept_until_ms ?? 0
    if (keptUntilMs <= now()) await store.threads.use((remote) => remote.removeTree(root))
    failpoint('capture.cleaned')
    return undefined
  }

  const giveUp = async (job: JobRow, worker: number, id: CheckpointId | null): Promise<Holders> => {
    const { discarded, holders } = await helper.discardOutput({ job: job.id, worker })
    if (!discarded) return holders ?? []
    if (id !== null) await dropCheckpoint(job, worker, id)
    await store.threads.use((remote) => remote.removeTree(store.layout.output(job.id, worker)))
    return undefined
  }

  /** A job that waits for the checkpoint is told; otherwise nothing of it is left. */
  const dropCheckpoint = async (job: JobRow, worker: number, id: CheckpointId): Promise<void> => {
    const wanted = database.jobs.listUses(id).length > 0
    if (wanted)
      await checkpoints.fail(id, new CkptdError('cancelled', 'the job’s output was discarded'))
    database.transaction(() => {
      database.jobs.setWorkerOutput(job.id, worker, null)
      if (!wanted) database.checkpoints.setStatus(id, 'removing')
    })
    await database.flush()
    checkpoints.changed(id).notify()
    await (wanted ? store.removal.dropIngest(id) : store.removal.finish(id))
  }

  const isReady = (id: CheckpointId | null): boolean =>
    id !== null && database.checkpoints.find(id)?.status === 'ready'

  return {
    save: (job, worker) => {
      const { discard_output: discard, output_checkpoint_id: id } = jobs.getWorker(job, worker)
      return discard === 1 && !isReady(id) ? giveUp(job, worker, id) : keep(job, worker)
    },
    stop: (job, worker) =>
      capturing
        .get(keyOf(job, worker))
        ?.abort(new CkptdError('cancelled', 'the output is to be discarded')),
  }
}

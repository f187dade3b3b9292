import type { MountPending, MountRequest, MountResult } from '../agent-protocol/job.ts'
import { viewName } from '../cache/layout.ts'
import type { Store } from '../cache/store.ts'
import type { JobRow } from '../database/jobs.ts'
import type { ViewRow } from '../database/views.ts'
import { CkptdError } from '../model/errors.ts'
import type { MountClient } from '../mount/client.ts'
import { failpoint } from '../os/failpoint.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Config } from './config.ts'
import type { Jobs } from './jobs.ts'
import type { Log } from './log.ts'
import { mountAnswer } from './mount-answer.ts'
import { singleFlight } from './single-flight.ts'

/** Mounts for workers: once all checkpoints are ready, however long that takes. */
export interface WorkerMounts {
  /**
   * Starts (or joins) the mounting of a worker. The work outlives the asker; asked again it
   * answers the same. Rejects with `checkpoint_failed`, `mounts_unavailable`, `conflict`, ….
   */
  mount(job: JobRow, worker: number, request: MountRequest): Promise<MountResult>
  /** What a mount that is under way waits for. */
  pending(job: JobRow, worker: number): MountPending
  isWaiting(job: JobRow, worker: number): boolean
  settle(): Promise<void>
}

export function openWorkerMounts(context: {
  store: Store
  checkpoints: Checkpoints
  jobs: Jobs
  helper: MountClient
  config: Config
  bootId: string
  /** Resolves when what was mounted before this start is adopted or released. */
  reconciled: Promise<void>
  signal: AbortSignal
  now: () => number
  log: Log
}): WorkerMounts {
  const { store, checkpoints, jobs, helper, config, bootId } = context
  const { database } = store
  const flights = singleFlight<MountResult>()

  const run = async (job: JobRow, worker: number, request: MountRequest): Promise<MountResult> => {
    assertMountable(jobs, job, worker)
    const used = database.jobs.listCheckpoints(job.id)
    // Such a job is to run as any other, and needs nothing of the host.
    if (used.length === 0 && job.output === null) return mountNothing(job, worker)
    assertHelper(helper)
    await context.reconciled
    for (const { checkpoint_id: id } of used) await checkpoints.waitReady(id, context.signal)
    const views: { row: ViewRow; directory: string }[] = []
    for (const { checkpoint_id: id, directory } of used) {
      const { manifest_id: manifestId } = await checkpoints.waitReady(id, context.signal)
      if (manifestId === null) throw new CkptdError('internal', `checkpoint ${id} has no manifest`)
      views.push({ row: await store.views.ensure(manifestId), directory })
    }
    const output = job.output === null ? undefined : outputOwner(request)
    // The lease first, in the step that looks at the views once more: from here on nothing
    // removes them. It need not reach the disk, since a power cut takes the mount with it.
    database.transaction(() => {
      assertMountable(jobs, job, worker)
      for (const { row } of views) {
        if (database.views.get(row.id)?.state !== 'live')
          throw new CkptdError('unavailable', 'a checkpoint’s view was just retired; ask again')
        database.leases.insert({ job_id: job.id, worker, view_id: row.id, boot_id: bootId })
      }
      if (jobs.getWorker(job, worker).state === 'registered')
        database.jobs.setWorkerMounting(job.id, worker, output !== undefined)
      if (job.status === 'registered') database.jobs.setStatus(job.id, 'running')
    })
    failpoint('mount.leased')
    const mounted = await helper.mountWorker({
      job: job.id,
      worker,
      views: views.map(({ row, directory }) => ({
        view: `${row.domain}/${viewName(row.digest, row.generation)}`,
        directory,
      })),
      ...(output === undefined ? {} : { output }),
    })
    failpoint('mount.attached')
    const cdi = request.cdi ? await helper.writeCdi({ job: job.id, worker }) : undefined
    database.jobs.setWorkerMounted(job.id, worker, context.now())
    failpoint('mount.recorded')
    context.log.info({ job: job.id, worker }, 'worker mounted')
    return mountAnswer(config, {
      job: job.id,
      worker,
      checkpointPath: mounted.checkpointPath,
      outputPath: mounted.outputPath,
      cdiDevice: cdi?.device,
    })
  }

  const mountNothing = (job: JobRow, worker: number): MountResult => {
    database.transaction(() => {
      if (jobs.getWorker(job, worker).state === 'registered')
        database.jobs.setWorkerMounting(job.id, worker, false)
      database.jobs.setWorkerMounted(job.id, worker, context.now())
      if (job.status === 'registered') database.jobs.setStatus(job.id, 'running')
    })
    return mountAnswer(config, { job: job.id, worker })
  }

  const undo = async (job: JobRow, worker: number): Promise<void> => {
    if (jobs.getWorker(job, worker).state !== 'mounting') return
    const { released } = await helper.releaseWorker({ job: job.id, worker })
    if (!released) return
    database.transaction(() => {
      database.leases.removeOfWorker(job.id, worker)
      database.jobs.setWorkerRegistered(job.id, worker)
    })
  }

  const key = (job: JobRow, worker: number): string => `${job.id}/${worker}`
  return {
    mount: (job, worker, request) =>
      flights.join(key(job, worker), async () => {
        try {
          return await run(job, worker, request)
        } catch (error) {
          // What was attached of it is undone; what cannot be stays leased, and reconciled later.
          await undo(job, worker).catch((cause: unknown) =>
            context.log.warn({ job: job.id, worker, err: cause }, 'undoing a failed mount failed'),
          )
          throw error
        }
      }),
    isWaiting: (job, worker) => flights.has(key(job, worker)),
    settle: () => flights.settle(),
    pending: (job, worker) => ({
      job_uuid: job.id,
      worker,
      waiting_for: database.jobs.listCheckpoints(job.id).flatMap(({ checkpoint_id: id }) => {
        const row = database.checkpoints.find(id)
        if (row === undefined || row.status === 'ready') return []
        const progress = checkpoints.progress(id)
        return [
          {
            checkpoint_uuid: id,
            name: row.name,
            status: row.status,
            ...(progress === undefined ? {} : { progress }),
          },
        ]
      }),
    }),
  }
}

function assertMountable(jobs: Jobs, job: JobRow, worker: number): void {
  const { state } = jobs.getWorker(job, worker)
  if (state === 'finishing' || state === 'finished')
    throw new CkptdError(
      'conflict',
      `worker ${worker} of job "${job.name}" is ${state} and cannot be mounted any more`,
    )
}

function assertHelper(helper: MountClient): void {
  const availability = helper.availability()
  if (!availability.available)
    throw new CkptdError('mounts_unavailable', `nothing can be mounted: ${availability.reason}`)
}

function outputOwner(request: MountRequest): { owner?: { uid: number; gid: number } } {
  if (request.output_owner === undefined) return {}
  const [uid = 0, gid = 0] = request.output_owner.split(':').map(Number)
  return { owner: { uid, gid } }
}

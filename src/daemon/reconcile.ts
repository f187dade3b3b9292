import { viewName } from '../cache/layout.ts'
import type { Store } from '../cache/store.ts'
import type { WorkerRow } from '../database/jobs.ts'
import type { MountClient } from '../mount/client.ts'
import type { ListedWorker } from '../mount/protocol.ts'
import type { WorkerFinishes } from './finish-worker.ts'
import type { Log } from './log.ts'

/**
 * Brings the leases and the kernel's table together at start: mounts of running workers are
 * adopted and never touched, those of workers that are gone are released, and leases without a
 * mount are dropped. A reboot voids mounts; the jobs stay configured.
 */
export async function reconcileMounts(context: {
  store: Store
  helper: MountClient
  finishes: WorkerFinishes
  bootId: string
  now: () => number
  log: Log
}): Promise<void> {
  const { store, helper, finishes, log } = context
  const { database } = store
  const { workers: listed } = await helper.list({})
  const mounted = new Map(listed.map((worker) => [`${worker.job}/${worker.worker}`, worker]))

  for (const state of ['mounting', 'mounted'] as const)
    for (const row of database.jobs.listWorkersIn(state)) {
      if (isOfNothing(store, row)) continue
      const found = mounted.get(`${row.job_id}/${row.worker}`)
      mounted.delete(`${row.job_id}/${row.worker}`)
      if (found !== undefined && isWhole(store, row, found)) {
        if (state === 'mounting')
          database.jobs.setWorkerMounted(row.job_id, row.worker, context.now())
        log.info({ job: row.job_id, worker: row.worker }, 'adopted the mounts of a worker')
      } else await voidMount(context, row, found !== undefined)
    }
  for (const row of database.jobs.listWorkersIn('finishing')) {
    mounted.delete(`${row.job_id}/${row.worker}`)
    const job = database.jobs.find(row.job_id)
    if (job !== undefined) finishes.resume(job, row.worker)
  }
  for (const { job, worker } of mounted.values()) {
    const { released, holders } = await helper.releaseWorker({ job, worker })
    log.warn(
      { job, worker, released, holders },
      'released the mounts of a worker that is unknown or gone',
    )
  }
}

/** Whether its job has neither checkpoints nor an output, so that nothing of it is ever mounted. */
function isOfNothing({ database }: Store, { job_id: job, has_output: output }: WorkerRow): boolean {
  return output === 0 && database.jobs.listCheckpoints(job).length === 0
}

/** Whether what is mounted is what the worker's leases say. */
function isWhole(store: Store, row: WorkerRow, found: ListedWorker): boolean {
  const { database } = store
  // Sets, since two checkpoints of one content are one view at two places.
  const leased = new Set<string | null>()
  for (const { view_id: id } of database.leases.listOfWorker(row.job_id, row.worker)) {
    const view = database.views.get(id)
    if (view !== undefined) leased.add(`${view.domain}/${viewName(view.digest, view.generation)}`)
  }
  const present = new Set(found.views.map(({ view }) => view))
  return (
    !found.releasing &&
    found.output === (row.has_output === 1) &&
    found.views.length === database.jobs.listCheckpoints(row.job_id).length &&
    leased.size === present.size &&
    [...leased].every((view) => present.has(view))
  )
}

async function voidMount(
  { store, helper, bootId, log }: { store: Store; helper: MountClient; bootId: string; log: Log },
  row: WorkerRow,
  release: boolean,
): Promise<void> {
  const { database } = store
  if (release) {
    const { released, holders } = await helper.releaseWorker({
      job: row.job_id,
      worker: row.worker,
    })
    if (!released) {
      log.warn(
        { job: row.job_id, worker: row.worker, holders },
        'a half-made mount cannot be released yet',
      )
      return
    }
  }
  const rebooted = database.leases
    .listOfWorker(row.job_id, row.worker)
    .some((lease) => lease.boot_id !== bootId)
  database.transaction(() => {
    database.leases.removeOfWorker(row.job_id, row.worker)
    database.jobs.setWorkerRegistered(row.job_id, row.worker)
  })
  log.warn(
    { job: row.job_id, worker: row.worker, rebooted },
    'the mounts of a worker are gone; it may be mounted again',
  )
}

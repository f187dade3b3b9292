import type { Store } from '../cache/store.ts'
import type { CheckpointRow } from '../database/checkpoints.ts'
import type { Database } from '../database/database.ts'
import { CkptdError } from '../model/errors.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Log } from './log.ts'
import type { SingleFlight } from './single-flight.ts'
import type { Transfers } from './transfers.ts'

/**
 * Removes a checkpoint that no unfinished job is configured to use. One that is still being
 * filled is removed only with `force`, which cancels the filling and overrides nothing else.
 * Once it answers the removal is decided and durable; giving the space back goes on behind it.
 */
export async function removeCheckpoint(
  context: {
    store: Store
    checkpoints: Checkpoints
    transfers: Pick<Transfers, 'cancel'>
    removals: SingleFlight<void>
    log: Log
  },
  row: CheckpointRow,
  force: boolean,
): Promise<CheckpointRow> {
  const { store, checkpoints, transfers, removals, log } = context
  const { database } = store
  const assertUnused = (): void => {
    const uses = database.jobs.listUses(row.id)
    if (uses.length === 0) return
    const jobs = uses.map(({ id, name }) => `"${name}" (${id})`).join(', ')
    throw new CkptdError(
      'in_use',
      `the checkpoint "${row.name}" is used by ${uses.length === 1 ? 'job' : 'jobs'} ${jobs}`,
      {
        details: { jobs: uses },
      },
    )
  }
  const filling = row.status === 'new' || row.status === 'downloading'
  // Asked and decided in one step, before anything is touched: a refusal changes nothing.
  database.transaction(() => {
    assertUnused()
    if (filling && row.source_type === 'trainml') refuseCapture(database, row)
    if (filling && !force)
      throw new CkptdError(
        'conflict',
        `the checkpoint "${row.name}" is being filled; remove it with --force to cancel that`,
      )
    database.checkpoints.setStatus(row.id, 'removing')
  })
  const cancelled = transfers.cancel(row.id)
  await database.flush()
  checkpoints.changed(row.id).notify()
  log.info({ checkpoint: row.id }, 'checkpoint removed')
  removals
    .join(row.id, async () => {
      await cancelled
      await store.removal.finish(row.id)
    })
    .catch((error: unknown) =>
      log.error(
        { checkpoint: row.id, err: error },
        'removing a checkpoint’s bytes failed; it is tried again at the next start',
      ),
    )
  return row
}

function refuseCapture(database: Database, { id, name }: CheckpointRow): never {
  const worker = database.jobs.findWorkerOfOutput(id)
  const discard =
    worker === undefined
      ? ''
      : `; "ckpt job finish ${worker.job_id} --worker ${worker.worker} --discard-output" discards it`
  throw new CkptdError(
    'conflict',
    `the checkpoint "${name}" is being saved from a job’s output${discard}`,
  )
}

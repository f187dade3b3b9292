import { join } from 'node:path'
import type { PlannedFile } from '../../cache/ingest.ts'
import { CkptdError, fromErrorRecord } from '../../model/errors.ts'
import { quoteName, type RelativePath } from '../../model/relative-path.ts'
import { failpoint } from '../../os/failpoint.ts'
import { isShortage } from '../archive/space-waiter.ts'
import type { SmallResult } from '../fetch/messages.ts'
import type { Engine } from './engine.ts'
import type { Grant } from './space-keeper.ts'
import { hrefOf } from './tree-plan.ts'

/** Reserved for a small file whose size is not known, in bytes: more than most have. */
const UNKNOWN_FILE_BYTES = 256 * 1024

/** Fetches and stores a batch of small files; returns those that turned out to be large. */
export async function fetchBatch(
  engine: Engine,
  batch: readonly PlannedFile[],
  grant: Grant,
): Promise<PlannedFile[]> {
  const large: PlannedFile[] = []
  let rest = batch
  for (let shortages = 0; rest.length > 0; shortages++) {
    const unknown = rest.filter(({ sizeBytes }) => sizeBytes === undefined).length
    using own = await engine.space.reserve(unknown * UNKNOWN_FILE_BYTES)
    const staged = rest.map((file) => ({
      file,
      path: join(engine.ingest.directory, engine.ingest.newStagingName()),
    }))
    const results = await engine.session.fetchSmall(
      staged.map(({ file, path }) => ({ href: hrefOf(file), path })),
    )
    const outcomes = await Promise.all(
      staged.map(({ file, path }, index) =>
        store(engine, file, path, results[index], file.sizeBytes === undefined ? own : grant),
      ),
    )
    const short: PlannedFile[] = []
    let shortage: CkptdError | undefined
    for (const { file, outcome } of outcomes) {
      if (outcome === 'large') large.push(file)
      else if (outcome !== 'stored') {
        shortage = outcome
        short.push(file)
      }
    }
    if (shortage !== undefined) await engine.space.park(shortage, shortages)
    rest = short
  }
  return large
}

type Outcome = 'stored' | 'large' | CkptdError

async function store(
  engine: Engine,
  file: PlannedFile,
  staged: string,
  result: SmallResult | undefined,
  grant: Grant,
): Promise<{ file: PlannedFile; outcome: Outcome }> {
  const { ingest, meter } = engine
  const { path } = file
  try {
    if (result === undefined) throw new CkptdError('internal', `nothing was heard of ${path}`)
    if (result.kind === 'failed') throw fromErrorRecord(result.error)
    if (result.kind === 'large') return { file, outcome: 'large' }
    const { sizeBytes } = result
    failpoint('transfer.file-fetched')
    grant.take(sizeBytes)
    if (file.sizeBytes === undefined) ingest.updatePlan({ ...file, sizeBytes })
    else if (file.sizeBytes !== sizeBytes) throw otherSize(path, sizeBytes, file.sizeBytes)
    await ingest.storeFile({ path, file: staged, executable: false, sizeBytes })
    meter.addDone(1, sizeBytes)
    return { file, outcome: 'stored' }
  } catch (error) {
    if (!isShortage(error)) throw error
    return { file, outcome: error }
  }
}

/** A listing that tells sizes to the byte, and a file that is not what it lists. */
export function otherSize(
  path: RelativePath,
  sizeBytes: number | undefined,
  listedBytes: number,
): CkptdError {
  return new CkptdError(
    'origin_changed',
    `${quoteName(path)} has ${sizeBytes} bytes where the listing said ${listedBytes}`,
    { details: { path } },
  )
}

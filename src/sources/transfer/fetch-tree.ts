import type { PlannedFile } from '../../cache/ingest.ts'
import type { Pin } from '../fetch/pin.ts'
import { BATCH_FILES, BATCHES_AT_ONCE, LARGE_FILES_AT_ONCE } from '../limits.ts'
import type { Engine } from './engine.ts'
import { fetchBatch, otherSize } from './fetch-batch.ts'
import type { Grant } from './space-keeper.ts'
import { storeLargeFile } from './store-large-file.ts'
import { hrefOf, type TreePlan } from './tree-plan.ts'
import { workPool } from './work-pool.ts'

/** Planned files read from the database at a time. */
const PAGE_FILES = 512

/** Fetches every planned file that is not stored: small ones in batches, large ones beside them. */
export async function fetchTree(engine: Engine, grant: Grant): Promise<void> {
  const isLarge = (file: PlannedFile): boolean =>
    (file.plan as TreePlan).large === true || (file.sizeBytes ?? 0) > engine.limits.smallFileBytes
  let foundLarge = false

  const fetchLargeOnes = async (): Promise<void> => {
    const pool = workPool(LARGE_FILES_AT_ONCE)
    for (const file of planned(engine))
      if (isLarge(file)) await pool.start(() => fetchOne(engine, file, grant))
    await pool.drained()
  }
  const fetchSmallOnes = async (): Promise<void> => {
    const pool = workPool(BATCHES_AT_ONCE)
    const send = (batch: readonly PlannedFile[]): Promise<void> =>
      pool.start(async () => {
        for (const file of await fetchBatch(engine, batch, grant)) {
          ingestAsLarge(engine, file)
          foundLarge = true
        }
      })
    let batch: PlannedFile[] = []
    for (const file of planned(engine)) {
      if (isLarge(file)) continue
      batch.push(file)
      // A file whose size is not known may be anything: fewer of them go together.
      const weight = batch.length * (file.sizeBytes === undefined ? UNKNOWN_WEIGHT : 1)
      if (weight < BATCH_FILES) continue
      await send(batch)
      batch = []
    }
    if (batch.length > 0) await send(batch)
    await pool.drained()
  }
  const ending = await Promise.allSettled([
    fetchSmallOnes().catch(failing(engine)),
    fetchLargeOnes().catch(failing(engine)),
  ])
  for (const ended of ending) if (ended.status === 'rejected') throw ended.reason
  if (foundLarge) await fetchLargeOnes()
}

const UNKNOWN_WEIGHT = 4

/** The first failure ends everything else at once. */
function failing(engine: Engine): (error: unknown) => never {
  return (error) => {
    engine.fail(error)
    throw error
  }
}

function* planned({ ingest }: Engine): Generator<PlannedFile> {
  for (let after = ''; ; ) {
    const page = ingest.listPlanned(after, PAGE_FILES)
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last.path
  }
}

function ingestAsLarge({ ingest }: Engine, file: PlannedFile): void {
  ingest.updatePlan({ ...file, plan: { ...(file.plan as TreePlan), large: true } })
}

function fetchOne(engine: Engine, file: PlannedFile, grant: Grant): Promise<void> {
  const { path, sizeBytes: listedBytes } = file
  const record = (sizeBytes: number | undefined): void => {
    if (listedBytes !== undefined && sizeBytes !== listedBytes)
      throw otherSize(path, sizeBytes, listedBytes)
    if (sizeBytes !== listedBytes) engine.ingest.updatePlan({ ...file, sizeBytes })
  }
  const large = {
    href: hrefOf(file),
    onPinned: (_: Pin, sizeBytes: number | undefined) => {
      // A stream tells its size at its end.
      if (sizeBytes !== undefined) record(sizeBytes)
    },
    // What the listing told the size of is in the transfer's own grant.
    ...(listedBytes === undefined ? {} : { grant }),
  }
  return storeLargeFile(engine, path, large, ({ sizeBytes }) => record(sizeBytes))
}

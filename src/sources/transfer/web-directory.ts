import { formatBytes } from '../../model/size-text.ts'
import { failpoint } from '../../os/failpoint.ts'
import { isShortage } from '../archive/space-waiter.ts'
import { compareTree } from './compare-tree.ts'
import type { Engine } from './engine.ts'
import { fetchTree } from './fetch-tree.ts'
import { planFile } from './tree-plan.ts'
import { walkTree } from './tree-walk.ts'

/** A directory and all below it, as its index pages list it. Returns what exactly was fetched. */
export async function transferDirectory(engine: Engine): Promise<string> {
  const { ingest, log, meter, displayUri } = engine
  if (!ingest.isPlanned()) {
    meter.setPhase('listing')
    log(`Listing ${displayUri}`)
    await planTree(engine)
    ingest.markPlanned()
    failpoint('transfer.planned')
  }
  const totals = ingest.totals()
  const known = totals.unknown_sizes === 0
  const size = known ? formatBytes(totals.bytes) : 'of unknown size'
  log(`${totals.files} files (${size}), ${totals.stored_files} of them are here`)
  meter.setPhase('fetching')
  meter.setTotals({ bytes: known ? totals.bytes : undefined, files: totals.files })
  meter.addDone(totals.stored_files, totals.stored_bytes)
  {
    const missingBytes = totals.bytes - totals.stored_bytes - ingest.partialBytes()
    using grant = await engine.space.reserve(Math.max(0, missingBytes))
    await fetchTree(engine, grant)
  }
  meter.setPhase('comparing')
  log('Listing again, to see that nothing changed')
  await compareTree(engine)
  const { bytes, files } = ingest.totals()
  return `${displayUri} (${files} files, ${bytes} bytes)`
}

async function planTree(engine: Engine): Promise<void> {
  for (let shortages = 0; ; shortages++)
    try {
      await listTree(engine)
      return
    } catch (error) {
      if (!isShortage(error)) throw error
      await engine.space.park(error, shortages)
    }
}

async function listTree(engine: Engine): Promise<void> {
  const { ingest, meter } = engine
  // What was listed before may be incomplete and old.
  ingest.dropPlanned()
  let files = 0
  await walkTree(engine, (entries) => {
    for (const { path, listed } of entries) if (listed.directory) ingest.addDirectory(path)
    const found = entries.filter(({ listed }) => !listed.directory).map(planFile)
    ingest.planFiles(found)
    files += found.length
    meter.setTotals({ bytes: undefined, files })
  })
}

import { CkptdError } from '../../model/errors.ts'
import type { RelativePath } from '../../model/relative-path.ts'
import { failpoint } from '../../os/failpoint.ts'
import type { Pin } from '../fetch/pin.ts'
import type { Engine } from './engine.ts'
import { describeVersion } from './file-version.ts'
import { storeLargeFile } from './store-large-file.ts'

/** One file under its own name. Returns what exactly was fetched. */
export async function transferFile(engine: Engine, path: RelativePath): Promise<string> {
  const { ingest, meter } = engine
  if (!ingest.isPlanned()) {
    ingest.dropPlanned()
    ingest.planFiles([{ path, sizeBytes: undefined, plan: {} }])
    ingest.markPlanned()
    failpoint('transfer.planned')
  }
  meter.setTotals({ bytes: undefined, files: 1 })
  const record = (pin: Pin, sizeBytes: number | undefined): void => {
    const pinned = describeVersion(engine.displayUri, pin, sizeBytes ?? 0)
    ingest.updatePlan({ path, sizeBytes, plan: { pinned } })
    meter.setTotals({ bytes: sizeBytes, files: 1 })
  }
  if (ingest.hasStored(path)) meter.addDone(1, ingest.find(path)?.size_bytes ?? 0)
  else
    await storeLargeFile(engine, path, { href: '', onPinned: record }, ({ pin, sizeBytes }) =>
      record(pin, sizeBytes),
    )
  return storedPin(engine, path)
}

function storedPin({ ingest }: Engine, path: RelativePath): string {
  const plan = JSON.parse(ingest.find(path)?.plan ?? 'null') as { pinned?: string } | null
  if (plan?.pinned === undefined) throw new CkptdError('internal', `nothing is recorded of ${path}`)
  return plan.pinned
}

import { CkptdError } from '../../model/errors.ts'
import type { RelativePath } from '../../model/relative-path.ts'
import { failpoint } from '../../os/failpoint.ts'
import type { Engine } from './engine.ts'
import { fetchLargeFile } from './fetch-large-file.ts'
import { describeVersion } from './file-version.ts'

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
  if (!ingest.hasStored(path)) {
    const fetched = await fetchLargeFile(
      engine,
      {
        key: path,
        href: '',
        name: path,
        onPinned: (pin, sizeBytes) => {
          const pinned = describeVersion(engine.displayUri, pin, sizeBytes ?? 0)
          ingest.updatePlan({ path, sizeBytes, plan: { pinned } })
          meter.setTotals({ bytes: sizeBytes, files: 1 })
        },
      },
      async (opened, { pin, sizeBytes }) => {
        failpoint('transfer.file-fetched')
        const knownSha256 = await opened.finish(sizeBytes)
        const pinned = describeVersion(engine.displayUri, pin, sizeBytes)
        ingest.updatePlan({ path, sizeBytes, plan: { pinned } })
        return { file: opened.path, knownSha256, sizeBytes }
      },
    )
    await ingest.storeOpened({ key: path, path, executable: false, ...fetched })
    meter.addDone(1, fetched.sizeBytes)
  } else meter.addDone(1, ingest.find(path)?.size_bytes ?? 0)
  return storedPin(engine, path)
}

function storedPin({ ingest }: Engine, path: RelativePath): string {
  const plan = JSON.parse(ingest.find(path)?.plan ?? 'null') as { pinned?: string } | null
  if (plan?.pinned === undefined) throw new CkptdError('internal', `nothing is recorded of ${path}`)
  return plan.pinned
}

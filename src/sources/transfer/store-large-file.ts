import type { RelativePath } from '../../model/relative-path.ts'
import { failpoint } from '../../os/failpoint.ts'
import { isShortage } from '../archive/space-waiter.ts'
import type { Engine } from './engine.ts'
import { type FetchedFile, fetchLargeFile, type LargeFile } from './fetch-large-file.ts'

/** Fetches a large file and stores it under its planned path. */
export async function storeLargeFile(
  engine: Engine,
  path: RelativePath,
  file: Pick<LargeFile, 'href' | 'onPinned' | 'grant'>,
  onFetched: (fetched: FetchedFile) => void,
): Promise<void> {
  const { ingest, meter } = engine
  for (let shortages = 0; ; shortages++) {
    const fetched = await fetchLargeFile(
      engine,
      { ...file, key: path, name: path },
      async (opened, { pin, sizeBytes }) => {
        failpoint('transfer.file-fetched')
        const knownSha256 = await opened.finish(sizeBytes)
        onFetched({ pin, sizeBytes })
        return { file: opened.path, knownSha256, sizeBytes }
      },
    )
    try {
      await ingest.storeOpened({ key: path, path, executable: false, ...fetched })
      meter.addDone(1, fetched.sizeBytes)
      return
    } catch (error) {
      if (!isShortage(error)) throw error
      // A failed flush may have lost bytes: what was not recorded as durable is fetched again.
      await engine.space.park(error, shortages)
    }
  }
}

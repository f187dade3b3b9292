import type { Store } from '../../../src/cache/store.ts'
import type { CheckpointId } from '../../../src/model/ids.ts'
import { extractArchive } from '../../../src/sources/archive/extract.ts'
import type { Fetcher } from '../../../src/sources/fetcher.ts'
import { parseSourceLocation } from '../../../src/sources/location.ts'
import type { TransferProgress } from '../../../src/sources/transfer/progress.ts'
import { runTransfer, type TransferContext } from '../../../src/sources/transfer.ts'
import { beginIngest } from '../../support/store.ts'

export interface TransferRun {
  readonly id: CheckpointId
  readonly log: string[]
  readonly progress: TransferProgress[]
  readonly done: Promise<{ pinnedSource: string }>
}

/** Begins a transfer into a checkpoint of its own, or goes on with one of an earlier run. */
export async function startTransfer(
  store: Store,
  fetcher: Fetcher,
  uri: string,
  options: { id?: CheckpointId } & Partial<TransferContext> = {},
): Promise<TransferRun> {
  const begun =
    options.id === undefined
      ? beginIngest(store)
      : { id: options.id, ingest: store.openIngest(options.id, 'host') }
  const log: string[] = []
  const progress: TransferProgress[] = []
  const done = runTransfer({
    ingest: begun.ingest,
    location: parseSourceLocation('web', uri, {}),
    space: store.space,
    fetcher,
    log: (line) => log.push(line),
    onProgress: (now) => progress.push(now),
    signal: new AbortController().signal,
    extract: extractArchive,
    ...options,
  })
  done.catch(() => undefined)
  return { id: begun.id, log, progress, done }
}

/** The whole of a transfer: path → SHA-256, size (or `null` for a directory). */
export function storedTree(store: Store, id: CheckpointId): Record<string, string | null> {
  const tree: Record<string, string | null> = {}
  for (const row of store.database.entries.iterate(id)) {
    if (row.kind === 'file' && row.state !== 'stored') throw new Error(`${row.path} is not stored`)
    tree[row.path] = row.kind === 'file' ? row.sha256 : null
  }
  return tree
}

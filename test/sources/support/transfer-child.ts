import { CkptdError } from '../../../src/model/errors.ts'
import { extractArchive } from '../../../src/sources/archive/extract.ts'
import { createFetcher } from '../../../src/sources/fetcher.ts'
import { parseSourceLocation } from '../../../src/sources/location.ts'
import { runTransfer } from '../../../src/sources/transfer.ts'
import { beginIngest, openTestStore } from '../../support/store.ts'

/**
 * `transfer-child.ts DATA URI`: fills the one checkpoint of a store, or goes on with it, and
 * prints its tree. Killed at the failure points of the environment.
 */
const [directory = '', uri = ''] = process.argv.slice(2)
await using store = await openTestStore(directory)
await using fetcher = createFetcher({ allowNetworks: ['127.0.0.0/8'], connectionsPerFile: 4 })
const [begun] = store.database.ingests.list()
const { id, ingest } =
  begun === undefined
    ? beginIngest(store)
    : { id: begun.checkpoint_id, ingest: store.openIngest(begun.checkpoint_id, 'host') }
const log: string[] = []
const outcome = await runTransfer({
  ingest,
  location: parseSourceLocation('web', uri, {}),
  space: store.space,
  fetcher,
  log: (line) => log.push(line),
  onProgress: () => undefined,
  signal: new AbortController().signal,
  extract: extractArchive,
}).catch((error: unknown) => {
  if (!(error instanceof CkptdError)) throw error
  return { pinnedSource: '', error: { code: error.code, message: error.message } }
})
const tree: Record<string, string | null> = {}
for (const row of store.database.entries.iterate(id)) tree[row.path] = row.sha256
process.stdout.write(`${JSON.stringify({ tree, log, ...outcome })}\n`)

import { parseCheckpointId } from '../../../src/model/ids.ts'
import type { ArchiveFormat } from '../../../src/sources/archive/archive-format.ts'
import { beginIngest, openTestStore } from '../../support/store.ts'
import { extractInto } from './extract-into.ts'

/**
 * A process of its own that may be killed: `DATA begin` makes a checkpoint and prints its id;
 * `DATA extract ID FORMAT ARCHIVE` extracts and prints the tree and what was written for it.
 */
const [data = '', verb, id = '', format, archive = ''] = process.argv.slice(2)
const store = await openTestStore(data)
if (verb === 'begin') console.log(beginIngest(store).id)
else {
  const ingest = store.openIngest(parseCheckpointId(id), 'host')
  const { error, progress, tree } = await extractInto(store, ingest, archive, {
    format: format as ArchiveFormat,
  })
  await store.database.flush()
  const { writtenBytes, writtenFiles } = progress.at(-1) ?? { writtenBytes: 0, writtenFiles: 0 }
  console.log(JSON.stringify({ error: error?.message, tree, writtenBytes, writtenFiles }))
}
await store[Symbol.asyncDispose]()

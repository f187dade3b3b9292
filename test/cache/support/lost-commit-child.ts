// Commits more than the log has room for on a disk that became full, and says so if it may.
import { beginIngest, openTestStore } from '../../support/store.ts'
import { fillPool } from './thin-disk.ts'

const [, , directory = '', filler = ''] = process.argv
const store = await openTestStore(directory)
const { id } = beginIngest(store)
fillPool(directory, filler)
store.database.transaction(() => {
  for (let line = 0; line < 500; line++) store.database.log.append(id, 0, 'x'.repeat(16_000))
})
try {
  await store.database.flush()
  process.stdout.write('acknowledged')
} catch {
  // The process ends by itself.
  setTimeout(() => process.stdout.write('still alive'), 10_000)
}

import Sqlite from 'better-sqlite3'
import type { Store } from '../../../src/cache/store.ts'
import type { CheckpointId } from '../../../src/model/ids.ts'

/** Gives the database's file room of its own, so that what is recorded next needs none of the disk. */
export function makeRoomInDatabase({ database, layout }: Store, id: CheckpointId): void {
  database.transaction(() => {
    for (let line = 0; line < 400; line++) database.log.append(id, 0, 'x'.repeat(4000))
  })
  const other = new Sqlite(layout.database)
  try {
    other.pragma('wal_autocheckpoint = 0')
    other.pragma('wal_checkpoint(PASSIVE)')
    other.exec('DELETE FROM checkpoint_log')
    other.pragma('wal_checkpoint(PASSIVE)')
  } finally {
    other.close()
  }
}

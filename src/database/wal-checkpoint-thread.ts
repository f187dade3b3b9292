import { workerData } from 'node:worker_threads'
import Sqlite from 'better-sqlite3'
import { serveThread } from '../os/thread.ts'
import { databaseError } from './database-error.ts'

const db = new Sqlite((workerData as { path: string }).path, { timeout: 0 })
db.pragma('synchronous = NORMAL')
db.pragma('wal_autocheckpoint = 0')

export const walCheckpointHandlers = {
  /** Moves what the log holds into the database file, as far as no reader needs the log. */
  checkpoint: (): void => {
    try {
      db.pragma('wal_checkpoint(PASSIVE)')
    } catch (error) {
      throw databaseError(error)
    }
  },
}

serveThread(walCheckpointHandlers)

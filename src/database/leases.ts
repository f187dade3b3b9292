import type { Database as Sqlite } from 'better-sqlite3'
import type { JobId } from '../model/ids.ts'

/** A worker's right to a view: recorded before the mount, removed after the last sight of it. */
export interface LeaseRow {
  readonly job_id: JobId
  readonly worker: number
  readonly view_id: number
  readonly boot_id: string
}

export function leaseStatements(db: Sqlite) {
  const insert = db.prepare<[LeaseRow]>(
    `INSERT INTO leases (job_id, worker, view_id, boot_id) VALUES (@job_id, @worker, @view_id, @boot_id)
     ON CONFLICT DO UPDATE SET boot_id = excluded.boot_id`,
  )
  const ofWorker = db.prepare<[string, number], LeaseRow>(
    'SELECT * FROM leases WHERE job_id = ? AND worker = ? ORDER BY view_id',
  )
  const all = db.prepare<[], LeaseRow>('SELECT * FROM leases ORDER BY job_id, worker')
  const ofManifest = db.prepare<[number], LeaseRow>(
    'SELECT l.* FROM leases l JOIN views v ON v.id = l.view_id WHERE v.manifest_id = ?',
  )
  const remove = db.prepare<[string, number]>('DELETE FROM leases WHERE job_id = ? AND worker = ?')
  return {
    insert: (row: LeaseRow) => void insert.run(row),
    listOfWorker: (id: JobId, n: number) => ofWorker.all(id, n),
    listOfManifest: (manifestId: number) => ofManifest.all(manifestId),
    list: () => all.all(),
    removeOfWorker: (id: JobId, n: number) => void remove.run(id, n),
  }
}

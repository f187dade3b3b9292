import type { Database as Sqlite } from 'better-sqlite3'
import type { Sha256 } from '../model/digest.ts'

export interface ObjectRow {
  readonly id: number
  readonly domain: string
  readonly sha256: Sha256
  readonly executable: number
  readonly copy: number
  readonly size_bytes: number
  readonly state: 'live' | 'deleting' | 'quarantined'
}

/** What names one inode in the store. */
export type ObjectKey = Pick<ObjectRow, 'domain' | 'sha256' | 'executable' | 'copy'>

export function objectStatements(db: Sqlite) {
  const get = db.prepare<[string, string, number, number], ObjectRow>(
    'SELECT * FROM objects WHERE domain = ? AND sha256 = ? AND executable = ? AND copy = ?',
  )
  const byId = db.prepare<[number], ObjectRow>('SELECT * FROM objects WHERE id = ?')
  const copies = db.prepare<[string, string, number], ObjectRow>(
    'SELECT * FROM objects WHERE domain = ? AND sha256 = ? AND executable = ? ORDER BY copy',
  )
  const insert = db.prepare<[string, string, number, number, number], { id: number }>(
    `INSERT INTO objects (domain, sha256, executable, copy, size_bytes, state)
     VALUES (?, ?, ?, ?, ?, 'live') RETURNING id`,
  )
  const page = db.prepare<[number], ObjectRow>(
    'SELECT * FROM objects WHERE id > ? ORDER BY id LIMIT 512',
  )
  const manifestPage = db.prepare<[number, number], ObjectRow>(
    `SELECT o.* FROM manifest_objects m JOIN objects o ON o.id = m.object_id
     WHERE m.manifest_id = ? AND m.object_id > ? ORDER BY m.object_id LIMIT 512`,
  )
  const setState = db.prepare<[string, number]>('UPDATE objects SET state = ? WHERE id = ?')
  const remove = db.prepare<[number]>('DELETE FROM objects WHERE id = ?')
  const inState = db.prepare<[string, number], ObjectRow>(
    // The second condition lets the index of the few that are not live serve.
    `SELECT * FROM objects WHERE state = ? AND state <> 'live' ORDER BY id LIMIT ?`,
  )
  const quarantinedOf = db.prepare<[number], { count: number }>(
    `SELECT count(*) AS count FROM objects o JOIN manifest_objects m ON m.object_id = o.id
     WHERE o.state = 'quarantined' AND m.manifest_id = ?`,
  )
  const referenced = db.prepare<[number, number], { found: number }>(
    `SELECT EXISTS (SELECT 1 FROM manifest_objects WHERE object_id = ?)
       OR EXISTS (SELECT 1 FROM entries WHERE object_id = ?) AS found`,
  )
  return {
    find: (key: ObjectKey) => get.get(key.domain, key.sha256, key.executable, key.copy),
    get: (id: number) => byId.get(id),
    /** All inodes of one content, the first one first. */
    listCopies: (domain: string, sha256: Sha256, executable: boolean) =>
      copies.all(domain, sha256, executable ? 1 : 0),
    insert: (key: ObjectKey, sizeBytes: number): number => {
      const row = insert.get(key.domain, key.sha256, key.executable, key.copy, sizeBytes)
      if (row === undefined) throw new Error('an insert returned no row')
      return row.id
    },
    /** Up to 512 objects after `id`, in the order of their ids. */
    listAfter: (id: number) => page.all(id),
    listOfManifestAfter: (manifestId: number, id: number) => manifestPage.all(manifestId, id),
    setState: (id: number, state: ObjectRow['state']) => void setState.run(state, id),
    remove: (id: number) => void remove.run(id),
    listInState: (state: Exclude<ObjectRow['state'], 'live'>, limit = 256) =>
      inState.all(state, limit),
    countQuarantinedOf: (manifestId: number): number => quarantinedOf.get(manifestId)?.count ?? 0,
    isReferenced: (id: number): boolean => referenced.get(id, id)?.found === 1,
  }
}

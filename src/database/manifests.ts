import type { Database as Sqlite } from 'better-sqlite3'
import type { Sha256 } from '../model/digest.ts'
import type { CheckpointId } from '../model/ids.ts'

export interface ManifestRow {
  readonly id: number
  readonly domain: string
  readonly digest: Sha256
  readonly size_bytes: number
  readonly file_count: number
  readonly entry_count: number
  readonly state: 'live' | 'deleting'
}

export function manifestStatements(db: Sqlite) {
  const byId = db.prepare<[number], ManifestRow>('SELECT * FROM manifests WHERE id = ?')
  const byDigest = db.prepare<[string, string], ManifestRow>(
    'SELECT * FROM manifests WHERE domain = ? AND digest = ?',
  )
  const all = db.prepare<[], ManifestRow>('SELECT * FROM manifests ORDER BY id')
  const insert = db.prepare<[Omit<ManifestRow, 'id' | 'state'>], { id: number }>(
    `INSERT INTO manifests (domain, digest, size_bytes, file_count, entry_count, state)
     VALUES (@domain, @digest, @size_bytes, @file_count, @entry_count, 'live') RETURNING id`,
  )
  const addObjectsOf = db.prepare<[number, string, string, string]>(
    `INSERT OR IGNORE INTO manifest_objects (manifest_id, object_id)
     SELECT ?, object_id FROM entries WHERE checkpoint_id = ? AND path > ? AND path <= ? AND object_id IS NOT NULL`,
  )
  const addObject = db.prepare<[number, number]>(
    'INSERT OR IGNORE INTO manifest_objects (manifest_id, object_id) VALUES (?, ?)',
  )
  const ofObject = db.prepare<[number], ManifestRow>(
    `SELECT m.* FROM manifest_objects o JOIN manifests m ON m.id = o.manifest_id WHERE o.object_id = ?`,
  )
  const setState = db.prepare<[string, number]>('UPDATE manifests SET state = ? WHERE id = ?')
  const someObjects = db.prepare<[number], { object_id: number }>(
    'SELECT object_id FROM manifest_objects WHERE manifest_id = ? LIMIT 256',
  )
  const dropObject = db.prepare<[number, number]>(
    'DELETE FROM manifest_objects WHERE manifest_id = ? AND object_id = ?',
  )
  const dropReferencesTo = db.prepare<[number]>('DELETE FROM manifest_objects WHERE object_id = ?')
  const remove = db.prepare<[number]>('DELETE FROM manifests WHERE id = ?')
  return {
    get: (id: number) => byId.get(id),
    find: (domain: string, digest: string) => byDigest.get(domain, digest),
    list: () => all.all(),
    insert: (row: Omit<ManifestRow, 'id' | 'state'>): number => {
      const inserted = insert.get(row)
      if (inserted === undefined) throw new Error('an insert returned no row')
      return inserted.id
    },
    /** Refers to the objects of an ingest's entries with `after` < path ≤ `last`. */
    addObjectsOf: (manifestId: number, id: CheckpointId, after: string, last: string) =>
      void addObjectsOf.run(manifestId, id, after, last),
    addObject: (manifestId: number, objectId: number) => void addObject.run(manifestId, objectId),
    listOfObject: (objectId: number) => ofObject.all(objectId),
    setState: (id: number, state: ManifestRow['state']) => void setState.run(state, id),
    /** Drops up to 256 references to objects and returns the objects' ids; none at the end. */
    dropSomeObjects: (id: number): number[] => {
      const ids = someObjects.all(id).map(({ object_id }) => object_id)
      for (const objectId of ids) dropObject.run(id, objectId)
      return ids
    },
    /** Drops all references to an object. */
    dropReferencesTo: (objectId: number) => void dropReferencesTo.run(objectId),
    remove: (id: number) => void remove.run(id),
  }
}

import type { Database as Sqlite } from 'better-sqlite3'
import type { Sha256 } from '../model/digest.ts'
import type { CheckpointId } from '../model/ids.ts'
import type { RelativePath } from '../model/relative-path.ts'

export type EntryKind = 'file' | 'directory' | 'symlink'

/** One entry of a tree that is being filled. */
export interface EntryRow {
  readonly path: RelativePath
  readonly kind: EntryKind
  readonly state: 'planned' | 'stored'
  readonly executable: number
  readonly size_bytes: number | null
  readonly object_id: number | null
  readonly sha256: Sha256 | null
  readonly target: string | null
  readonly plan: string | null
}

export interface StoredFile {
  readonly path: RelativePath
  readonly executable: boolean
  readonly sizeBytes: number
  readonly sha256: Sha256
  readonly objectId: number | null
}

export interface EntryTotals {
  readonly entries: number
  readonly files: number
  readonly stored_files: number
  readonly bytes: number
  readonly stored_bytes: number
  /** Planned files whose size is not known yet. */
  readonly unknown_sizes: number
}

export function entryStatements(db: Sqlite) {
  const get = db.prepare<[string, string], EntryRow>(
    'SELECT * FROM entries WHERE checkpoint_id = ? AND path = ?',
  )
  const insert = db.prepare<
    [string, string, string, string, string | null, string | null, number | null, number]
  >(
    `INSERT INTO entries (checkpoint_id, path, kind, state, target, plan, size_bytes, executable)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const store = db.prepare<[string, string, number, number, string, number | null]>(
    `INSERT INTO entries (checkpoint_id, path, kind, state, executable, size_bytes, sha256, object_id)
     VALUES (?, ?, 'file', 'stored', ?, ?, ?, ?)
     ON CONFLICT (checkpoint_id, path) DO UPDATE SET state = 'stored', executable = excluded.executable,
       size_bytes = excluded.size_bytes, sha256 = excluded.sha256, object_id = excluded.object_id`,
  )
  const setPlan = db.prepare<[string, number | null, string, string]>(
    'UPDATE entries SET plan = ?, size_bytes = ? WHERE checkpoint_id = ? AND path = ?',
  )
  const page = db.prepare<[string, string], EntryRow>(
    'SELECT * FROM entries WHERE checkpoint_id = ? AND path > ? ORDER BY path LIMIT 512',
  )
  const plannedPage = db.prepare<[string, string, number], EntryRow>(
    `SELECT * FROM entries WHERE checkpoint_id = ? AND state = 'planned' AND path > ? ORDER BY path LIMIT ?`,
  )
  const symlinkPage = db.prepare<[string, string], EntryRow>(
    `SELECT * FROM entries WHERE checkpoint_id = ? AND kind = 'symlink' AND path > ? ORDER BY path LIMIT 512`,
  )
  const totals = db.prepare<[string], EntryTotals>(
    `SELECT count(*) AS entries, coalesce(sum(kind = 'file'), 0) AS files,
       coalesce(sum(kind = 'file' AND state = 'stored'), 0) AS stored_files,
       coalesce(sum(size_bytes), 0) AS bytes,
       coalesce(sum(CASE WHEN state = 'stored' THEN size_bytes END), 0) AS stored_bytes,
       coalesce(sum(kind = 'file' AND size_bytes IS NULL), 0) AS unknown_sizes
     FROM entries WHERE checkpoint_id = ?`,
  )
  const removeSomePlanned = db.prepare<[string, string]>(
    `DELETE FROM entries WHERE checkpoint_id = ? AND path IN
       (SELECT path FROM entries WHERE checkpoint_id = ? AND state = 'planned' LIMIT 1000)`,
  )
  const some = db.prepare<[string], { path: string; object_id: number | null }>(
    'SELECT path, object_id FROM entries WHERE checkpoint_id = ? LIMIT 256',
  )
  const removeOne = db.prepare<[string, string]>(
    'DELETE FROM entries WHERE checkpoint_id = ? AND path = ?',
  )
  const leftover = db.prepare<[], { checkpoint_id: CheckpointId }>(
    `SELECT DISTINCT checkpoint_id FROM entries WHERE checkpoint_id NOT IN
       (SELECT checkpoint_id FROM ingests)`,
  )
  return {
    find: (id: CheckpointId, path: string) => get.get(id, path),
    insertDirectory: (id: CheckpointId, path: RelativePath) =>
      void insert.run(id, path, 'directory', 'stored', null, null, null, 0),
    insertSymlink: (id: CheckpointId, path: RelativePath, target: string) =>
      void insert.run(id, path, 'symlink', 'stored', target, null, null, 0),
    insertPlanned: (
      id: CheckpointId,
      path: RelativePath,
      plan: unknown,
      sizeBytes: number | null,
    ) => void insert.run(id, path, 'file', 'planned', null, JSON.stringify(plan), sizeBytes, 0),
    setPlan: (id: CheckpointId, path: RelativePath, plan: unknown, sizeBytes: number | null) =>
      void setPlan.run(JSON.stringify(plan), sizeBytes, id, path),
    /** Records a file whose object is in the store (or that is empty). */
    store: (id: CheckpointId, file: StoredFile) =>
      void store.run(
        id,
        file.path,
        file.executable ? 1 : 0,
        file.sizeBytes,
        file.sha256,
        file.objectId,
      ),
    /** All entries in the order of their paths' bytes, read a page at a time. */
    *iterate(id: CheckpointId): Generator<EntryRow> {
      for (let after = ''; ; ) {
        const rows = page.all(id, after)
        yield* rows
        const last = rows.at(-1)
        if (last === undefined) return
        after = last.path
      }
    },
    *iterateSymlinks(id: CheckpointId): Generator<EntryRow> {
      for (let after = ''; ; ) {
        const rows = symlinkPage.all(id, after)
        yield* rows
        const last = rows.at(-1)
        if (last === undefined) return
        after = last.path
      }
    },
    listPlanned: (id: CheckpointId, after: string, limit: number) =>
      plannedPage.all(id, after, limit),
    totals: (id: CheckpointId): EntryTotals =>
      totals.get(id) ?? {
        entries: 0,
        files: 0,
        stored_files: 0,
        bytes: 0,
        stored_bytes: 0,
        unknown_sizes: 0,
      },
    /** Removes up to 1000 planned entries; true while there may be more. */
    removeSomePlanned: (id: CheckpointId): boolean => removeSomePlanned.run(id, id).changes > 0,
    remove: (id: CheckpointId, path: RelativePath) => void removeOne.run(id, path),
    /** Removes up to 256 entries and returns their objects' ids; undefined at the end. */
    removeSome: (id: CheckpointId): number[] | undefined => {
      const rows = some.all(id)
      if (rows.length === 0) return undefined
      for (const { path } of rows) removeOne.run(id, path)
      return rows.flatMap(({ object_id }) => (object_id === null ? [] : [object_id]))
    },
    /** The checkpoints that have entries and no ingest: left over, or being removed. */
    listLeftover: () => leftover.all().map(({ checkpoint_id }) => checkpoint_id),
  }
}

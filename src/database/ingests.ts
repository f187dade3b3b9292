import type { Database as Sqlite } from 'better-sqlite3'
import type { Sha256 } from '../model/digest.ts'
import type { CheckpointId } from '../model/ids.ts'

export interface IngestRow {
  readonly checkpoint_id: CheckpointId
  readonly kind: 'transfer' | 'capture'
  readonly planned: number
  readonly state: string
}

export interface PartialRow {
  readonly key: string
  readonly version: string
  readonly staging_name: string
  readonly durable_bytes: number
  readonly prefix_sha256: Sha256
}

export function ingestStatements(db: Sqlite) {
  const insert = db.prepare<[string, string, string]>(
    'INSERT INTO ingests (checkpoint_id, kind, state) VALUES (?, ?, ?)',
  )
  const get = db.prepare<[string], IngestRow>('SELECT * FROM ingests WHERE checkpoint_id = ?')
  const all = db.prepare<[], IngestRow>('SELECT * FROM ingests')
  const setPlanned = db.prepare<[number, string]>(
    'UPDATE ingests SET planned = ? WHERE checkpoint_id = ?',
  )
  const setState = db.prepare<[string, string]>(
    'UPDATE ingests SET state = ? WHERE checkpoint_id = ?',
  )
  const remove = db.prepare<[string]>('DELETE FROM ingests WHERE checkpoint_id = ?')
  const putPartial = db.prepare<[{ checkpoint_id: string } & PartialRow]>(
    `INSERT INTO partials (checkpoint_id, key, version, staging_name, durable_bytes, prefix_sha256)
     VALUES (@checkpoint_id, @key, @version, @staging_name, @durable_bytes, @prefix_sha256)
     ON CONFLICT (checkpoint_id, key) DO UPDATE SET version = excluded.version,
       staging_name = excluded.staging_name, durable_bytes = excluded.durable_bytes,
       prefix_sha256 = excluded.prefix_sha256`,
  )
  const getPartial = db.prepare<[string, string], PartialRow>(
    'SELECT key, version, staging_name, durable_bytes, prefix_sha256 FROM partials WHERE checkpoint_id = ? AND key = ?',
  )
  const listPartials = db.prepare<[string], PartialRow>(
    'SELECT key, version, staging_name, durable_bytes, prefix_sha256 FROM partials WHERE checkpoint_id = ?',
  )
  const removePartial = db.prepare<[string, string]>(
    'DELETE FROM partials WHERE checkpoint_id = ? AND key = ?',
  )
  const removePartials = db.prepare<[string]>('DELETE FROM partials WHERE checkpoint_id = ?')
  return {
    insert: (id: CheckpointId, kind: IngestRow['kind'], state: unknown) =>
      void insert.run(id, kind, JSON.stringify(state)),
    find: (id: CheckpointId) => get.get(id),
    list: () => all.all(),
    setPlanned: (id: CheckpointId, planned: boolean) => void setPlanned.run(planned ? 1 : 0, id),
    setState: (id: CheckpointId, state: unknown) => void setState.run(JSON.stringify(state), id),
    remove: (id: CheckpointId) => {
      removePartials.run(id)
      remove.run(id)
    },
    putPartial: (id: CheckpointId, partial: PartialRow) =>
      void putPartial.run({ checkpoint_id: id, ...partial }),
    findPartial: (id: CheckpointId, key: string) => getPartial.get(id, key),
    listPartials: (id: CheckpointId) => listPartials.all(id),
    removePartial: (id: CheckpointId, key: string) => void removePartial.run(id, key),
  }
}

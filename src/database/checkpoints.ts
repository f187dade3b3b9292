import type { Database as Sqlite } from 'better-sqlite3'
import type { CheckpointName } from '../model/checkpoint-name.ts'
import type { ErrorRecord } from '../model/errors.ts'
import type { CheckpointId, Project } from '../model/ids.ts'

export type CheckpointStatus = 'new' | 'downloading' | 'ready' | 'failed' | 'removing'

export interface CheckpointRow {
  readonly id: CheckpointId
  readonly project: Project
  readonly name: CheckpointName
  /** The sharing domain its objects lie in. */
  readonly domain: string
  readonly status: CheckpointStatus
  readonly source_type: string
  readonly source_uri: string
  readonly source_options: string
  readonly sealed_source: Buffer | null
  readonly pinned_source: string | null
  readonly manifest_id: number | null
  readonly size_bytes: number
  readonly file_count: number
  readonly error: string | null
  readonly created_at_ms: number
  readonly ready_at_ms: number | null
}

export type NewCheckpoint = Pick<
  CheckpointRow,
  | 'id'
  | 'project'
  | 'name'
  | 'domain'
  | 'source_type'
  | 'source_uri'
  | 'source_options'
  | 'sealed_source'
  | 'created_at_ms'
>

export function checkpointStatements(db: Sqlite) {
  const insert = db.prepare<[NewCheckpoint]>(
    `INSERT INTO checkpoints (id, project, name, domain, status, source_type, source_uri, source_options, sealed_source, created_at_ms)
     VALUES (@id, @project, @name, @domain, 'new', @source_type, @source_uri, @source_options, @sealed_source, @created_at_ms)`,
  )
  const byId = db.prepare<[string], CheckpointRow>('SELECT * FROM checkpoints WHERE id = ?')
  const byName = db.prepare<[string, string], CheckpointRow>(
    `SELECT * FROM checkpoints WHERE project = ? AND name = ? AND status <> 'removing'
     ORDER BY created_at_ms DESC, rowid DESC LIMIT 1`,
  )
  const inProject = db.prepare<[string], CheckpointRow>(
    'SELECT * FROM checkpoints WHERE project = ? ORDER BY created_at_ms, rowid',
  )
  const byStatus = db.prepare<[string], CheckpointRow>(
    'SELECT * FROM checkpoints WHERE status = ? ORDER BY created_at_ms, rowid',
  )
  const byManifest = db.prepare<[number], CheckpointRow>(
    'SELECT * FROM checkpoints WHERE manifest_id = ?',
  )
  const setStatus = db.prepare<[string, string]>('UPDATE checkpoints SET status = ? WHERE id = ?')
  const setName = db.prepare<[string, string]>('UPDATE checkpoints SET name = ? WHERE id = ?')
  const setPinned = db.prepare<[string, string]>(
    'UPDATE checkpoints SET pinned_source = ? WHERE id = ?',
  )
  const setFailed = db.prepare<[string, string]>(
    `UPDATE checkpoints SET status = 'failed', error = ? WHERE id = ?`,
  )
  const setReady = db.prepare<
    [
      {
        id: string
        manifest_id: number
        size_bytes: number
        file_count: number
        ready_at_ms: number
      },
    ]
  >(
    `UPDATE checkpoints SET status = 'ready', manifest_id = @manifest_id, size_bytes = @size_bytes,
       file_count = @file_count, ready_at_ms = @ready_at_ms, sealed_source = NULL, error = NULL WHERE id = @id`,
  )
  const clearManifest = db.prepare<[string]>(
    'UPDATE checkpoints SET manifest_id = NULL WHERE id = ?',
  )
  const remove = db.prepare<[string]>('DELETE FROM checkpoints WHERE id = ?')
  return {
    insert: (row: NewCheckpoint) => void insert.run(row),
    find: (id: string) => byId.get(id),
    /** The newest of that name in the project that is not being removed. */
    findByName: (project: Project, name: string) => byName.get(project, name),
    listProject: (project: Project) => inProject.all(project),
    listStatus: (status: CheckpointStatus) => byStatus.all(status),
    listByManifest: (manifestId: number) => byManifest.all(manifestId),
    setStatus: (id: CheckpointId, status: CheckpointStatus) => void setStatus.run(status, id),
    setName: (id: CheckpointId, name: CheckpointName) => void setName.run(name, id),
    setPinnedSource: (id: CheckpointId, pinned: string) => void setPinned.run(pinned, id),
    setFailed: (id: CheckpointId, error: ErrorRecord) =>
      void setFailed.run(JSON.stringify(error), id),
    setReady: (row: Parameters<typeof setReady.run>[0]) => void setReady.run(row),
    clearManifest: (id: CheckpointId) => void clearManifest.run(id),
    remove: (id: CheckpointId) => void remove.run(id),
  }
}

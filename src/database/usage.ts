import type { Database as Sqlite } from 'better-sqlite3'

export interface ProjectUsage {
  readonly project: string
  readonly checkpoints: number
  readonly bytes: number
}

export interface StoreUsage {
  readonly objects: number
  readonly physical_bytes: number
  readonly reclaimable_bytes: number
  readonly in_use_bytes: number
}

export function usageStatements(db: Sqlite) {
  const projects = db.prepare<[], ProjectUsage>(
    `SELECT project, count(*) AS checkpoints, coalesce(sum(size_bytes), 0) AS bytes
     FROM checkpoints WHERE status = 'ready' GROUP BY project ORDER BY project`,
  )
  const store = db.prepare<[], StoreUsage>(
    `SELECT count(*) AS objects, coalesce(sum(size_bytes), 0) AS physical_bytes,
       coalesce(sum(CASE WHEN NOT EXISTS (SELECT 1 FROM manifest_objects m WHERE m.object_id = o.id)
         AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.object_id = o.id) THEN size_bytes END), 0) AS reclaimable_bytes,
       coalesce(sum(CASE WHEN EXISTS (SELECT 1 FROM manifest_objects m JOIN views v ON v.manifest_id = m.manifest_id
         JOIN leases l ON l.view_id = v.id WHERE m.object_id = o.id) THEN size_bytes END), 0) AS in_use_bytes
     FROM objects o`,
  )
  const staging = db.prepare<[], { bytes: number }>(
    'SELECT coalesce(sum(durable_bytes), 0) AS bytes FROM partials',
  )
  return {
    /** Of partial files, as far as they are durable. */
    getStagingBytes: (): number => staging.get()?.bytes ?? 0,
    listProjects: () => projects.all(),
    getStore: (): StoreUsage =>
      store.get() ?? { objects: 0, physical_bytes: 0, reclaimable_bytes: 0, in_use_bytes: 0 },
  }
}

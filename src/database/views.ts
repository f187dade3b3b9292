import type { Database as Sqlite } from 'better-sqlite3'
import type { Sha256 } from '../model/digest.ts'

export interface ViewRow {
  readonly id: number
  readonly manifest_id: number
  readonly generation: number
  readonly state: 'live' | 'retired' | 'deleting'
  /** Of its manifest. */
  readonly domain: string
  readonly digest: Sha256
}

const COLUMNS = 'v.id, v.manifest_id, v.generation, v.state, m.domain, m.digest'
const FROM = 'FROM views v JOIN manifests m ON m.id = v.manifest_id'

export function viewStatements(db: Sqlite) {
  const live = db.prepare<[number], ViewRow>(
    `SELECT ${COLUMNS} ${FROM} WHERE v.manifest_id = ? AND v.state = 'live' ORDER BY generation DESC LIMIT 1`,
  )
  const byId = db.prepare<[number], ViewRow>(`SELECT ${COLUMNS} ${FROM} WHERE v.id = ?`)
  const ofManifest = db.prepare<[number], ViewRow>(
    `SELECT ${COLUMNS} ${FROM} WHERE v.manifest_id = ? ORDER BY generation`,
  )
  const byName = db.prepare<[string, string, number], ViewRow>(
    `SELECT ${COLUMNS} ${FROM} WHERE m.domain = ? AND m.digest = ? AND v.generation = ?`,
  )
  const lastGeneration = db.prepare<[number], { generation: number | null }>(
    'SELECT max(generation) AS generation FROM views WHERE manifest_id = ?',
  )
  const insert = db.prepare<[number, number], { id: number }>(
    `INSERT INTO views (manifest_id, generation, state) VALUES (?, ?, 'live') RETURNING id`,
  )
  const setState = db.prepare<[string, number]>('UPDATE views SET state = ? WHERE id = ?')
  const retire = db.prepare<[number]>(
    `UPDATE views SET state = 'retired' WHERE manifest_id = ? AND state = 'live'`,
  )
  const disposable = db.prepare<[], ViewRow>(
    `SELECT ${COLUMNS} ${FROM} WHERE v.state = 'deleting' OR (v.state = 'retired'
       AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.view_id = v.id))`,
  )
  const retirements = new Map<number, number>()
  const remove = db.prepare<[number]>('DELETE FROM views WHERE id = ?')
  return {
    findLive: (manifestId: number) => live.get(manifestId),
    get: (id: number) => byId.get(id),
    find: (domain: string, digest: string, generation: number) =>
      byName.get(domain, digest, generation),
    listOfManifest: (manifestId: number) => ofManifest.all(manifestId),
    nextGeneration: (manifestId: number): number =>
      (lastGeneration.get(manifestId)?.generation ?? 0) + 1,
    insert: (manifestId: number, generation: number): number => {
      const row = insert.get(manifestId, generation)
      if (row === undefined) throw new Error('an insert returned no row')
      return row.id
    },
    setState: (id: number, state: ViewRow['state']) => void setState.run(state, id),
    /** No new mounts of a manifest's views from now on. */
    retireOfManifest: (manifestId: number) => {
      retire.run(manifestId)
      retirements.set(manifestId, (retirements.get(manifestId) ?? 0) + 1)
    },
    /** How often that was since this process began: a view whose building began before is void. */
    countRetirements: (manifestId: number): number => retirements.get(manifestId) ?? 0,
    /** Marked for deletion, or retired and in use by nobody. */
    listDisposable: () => disposable.all(),
    remove: (id: number) => void remove.run(id),
  }
}

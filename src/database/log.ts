import type { Database as Sqlite } from 'better-sqlite3'

export interface LogRow {
  readonly seq: number
  readonly time_ms: number
  readonly msg: string
}

/** Lines kept of one checkpoint's log; a tree of 10⁵ files does not need a line for each. */
const MAX_LOG_LINES = 10_000

export function logStatements(db: Sqlite) {
  const last = db.prepare<[string], { seq: number | null }>(
    'SELECT max(seq) AS seq FROM checkpoint_log WHERE checkpoint_id = ?',
  )
  const insert = db.prepare<[string, number, number, string]>(
    'INSERT INTO checkpoint_log (checkpoint_id, seq, time_ms, msg) VALUES (?, ?, ?, ?)',
  )
  const after = db.prepare<[string, number], LogRow>(
    'SELECT seq, time_ms, msg FROM checkpoint_log WHERE checkpoint_id = ? AND seq > ? ORDER BY seq LIMIT 1000',
  )
  return {
    /** Appends a line and returns it, or undefined where the log is full. */
    append: (checkpointId: string, timeMs: number, msg: string): LogRow | undefined => {
      const seq = (last.get(checkpointId)?.seq ?? 0) + 1
      if (seq > MAX_LOG_LINES) return undefined
      const text = seq === MAX_LOG_LINES ? 'The log is full; further lines are not kept' : msg
      insert.run(checkpointId, seq, timeMs, text)
      return { seq, time_ms: timeMs, msg: text }
    },
    /** The lines after `seq`, oldest first, at most 1000 at a time. */
    listAfter: (checkpointId: string, seq: number) => after.all(checkpointId, seq),
  }
}

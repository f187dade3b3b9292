import type { Database as Sqlite } from 'better-sqlite3'
import type { CheckpointName } from '../model/checkpoint-name.ts'
import type { ErrorRecord } from '../model/errors.ts'
import type { CheckpointId, JobId, Project } from '../model/ids.ts'

export interface JobRow {
  readonly id: JobId
  readonly project: Project
  readonly name: string
  readonly type: string
  readonly worker_count: number
  readonly output: 'checkpoint' | null
  readonly status: 'registered' | 'running' | 'finished'
  readonly created_at_ms: number
}

export interface JobCheckpointRow {
  readonly job_id: JobId
  readonly position: number
  readonly checkpoint_id: CheckpointId
  readonly checkpoint_name: CheckpointName
  readonly directory: string
}

export interface WorkerRow {
  readonly job_id: JobId
  readonly worker: number
  readonly state: 'registered' | 'mounting' | 'mounted' | 'finishing' | 'finished'
  readonly has_output: number
  readonly outcome: string | null
  readonly exit_code: number | null
  readonly discard_output: number
  readonly output_checkpoint_id: CheckpointId | null
  readonly output_kept_until_ms: number | null
  readonly error: string | null
  readonly held_by: string | null
  readonly mounted_at_ms: number | null
}

/** A job that keeps a checkpoint from being removed. */
export interface JobUse {
  readonly id: JobId
  readonly name: string
  readonly mounted_workers: number
}

export function jobStatements(db: Sqlite) {
  const insertJob = db.prepare<[Omit<JobRow, 'status'>]>(
    `INSERT INTO jobs (id, project, name, type, worker_count, output, status, created_at_ms)
     VALUES (@id, @project, @name, @type, @worker_count, @output, 'registered', @created_at_ms)`,
  )
  const insertCheckpoint = db.prepare<[JobCheckpointRow]>(
    `INSERT INTO job_checkpoints (job_id, position, checkpoint_id, checkpoint_name, directory)
     VALUES (@job_id, @position, @checkpoint_id, @checkpoint_name, @directory)`,
  )
  const insertWorker = db.prepare<[string, number]>(
    `INSERT INTO workers (job_id, worker, state) VALUES (?, ?, 'registered')`,
  )
  const byId = db.prepare<[string], JobRow>('SELECT * FROM jobs WHERE id = ?')
  const byName = db.prepare<[string, string], JobRow>(
    'SELECT * FROM jobs WHERE project = ? AND name = ? ORDER BY created_at_ms DESC, rowid DESC LIMIT 1',
  )
  const inProject = db.prepare<[string], JobRow>(
    'SELECT * FROM jobs WHERE project = ? ORDER BY created_at_ms, rowid',
  )
  const checkpointsOf = db.prepare<[string], JobCheckpointRow>(
    'SELECT * FROM job_checkpoints WHERE job_id = ? ORDER BY position',
  )
  const workersOf = db.prepare<[string], WorkerRow>(
    'SELECT * FROM workers WHERE job_id = ? ORDER BY worker',
  )
  const worker = db.prepare<[string, number], WorkerRow>(
    'SELECT * FROM workers WHERE job_id = ? AND worker = ?',
  )
  const workersIn = db.prepare<[string], WorkerRow>('SELECT * FROM workers WHERE state = ?')
  const setJobStatus = db.prepare<[string, string]>('UPDATE jobs SET status = ? WHERE id = ?')
  const setMounting = db.prepare<[number, string, number]>(
    `UPDATE workers SET state = 'mounting', has_output = max(has_output, ?) WHERE job_id = ? AND worker = ?`,
  )
  const setMounted = db.prepare<[number, string, number]>(
    `UPDATE workers SET state = 'mounted', mounted_at_ms = ?
     WHERE job_id = ? AND worker = ? AND state = 'mounting'`,
  )
  const setRegistered = db.prepare<[string, number]>(
    `UPDATE workers SET state = 'registered', mounted_at_ms = NULL WHERE job_id = ? AND worker = ?`,
  )
  const setFinishing = db.prepare<
    [
      {
        job: string
        worker: number
        outcome: string | null
        exit_code: number | null
        discard: number
      },
    ]
  >(
    `UPDATE workers SET state = 'finishing', outcome = @outcome, exit_code = @exit_code, discard_output = @discard
     WHERE job_id = @job AND worker = @worker`,
  )
  const setHolders = db.prepare<[string | null, string, number]>(
    'UPDATE workers SET held_by = ? WHERE job_id = ? AND worker = ?',
  )
  const setError = db.prepare<[string | null, string, number]>(
    'UPDATE workers SET error = ? WHERE job_id = ? AND worker = ?',
  )
  const setDiscard = db.prepare<[string, number]>(
    'UPDATE workers SET discard_output = 1 WHERE job_id = ? AND worker = ?',
  )
  const setOutput = db.prepare<[string | null, string, number]>(
    'UPDATE workers SET output_checkpoint_id = ? WHERE job_id = ? AND worker = ?',
  )
  const setOutputKept = db.prepare<[number, string, number]>(
    'UPDATE workers SET output_kept_until_ms = ? WHERE job_id = ? AND worker = ?',
  )
  const keptOutputs = db.prepare<[number], { count: number }>(
    'SELECT count(*) AS count FROM workers WHERE output_kept_until_ms > ?',
  )
  const setFinished = db.prepare<[string, number]>(
    `UPDATE workers SET state = 'finished', held_by = NULL WHERE job_id = ? AND worker = ?`,
  )
  const unfinished = db.prepare<[string], { left: number }>(
    `SELECT count(*) AS left FROM workers WHERE job_id = ? AND state <> 'finished'`,
  )
  const usesOf = db.prepare<[string], JobUse>(
    `SELECT j.id, j.name, (SELECT count(*) FROM workers w WHERE w.job_id = j.id
       AND w.state IN ('mounting', 'mounted', 'finishing')) AS mounted_workers
     FROM jobs j WHERE j.status <> 'finished'
       AND j.id IN (SELECT job_id FROM job_checkpoints WHERE checkpoint_id = ?) ORDER BY j.created_at_ms`,
  )
  const ofOutput = db.prepare<[string], WorkerRow>(
    'SELECT * FROM workers WHERE output_checkpoint_id = ?',
  )
  return {
    insert: (
      job: Omit<JobRow, 'status'>,
      checkpoints: readonly Omit<JobCheckpointRow, 'job_id'>[],
    ) => {
      insertJob.run(job)
      for (const checkpoint of checkpoints) insertCheckpoint.run({ job_id: job.id, ...checkpoint })
      for (let n = 1; n <= job.worker_count; n++) insertWorker.run(job.id, n)
    },
    find: (id: string) => byId.get(id),
    findByName: (project: Project, name: string) => byName.get(project, name),
    listProject: (project: Project) => inProject.all(project),
    listCheckpoints: (id: JobId) => checkpointsOf.all(id),
    listWorkers: (id: JobId) => workersOf.all(id),
    findWorker: (id: JobId, n: number) => worker.get(id, n),
    /** The worker whose output a checkpoint is to become. */
    findWorkerOfOutput: (id: CheckpointId) => ofOutput.get(id),
    listWorkersIn: (state: WorkerRow['state']) => workersIn.all(state),
    setStatus: (id: JobId, status: JobRow['status']) => void setJobStatus.run(status, id),
    setWorkerMounting: (id: JobId, n: number, output: boolean) =>
      void setMounting.run(output ? 1 : 0, id, n),
    /** Unless its finishing began meanwhile. */
    setWorkerMounted: (id: JobId, n: number, nowMs: number) => void setMounted.run(nowMs, id, n),
    /** Back to before its mount: nothing of it is mounted any more. */
    setWorkerRegistered: (id: JobId, n: number) => void setRegistered.run(id, n),
    setWorkerFinishing: (
      id: JobId,
      n: number,
      report: { outcome: string | null; exitCode: number | null; discardOutput: boolean },
    ) =>
      void setFinishing.run({
        job: id,
        worker: n,
        outcome: report.outcome,
        exit_code: report.exitCode,
        discard: report.discardOutput ? 1 : 0,
      }),
    setWorkerHolders: (id: JobId, n: number, holders: readonly unknown[] | null) =>
      void setHolders.run(holders === null ? null : JSON.stringify(holders), id, n),
    setWorkerError: (id: JobId, n: number, error: ErrorRecord | null) =>
      void setError.run(error === null ? null : JSON.stringify(error), id, n),
    setWorkerDiscard: (id: JobId, n: number) => void setDiscard.run(id, n),
    setWorkerOutput: (id: JobId, n: number, checkpoint: CheckpointId | null) =>
      void setOutput.run(checkpoint, id, n),
    setWorkerOutputKept: (id: JobId, n: number, untilMs: number) =>
      void setOutputKept.run(untilMs, id, n),
    /** The workers whose output directories are kept beyond a time. */
    countKeptOutputs: (nowMs: number): number => keptOutputs.get(nowMs)?.count ?? 0,
    setWorkerFinished: (id: JobId, n: number) => void setFinished.run(id, n),
    countUnfinishedWorkers: (id: JobId): number => unfinished.get(id)?.left ?? 0,
    /** The unfinished jobs that are configured to use a checkpoint. */
    listUses: (checkpoint: CheckpointId) => usesOf.all(checkpoint),
  }
}

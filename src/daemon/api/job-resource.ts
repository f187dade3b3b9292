import type { ErrorBody } from '../../agent-protocol/checkpoint.ts'
import type { Holder, Job, Worker } from '../../agent-protocol/job.ts'
import type { JobRow, WorkerRow } from '../../database/jobs.ts'
import { type CkptdError, type ErrorRecord, fromErrorRecord } from '../../model/errors.ts'
import type { Context } from '../context.ts'
import { errorBody } from './error-answer.ts'

export function jobResource(context: Context, row: JobRow): Job {
  const { jobs } = context.store.database
  return {
    job_uuid: row.id,
    id: row.id,
    project_uuid: row.project,
    name: row.name,
    type: row.type,
    status: row.status,
    worker_count: row.worker_count,
    createdAt: new Date(row.created_at_ms).toISOString(),
    model: {
      checkpoints: jobs.listCheckpoints(row.id).map((used) => ({
        checkpoint_uuid: used.checkpoint_id,
        name: used.checkpoint_name,
        directory: used.directory,
      })),
    },
    data: row.output === null ? {} : { output_type: 'trainml', output_uri: row.output },
    workers: jobs.listWorkers(row.id).map((worker) => workerResource(context, row, worker)),
  }
}

export function workerResource(context: Context, job: JobRow, row: WorkerRow): Worker {
  const waiting = row.state === 'registered' && context.mounts.isWaiting(job, row.worker)
  const pending = waiting ? context.mounts.pending(job, row.worker).waiting_for : []
  // An output's id is told once it is ready, as the client expects it.
  const finished = row.state === 'finished' && row.output_checkpoint_id !== null
  return {
    worker: row.worker,
    state: waiting ? 'waiting' : row.state === 'mounting' ? 'waiting' : row.state,
    ...(row.outcome === null ? {} : { outcome: row.outcome }),
    ...(row.exit_code === null ? {} : { exit_code: row.exit_code }),
    ...(finished ? { output_uuid: row.output_checkpoint_id ?? '' } : {}),
    ...(finished ? keptOutput(context, row) : {}),
    ...(pending.length === 0
      ? {}
      : { waiting_for: pending.map(({ name, status }) => `${name} (${status})`).join(', ') }),
    ...(row.held_by === null ? {} : { held_by: JSON.parse(row.held_by) as Holder[] }),
    ...(row.error === null ? {} : { error: workerError(job, row, row.error) }),
  }
}

function keptOutput(
  { now, store }: Context,
  { job_id: job, output_kept_until_ms: untilMs, worker }: WorkerRow,
): Pick<Worker, 'output_kept'> {
  if (untilMs === null || untilMs <= now()) return {}
  const path = store.layout.output(job, worker)
  return { output_kept: { path, until: new Date(untilMs).toISOString() } }
}

/** Whether there is nothing more to wait for: the worker is finished, or somebody has to decide. */
export function isSettled({ state, error }: WorkerRow): boolean {
  return state === 'finished' || (error !== null && !parseError(error).retryable)
}

function workerError(job: JobRow, row: WorkerRow, text: string): ErrorBody {
  const error = parseError(text)
  const body = errorBody(error)
  if (error.retryable || row.has_output === 0) return body
  const discard = `ckpt job finish ${job.id} --worker ${row.worker} --discard-output`
  return { ...body, hint: `${body.hint} "${discard}" gives the output up.` }
}

function parseError(text: string): CkptdError {
  return fromErrorRecord(JSON.parse(text) as ErrorRecord)
}

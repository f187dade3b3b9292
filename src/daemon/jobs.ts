import { randomUUID } from 'node:crypto'
import type { JobCreate } from '../agent-protocol/job.ts'
import type { Store } from '../cache/store.ts'
import type { CheckpointRow } from '../database/checkpoints.ts'
import type { JobRow, WorkerRow } from '../database/jobs.ts'
import { checkpointDirectories } from '../model/checkpoint-name.ts'
import { CkptdError } from '../model/errors.ts'
import { isUuid, type Project, parseJobId } from '../model/ids.ts'
import { MAX_JOB_CHECKPOINTS, MAX_JOB_WORKERS, MAX_NAME_BYTES } from '../model/limits.ts'
import { utf8Length } from '../model/relative-path.ts'
import { failpoint } from '../os/failpoint.ts'
import type { Checkpoints } from './checkpoints.ts'

/** The records of jobs. Which checkpoints a job uses, and under which names, is fixed here. */
export interface Jobs {
  register(project: Project, input: JobCreate): Promise<JobRow>
  get(project: Project, reference: string): JobRow
  list(project: Project): JobRow[]
  getWorker(job: JobRow, worker: number): WorkerRow
}

export function openJobs(store: Store, checkpoints: Checkpoints, now: () => number): Jobs {
  const { database } = store
  const jobs: Jobs = {
    register: async (project, input) => {
      const name = parseJobName(input.name)
      const workerCount = input.worker_count ?? 1
      if (workerCount > MAX_JOB_WORKERS)
        throw new CkptdError('invalid_request', `a job has at most ${MAX_JOB_WORKERS} workers`)
      const output = parseOutput(input)
      const id = parseJobId(randomUUID())
      database.transaction(() => {
        const used = (input.model?.checkpoints ?? []).map((reference) =>
          resolveCheckpoint(checkpoints, project, reference),
        )
        if (used.length > MAX_JOB_CHECKPOINTS)
          throw new CkptdError(
            'invalid_request',
            `a job uses at most ${MAX_JOB_CHECKPOINTS} checkpoints`,
          )
        if (new Set(used.map((row) => row.id)).size < used.length)
          throw new CkptdError('invalid_request', 'the job names the same checkpoint twice')
        const directories = used.length === 1 ? [''] : checkpointDirectories(used)
        database.jobs.insert(
          {
            id,
            project,
            name,
            type: input.type ?? 'training',
            worker_count: workerCount,
            output,
            created_at_ms: now(),
          },
          used.map((row, position) => ({
            position,
            checkpoint_id: row.id,
            checkpoint_name: row.name,
            directory: directories[position] ?? '',
          })),
        )
      })
      await database.flush()
      failpoint('job.registered')
      return jobs.get(project, id)
    },
    get: (project, reference) => {
      const byId = isUuid(reference) ? database.jobs.find(reference) : undefined
      const row = byId?.project === project ? byId : database.jobs.findByName(project, reference)
      if (row === undefined)
        throw new CkptdError(
          'not_found',
          `Job Not Found - the project "${project}" has none with the id or name "${reference}"`,
          { details: { reference } },
        )
      return row
    },
    list: (project) => database.jobs.listProject(project),
    getWorker: (job, worker) => {
      const row = database.jobs.findWorker(job.id, worker)
      if (row === undefined)
        throw new CkptdError(
          'not_found',
          `the job "${job.name}" has workers 1 to ${job.worker_count}`,
        )
      return row
    },
  }
  return jobs
}

function parseJobName(name: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  if (name === '' || !name.isWellFormed() || /[\u0000-\u001f\u007f]/.test(name))
    throw new CkptdError(
      'invalid_name',
      'Invalid Request - the job’s name is empty or has control characters',
    )
  if (utf8Length(name) > MAX_NAME_BYTES)
    throw new CkptdError(
      'invalid_name',
      `Invalid Request - the job’s name is longer than ${MAX_NAME_BYTES} bytes`,
    )
  return name
}

function parseOutput(input: JobCreate): 'checkpoint' | null {
  const { output_type: type, output_uri: uri } = input.data ?? {}
  if (type === undefined && uri === undefined) return null
  if (type === 'trainml' && uri === 'checkpoint') return 'checkpoint'
  throw new CkptdError(
    'invalid_request',
    'this daemon saves output as data.output_type "trainml" with data.output_uri "checkpoint" only',
  )
}

function resolveCheckpoint(
  checkpoints: Checkpoints,
  project: Project,
  reference: string | { id: string; public?: boolean },
): CheckpointRow {
  const id = typeof reference === 'string' ? reference : reference.id
  if (typeof reference !== 'string' && reference.public)
    throw new CkptdError('not_found', `there is no public checkpoint "${id}" on this host`)
  const row = checkpoints.get(project, id)
  if (row.status === 'failed')
    throw new CkptdError(
      'checkpoint_failed',
      `the checkpoint "${row.name}" failed and cannot be used`,
    )
  return row
}

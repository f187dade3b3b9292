import { CkptdError } from '../model/errors.ts'
import { isUuid, parseJobId } from '../model/ids.ts'
import { MAX_JOB_WORKERS } from '../model/limits.ts'
import type { WorkerRef } from './mount-host.ts'
import type { WorkerParams } from './protocol.ts'

/** The one place where a peer's ids become path components. */
export function workerRef({ job, worker }: WorkerParams): WorkerRef {
  if (!Number.isInteger(worker) || worker < 1 || worker > MAX_JOB_WORKERS)
    throw new CkptdError('invalid_request', `a worker is a number from 1 to ${MAX_JOB_WORKERS}`)
  return { job: parseJobId(job), worker, key: `${job}.${worker}` }
}

/** Reads `<job><separator><worker>` back; undefined where a name is something else. */
export function findWorkerRef(name: string, separator: '.' | '-' | '/'): WorkerRef | undefined {
  const job = name.slice(0, 36)
  const digits = name.slice(37)
  if (!isUuid(job) || name[36] !== separator || !/^[1-9]\d{0,3}$/.test(digits)) return undefined
  const worker = Number(digits)
  return worker > MAX_JOB_WORKERS ? undefined : { job, worker, key: `${job}.${worker}` }
}

/** How messages name a worker. */
export function describeWorker({ job, worker }: WorkerRef): string {
  return `worker ${worker} of job ${job}`
}

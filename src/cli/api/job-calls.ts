import type {
  FinishRequest,
  Job,
  JobCreate,
  MountEvent,
  MountRequest,
  Worker,
} from '../../agent-protocol/job.ts'
import type { ApiClient } from './api-client.ts'

export async function listJobs(api: ApiClient): Promise<Job[]> {
  return (await api.request<Job[]>({ method: 'GET', path: '/v1/jobs' })).value
}

export async function getJob(api: ApiClient, ref: string): Promise<Job> {
  return (await api.request<Job>({ method: 'GET', path: pathOf(ref) })).value
}

export async function registerJob(api: ApiClient, job: JobCreate): Promise<Job> {
  const body = { project_uuid: api.project, ...job }
  return (await api.request<Job>({ method: 'POST', path: '/v1/jobs', body })).value
}

/** Lines while its checkpoints are not ready, then the mount or the error; asking again joins. */
export function mountEvents(
  api: ApiClient,
  job: string,
  worker: number,
  request: MountRequest,
  signal: AbortSignal,
): AsyncGenerator<MountEvent, void, undefined> {
  const path = `${pathOf(job)}/workers/${worker}/mount`
  return api.stream<MountEvent>({ method: 'POST', path, body: request, signal })
}

export interface FinishCall {
  readonly request: FinishRequest
  /** How long the answer may be held back until it is finished. */
  readonly waitSeconds: number
  readonly signal?: AbortSignal
}

/** Idempotent; the worker's state says whether it is finished or still finishing. */
export async function finishWorker(
  api: ApiClient,
  job: string,
  worker: number,
  call: FinishCall,
): Promise<Worker> {
  return finish<Worker>(api, `${pathOf(job)}/workers/${worker}/finish`, call)
}

/** All workers of the job. */
export async function finishJob(api: ApiClient, job: string, call: FinishCall): Promise<Job> {
  return finish<Job>(api, `${pathOf(job)}/finish`, call)
}

async function finish<T>(api: ApiClient, path: string, call: FinishCall): Promise<T> {
  const { value } = await api.request<T>({
    method: 'POST',
    path,
    query: { wait: call.waitSeconds },
    body: call.request,
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  })
  return value
}

function pathOf(ref: string): string {
  return `/v1/jobs/${encodeURIComponent(ref)}`
}

import type {
  Checkpoint,
  CheckpointCreate,
  CheckpointDetails,
  CheckpointEvent,
  VerifyEvent,
} from '../../agent-protocol/checkpoint.ts'
import { isUuid } from '../../model/ids.ts'
import { CommandError } from '../command-error.ts'
import type { ApiClient } from './api-client.ts'

/** A checkpoint is named by `ref`: its id or its name. */

export async function listCheckpoints(api: ApiClient): Promise<Checkpoint[]> {
  return (await api.request<Checkpoint[]>({ method: 'GET', path: '/checkpoint' })).value
}

export async function listPublicCheckpoints(api: ApiClient): Promise<Checkpoint[]> {
  return (await api.request<Checkpoint[]>({ method: 'GET', path: '/checkpoint/public' })).value
}

export async function getCheckpoint(api: ApiClient, ref: string): Promise<Checkpoint> {
  return requestCheckpoint(api, { method: 'GET', path: pathOf(ref) })
}

export async function createCheckpoint(
  api: ApiClient,
  checkpoint: CheckpointCreate,
): Promise<Checkpoint> {
  const body = { project_uuid: api.project, ...checkpoint }
  const call = { method: 'POST', path: '/checkpoint', body } as const
  return requestCheckpoint(api, call)
}

export async function renameCheckpoint(
  api: ApiClient,
  ref: string,
  name: string,
): Promise<Checkpoint> {
  const call = { method: 'PATCH', path: pathOf(ref), body: { name } } as const
  return requestCheckpoint(api, call)
}

export async function removeCheckpoint(
  api: ApiClient,
  ref: string,
  force: boolean,
): Promise<Checkpoint> {
  const call = { method: 'DELETE', path: pathOf(ref), query: { force } } as const
  return requestCheckpoint(api, call)
}

/** Entries `offset` to `offset + limit` of the tree. */
export async function getDetails(
  api: ApiClient,
  ref: string,
  page: { readonly offset: number; readonly limit: number },
): Promise<CheckpointDetails> {
  const call = { method: 'GET', path: `${pathOf(ref)}/details`, query: page } as const
  return (await api.request<CheckpointDetails>(call)).value
}

/** The log from its beginning, then what happens, then the result or the error. */
export function checkpointEvents(
  api: ApiClient,
  ref: string,
  signal: AbortSignal,
): AsyncGenerator<CheckpointEvent, void, undefined> {
  const path = `/v1/checkpoints/${encodeURIComponent(ref)}/events`
  return api.stream<CheckpointEvent>({ method: 'GET', path, signal })
}

/** Of one checkpoint, or of everything in the store. */
export function verifyEvents(
  api: ApiClient,
  ref: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<VerifyEvent, void, undefined> {
  const path =
    ref === undefined ? '/v1/verify' : `/v1/checkpoints/${encodeURIComponent(ref)}/verify`
  return api.stream<VerifyEvent>({ method: 'POST', path, signal })
}

/** What is to be done next is done to the checkpoint of the answer: it must be one. */
async function requestCheckpoint(
  api: ApiClient,
  call: Parameters<ApiClient['request']>[0],
): Promise<Checkpoint> {
  const { value } = await api.request<Partial<Checkpoint> | null>(call)
  if (!isUuid(value?.id ?? '') || typeof value?.name !== 'string')
    throw new CommandError('failure', 'the daemon’s answer is no checkpoint', {
      hint: 'Name the checkpoint by its id; "ckpt list" shows it.',
    })
  return value as Checkpoint
}

function pathOf(ref: string): string {
  return `/checkpoint/${encodeURIComponent(ref)}`
}

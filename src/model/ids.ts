import { CkptdError } from './errors.ts'

declare const checkpointIdBrand: unique symbol
declare const jobIdBrand: unique symbol
declare const projectBrand: unique symbol
/** A lower-case UUID. */
export type CheckpointId = string & { readonly [checkpointIdBrand]: true }
/** A lower-case UUID. */
export type JobId = string & { readonly [jobIdBrand]: true }
/** 1 to 64 of `A–Z a–z 0–9 . _ -`, beginning with a letter or digit: safe as one path component. */
export type Project = string & { readonly [projectBrand]: true }

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const PROJECT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export function isUuid(text: string): boolean {
  return UUID.test(text)
}

export function parseCheckpointId(text: string): CheckpointId {
  if (!isUuid(text)) throw new CkptdError('invalid_request', 'a checkpoint id is a lower-case UUID')
  return text as CheckpointId
}

export function parseJobId(text: string): JobId {
  if (!isUuid(text)) throw new CkptdError('invalid_request', 'a job id is a lower-case UUID')
  return text as JobId
}

export function parseProject(text: string): Project {
  if (!PROJECT.test(text))
    throw new CkptdError(
      'invalid_request',
      'a project is 1 to 64 letters, digits, ".", "_" or "-", beginning with a letter or digit',
    )
  return text as Project
}

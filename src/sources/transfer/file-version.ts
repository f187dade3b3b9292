import { randomUUID } from 'node:crypto'
import type { Pin } from '../fetch/pin.ts'

/**
 * What a partial file's bytes are of, as it is recorded beside them. A version of a file that
 * can be asked for in parts tells all that is needed to go on after a restart.
 */
export interface ResumableVersion {
  readonly pin: Pin
  readonly sizeBytes: number
}

export function encodeVersion(version: ResumableVersion): string {
  return JSON.stringify({ pin: version.pin, sizeBytes: version.sizeBytes })
}

/** Of a file that cannot be gone on with: no later run has the same. */
export function newUnpinnedVersion(): string {
  return `unpinned ${randomUUID()}`
}

/** Undefined where the recorded bytes cannot be gone on with. */
export function parseVersion(text: string): ResumableVersion | undefined {
  if (!text.startsWith('{')) return undefined
  return JSON.parse(text) as ResumableVersion
}

const WHOLE = 'whole '

/** Of a file that is there to its last byte; `pinned` says of which origin and version. */
export function encodeWhole(whole: {
  readonly sizeBytes: number
  readonly pinned: string
}): string {
  return WHOLE + JSON.stringify(whole)
}

export function parseWhole(text: string): { sizeBytes: number; pinned: string } | undefined {
  if (!text.startsWith(WHOLE)) return undefined
  return JSON.parse(text.slice(WHOLE.length)) as { sizeBytes: number; pinned: string }
}

/** What exactly was fetched, for people. */
export function describeVersion(displayUri: string, pin: Pin, sizeBytes: number): string {
  const version =
    pin.kind === 'etag'
      ? `ETag ${pin.etag}`
      : pin.kind === 'modified'
        ? `Last-Modified ${pin.at}`
        : 'no version told'
  return `${displayUri} (${sizeBytes} bytes, ${version})`
}

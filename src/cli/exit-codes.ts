import { constants } from 'node:os'
import type { ErrorCode } from '../model/errors.ts'

/**
 * The one table of exit statuses. `ckpt run` passes on the container's own status instead,
 * or 128 and the signal's number; these are its answers to what goes wrong around the container.
 */
export const EXIT_CODES = {
  ok: { status: 0, meaning: 'done' },
  failure: { status: 1, meaning: 'it failed; the message says why' },
  usage: { status: 2, meaning: 'the command line, a name or an address is wrong' },
  unreachable: { status: 3, meaning: 'the daemon does not answer, or not now' },
  not_found: { status: 4, meaning: 'there is no such checkpoint, job or worker' },
  conflict: { status: 5, meaning: 'in use, or in a state that does not allow it' },
  checkpoint_failed: { status: 6, meaning: 'the checkpoint could not be filled' },
  damage_found: { status: 7, meaning: 'bytes in the store are not what they were' },
  no_space: { status: 8, meaning: 'no space or quota left for it' },
  not_possible_here: { status: 9, meaning: 'this host or user cannot do it (mounts, root)' },
  output_not_saved: {
    status: 10,
    meaning: 'an output could not be saved; the job waits for a decision',
  },
  wrong_node: { status: 78, meaning: 'started with a Node.js that is too old' },
  not_executable: { status: 126, meaning: 'run: the command may not be executed' },
  no_such_command: { status: 127, meaning: 'run: the command does not exist' },
  interrupted: { status: 130, meaning: 'stopped by Ctrl-C (another signal: 128 and its number)' },
} as const satisfies Record<string, { readonly status: number; readonly meaning: string }>

export type ExitName = keyof typeof EXIT_CODES

const EXIT_OF_ERROR: Record<ErrorCode, ExitName> = {
  invalid_request: 'usage',
  invalid_name: 'usage',
  invalid_source: 'usage',
  unsupported_source: 'usage',
  invalid_path: 'failure',
  not_found: 'not_found',
  conflict: 'conflict',
  in_use: 'conflict',
  not_ready: 'conflict',
  checkpoint_failed: 'checkpoint_failed',
  worker_running: 'conflict',
  too_large: 'failure',
  limit_exceeded: 'failure',
  no_space: 'no_space',
  no_quota: 'no_space',
  io_error: 'failure',
  permission_denied: 'failure',
  corrupt: 'damage_found',
  address_refused: 'failure',
  origin_error: 'failure',
  origin_changed: 'failure',
  origin_denied: 'failure',
  origin_not_found: 'failure',
  origin_timeout: 'failure',
  digest_mismatch: 'failure',
  bad_archive: 'failure',
  cancelled: 'conflict',
  mounts_unavailable: 'not_possible_here',
  mount_failed: 'failure',
  mount_busy: 'conflict',
  unsupported_host: 'not_possible_here',
  store_locked: 'unreachable',
  runtime_locked: 'unreachable',
  store_newer: 'failure',
  invalid_config: 'failure',
  unavailable: 'unreachable',
  internal: 'failure',
}

const EXIT_OF_HTTP_STATUS: ReadonlyMap<number, ExitName> = new Map([
  [400, 'usage'],
  [404, 'not_found'],
  [409, 'conflict'],
  [503, 'unreachable'],
  [507, 'no_space'],
])

/** By the daemon's error code; a code this version does not know goes by its HTTP status. */
export function exitOfError(code: string, httpStatus?: number): ExitName {
  if (Object.hasOwn(EXIT_OF_ERROR, code)) return EXIT_OF_ERROR[code as ErrorCode]
  return (httpStatus === undefined ? undefined : EXIT_OF_HTTP_STATUS.get(httpStatus)) ?? 'failure'
}

/** 128 and the signal's number, as shells have it. */
export function exitOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

/** The table as the last part of `ckpt --help`. */
export function exitCodesHelp(): string {
  const lines = Object.values(EXIT_CODES).map(
    ({ status, meaning }) => `  ${String(status).padStart(3)}  ${meaning}`,
  )
  return ['Exit status:', ...lines, '  run passes on the exit status of what it ran.'].join('\n')
}

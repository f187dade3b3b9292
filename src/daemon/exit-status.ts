import type { ErrorCode } from '../model/errors.ts'

/** Exit statuses of ckptd (sysexits(3)); docs/operations.md says what each means. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 64,
  storeNewer: 65,
  locked: 75,
  notPermitted: 77,
  config: 78,
} as const

const EXIT_OF_ERROR: Partial<Record<ErrorCode, number>> = {
  store_newer: EXIT.storeNewer,
  store_locked: EXIT.locked,
  runtime_locked: EXIT.locked,
  permission_denied: EXIT.notPermitted,
  invalid_config: EXIT.config,
}

export function exitStatusOf(code: ErrorCode): number {
  return EXIT_OF_ERROR[code] ?? EXIT.failure
}

/**
 * The one table of errors. A code is part of the API: callers branch on it, the
 * documentation lists it (docs/errors.md), and a test keeps the two the same set.
 *
 * `status` is the HTTP status, `retryable` says whether the same request may succeed
 * later without anybody changing anything, `hint` tells the reader what to do next.
 */
interface ErrorKind {
  readonly status: number
  readonly retryable: boolean
  readonly hint: string
}

export const ERRORS = {
  invalid_request: {
    status: 400,
    retryable: false,
    hint: 'Correct the request; /openapi.json describes every field.',
  },
  invalid_name: {
    status: 400,
    retryable: false,
    hint: 'A name is 1 to 200 bytes of UTF-8 without "/" and control characters, and not ".", ".." or "public".',
  },
  invalid_source: {
    status: 400,
    retryable: false,
    hint: 'Correct the path; the message shows a valid example for this source.',
  },
  unsupported_source: {
    status: 400,
    retryable: false,
    hint: 'Use a source this version can fill from: web.',
  },
  invalid_path: {
    status: 422,
    retryable: false,
    hint: 'The origin offers a name that no tree may hold; rename it there.',
  },
  not_found: {
    status: 404,
    retryable: false,
    hint: 'List what this project has; --project or CKPT_PROJECT names another project.',
  },
  conflict: { status: 409, retryable: false, hint: 'Look at the current state, then decide.' },
  in_use: {
    status: 409,
    retryable: false,
    hint: 'Finish the jobs named in the message ("ckpt job finish JOB"), then try again.',
  },
  not_ready: { status: 409, retryable: true, hint: 'Wait until the checkpoint is ready.' },
  checkpoint_failed: {
    status: 409,
    retryable: false,
    hint: 'Read why with "ckpt attach CHECKPOINT", then remove it and create it anew.',
  },
  worker_running: {
    status: 409,
    retryable: true,
    hint: 'Wait until the container is gone, then finish the worker again.',
  },
  too_large: {
    status: 413,
    retryable: false,
    hint: 'A checkpoint holds at most 500 GB; split it into several.',
  },
  limit_exceeded: {
    status: 422,
    retryable: false,
    hint: 'Reduce what the message names; the limits are listed in docs/operations.md.',
  },
  no_space: {
    status: 507,
    retryable: true,
    hint: 'Free space on the data directory ("ckpt df" shows what fills it); work goes on by itself.',
  },
  no_quota: {
    status: 507,
    retryable: true,
    hint: 'Raise the disk quota of the daemon’s user; work goes on by itself.',
  },
  io_error: {
    status: 500,
    retryable: false,
    hint: 'The disk or its filesystem reports an error; look at the kernel log and run "ckpt verify".',
  },
  permission_denied: {
    status: 500,
    retryable: false,
    hint: 'Correct owner and mode of what the message names, name other directories (--data-dir, --runtime-dir), or run it as a user who may do this: ckptd serve and ckptd mountd as root.',
  },
  corrupt: {
    status: 500,
    retryable: false,
    hint: 'Bytes in the store are not what they were; run "ckpt verify" and create the checkpoint anew.',
  },
  address_refused: {
    status: 403,
    retryable: false,
    hint: 'Private, loopback and link-local addresses need "--allow-network CIDR" from the operator.',
  },
  origin_error: {
    status: 502,
    retryable: true,
    hint: 'The origin answers with an error; the message holds its answer.',
  },
  origin_changed: {
    status: 502,
    retryable: false,
    hint: 'The origin changed while it was read; create the checkpoint anew when it is settled.',
  },
  origin_denied: {
    status: 403,
    retryable: false,
    hint: 'The origin refuses these credentials or wants some; correct them and create anew.',
  },
  origin_not_found: {
    status: 404,
    retryable: false,
    hint: 'The origin has nothing at this address; check the path.',
  },
  origin_timeout: {
    status: 504,
    retryable: true,
    hint: 'The origin stopped answering; it is asked again by itself until the retries are used up.',
  },
  digest_mismatch: {
    status: 502,
    retryable: true,
    hint: 'What arrived is not what the origin vouches for; fetch again.',
  },
  bad_archive: {
    status: 422,
    retryable: false,
    hint: 'Repair the archive as the message says and create the checkpoint anew.',
  },
  cancelled: { status: 409, retryable: false, hint: 'It was cancelled on request.' },
  mounts_unavailable: {
    status: 503,
    retryable: true,
    hint: 'Start the mount helper: run "ckptd serve" as root, or "systemctl start ckptd-mountd".',
  },
  mount_failed: {
    status: 500,
    retryable: false,
    hint: 'The message holds the kernel’s answer; look at the log of ckptd-mountd.',
  },
  mount_busy: {
    status: 409,
    retryable: true,
    hint: 'End the processes named in the message, then try again.',
  },
  unsupported_host: {
    status: 500,
    retryable: false,
    hint: 'ckptd needs Linux 5.12 or newer and Node.js 24 or newer.',
  },
  store_locked: {
    status: 503,
    retryable: true,
    hint: 'Another process has this data directory open; stop it or name another directory.',
  },
  runtime_locked: {
    status: 503,
    retryable: true,
    hint: 'Another ckptd runs in this runtime directory; stop it or name another directory with --runtime-dir.',
  },
  store_newer: {
    status: 500,
    retryable: false,
    hint: 'Install the ckptd version that wrote this store, or a newer one.',
  },
  invalid_config: {
    status: 500,
    retryable: false,
    hint: 'Correct the setting; "ckptd config" prints what is in force and where it comes from.',
  },
  unavailable: { status: 503, retryable: true, hint: 'Try again in a moment.' },
  internal: {
    status: 500,
    retryable: false,
    hint: 'This is a fault of ckptd; its log has the details.',
  },
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERRORS

/** A failure that somebody outside can understand: a code of the table and one clear sentence. */
export class CkptdError extends Error {
  readonly code: ErrorCode
  /** Machine-readable particulars (ids, sizes in bytes, paths); never a secret. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CkptdError'
    this.code = code
    this.details = options.details ?? {}
  }

  get status(): number {
    return ERRORS[this.code].status
  }
  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }
  get hint(): string {
    return ERRORS[this.code].hint
  }
}

/** What of an error crosses a thread, a socket or a database column. */
export interface ErrorRecord {
  readonly code: ErrorCode
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

export function toErrorRecord(error: unknown): ErrorRecord {
  if (error instanceof CkptdError)
    return { code: error.code, message: error.message, details: error.details }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'internal', message, details: {} }
}

export function fromErrorRecord(record: ErrorRecord): CkptdError {
  return new CkptdError(record.code, record.message, { details: { ...record.details } })
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}

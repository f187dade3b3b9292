import { CommandError } from '../command-error.ts'

const START_HINT =
  'Start it with "ckptd serve" or "systemctl start ckptd", or name its socket with --socket or CKPTD_SOCKET.'

const REASONS: ReadonlyMap<string, { readonly why: string; readonly hint: string }> = new Map([
  ['ENOENT', { why: 'there is no such socket', hint: START_HINT }],
  ['ENOTDIR', { why: 'there is no such socket', hint: START_HINT }],
  ['ECONNREFUSED', { why: 'nobody listens there', hint: START_HINT }],
  [
    'EACCES',
    {
      why: 'you may not open it',
      hint: 'Run this as root or as a member of the group that owns the socket.',
    },
  ],
  ['ENOTSOCK', { why: 'that is no socket', hint: START_HINT }],
  ['EINVAL', { why: 'the path is too long for a socket', hint: START_HINT }],
])

/** Whatever kept a request from being answered, as "the daemon is not reachable". */
export function connectionError(socketPath: string, cause: unknown): CommandError {
  const code = codeOf(cause)
  const reason = REASONS.get(code)
  if (reason !== undefined)
    return new CommandError('unreachable', `no daemon answers at ${socketPath}: ${reason.why}`, {
      hint: reason.hint,
      cause,
    })
  return new CommandError(
    'unreachable',
    `the connection to the daemon at ${socketPath} broke${code === '' ? '' : ` (${code})`}`,
    { hint: 'See whether it runs: "ckpt status". Work it was given goes on by itself.', cause },
  )
}

/** Node wraps what went wrong: the code may stand on the error or on its cause. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  return codeOf(error.cause)
}

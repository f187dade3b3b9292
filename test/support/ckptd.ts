import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What is shipped: `make test` builds it first. */
export const CKPTD = fileURLToPath(new URL('../../bin/ckptd', import.meta.url))

interface CkptdEnd {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** Runs a command of `ckptd` that ends by itself. */
export async function runCkptd(
  args: readonly string[],
  options: { readonly uid?: number; readonly gid?: number } = {},
): Promise<CkptdEnd> {
  const child = spawn(CKPTD, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { status, out, err }
}

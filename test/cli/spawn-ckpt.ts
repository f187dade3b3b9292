import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ENTRY = fileURLToPath(new URL('../../src/cli/ckpt.ts', import.meta.url))

export interface Spawned {
  readonly child: ChildProcess
  readonly out: () => string
  readonly err: () => string
  readonly ended: Promise<{ readonly status: number | null; readonly signal: string | null }>
}

/** The real program in a process of its own, with pipes for its streams. */
export function spawnCkpt(socket: string, argv: readonly string[]): Spawned {
  const child = spawn(process.execPath, [ENTRY, '--socket', socket, ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const ended = new Promise<{ status: number | null; signal: string | null }>((resolve) =>
    child.once('close', (status, signal) => resolve({ status, signal })),
  )
  return { child, out: () => out, err: () => err, ended }
}

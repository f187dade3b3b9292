import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import { Client } from 'undici'
import type { Checkpoint } from '../../src/agent-protocol/checkpoint.ts'
import { CKPTD } from './ckptd.ts'
import { makeScratch, type Scratch } from './scratch.ts'

/** A real `ckptd serve` (supervisor, daemon and mount helper) in a scratch directory. */
export interface TestDaemon extends AsyncDisposable {
  readonly scratch: Scratch
  readonly dataDir: string
  readonly runtimeDir: string
  readonly socket: string
  readonly output: () => string
  /** Process ids of the two children, as the kernel knows them now. */
  pids(): { supervisor: number; daemon: number; mountd: number }
  call<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: T }>
  /** As `call`, but anything but 2xx fails the test with the daemon's answer. */
  ok<T = unknown>(method: string, path: string, body?: unknown): Promise<T>
  waitReady(reference: string): Promise<Checkpoint>
  /** SIGTERM to the supervisor; waits for its end. */
  stop(): Promise<void>
  start(): Promise<void>
}

export interface DaemonOptions {
  readonly scratch?: Scratch
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly dataDir?: string
  /** A program that starts it and puts itself out of the way: `setpriv …`, `strace -D …`. */
  readonly prefix?: readonly string[]
  /** Whether it is to be able to mount once it has started; by default it is. */
  readonly mounts?: boolean
}

export async function startDaemon(options: DaemonOptions = {}): Promise<TestDaemon> {
  const scratch = options.scratch ?? makeScratch('daemon')
  // The daemon's own user has to reach its directories through the scratch directory.
  chmodSync(scratch.path, 0o755)
  const dataDir = options.dataDir ?? scratch.join('data')
  const runtimeDir = scratch.join('run')
  mkdirSync(runtimeDir, { recursive: true })
  const socket = `${runtimeDir}/ckptd.sock`
  let child: ChildProcess | undefined
  let client = new Client('http://localhost', { socketPath: socket })
  let text = ''

  const start = async (): Promise<void> => {
    const [program, ...before] = [...(options.prefix ?? []), CKPTD]
    child = spawn(
      program,
      [
        ...before,
        'serve',
        '--data-dir',
        dataDir,
        '--runtime-dir',
        runtimeDir,
        '--cdi-dir',
        scratch.join('cdi'),
        '--allow-network',
        '127.0.0.0/8',
        '--log-format',
        'json',
        ...(options.args ?? []),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } },
    )
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
    client = new Client('http://localhost', {
      socketPath: socket,
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    await until(async () => {
      if (child?.exitCode !== null) throw new Error(`ckptd ended: ${text}`)
      const { body } = await daemon.call<{ mounts: { available: boolean } }>('GET', '/v1/status')
      return body.mounts.available || options.mounts === false
    })
  }
  const stop = async (): Promise<void> => {
    const ending = child
    if (ending?.exitCode === null && ending.signalCode === null) {
      const ended = new Promise((resolve) => ending.once('exit', resolve))
      ending.kill('SIGTERM')
      await ended
    }
    await client.destroy()
  }

  const daemon: TestDaemon = {
    scratch,
    dataDir,
    runtimeDir,
    socket,
    output: () => text,
    pids: () => {
      const supervisor = child?.pid ?? 0
      const of = (command: string): number => childRunning(supervisor, command)
      return { supervisor, daemon: of('daemon'), mountd: of('mountd') }
    },
    call: async (method, path, body) => {
      const response = await client.request({
        method,
        path,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      })
      return {
        status: response.statusCode,
        body: JSON.parse((await response.body.text()) || 'null') as never,
      }
    },
    ok: async (method, path, body) => {
      const answer = await daemon.call(method, path, body)
      if (answer.status >= 300)
        throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
      return answer.body as never
    },
    waitReady: async (reference) => {
      let last: Checkpoint | undefined
      await until(async () => {
        last = await daemon.ok<Checkpoint>('GET', `/checkpoint/${encodeURIComponent(reference)}`)
        if (last.status === 'failed') throw new Error(`failed: ${JSON.stringify(last.error)}`)
        return last.status === 'ready'
      })
      if (last === undefined) throw new Error('unreachable')
      return last
    },
    start,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop()
      if (options.scratch === undefined) await scratch[Symbol.asyncDispose]()
    },
  }
  try {
    await start()
  } catch (error) {
    await daemon[Symbol.asyncDispose]()
    throw error
  }
  return daemon
}

/** Asks until the answer is true; an exception of the question is tried again until the end. */
export async function until(
  question: () => Promise<boolean> | boolean,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  let failure: unknown
  while (Date.now() < deadline) {
    try {
      if (await question()) return
      failure = undefined
    } catch (error) {
      failure = error
      if (error instanceof Error && /^(failed|ckptd ended)/.test(error.message)) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`not within ${timeoutMs} ms`, { cause: failure })
}

function childRunning(parent: number, command: string): number {
  for (const pid of childrenOf(parent)) if (commandLine(pid).includes(command)) return pid
  return 0
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

function commandLine(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
}

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Answer, Request } from './fault-child.ts'

const CHILD = fileURLToPath(new URL('fault-child.ts', import.meta.url))

/** A process in which steps of the store are taken, some of them on a failing disk. */
export interface FaultProcess extends AsyncDisposable {
  ask<K extends Answer['kind']>(request: Request, kind: K): Promise<Answer & { kind: K }>
  /** Every one of these system calls (on these paths) fails until it is disposed of. */
  inject(calls: string, errno: string, paths: readonly string[]): Promise<AsyncDisposable>
  /** Resolves with the exit status or the signal when the process has ended. */
  readonly ended: Promise<number | string>
}

export function startFaultProcess(): FaultProcess {
  const child = fork(CHILD, {
    // Not the test runner's own: they keep warnings away.
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const ended = once(child, 'exit').then(
    ([status, signal]: (number | string | null)[]) => status ?? signal ?? 'unknown',
  )
  return {
    ended,
    ask: async (request, kind) => {
      const answered = once(child, 'message').then(([message]) => message as Answer)
      child.send(request)
      const answer = await Promise.race([answered, ended])
      if (typeof answer !== 'object') throw new Error(`the process ended (${answer}): ${stderr}`)
      if (answer.kind !== kind) throw new Error(`an answer of another kind: ${answer.kind}`)
      return answer as Answer & { kind: typeof kind }
    },
    inject: (calls, errno, paths) => attachFaults(child.pid ?? 0, calls, errno, paths),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
      await ended
    },
  }
}

async function attachFaults(
  pid: number,
  calls: string,
  errno: string,
  paths: readonly string[],
): Promise<AsyncDisposable> {
  for (let tries = 0; tries < 100; tries++) {
    const strace = startStrace(pid, calls, errno, paths)
    const ended = once(strace, 'exit')
    const detach = async (): Promise<void> => {
      strace.kill('SIGINT')
      await ended
    }
    await untilAttached(strace)
    // A thread that began while strace went through them is left out, and nothing fails in it.
    if (tracesAll(strace.pid ?? 0, pid)) return { [Symbol.asyncDispose]: detach }
    await detach()
  }
  throw new Error('strace does not attach to every thread')
}

function startStrace(
  pid: number,
  calls: string,
  errno: string,
  paths: readonly string[],
): ChildProcess {
  const filters = paths.flatMap((path) => ['-P', path])
  return spawn(
    'strace',
    [
      '-f',
      '-o',
      '/dev/null',
      '-e',
      `trace=${calls}`,
      '-e',
      `inject=${calls}:error=${errno}`,
      ...filters,
      '-p',
      String(pid),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
}

function tracesAll(tracer: number, pid: number): boolean {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks).every((task) =>
    new RegExp(`^TracerPid:\\t${tracer}$`, 'm').test(
      readFileSync(`${tasks}/${task}/status`, 'utf8'),
    ),
  )
}

function untilAttached(strace: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = ''
    strace.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (/ attached/.test(text)) resolve()
    })
    strace.once('exit', () => reject(new Error(`strace did not attach: ${text}`)))
  })
}

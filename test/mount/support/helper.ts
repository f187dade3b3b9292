import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { connectMountd, type MountClient } from '../../../src/mount/client.ts'
import type { Logger } from '../../../src/mount/logger.ts'
import { runMountd } from '../../../src/mount/mountd.ts'
import type { World } from './world.ts'

export interface RecordedLog extends Logger {
  readonly messages: string[]
}

export function recordLog(): RecordedLog {
  const messages: string[] = []
  const record = (_: object, message: string): void => void messages.push(message)
  return { messages, info: record, warn: record, error: record }
}

export interface RunningHelper extends AsyncDisposable {
  readonly client: MountClient
  readonly log: RecordedLog
}

/** A helper in this process, and a client that is connected to it. */
export async function startHelper(world: World): Promise<RunningHelper> {
  const log = recordLog()
  const stop = new AbortController()
  const ready = Promise.withResolvers<void>()
  const running = runMountd({
    ...world.options,
    log,
    signal: stop.signal,
    onReady: () => ready.resolve(),
  })
  running.catch(ready.reject)
  await ready.promise
  const client = await connect(world)
  return {
    client,
    log,
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]()
      stop.abort()
      await running
    },
  }
}

export function socketPath(world: World): string {
  return `${world.runtimeDir}/mountd.sock`
}

export async function connect(world: World): Promise<MountClient> {
  const client = connectMountd({ socketPath: socketPath(world), log: recordLog() })
  await client.untilAvailable()
  return client
}

export interface HelperProcess extends AsyncDisposable {
  readonly child: ChildProcess
  /** Resolves with the signal that ended it, if one did. */
  readonly ended: Promise<NodeJS.Signals | null>
}

const ENTRY = fileURLToPath(new URL('./mountd-entry.ts', import.meta.url))

/** A helper in a process of its own, to be killed; `failpoint` names where it kills itself. */
export async function startHelperProcess(world: World, failpoint?: string): Promise<HelperProcess> {
  const child = spawn(process.execPath, [ENTRY, JSON.stringify(world.options)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CKPTD_FAILPOINT: failpoint === undefined ? '' : `${failpoint}=kill` },
  })
  let errors = ''
  child.stderr.on('data', (text: Buffer) => {
    errors += text.toString()
  })
  const ended = once(child, 'exit').then(([, signal]) => signal as NodeJS.Signals | null)
  const isReady = await Promise.race([
    once(child.stdout, 'data').then(() => true),
    ended.then(() => false),
  ])
  if (!isReady) throw new Error(`the helper did not start: ${errors}`)
  return {
    child,
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

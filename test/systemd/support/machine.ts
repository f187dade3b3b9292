import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../../support/daemon.ts'
import type { Scratch } from '../../support/scratch.ts'
import { type Cgroup, makeCgroup } from './cgroup.ts'

const execute = promisify(execFile)

/** systemd(1): SIGRTMIN+4 begins a power-off. */
const POWER_OFF = 38
const POWER_OFF_MS = 60_000

/** A machine with a real systemd; it shares the network of this one. */
export interface Machine extends AsyncDisposable {
  /** Its process 1, as it is numbered here. */
  readonly pid: number
  /** Runs a command in it; answers what it printed, or fails with that. */
  run(command: string, ...parameters: string[]): Promise<string>
  /** The arguments with which a command runs in it, for `spawn('nsenter', …)`. */
  inside(command: string, ...parameters: string[]): string[]
  /** A path in it as a path here. */
  path(inside: string): string
}

/** Boots the system in `root`, with the directories of `binds` (here → there) as its own. */
export async function bootMachine(
  scratch: Scratch,
  root: string,
  binds: Readonly<Record<string, string>>,
): Promise<Machine> {
  const log = scratch.join('console.log')
  const logFd = openSync(log, 'a')
  const name = basename(scratch.path).toLowerCase()
  const cgroup = makeCgroup(name)
  const container = spawn(
    'sh',
    [
      '-c',
      `${cgroup.enter}; exec "$@"`,
      'sh',
      'setpriv',
      '--pdeathsig=KILL',
      'systemd-nspawn',
      '--quiet',
      '--boot',
      '--register=no',
      '--keep-unit',
      '--console=pipe',
      `--directory=${root}`,
      `--machine=${name}`,
      ...Object.entries(binds).map(([here, there]) => `--bind=${here}:${there}`),
      'systemd.unit=basic.target',
    ],
    { stdio: ['ignore', logFd, logFd] },
  )
  closeSync(logFd)
  const assertRunning = (): void => {
    if (hasEnded(container))
      throw new Error(`failed: systemd-nspawn ended: ${readFileSync(log, 'utf8')}`)
  }
  try {
    let pid: number | undefined
    await until(() => {
      assertRunning()
      pid = findInit(container.pid ?? 0)
      return pid !== undefined
    })
    const machine = machineOf(container, pid ?? 0, cgroup)
    await until(async () => {
      assertRunning()
      const state = await machine.run('sh', '-c', 'systemctl is-system-running || true')
      return /^(running|degraded)/.test(state)
    })
    return machine
  } catch (error) {
    await kill(container, cgroup)
    throw error
  }
}

function machineOf(container: ChildProcess, pid: number, cgroup: Cgroup): Machine {
  const inside = (...command: string[]): string[] => ['-t', String(pid), '-a', '--', ...command]
  return {
    pid,
    inside,
    path: (path) => `/proc/${pid}/root${path}`,
    run: async (...command) => {
      const { stdout } = await execute('nsenter', inside(...command), { timeout: 90_000 })
      return stdout.trimEnd()
    },
    [Symbol.asyncDispose]: async () => {
      if (!hasEnded(container)) {
        const ended = once(container, 'exit')
        process.kill(pid, POWER_OFF)
        const insist = setTimeout(() => container.kill('SIGKILL'), POWER_OFF_MS)
        await ended
        clearTimeout(insist)
      }
      await removeEmptied(cgroup)
    },
  }
}

async function kill(container: ChildProcess, cgroup: Cgroup): Promise<void> {
  if (!hasEnded(container)) {
    const ended = once(container, 'exit')
    container.kill('SIGKILL')
    await ended
  }
  await removeEmptied(cgroup)
}

/** The last processes of a machine outlive the one that ran it for a moment. */
async function removeEmptied(cgroup: Cgroup): Promise<void> {
  await until(() => {
    cgroup[Symbol.dispose]()
    return true
  })
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** The child that is process 1 of a process namespace of its own, once there is one. */
function findInit(parent: number): number | undefined {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
  return children
    .split(' ')
    .filter(Boolean)
    .map(Number)
    .find((pid) => /^NSpid:.*\t1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
}

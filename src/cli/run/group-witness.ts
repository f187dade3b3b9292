import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { constants } from 'node:os'
import type { Clock } from '../io.ts'

/** What a terminal's keys send, to every process of the foreground group. */
const KEY_SIGNALS = ['SIGINT', 'SIGQUIT'] as const

/**
 * Tells a signal that went to this process's whole group, and so has reached the children, from
 * one that was sent to this process alone.
 */
export interface GroupWitness extends Disposable {
  wentToAll(signal: NodeJS.Signals): Promise<boolean>
}

/** The kernel works through the group within microseconds. */
const DELIVERY_MS = 5

/**
 * A process in the same group that has these signals blocked: in it, what was sent to the group
 * stays pending, where it can be read. It ends when this process does. A host whose `env` cannot
 * block signals has none: there every one counts as sent to all, as keys are the usual case.
 */
export function startGroupWitness(clock: Clock): GroupWitness {
  let witness = startBlocked()
  return {
    async wentToAll(signal) {
      if (!(KEY_SIGNALS as readonly NodeJS.Signals[]).includes(signal)) return false
      await clock.sleep(DELIVERY_MS)
      if (!isPending(witness.pid, signal)) return false
      witness[Symbol.dispose]()
      witness = startBlocked()
      return true
    },
    [Symbol.dispose]: () => witness[Symbol.dispose](),
  }
}

function startBlocked(): Disposable & { readonly pid: number | undefined } {
  const blocked = KEY_SIGNALS.map((name) => `--block-signal=${name.slice(3)}`)
  const child = spawn('env', [...blocked, 'cat'], { stdio: ['pipe', 'ignore', 'ignore'] })
  for (const source of [child, child.stdin]) source.on('error', () => undefined)
  child.unref()
  ;(child.stdin as Socket).unref()
  return {
    pid: child.pid,
    [Symbol.dispose]: () => {
      child.kill('SIGKILL')
    },
  }
}

/** A witness that is gone was ended by the signal before it could block it. */
function isPending(pid: number | undefined, signal: NodeJS.Signals): boolean {
  let status: string
  try {
    status = readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return true
  }
  if (/^State:\s+Z/m.test(status)) return true
  const mask = BigInt(`0x${/^ShdPnd:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
  return (mask & (1n << BigInt(constants.signals[signal] - 1))) !== 0n
}

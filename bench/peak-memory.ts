import { readFileSync, writeFileSync } from 'node:fs'
import type { TestDaemon } from '../test/support/daemon.ts'

const TARGET_BYTES = 200e6

/** Begins a new measurement of the largest resident set. */
export function resetPeakMemory(daemon: TestDaemon): void {
  writeFileSync(`/proc/${daemon.pids().daemon}/clear_refs`, '5')
}

/** Prints the largest resident set of the daemon, all its threads included, since the reset. */
export function printPeakMemory(daemon: TestDaemon): void {
  const status = readFileSync(`/proc/${daemon.pids().daemon}/status`, 'utf8')
  const bytes = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  const verdict = bytes < TARGET_BYTES ? 'reached' : 'MISSED'
  process.stdout.write(
    `  peak memory of ckptd: ${(bytes / 1e6).toFixed(0)} MB (target < ${TARGET_BYTES / 1e6}: ${verdict})\n`,
  )
}

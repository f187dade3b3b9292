import { inspectStore } from '../cache/inspect-store.ts'
import { planRecovery, type RecoveryStep } from '../cache/recovery.ts'
import { openStore } from '../cache/store.ts'
import type { Config } from './config.ts'

/**
 * `ckptd recover`: performs what a start of the daemon would, or prints it and changes nothing
 * (`--dry-run`).
 */
export async function printRecovery(
  config: Config,
  options: { dryRun: boolean; json: boolean },
): Promise<void> {
  let steps = 0
  const print = (step: RecoveryStep): void => {
    steps += 1
    process.stdout.write(`${options.json ? JSON.stringify(step) : describeStep(step)}\n`)
  }
  if (options.dryRun) {
    await using store = await inspectStore(config.data_dir)
    for await (const step of planRecovery(store)) print(step)
  } else {
    await using store = openStore(config.data_dir)
    await store.recover(print)
  }
  if (steps === 0 && !options.json) process.stdout.write('Nothing to do: the store is in order.\n')
}

function describeStep({ kind, ...subject }: RecoveryStep): string {
  return `${kind.replaceAll('-', ' ')}: ${Object.values(subject).join(' ')}`
}

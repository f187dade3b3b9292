import { planRecovery, type RecoveryStep } from '../cache/recovery.ts'
import { openStore } from '../cache/store.ts'
import type { Config } from './config.ts'

/** `ckptd recover`: performs what a start of the daemon would, or prints it (`--dry-run`). */
export async function printRecovery(
  config: Config,
  options: { dryRun: boolean; json: boolean },
): Promise<void> {
  await using store = openStore(config.data_dir)
  let steps = 0
  const print = (step: RecoveryStep): void => {
    steps += 1
    process.stdout.write(`${options.json ? JSON.stringify(step) : describeStep(step)}\n`)
  }
  if (options.dryRun) for await (const step of planRecovery(store.context)) print(step)
  else await store.recover(print)
  if (steps === 0 && !options.json) process.stdout.write('Nothing to do: the store is in order.\n')
}

function describeStep({ kind, ...subject }: RecoveryStep): string {
  return `${kind.replaceAll('-', ' ')}: ${Object.values(subject).join(' ')}`
}

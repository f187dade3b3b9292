import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { MountResult } from '../../../src/agent-protocol/job.ts'
import type { Machine } from './machine.ts'

/** A process that runs a job's worker: a shell in a mount namespace of its own. */
export interface WorkerProcess extends AsyncDisposable {
  /** Runs one line there and answers what it printed; a status other than 0 fails. */
  run(line: string): Promise<string>
}

/** As a container runtime does it: the mounts are bound into a private namespace. */
const SCRIPT = `
set -e
mkdir -p /opt/trainml/checkpoint /opt/trainml/output
mount --bind "$1" /opt/trainml/checkpoint
mount --bind "$2" /opt/trainml/output
set +e
while IFS= read -r line; do
  eval "$line" 2>&1
  echo "ended with $?"
done
`

export function startWorker(machine: Machine, mounts: MountResult): WorkerProcess {
  const { checkpoint_path: checkpoint = '', output_path: output = '' } = mounts
  const shell = ['unshare', '--mount', 'sh', '-c', SCRIPT, 'worker', checkpoint, output] as const
  const child = spawn('nsenter', machine.inside(...shell), { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    run: async (line) => {
      child.stdin.write(`${line}\n`)
      const printed: string[] = []
      for (;;) {
        const next = await lines.next()
        if (next.done === true) throw new Error(`the worker ended: ${printed.join('\n')}`)
        const status = /^ended with (\d+)$/.exec(next.value)?.[1]
        if (status === '0') return printed.join('\n')
        if (status !== undefined) throw new Error(`${line}: ${status}: ${printed.join('\n')}`)
        printed.push(next.value)
      }
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      await ended
    },
  }
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { MountResult } from '../../../src/agent-protocol/job.ts'
import type { Machine } from './machine.ts'

/** A shell that is told what to do line by line. */
export interface Shell extends AsyncDisposable {
  /** Runs one line there and answers what it printed; a status other than 0 fails. */
  run(line: string): Promise<string>
}

const LOOP = `
while IFS= read -r line; do
  eval "$line" 2>&1
  echo "ended with $?"
done
`
/** As a container runtime does it: the mounts are bound into a private namespace. */
const WORKER = `
set -e
mkdir -p /opt/trainml/checkpoint /opt/trainml/output
mount --bind "$1" /opt/trainml/checkpoint
mount --bind "$2" /opt/trainml/output
set +e
${LOOP}`

/** A shell in the machine, where everybody is. */
export function startShell(machine: Machine): Shell {
  return start(machine, ['sh', '-c', LOOP])
}

/** A shell in a mount namespace of its own that is a job's worker. */
export function startWorker(machine: Machine, mounts: MountResult): Shell {
  const { checkpoint_path: checkpoint = '', output_path: output = '' } = mounts
  return start(machine, ['unshare', '--mount', 'sh', '-c', WORKER, 'worker', checkpoint, output])
}

function start(machine: Machine, command: readonly [string, ...string[]]): Shell {
  const child = spawn('nsenter', machine.inside(...command), { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    run: async (line) => {
      child.stdin.write(`${line}\n`)
      const printed: string[] = []
      for (;;) {
        const next = await lines.next()
        if (next.done === true) throw new Error(`the shell ended: ${printed.join('\n')}`)
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

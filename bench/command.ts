import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Runs a command to its end; a failure is an error. */
export async function command(
  name: string,
  args: readonly string[],
  options: { cwd?: string } = {},
): Promise<void> {
  const child = spawn(name, args, { ...options, stdio: ['ignore', 'ignore', 'inherit'] })
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  if (code !== 0) throw new Error(`${name} ${args.join(' ')}: ended with ${code ?? signal}`)
}

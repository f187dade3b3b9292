import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { expect, it } from 'vitest'
import { makeScratch } from '../support/scratch.ts'

const SCRIPT = fileURLToPath(new URL('../../scripts/quickstart.ts', import.meta.url))

/** Nobody has this id. */
const UNPRIVILEGED = 30_005

const PRIVATELY = ['--mount', '--propagation', 'private', 'sh', '-c']

/**
 * What `make quickstart` runs, behind the command `as` if one is given, in a namespace that has
 * a directory of the test's own at /mnt: podman takes short paths only.
 */
async function quickstart(
  directory: string,
  as: readonly string[] = [],
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const program = [...as, process.execPath, SCRIPT]
  const command = ['mount --bind "$0" /mnt && exec "$@"', directory, ...program]
  const child = spawn('unshare', [...PRIVATELY, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: '/mnt' },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { status, stdout: stripVTControlCharacters(stdout), stderr }
}

it('the quickstart ends with the output as the next checkpoint, and takes its scratch directory away', async () => {
  await using scratch = makeScratch('quick')
  chmodSync(scratch.path, 0o755)
  mkdirSync(scratch.join('tmp'))
  const { status, stdout, stderr } = await quickstart(scratch.join('tmp'))
  expect(status, stderr).toBe(0)
  expect(stdout).toContain('in the job: the write was refused, as it must be')

  const lines = stdout.split('\n')
  const end = lines.slice(lines.indexOf('== What the job wrote is the next checkpoint'))
  const list = end.slice(end.indexOf('$ ckpt list'), end.indexOf('$ ckpt show "Job - quickstart"'))
  const show = end.slice(end.indexOf('$ ckpt show "Job - quickstart"'), end.indexOf('$ ckpt df'))
  expect(list.filter((line) => /\bready\b/.test(line)).map((line) => line.split(/ {2,}/))).toEqual(
    expect.arrayContaining([
      expect.arrayContaining(['model']),
      expect.arrayContaining(['adapter']),
      expect.arrayContaining(['Job - quickstart']),
    ]),
  )
  for (const name of ['epoch-1', 'config.json', 'model.safetensors'])
    expect(show.join('\n')).toContain(name)
  expect(end.filter(Boolean).at(-1)).toBe('== Done; the scratch directory goes')

  expect(readdirSync(scratch.join('tmp'))).toEqual([])
})

it('the quickstart without root fills checkpoints, and takes its scratch directory away', async () => {
  await using scratch = makeScratch('quick')
  chmodSync(scratch.path, 0o755)
  mkdirSync(scratch.join('tmp'))
  chownSync(scratch.join('tmp'), UNPRIVILEGED, UNPRIVILEGED)
  const ids = [`--reuid=${UNPRIVILEGED}`, `--regid=${UNPRIVILEGED}`, '--clear-groups']
  const { status, stdout, stderr } = await quickstart(scratch.join('tmp'), ['setpriv', ...ids])
  expect(status, stderr).toBe(0)
  expect(stdout).toContain('Without root nothing can be mounted')
  expect(readdirSync(scratch.join('tmp'))).toEqual([])
})

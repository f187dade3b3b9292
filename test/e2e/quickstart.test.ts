import { spawn } from 'node:child_process'
import { chownSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { makeScratch } from '../support/scratch.ts'

const SCRIPT = fileURLToPath(new URL('../../scripts/quickstart.ts', import.meta.url))
const UID = 30_005

it('the quickstart works without root and leaves nothing behind', async () => {
  await using scratch = makeScratch('quickstart-test')
  chownSync(scratch.path, UID, UID)
  const child = spawn(process.execPath, [SCRIPT], {
    uid: UID,
    gid: UID,
    cwd: scratch.path,
    env: { ...process.env, HOME: scratch.path, TMPDIR: scratch.path },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const status = await new Promise((resolve) => child.once('close', resolve))
  expect(status, output).toBe(0)
  expect(readdirSync(scratch.path)).toEqual([])
})

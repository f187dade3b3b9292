import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Scratch } from '../../support/scratch.ts'

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url))
export const UNITS = join(PROJECT, 'systemd')

/** A root directory with everything of this machine; what is written there stays in memory. */
export function makeRoot(scratch: Scratch): string {
  chmodSync(scratch.path, 0o755)
  const layer = scratch.join('layer')
  const root = scratch.join('root')
  mkdirSync(layer)
  mkdirSync(root)
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', layer])
  for (const name of ['upper', 'work']) mkdirSync(join(layer, name))
  const layers = `lowerdir=/,upperdir=${layer}/upper,workdir=${layer}/work`
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, root])
  return root
}

/** The built tree and the units, where docs/operations.md puts them. */
export function install(root: string): void {
  const program = join(root, 'usr/lib/ckptd')
  mkdirSync(program, { recursive: true })
  for (const name of ['bin', 'dist', 'package.json'])
    cpSync(join(PROJECT, name), join(program, name), { recursive: true })
  const modules = join(program, 'node_modules')
  mkdirSync(modules)
  execFileSync('mount', ['--bind', join(PROJECT, 'node_modules'), modules])
  for (const unit of ['ckptd.service', 'ckptd.socket', 'ckptd-mountd.service'])
    cpSync(join(UNITS, unit), join(root, 'usr/lib/systemd/system', unit))
  for (const kind of ['sysusers', 'tmpfiles'])
    cpSync(join(UNITS, `ckptd.${kind}`), join(root, `usr/lib/${kind}.d/ckptd.conf`))
}

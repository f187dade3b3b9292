import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeScratch, type Scratch } from '../support/scratch.ts'
import { install, makeRoot, UNITS } from './support/root.ts'

const MAX_EXPOSURE = 2
const SERVICES = ['ckptd.service', 'ckptd-mountd.service'] as const

let scratch: Scratch
let root: string
beforeAll(() => {
  scratch = makeScratch('units')
  root = makeRoot(scratch)
  install(root)
})
afterAll(() => scratch[Symbol.asyncDispose]())

/** systemd-analyze on a host that has the units installed. */
function analyze(...parameters: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync('chroot', [root, 'systemd-analyze', ...parameters], {
    encoding: 'utf8',
  })
  return { status, out: stdout, err: stderr }
}

function plant(name: string, text: string): void {
  writeFileSync(join(root, 'etc/systemd/system', name), text)
}

function textOf(unit: string): string {
  return readFileSync(join(UNITS, unit), 'utf8')
}

describe('systemd-analyze verify', () => {
  it('has nothing to say about the units', () => {
    const verdict = analyze('verify', ...SERVICES, 'ckptd.socket')
    expect(verdict).toEqual({ status: 0, out: '', err: '' })
  })

  it('would speak up about a misspelt setting', () => {
    plant('misspelt.service', textOf('ckptd.service').replace('ProtectHome=', 'ProtectHouse='))
    expect(analyze('verify', 'misspelt.service').err).toContain('ProtectHouse')
  })
})

describe('systemd-analyze security', () => {
  it(`finds the daemon exposed below ${MAX_EXPOSURE}`, () => {
    expect(exposureOf('ckptd.service')).toBeLessThan(MAX_EXPOSURE)
  })

  it('would find it more exposed without its sandbox', () => {
    const open = textOf('ckptd.service').replaceAll(/^(Protect|Private|Restrict)\w+=.*$/gm, '')
    plant('open.service', open)
    expect(exposureOf('open.service')).toBeGreaterThan(MAX_EXPOSURE)
  })

  it.each(SERVICES)('reports no weakness of %s that its comments do not explain', (unit) => {
    const text = textOf(unit)
    const unexplained = weaknessesOf(unit).filter((setting) => !text.includes(`${setting}=`))
    expect(unexplained).toEqual([])
  })

  it('would report a setting that was dropped without a word', () => {
    plant('dropped.service', textOf('ckptd.service').replaceAll(/^.*ProtectHome.*$/gm, ''))
    expect(weaknessesOf('dropped.service')).toContain('ProtectHome')
  })
})

function exposureOf(unit: string): number {
  const { out } = analyze('security', '--offline=yes', '--no-pager', unit)
  const [, exposure] = /Overall exposure level for \S+: ([\d.]+)/.exec(out) ?? []
  return Number(exposure)
}

/** The settings with which a unit could be less exposed. */
function weaknessesOf(unit: string): string[] {
  const { out } = analyze('security', '--offline=yes', '--no-pager', '--json=short', unit)
  const findings = JSON.parse(out) as { name: string; exposure: string | null }[]
  return findings
    .filter(({ exposure }) => Number(exposure ?? 0) > 0)
    .map(({ name }) => name.split('=', 1)[0] ?? name)
}

describe('the mount helper’s unit', () => {
  /** Each of them hides the unit's mounts from the host. */
  const HIDING =
    /^(Protect(System|Home|Kernel\w+|ControlGroups|Proc)|ProcSubset|Private(Tmp|Devices|Mounts|IPC|Network|Users)|(ReadWrite|ReadOnly|Inaccessible|Exec|NoExec|Bind|BindReadOnly)Paths|TemporaryFileSystem|Root(Directory|Image)|MountFlags|MountAPIVFS|MountImages|Extension\w+|DynamicUser|LogNamespace)=/m

  it('has no setting that would take it out of the host’s mount namespace', () => {
    expect(textOf('ckptd-mountd.service')).not.toMatch(HIDING)
    expect(textOf('ckptd.service')).toMatch(HIDING)
  })
})

import { readFileSync, readlinkSync } from 'node:fs'
import { until } from '../../support/daemon.ts'
import type { Machine } from './machine.ts'

export type Unit = 'ckptd' | 'ckptd-mountd'

/** Started by hand and by accident many times over, on a machine that may be busy. */
const START_MS = 120_000

/** One property of a unit, as `systemctl show` knows it. */
export function show(machine: Machine, unit: string, property: string): Promise<string> {
  return machine.run('systemctl', 'show', '--value', '-p', property, unit)
}

/** Changes one setting of a unit, as an administrator would. */
export async function override(machine: Machine, unit: string, setting: string): Promise<void> {
  const section = unit.endsWith('.socket') ? 'Socket' : 'Service'
  const place = `/etc/systemd/system/${unit}.d`
  const write = `mkdir -p "$1"; printf '[%s]\\n%s\\n' "$2" "$3" >"$1/override.conf"`
  await machine.run('sh', '-ec', write, 'sh', place, section, setting)
  await machine.run('systemctl', 'daemon-reload')
}

export async function mainPid(machine: Machine, unit: Unit): Promise<number> {
  return Number(await show(machine, `${unit}.service`, 'MainPID'))
}

/** Waits until a unit is active with another main process than `former`. */
export async function untilReplaced(machine: Machine, unit: Unit, former: number): Promise<void> {
  await until(async () => {
    const state = await show(machine, `${unit}.service`, 'ActiveState')
    const pid = await mainPid(machine, unit)
    return state === 'active' && pid !== 0 && pid !== former
  }, START_MS)
}

/** The mount namespace of a process of the machine, and its lines in /proc/PID/status. */
export function processOf(
  machine: Machine,
  pid: number,
): { mountNamespace: string; status: ReadonlyMap<string, string> } {
  const place = machine.path(`/proc/${pid}`)
  const lines = readFileSync(`${place}/status`, 'utf8').split('\n')
  return {
    mountNamespace: readlinkSync(`${place}/ns/mnt`),
    status: new Map(lines.map((line) => splitAt(line, ':\t'))),
  }
}

function splitAt(text: string, separator: string): [string, string] {
  const [name = '', value = ''] = text.split(separator)
  return [name, value]
}

/** Where something of ckptd's jobs is mounted, as the machine's process 1 sees it. */
export function jobMounts(machine: Machine): string[] {
  return readFileSync(machine.path('/proc/1/mountinfo'), 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , , , place]) => place?.startsWith('/run/ckptd/jobs/'))
    .map(([, , , , place = '', options = '']) => `${place} ${options.split(',')[0]}`)
    .toSorted()
}

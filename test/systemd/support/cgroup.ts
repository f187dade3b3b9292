import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

/** A control group of a machine's own: two of them in one would stop each other's services. */
export interface Cgroup extends Disposable {
  /** Shell commands by which a process moves into it. */
  readonly enter: string
}

export function makeCgroup(name: string): Cgroup {
  const places = hierarchies().map((hierarchy) => join(hierarchy, name))
  for (const place of places) mkdirSync(place)
  return {
    enter: places.map((place) => `echo $$ >${place}/cgroup.procs`).join('; '),
    [Symbol.dispose]: () => {
      for (const place of places) if (existsSync(place)) removeGroup(place)
    },
  }
}

/** Where this process is in the hierarchies that systemd uses: its own, the unified one, both. */
function hierarchies(): string[] {
  const own = new Map(
    readFileSync('/proc/self/cgroup', 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .map(([, controllers = '', path = '/']) => [controllers, path]),
  )
  const root = '/sys/fs/cgroup'
  const unified = existsSync(join(root, 'cgroup.procs')) ? root : join(root, 'unified')
  return [
    { hierarchy: join(root, 'systemd'), path: own.get('name=systemd') },
    { hierarchy: unified, path: own.get('') },
  ].flatMap(({ hierarchy, path }) =>
    path !== undefined && existsSync(join(hierarchy, 'cgroup.procs'))
      ? [join(hierarchy, path)]
      : [],
  )
}

/** Control groups go one by one, the inner ones first; their files go with them. */
function removeGroup(place: string): void {
  for (const entry of readdirSync(place, { withFileTypes: true }))
    if (entry.isDirectory()) removeGroup(join(place, entry.name))
  rmdirSync(place)
}

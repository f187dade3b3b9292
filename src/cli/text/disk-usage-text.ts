import type { DiskUsage } from '../../agent-protocol/host.ts'
import { formatBytes } from '../../model/size-text.ts'
import { countText } from './count-text.ts'
import { type Column, renderFields, renderTable } from './table.ts'

const PROJECT_COLUMNS: readonly Column[] = [
  { title: 'PROJECT' },
  { title: 'CHECKPOINTS', align: 'right' },
  { title: 'SIZE', align: 'right' },
  { title: 'BILLED', align: 'right' },
  { title: 'FREE LEFT', align: 'right' },
  { title: 'BILLABLE', align: 'right' },
]

export function diskUsageText({ data_dir, filesystem, store, projects }: DiskUsage): string {
  const host = renderFields([
    ['Data directory', data_dir],
    ['Disk', `${formatBytes(filesystem.size)}, ${formatBytes(filesystem.free)} free`],
    ['Never filled', `the last ${formatBytes(filesystem.min_free)}`],
    ['Reserved', `${formatBytes(filesystem.reserved)} for transfers under way`],
  ])
  const inStore = renderTable(
    [{ title: 'IN THE STORE' }, { title: 'SIZE', align: 'right' }],
    [
      [`${countText(store.objects, 'object')}, each once`, formatBytes(store.physical)],
      ['checkpoints, each by its size', formatBytes(store.logical)],
      ['saved by sharing', formatBytes(store.saved_by_sharing)],
      ['in use by mounts', formatBytes(store.in_use)],
      ['arriving or being saved', formatBytes(store.staging)],
      ['held by no checkpoint', formatBytes(store.reclaimable)],
      ['damaged, in quarantine/', formatBytes(store.quarantine)],
    ],
  )
  const kept =
    store.kept_outputs === 0
      ? ''
      : `${countText(store.kept_outputs, 'output directory', 'output directories')} kept beside it, not all of which could be saved\n`
  const byProject = renderTable(
    PROJECT_COLUMNS,
    projects.map((project) => [
      project.project_uuid,
      String(project.checkpoints),
      formatBytes(project.logical),
      formatBytes(project.billed),
      formatBytes(project.free_allotment_left),
      formatBytes(project.billable),
    ]),
  )
  return `${host}\n${inStore}${kept}\n${byProject}`
}

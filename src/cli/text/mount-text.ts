import type { MountRow } from '../../agent-protocol/host.ts'
import { renderTable } from './table.ts'

export function mountTable(rows: readonly MountRow[], columns: number | undefined): string {
  return renderTable(
    [
      { title: 'JOB', shorten: true },
      { title: 'PROJECT' },
      { title: 'WORKER', align: 'right' },
      { title: 'STATE' },
      { title: 'SINCE' },
      { title: 'CHECKPOINTS', shorten: true },
      { title: 'PATH' },
    ],
    rows.map((row) => [
      row.job_name,
      row.project_uuid,
      String(row.worker),
      row.state,
      row.since,
      row.checkpoints.map(({ name }) => name).join(', '),
      row.path,
    ]),
    columns,
  )
}

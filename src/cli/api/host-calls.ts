import type { DaemonStatus, DiskUsage, MountRow } from '../../agent-protocol/host.ts'
import type { ApiClient } from './api-client.ts'

export async function getStatus(api: ApiClient): Promise<DaemonStatus> {
  return (await api.request<DaemonStatus>({ method: 'GET', path: '/v1/status' })).value
}

export async function getDiskUsage(api: ApiClient): Promise<DiskUsage> {
  return (await api.request<DiskUsage>({ method: 'GET', path: '/v1/df' })).value
}

export async function listMounts(api: ApiClient): Promise<MountRow[]> {
  return (await api.request<MountRow[]>({ method: 'GET', path: '/v1/mounts' })).value
}

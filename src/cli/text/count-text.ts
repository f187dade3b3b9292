/** `1 file`, `2 files`; the plural is the singular and "s" unless it is given. */
export function countText(count: number, singular: string, plural = `${singular}s`): string {
  return `${count} ${count === 1 ? singular : plural}`
}
